/*
 * One JSON array as a stream: bytes -> its elements, incrementally, any split.
 *
 * Owns: nothing. Thread: the owner's. Blocks: never. Limits: `event_bytes` for an element: up to it
 * everything is handed out, whatever the split.
 * Errors: MILL_E_PROTOCOL (what stands between the elements or behind the array is no JSON),
 * MILL_E_LIMIT, or what a callback returned; sticky until _reset.
 *
 * Only strings and brackets are looked at: whether an element is JSON is its reader's to judge.
 * Where an object stands in place of the array, as for an error, it is the only element. Bytes are
 * handed out as they arrive and are not copied: an element is any number of data() calls, then one
 * event(), when its last byte is there (of a number or a word: the byte behind).
 *
 * Callbacks as in parse/ndjson.h: event() may return MILL_AGAIN, which stops feed() behind it.
 */
#ifndef MILL_PARSE_JSON_ARRAY_H
#define MILL_PARSE_JSON_ARRAY_H

#include "base/buf.h"

struct mill__json_array_callbacks {
  int (*data)(void *ctx, const char *bytes, size_t len);
  int (*event)(void *ctx);
};

/* Only json_array.c touches the fields; the struct is here to be embedded. */
struct mill__json_array {
  const struct mill__json_array_callbacks *callbacks;
  void *ctx;
  size_t event_bytes;
  size_t data_bytes; /* handed out of this element */
  size_t depth;      /* open containers, the array itself not counted */
  int status;        /* sticky */
  uint8_t place;     /* enum place of json_array.c */
  bool alone;        /* an object in place of the array */
};

/* Borrows `callbacks`. There is nothing to free. */
void mill__json_array_init(struct mill__json_array *array, size_t event_bytes,
                           const struct mill__json_array_callbacks *callbacks, void *ctx);
/* Back to the start of a stream. */
void mill__json_array_reset(struct mill__json_array *array);
/* Feed a piece. `ret_consumed` is `len` unless it stopped before; it is always written. */
int mill__json_array_feed(struct mill__json_array *array, const char *bytes, size_t len,
                          size_t *ret_consumed);
/* The input ended. True where it ended before the array did. */
bool mill__json_array_finish(const struct mill__json_array *array);

#endif
