/*
 * The framings of parse/ behind one face: bytes -> data and events.
 *
 * Owns: the parser. Thread: the owner's. Blocks: never. Limits: `event_bytes` for an event. Errors:
 * those of the parser, or what a callback returned; sticky.
 */
#ifndef MILL_PROVIDER_FRAMING_H
#define MILL_PROVIDER_FRAMING_H

#include "parse/awsev.h"
#include "parse/json_array.h"
#include "parse/ndjson.h"
#include "parse/sse.h"
#include "provider/dialect.h"

/* What a framing says of an event; empty where it does not. Bytes as they came. */
struct mill__framed {
  mill_slice type, id;
  bool failed;              /* it is an error, whatever its data */
  mill_slice code, message; /* ... with these words */
};

/*
 * As those of parse/sse.h, whose framing alone calls the last four: an event is any number of data()
 * calls, then one event(), which may return MILL_AGAIN.
 */
struct mill__framer_callbacks {
  int (*data)(void *ctx, const char *bytes, size_t len);
  int (*event)(void *ctx, const struct mill__framed *framed);
  int (*comment)(void *ctx, mill_slice text);
  int (*unknown)(void *ctx, mill_slice name, mill_slice value);
  int (*id)(void *ctx, mill_slice id);
  int (*retry)(void *ctx, uint64_t retry_ms);
};

struct mill__framer {
  enum mill__framing framing;
  const struct mill__framer_callbacks *callbacks;
  void *ctx;
  union {
    struct mill__sse sse;
    struct mill__ndjson ndjson;
    struct mill__awsev awsev;
    struct mill__json_array json_array;
  } parser;
};

/* Allocates nothing. Borrows `callbacks` until _fini. The framer must stay where it is. */
void mill__framer_init(struct mill__framer *framer, enum mill__framing framing, size_t event_bytes,
                       const struct mill__framer_callbacks *callbacks, void *ctx);
void mill__framer_fini(struct mill__framer *framer);
/* As mill__sse_set_last_event_id; of the SSE framing only. */
int mill__framer_set_last_event_id(struct mill__framer *framer, mill_slice id);
/* As mill__sse_feed. */
int mill__framer_feed(struct mill__framer *framer, const char *bytes, size_t len,
                      size_t *ret_consumed);
/* The input ended: a last event that only wants its end mark is told. What event() returned. */
int mill__framer_finish(struct mill__framer *framer);
/* The input ended inside an event, or before the end that the framing has; behind _finish. */
bool mill__framer_cut(const struct mill__framer *framer);
/* The beginning of a line outside of events that the end of the input cut. */
mill_slice mill__framer_line(const struct mill__framer *framer);

#endif
