/* A stream through a decoder, whole and cut; see decoder.h. */
#include "decoder.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "provider/decoder.h"
#include "provider/dialect.h"

#define SETTINGS_BYTES 3

/* What one run tells: numbers, and strings with their length. */
struct log {
  struct mill__buf records;
  bool pause;
};

static void require(bool condition) {
  if (!condition)
    abort();
}

static void record(struct log *log, const void *bytes, size_t len) {
  require(mill__buf_append(&log->records, bytes, len) == MILL_OK);
}

static void record_number(struct log *log, int64_t number) {
  record(log, &number, sizeof number);
}

static void record_bytes(struct log *log, mill_slice bytes) {
  record_number(log, (int64_t)bytes.len);
  record(log, bytes.ptr, bytes.len);
}

static void record_text(struct log *log, mill_slice text) {
  require(mill__utf8_valid_prefix(text.ptr, text.len) == text.len);
  record_bytes(log, text);
}

static void record_usage(struct log *log, const mill_usage *usage) {
  record_number(log, usage->input_tokens);
  record_number(log, usage->output_tokens);
  record_number(log, usage->reasoning_tokens);
  record_number(log, usage->cached_tokens);
  record_text(log, usage->raw);
}

static void record_delta(struct log *log, const struct mill__delta *delta) {
  record_number(log, delta->type);
  record_number(log, delta->choice);
  record_text(log, delta->text);
  record_text(log, delta->signature);
  record_number(log, delta->tool_index);
  record_text(log, delta->tool_id);
  record_text(log, delta->tool_name);
  record_number(log, delta->finish);
  record_text(log, delta->finish_raw);
  if (delta->type == MILL_CHUNK_USAGE)
    record_usage(log, &delta->usage);
}

static int on_event(void *ctx, const mill_event *event, const struct mill__meta *meta,
                    const struct mill__delta *deltas, size_t n_deltas) {
  struct log *log = ctx;
  record_bytes(log, event->type);
  record_bytes(log, event->data);
  record_bytes(log, event->id);
  record_text(log, meta->id);
  record_text(log, meta->model);
  record_text(log, meta->role);
  record_number(log, (int64_t)n_deltas);
  for (size_t i = 0; i < n_deltas; i++)
    record_delta(log, &deltas[i]);
  return log->pause ? MILL_AGAIN : MILL_OK;
}

static void on_comment(void *ctx) {
  record_number(ctx, -1);
}

/* Feed a piece of its own memory, so that a sanitizer sees a byte too far. */
static int feed_piece(struct mill__decoder *decoder, const struct log *log, const char *bytes,
                      size_t len) {
  char *piece = malloc(len);
  size_t at = 0, consumed;
  int rc;
  require(piece != NULL);
  memcpy(piece, bytes, len);
  do {
    rc = mill__decoder_feed(decoder, piece + at, len - at, &consumed);
    require(consumed <= len - at);
    at += consumed;
    require(rc != MILL_AGAIN || log->pause);
  } while (rc == MILL_AGAIN);
  require(rc != MILL_OK || at == len);
  free(piece);
  return rc;
}

static void record_end(struct log *log, struct mill__decoder *decoder) {
  int rc = mill__decoder_finish(decoder);
  const struct mill__provider_error *error = mill__decoder_provider_error(decoder);
  record_number(log, rc);
  record_number(log, mill__decoder_terminated(decoder));
  if (rc == MILL_E_PROTOCOL)
    record_number(log, (int64_t)mill__decoder_error_offset(decoder));
  require(!error->seen || rc != MILL_OK);
  record_number(log, error->status);
  record_text(log, mill__buf_slice(&error->message));
  record_text(log, mill__buf_slice(&error->kind));
}

/* `cuts` 0: whole. */
static void run(struct log *log, const char *format, const mill_limits *limits, const char *bytes,
                size_t len, unsigned cuts) {
  const struct mill__sink sink = {on_event, on_comment, log};
  struct mill__decoder *decoder;
  int rc = mill__decoder_new(mill__dialect_find(format), limits, &sink, &decoder);
  require(rc == MILL_OK);
  for (size_t at = 0, n; at < len && rc == MILL_OK; at += n) {
    n = len - at;
    if (cuts != 0) {
      cuts = cuts * 1103515245u + 12345u;
      size_t wanted = 1 + (cuts >> 16) % 9 * ((cuts >> 24) % 5);
      n = wanted < n ? wanted : n;
    }
    rc = feed_piece(decoder, log, bytes + at, n);
  }
  record_end(log, decoder);
  mill__decoder_free(decoder);
}

void fuzz_decoder(const char *format, const uint8_t *data, size_t size) {
  if (size < SETTINGS_BYTES)
    return;
  const mill_limits limits = {.event_bytes = data[0] < 128 ? 4 * (size_t)data[0] : 3000,
                              .json_depth = 12};
  unsigned cuts = 1u | (unsigned)data[1] << 1;
  const char *stream = (const char *)data + SETTINGS_BYTES;
  size_t len = size - SETTINGS_BYTES;

  struct log whole = {.pause = false}, cut = {.pause = (data[2] & 1) != 0};
  mill__buf_init(&whole.records, SIZE_MAX);
  mill__buf_init(&cut.records, SIZE_MAX);
  run(&whole, format, &limits, stream, len, 0);
  run(&cut, format, &limits, stream, len, cuts);
  require(whole.records.len == cut.records.len);
  require(memcmp(whole.records.ptr, cut.records.ptr, cut.records.len) == 0);
  mill__buf_fini(&whole.records);
  mill__buf_fini(&cut.records);
}
