/*
 * An event source: what it knows from one connection to the next, what it tells its consumer, and
 * what it does when a connection is over.
 * Source: WHATWG HTML, section 9.2.3 "Processing model".
 * Owns: the last event id, where redirects led. Thread: the loop. Limits: limits.event_bytes for
 * the id. Errors: MILL_E_NOMEM.
 */
#ifndef MILL_NET_SOURCE_H
#define MILL_NET_SOURCE_H

#include "base/buf.h"
#include "net/redirect.h"

struct mill__source {
  struct mill__buf last_id;
  int64_t asked_ms;  /* the server's `retry`; -1: it sent none */
  unsigned attempts; /* to reconnect, since the last event */

  /* of the connection */
  bool opened; /* its answer is an event stream */
  struct mill__redirect redirect;
};

enum mill__source_next {
  MILL__SOURCE_ENDS,      /* for good, with the error */
  MILL__SOURCE_REDIRECTS, /* the next request goes where the answer said */
  MILL__SOURCE_RECONNECTS /* after a wait; the consumer was told */
};

int mill__source_init(struct mill__source *source, const mill_request *set);
void mill__source_fini(struct mill__source *source);
/* The last event id as a header carries it: valid UTF-8 that ends in NUL. Empty: none. */
int mill__source_last_event_id(const struct mill__source *source, struct mill__buf *ret_text);

/* What the answer's body says goes to the consumer. */
int mill__source_on_event(mill_stream *stream, const mill_event *event);
int mill__source_on_comment(mill_stream *stream, mill_slice text);
int mill__source_on_id(mill_stream *stream, mill_slice id);
int mill__source_on_retry(mill_stream *stream, uint64_t retry_ms);

/* The answer's head is that of an event stream; false: it is another one's, or none. */
bool mill__source_accepts(const mill_stream *stream);
int mill__source_opened(mill_stream *stream);
/*
 * The connection is over, with `error` (MILL_OK: its answer ended). `ret_delay_ms` is written where
 * it reconnects; `error` may be replaced where it ends.
 */
enum mill__source_next mill__source_next(mill_stream *stream, mill_error *error,
                                         int64_t *ret_delay_ms);
/* The consumer asked for another connection. */
int mill__source_restarts(mill_stream *stream);

#endif
