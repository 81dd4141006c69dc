/*
 * Lines of JSON (NDJSON, JSON Lines): bytes -> lines, incrementally, any split.
 *
 * Owns: nothing. Thread: the owner's. Blocks: never. Limits: `event_bytes` for a line: up to it
 * everything is handed out, whatever the split.
 * Errors: MILL_E_LIMIT, or what a callback returned; sticky until _reset.
 *
 * A line ends with LF or CR LF. White space before its first other character is dropped, so that a
 * blank line is none. Its bytes are handed out as they arrive and are not copied: one line is any
 * number of data() calls, then one event(), when its LF is there.
 *
 * Every callback returns MILL_OK to go on or a negative MILL_E_* code to stop; event() may also
 * return MILL_AGAIN: feed() then returns MILL_AGAIN at once, `consumed` just behind that line, and
 * is called again with the rest. Slices are valid inside the callback only.
 */
#ifndef MILL_PARSE_NDJSON_H
#define MILL_PARSE_NDJSON_H

#include "base/buf.h"

struct mill__ndjson_callbacks {
  int (*data)(void *ctx, const char *bytes, size_t len);
  int (*event)(void *ctx);
};

/* Only ndjson.c touches the fields; the struct is here to be embedded. */
struct mill__ndjson {
  const struct mill__ndjson_callbacks *callbacks;
  void *ctx;
  size_t event_bytes;
  size_t data_bytes; /* handed out of this line */
  int status;        /* sticky */
  uint8_t place;     /* enum place of ndjson.c */
};

/* Borrows `callbacks`. There is nothing to free. */
void mill__ndjson_init(struct mill__ndjson *ndjson, size_t event_bytes,
                       const struct mill__ndjson_callbacks *callbacks, void *ctx);
/* Back to the start of a stream. */
void mill__ndjson_reset(struct mill__ndjson *ndjson);
/* Feed a piece. `ret_consumed` is `len` unless it stopped before; it is always written. */
int mill__ndjson_feed(struct mill__ndjson *ndjson, const char *bytes, size_t len,
                      size_t *ret_consumed);
/*
 * The input ended. A last line that has no LF is dispatched now: it may be whole or cut, which its
 * JSON tells. What event() returned, and MILL_OK where there is no such line.
 */
int mill__ndjson_finish(struct mill__ndjson *ndjson);

#endif
