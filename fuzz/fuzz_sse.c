/*
 * Fuzz target: the event stream parser gives the same records, however its input is cut and whether
 * or not the reader pauses.
 *
 * The first four bytes of an input are settings: the limit, the seed of the cuts (two), the pauses.
 */
#include <stdlib.h>
#include <string.h>

#include "parse/sse.h"

#define SETTINGS_BYTES 4
#define LOG_BYTES ((size_t)1 << 30)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The records of one run: a letter, the length, the bytes. Adjacent data pieces are one record. */
struct log {
  struct mill__buf records;
  size_t last; /* where the last record begins */
  bool pause;
};

static void require(bool condition) {
  if (!condition)
    abort();
}

static void append(struct mill__buf *buf, const void *bytes, size_t len) {
  require(mill__buf_append(buf, bytes, len) == MILL_OK);
}

static void record(struct log *log, char letter, const char *bytes, size_t len) {
  log->last = log->records.len;
  append(&log->records, &letter, 1);
  append(&log->records, &len, sizeof(len));
  append(&log->records, bytes, len);
}

static void add_to_last(struct log *log, const char *bytes, size_t len) {
  size_t before;
  memcpy(&before, log->records.ptr + log->last + 1, sizeof(before));
  append(&log->records, bytes, len);
  before += len;
  memcpy(log->records.ptr + log->last + 1, &before, sizeof(before));
}

static int on_data(void *ctx, const char *bytes, size_t len) {
  struct log *log = ctx;
  if (log->records.len > 0 && log->records.ptr[log->last] == 'd')
    add_to_last(log, bytes, len);
  else
    record(log, 'd', bytes, len);
  return MILL_OK;
}

static int on_event(void *ctx, mill_slice type, mill_slice id) {
  struct log *log = ctx;
  record(log, 't', type.ptr, type.len);
  record(log, 'i', id.ptr, id.len);
  return log->pause ? MILL_AGAIN : MILL_OK;
}

static int on_comment(void *ctx, mill_slice text) {
  record(ctx, 'c', text.ptr, text.len);
  return MILL_OK;
}

static int on_retry(void *ctx, uint64_t retry_ms) {
  record(ctx, 'r', (const char *)&retry_ms, sizeof(retry_ms));
  return MILL_OK;
}

static int on_unknown(void *ctx, mill_slice name, mill_slice value) {
  record(ctx, 'n', name.ptr, name.len);
  record(ctx, 'v', value.ptr, value.len);
  return MILL_OK;
}

static const struct mill__sse_callbacks callbacks = {
    .data = on_data,
    .event = on_event,
    .comment = on_comment,
    .retry = on_retry,
    .unknown = on_unknown,
};

/* Feed a piece of its own memory, so that a sanitizer sees a byte too far. */
static int feed_piece(struct mill__sse *sse, const struct log *log, const char *bytes, size_t len) {
  char *piece = malloc(len > 0 ? len : 1);
  size_t at = 0, consumed;
  int rc;
  require(piece != NULL);
  if (len > 0)
    memcpy(piece, bytes, len);
  do {
    rc = mill__sse_feed(sse, piece + at, len - at, &consumed);
    require(consumed <= len - at);
    at += consumed;
    require(rc != MILL_AGAIN || log->pause);
  } while (rc == MILL_AGAIN);
  require(rc != MILL_OK || at == len);
  free(piece);
  return rc;
}

/* The outcome goes into the log as its last records. `cuts` 0: whole. */
static void run(struct log *log, size_t limit, const char *bytes, size_t len, unsigned cuts) {
  struct mill__sse sse;
  int rc = mill__sse_init(&sse, limit, &callbacks, log);
  for (size_t at = 0, n; at < len && rc == MILL_OK; at += n) {
    n = len - at;
    if (cuts != 0) {
      cuts = cuts * 1103515245u + 12345u;
      size_t wanted = 1 + (cuts >> 16) % 9 * ((cuts >> 24) % 5);
      n = wanted < n ? wanted : n;
    }
    rc = feed_piece(&sse, log, bytes + at, n);
  }
  bool unfinished = rc == MILL_OK && mill__sse_finish(&sse);
  mill_slice id = mill__sse_last_event_id(&sse);
  record(log, 'I', id.ptr, id.len);
  record(log, 'R', (const char *)&rc, sizeof(rc));
  record(log, 'F', (const char *)&unfinished, sizeof(unfinished));
  mill__sse_fini(&sse);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < SETTINGS_BYTES)
    return 0;
  size_t limit = data[0] < 128 ? data[0] : (size_t)1 << 20;
  unsigned cuts = 1u | (unsigned)data[1] << 1 | (unsigned)data[2] << 9;
  const char *stream = (const char *)data + SETTINGS_BYTES;
  size_t len = size - SETTINGS_BYTES;

  struct log whole = {.pause = false}, cut = {.pause = (data[3] & 1) != 0};
  mill__buf_init(&whole.records, LOG_BYTES);
  mill__buf_init(&cut.records, LOG_BYTES);
  run(&whole, limit, stream, len, 0);
  run(&cut, limit, stream, len, cuts);
  require(whole.records.len == cut.records.len);
  require(memcmp(whole.records.ptr, cut.records.ptr, cut.records.len) == 0);
  mill__buf_fini(&whole.records);
  mill__buf_fini(&cut.records);
  return 0;
}
