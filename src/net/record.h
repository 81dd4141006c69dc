/*
 * A record of the queue, written by the engine, read in place by the consumer: a decoded event, or
 * a note of what happened to an event source.
 * Thread: encode: the loop; the rest: the consumer. Limits: none of its own.
 */
#ifndef MILL_NET_RECORD_H
#define MILL_NET_RECORD_H

#include "base/queue.h"
#include "provider/decoder.h"

enum mill__record_kind {
  MILL__RECORD_EVENT,
  MILL__RECORD_COMMENT, /* text */
  MILL__RECORD_OPENED,
  MILL__RECORD_LOST,  /* error */
  MILL__RECORD_ID,    /* text: the last event id, where no event tells it */
  MILL__RECORD_RETRY, /* number: milliseconds */
};

/* Of any record. */
enum mill__record_kind mill__record_kind(const void *record);

/* ---- notes: everything is valid as long as the record --------------------------------------- */

struct mill__note {
  enum mill__record_kind kind;
  uint64_t number;
  mill_slice text;
  mill_error error;
};

/* Put a copy into the queue. MILL_E_NOMEM. */
int mill__record_put_note(struct mill__queue *queue, const struct mill__note *note);
const struct mill__note *mill__record_note(const void *record);

/* ---- events ---------------------------------------------------------------------------------- */

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
