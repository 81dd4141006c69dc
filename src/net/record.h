/*
 * One decoded event as a record of the queue: written by the engine, read in place by the consumer.
 * Thread: encode: the loop; the rest: the consumer. Limits: none of its own.
 */
#ifndef MILL_NET_RECORD_H
#define MILL_NET_RECORD_H

#include "base/queue.h"
#include "provider/decoder.h"

/* Put the event with its deltas into the queue. MILL_E_NOMEM. */
int mill__record_put(struct mill__queue *queue, const mill_event *event,
                     const struct mill__meta *meta, const struct mill__delta *deltas,
                     size_t n_deltas);

/* Reads one record; slices point into it. */
struct mill__record_reader {
  const char *next; /* where the next delta begins */
  unsigned left;    /* deltas not read yet */
};

void mill__record_open(struct mill__record_reader *reader, const void *record,
                       mill_event *ret_event, struct mill__meta *ret_meta);
/* The next delta; call only while reader->left is not 0. Does not write chunk->event. */
void mill__record_next(struct mill__record_reader *reader, mill_chunk *ret_chunk);

#endif
