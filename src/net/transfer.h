/*
 * What the engine does for one stream, attempt by attempt: clocks, the answer's head and body,
 * retries, the end. Knows no libcurl: http.c drives it.
 * Thread: the loop. Limits: those of the request, MILL__ENGINE_DRAIN_*, MILL__ERROR_BODY_BYTES.
 */
#ifndef MILL_NET_TRANSFER_H
#define MILL_NET_TRANSFER_H

#include "base/list.h"
#include "base/timer.h"
#include "net/error.h"
#include "net/http.h"
#include "net/inflate.h"
#include "net/resolve.h"
#include "net/response.h"
#include "net/source.h"
#include "provider/decoder.h"

enum mill__transfer_state {
  MILL__TRANSFER_NEW,
  MILL__TRANSFER_LOOKUP, /* another stream looks the name up */
  MILL__TRANSFER_ACTIVE,
  MILL__TRANSFER_DRAINING, /* the end was seen; the rest is read so that the connection stays */
  MILL__TRANSFER_BACKOFF,  /* before the next attempt */
  MILL__TRANSFER_DONE
};

enum mill__body_verdict { MILL__BODY_TAKEN, MILL__BODY_PAUSE, MILL__BODY_ABORT };

struct mill__transfer {
  enum mill__transfer_state state;
  struct mill__list link;    /* in engine->transfers */
  struct mill__list touched; /* in engine->touched, or in a list of those to start */
  struct mill__timer timer;  /* the next of all deadlines */
  struct mill__resolve_node resolve;
  int64_t attempt_ns, sent_ns, last_event_ns; /* when they began; -1: not yet */
  int64_t no_stream_ns; /* when the head of an answer came that is no stream; -1: none */
  int64_t until_ns;     /* end of a drain or of a backoff */
  int64_t holds_ns;     /* since when it connects while others of its host wait; -1: it does not */

  /* of the attempt */
  struct mill__http http;
  struct mill__response *head;    /* until it is published */
  struct mill__decoder *decoder;  /* NULL: the answer is not a stream of the format asked for */
  struct mill__buf body;          /* of an answer that is not */
  mill_error failure;             /* found while reading; ends the attempt */
  size_t skip;                    /* bytes of the paused piece that were taken before the pause */
  struct mill__inflate *inflater; /* NULL: the body comes as it is */
  mill_slice block;               /* what came out of it and was not taken, or not all of it */
  size_t inflated;                /* bytes of the paused piece that are in it */
  size_t drained;                 /* bytes since the end was seen */
  bool suspended;                 /* the body is paused */
  bool fresh;                     /* on a connection of its own, as a kept one was dead */

  /* of the whole */
  struct mill__source source; /* used where the stream is an event source */
  unsigned attempt;
  bool queued;    /* something was handed to the consumer: no retry any more */
  bool published; /* the consumer can see the end */
  size_t new_bytes, new_events, new_chunks; /* since the counters were brought up to date */
  size_t new_pieces;                        /* of the body, that gave chunks */
  size_t piece_chunks;                      /* new_chunks before the piece */
  bool counted_chunks;                      /* they counted some */
  int64_t last_chunk_ns;
};

int mill__transfer_init(struct mill__transfer *transfer, const mill_request *set);
void mill__transfer_fini(struct mill__transfer *transfer);

/* ---- from the engine ------------------------------------------------------------------------- */

void mill__transfer_start(mill_stream *stream);
/* The name is known, or it is this stream's turn to look it up. */
void mill__transfer_lookup_over(mill_stream *stream);
void mill__transfer_cancel(mill_stream *stream);
void mill__transfer_resume(mill_stream *stream);
/* Of an event source: another connection, now. */
void mill__transfer_restart(mill_stream *stream);
void mill__transfer_on_timer(mill_stream *stream);
/* A turn of the loop ends: bring the counters of engine and client up to date. */
void mill__transfer_settle(mill_stream *stream);
/* libcurl is done with the exchange. */
void mill__transfer_on_done(mill_stream *stream, int curl_code);

/* ---- from http.c ----------------------------------------------------------------------------- */

void mill__transfer_on_socket(mill_stream *stream); /* the name is known */
void mill__transfer_on_sent(mill_stream *stream);   /* connected; the request goes out now */
/* A line of the head; false: stop. */
bool mill__transfer_on_head_line(mill_stream *stream, const char *line, size_t len);
enum mill__body_verdict mill__transfer_on_body(mill_stream *stream, const char *bytes, size_t len);

#endif
