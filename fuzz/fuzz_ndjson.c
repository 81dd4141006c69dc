/*
 * Fuzz target: the line parser and the array parser give the same events, however their input is
 * cut and whether or not the reader pauses.
 *
 * The first four bytes of an input are settings: the limit, the seed of the cuts (two), and bits:
 * 1 the reader pauses, 2 the input is an array.
 */
#include <stdlib.h>
#include <string.h>

#include "parse/json_array.h"
#include "parse/ndjson.h"

#define SETTINGS_BYTES 4
#define LOG_BYTES ((size_t)1 << 30)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The data of the events, and the lengths of it. */
struct log {
  struct mill__buf data, lengths;
  size_t told;
  bool pause;
};

static void require(bool condition) {
  if (!condition)
    abort();
}

static void append(struct mill__buf *buf, const void *bytes, size_t len) {
  require(mill__buf_append(buf, bytes, len) == MILL_OK);
}

static int on_data(void *ctx, const char *bytes, size_t len) {
  require(len > 0);
  append(&((struct log *)ctx)->data, bytes, len);
  return MILL_OK;
}

static int on_event(void *ctx) {
  struct log *log = ctx;
  size_t len = log->data.len - log->told;
  require(len > 0);
  append(&log->lengths, &len, sizeof len);
  log->told = log->data.len;
  return log->pause ? MILL_AGAIN : MILL_OK;
}

static const struct mill__ndjson_callbacks line_callbacks = {on_data, on_event};
static const struct mill__json_array_callbacks array_callbacks = {on_data, on_event};

/* Either parser. */
struct parser {
  bool is_array;
  struct mill__ndjson ndjson;
  struct mill__json_array array;
};

static void init(struct parser *parser, bool is_array, size_t limit, struct log *log) {
  parser->is_array = is_array;
  mill__ndjson_init(&parser->ndjson, limit, &line_callbacks, log);
  mill__json_array_init(&parser->array, limit, &array_callbacks, log);
}

static int feed(struct parser *parser, const char *bytes, size_t len, size_t *ret_consumed) {
  return parser->is_array ? mill__json_array_feed(&parser->array, bytes, len, ret_consumed)
                          : mill__ndjson_feed(&parser->ndjson, bytes, len, ret_consumed);
}

static int finish(struct parser *parser) {
  if (parser->is_array)
    return mill__json_array_finish(&parser->array);
  int rc = mill__ndjson_finish(&parser->ndjson);
  return rc == MILL_AGAIN ? MILL_OK : rc;
}

/* Feed a piece of its own memory, so that a sanitizer sees a byte too far. */
static int feed_piece(struct parser *parser, const struct log *log, const char *bytes, size_t len) {
  char *piece = malloc(len);
  size_t at = 0, consumed;
  int rc;
  require(piece != NULL);
  memcpy(piece, bytes, len);
  do {
    rc = feed(parser, piece + at, len - at, &consumed);
    require(consumed <= len - at);
    at += consumed;
    require(rc != MILL_AGAIN || log->pause);
  } while (rc == MILL_AGAIN);
  require(rc != MILL_OK || at == len);
  free(piece);
  return rc;
}

/* The outcome goes into the log as its last lengths. `cuts` 0: whole. */
static void run(struct log *log, bool is_array, size_t limit, const char *bytes, size_t len,
                unsigned cuts) {
  struct parser parser;
  init(&parser, is_array, limit, log);
  int rc = MILL_OK;
  for (size_t at = 0, n; at < len && rc == MILL_OK; at += n) {
    n = len - at;
    if (cuts != 0) {
      cuts = cuts * 1103515245u + 12345u;
      size_t wanted = 1 + (cuts >> 16) % 9 * ((cuts >> 24) % 5);
      n = wanted < n ? wanted : n;
    }
    rc = feed_piece(&parser, log, bytes + at, n);
  }
  int end = rc == MILL_OK ? finish(&parser) : rc;
  append(&log->lengths, &rc, sizeof rc);
  append(&log->lengths, &end, sizeof end);
}

static void log_init(struct log *log, bool pause) {
  *log = (struct log){.pause = pause};
  mill__buf_init(&log->data, LOG_BYTES);
  mill__buf_init(&log->lengths, LOG_BYTES);
}

static void log_fini(struct log *log) {
  mill__buf_fini(&log->data);
  mill__buf_fini(&log->lengths);
}

static void require_same(const struct mill__buf *a, const struct mill__buf *b) {
  require(a->len == b->len);
  require(a->len == 0 || memcmp(a->ptr, b->ptr, a->len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < SETTINGS_BYTES)
    return 0;
  size_t limit = data[0] < 128 ? data[0] : (size_t)1 << 20;
  unsigned cuts = 1u | (unsigned)data[1] << 1 | (unsigned)data[2] << 9;
  bool is_array = data[3] & 2;
  const char *stream = (const char *)data + SETTINGS_BYTES;
  size_t len = size - SETTINGS_BYTES;

  struct log whole, cut;
  log_init(&whole, false);
  log_init(&cut, data[3] & 1);
  run(&whole, is_array, limit, stream, len, 0);
  run(&cut, is_array, limit, stream, len, cuts);
  require_same(&whole.data, &cut.data);
  require_same(&whole.lengths, &cut.lengths);
  log_fini(&whole);
  log_fini(&cut);
  return 0;
}
