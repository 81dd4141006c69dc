/*
 * Server-sent events: bytes -> events, incrementally, any split.
 * Source: WHATWG HTML, section 9.2.6 "Interpreting an event stream".
 *
 * Owns: the line's beginning where a piece cut it, the type and id buffers. Thread: the owner's.
 * Blocks: never. Limits: `event_bytes` for the data of one event (its LFs counted), and for any
 * one other line: up to it everything is handed out, whatever the split.
 * Errors: MILL_E_NOMEM, MILL_E_LIMIT, or what a callback returned; sticky until _reset.
 *
 * Data is handed out in pieces as it arrives and is not copied: one event is any number of data()
 * calls (the LF between two data lines is a piece of its own), then one event(). An event is
 * dispatched when the last byte of its blank line is there, also when that is a lone CR.
 * Bytes are handed out as they came: decoding to Unicode is the reader's (base/utf8.h). A BOM at
 * the start of the stream is dropped.
 *
 * Every callback returns MILL_OK to go on or a negative MILL_E_* code to stop; event() may also
 * return MILL_AGAIN: feed() then returns MILL_AGAIN at once, `consumed` just behind that event, and
 * is called again with the rest. Slices are valid inside the callback only. A callback that is NULL
 * is not called.
 */
#ifndef MILL_PARSE_SSE_H
#define MILL_PARSE_SSE_H

#include "base/buf.h"

/* A longer `retry` is taken for this: it fits into an int64_t of nanoseconds. */
#define MILL__SSE_RETRY_MAX_MS UINT64_C(9223372036854)

struct mill__sse_callbacks {
  int (*data)(void *ctx, const char *bytes, size_t len);
  /* type: "" where the event named none; id: the last event id, sticky. */
  int (*event)(void *ctx, mill_slice type, mill_slice id);
  /* A whole comment, what stands behind the colon, nothing stripped. */
  int (*comment)(void *ctx, mill_slice text);
  int (*retry)(void *ctx, uint64_t retry_ms);
  /* A block without data, and so without an event, set the last event id. */
  int (*id)(void *ctx, mill_slice id);
  /*
   * A line with a name that the standard ignores, or without a colon (value is empty then). Both
   * lie in one line: name.ptr up to the end of value is the line as it came.
   */
  int (*unknown)(void *ctx, mill_slice name, mill_slice value);
};

/* Only sse.c touches the fields; the struct is here to be embedded. */
struct mill__sse {
  const struct mill__sse_callbacks *callbacks;
  void *ctx;
  size_t event_bytes;

  struct mill__buf line;    /* the beginning of a line that a piece cut; no data line's value */
  struct mill__buf type;    /* of the event under construction */
  struct mill__buf id;      /* the last "id:" since the last blank line, where has_id */
  struct mill__buf last_id; /* the last event id */
  size_t data_bytes;        /* handed out for the event under construction */

  int status;      /* sticky */
  uint8_t place;   /* enum place of sse.c */
  uint8_t matched; /* how much of a BOM or of "data:" has come */
  bool has_data, has_id;
};

/* Allocates nothing. Borrows `callbacks` until _fini. */
int mill__sse_init(struct mill__sse *sse, size_t event_bytes,
                   const struct mill__sse_callbacks *callbacks, void *ctx);
void mill__sse_fini(struct mill__sse *sse);
/* Back to the start of a stream; the last event id stays (a reconnect needs it). */
void mill__sse_reset(struct mill__sse *sse);
/* For the start of a stream. On an error the id is as it was. */
int mill__sse_set_last_event_id(struct mill__sse *sse, const char *id, size_t len);
mill_slice mill__sse_last_event_id(const struct mill__sse *sse);
/* Feed a piece. `ret_consumed` is `len` unless it stopped before; it is always written. */
int mill__sse_feed(struct mill__sse *sse, const char *bytes, size_t len, size_t *ret_consumed);
/* The beginning of a line that has not ended, unless it is a data line. */
mill_slice mill__sse_line(const struct mill__sse *sse);
/* The input ended. True where it ended inside an event or a line: that part is not dispatched. */
bool mill__sse_finish(const struct mill__sse *sse);

#endif
