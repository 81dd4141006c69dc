/* The framings behind one face: a switch a function, and what they tell in one form. */
#include "provider/framing.h"

#include <assert.h>
#include <string.h>

static const mill_slice none = {"", 0};

/* ---- what the parsers tell ------------------------------------------------------------------ */

static int on_data(void *ctx, const char *bytes, size_t len) {
  struct mill__framer *framer = ctx;
  return framer->callbacks->data(framer->ctx, bytes, len);
}

static int tell(struct mill__framer *framer, const struct mill__framed *framed) {
  return framer->callbacks->event(framer->ctx, framed);
}

static int on_sse_event(void *ctx, mill_slice type, mill_slice id) {
  const bool failed = type.len == 5 && memcmp(type.ptr, "error", 5) == 0;
  return tell(ctx, &(struct mill__framed){type, id, failed, none, none});
}

static int on_sse_comment(void *ctx, mill_slice text) {
  struct mill__framer *framer = ctx;
  return framer->callbacks->comment(framer->ctx, text);
}

static int on_sse_unknown(void *ctx, mill_slice name, mill_slice value) {
  struct mill__framer *framer = ctx;
  return framer->callbacks->unknown(framer->ctx, name, value);
}

static int on_sse_id(void *ctx, mill_slice id) {
  struct mill__framer *framer = ctx;
  return framer->callbacks->id(framer->ctx, id);
}

static int on_sse_retry(void *ctx, uint64_t retry_ms) {
  struct mill__framer *framer = ctx;
  return framer->callbacks->retry(framer->ctx, retry_ms);
}

/* A line, or an element: neither has a name. */
static int on_bare_event(void *ctx) {
  return tell(ctx, &(struct mill__framed){none, none, false, none, none});
}

/* An exception is one of the API's model, an error one of the service beneath it. */
static int on_message(void *ctx, const struct mill__awsev_message *message) {
  struct mill__framed framed = {message->event_type, none, false, none, none};
  if (message->kind == MILL__AWSEV_EXCEPTION)
    framed =
        (struct mill__framed){message->exception_type, none, true, message->exception_type, none};
  if (message->kind == MILL__AWSEV_ERROR)
    framed = (struct mill__framed){message->error_code, none, true, message->error_code,
                                   message->error_message};
  return tell(ctx, &framed);
}

static const struct mill__sse_callbacks sse_callbacks = {.data = on_data,
                                                         .event = on_sse_event,
                                                         .comment = on_sse_comment,
                                                         .retry = on_sse_retry,
                                                         .id = on_sse_id,
                                                         .unknown = on_sse_unknown};
static const struct mill__ndjson_callbacks ndjson_callbacks = {on_data, on_bare_event};
static const struct mill__awsev_callbacks awsev_callbacks = {on_data, on_message};
static const struct mill__json_array_callbacks json_array_callbacks = {on_data, on_bare_event};

/* ---- the interface -------------------------------------------------------------------------- */

void mill__framer_init(struct mill__framer *framer, enum mill__framing framing, size_t event_bytes,
                       const struct mill__framer_callbacks *callbacks, void *ctx) {
  *framer = (struct mill__framer){.framing = framing, .callbacks = callbacks, .ctx = ctx};
  switch (framing) {
  case MILL__FRAMING_SSE:
    mill__sse_init(&framer->parser.sse, event_bytes, &sse_callbacks, framer);
    break;
  case MILL__FRAMING_NDJSON:
    mill__ndjson_init(&framer->parser.ndjson, event_bytes, &ndjson_callbacks, framer);
    break;
  case MILL__FRAMING_AWSEV:
    mill__awsev_init(&framer->parser.awsev, event_bytes, &awsev_callbacks, framer);
    break;
  case MILL__FRAMING_JSON_ARRAY:
    mill__json_array_init(&framer->parser.json_array, event_bytes, &json_array_callbacks, framer);
    break;
  }
}

void mill__framer_fini(struct mill__framer *framer) {
  if (framer->framing == MILL__FRAMING_SSE)
    mill__sse_fini(&framer->parser.sse);
  else if (framer->framing == MILL__FRAMING_AWSEV)
    mill__awsev_fini(&framer->parser.awsev);
}

int mill__framer_set_last_event_id(struct mill__framer *framer, mill_slice id) {
  assert(framer->framing == MILL__FRAMING_SSE);
  return mill__sse_set_last_event_id(&framer->parser.sse, id.ptr, id.len);
}

int mill__framer_feed(struct mill__framer *framer, const char *bytes, size_t len,
                      size_t *ret_consumed) {
  switch (framer->framing) {
  case MILL__FRAMING_SSE:
    break;
  case MILL__FRAMING_NDJSON:
    return mill__ndjson_feed(&framer->parser.ndjson, bytes, len, ret_consumed);
  case MILL__FRAMING_AWSEV:
    return mill__awsev_feed(&framer->parser.awsev, bytes, len, ret_consumed);
  case MILL__FRAMING_JSON_ARRAY:
    return mill__json_array_feed(&framer->parser.json_array, bytes, len, ret_consumed);
  }
  return mill__sse_feed(&framer->parser.sse, bytes, len, ret_consumed);
}

int mill__framer_finish(struct mill__framer *framer) {
  if (framer->framing != MILL__FRAMING_NDJSON)
    return MILL_OK;
  return mill__ndjson_finish(&framer->parser.ndjson);
}

bool mill__framer_cut(const struct mill__framer *framer) {
  switch (framer->framing) {
  case MILL__FRAMING_SSE:
    break;
  case MILL__FRAMING_NDJSON:
    return false;
  case MILL__FRAMING_AWSEV:
    return mill__awsev_finish(&framer->parser.awsev);
  case MILL__FRAMING_JSON_ARRAY:
    return mill__json_array_finish(&framer->parser.json_array);
  }
  return mill__sse_finish(&framer->parser.sse);
}

mill_slice mill__framer_line(const struct mill__framer *framer) {
  return framer->framing == MILL__FRAMING_SSE ? mill__sse_line(&framer->parser.sse) : none;
}
