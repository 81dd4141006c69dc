/* What a decoder tells, as text; see provider_log.h. */
#include "provider_log.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/utf8.h"
#include "provider/dialect.h"
#include "support.h"

void test_log_put(struct test_log *log, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int n = vsnprintf(log->text + log->len, sizeof log->text - log->len, format, args);
  va_end(args);
  CHECK(n >= 0 && log->len + (size_t)n < sizeof log->text);
  log->len += (size_t)n;
}

void test_log_slice(struct test_log *log, const char *label, mill_slice text) {
  CHECK_INT(mill__utf8_valid_prefix(text.ptr, text.len), text.len);
  test_log_put(log, "%s%.*s", label, (int)text.len, text.ptr);
}

static void put_count(struct test_log *log, int64_t count) {
  if (count < 0)
    test_log_put(log, "/-");
  else
    test_log_put(log, "/%lld", (long long)count);
}

static void put_usage(struct test_log *log, const mill_usage *usage) {
  test_log_put(log, " usage");
  put_count(log, usage->input_tokens);
  put_count(log, usage->output_tokens);
  put_count(log, usage->reasoning_tokens);
  put_count(log, usage->cached_tokens);
  test_log_slice(log, "/", usage->raw);
}

static void put_delta(struct test_log *log, const struct mill__delta *delta) {
  static const char *const names[] = {"text",  "reasoning", "refusal", "tool",
                                      "usage", "finish",    "other"};
  static const char *const finishes[] = {"none",       "stop",           "length",
                                         "tool_calls", "content_filter", "other"};
  if (delta->type == MILL_CHUNK_USAGE) {
    put_usage(log, &delta->usage);
    return;
  }
  test_log_put(log, " %s%d", names[delta->type], delta->choice);
  if (delta->type == MILL_CHUNK_TOOL_CALL) {
    test_log_put(log, ".%d", delta->tool_index);
    test_log_slice(log, "<", delta->tool_id);
    test_log_slice(log, ",", delta->tool_name);
    test_log_slice(log, ">", (mill_slice){"", 0});
  }
  if (delta->signature.len) {
    CHECK_INT(delta->type, MILL_CHUNK_REASONING);
    test_log_slice(log, "<", delta->signature);
    test_log_put(log, ">");
  }
  if (delta->type == MILL_CHUNK_FINISH) {
    test_log_put(log, "=%s", finishes[delta->finish]);
    test_log_slice(log, ":", delta->finish_raw);
  } else if (delta->type != MILL_CHUNK_OTHER) {
    test_log_slice(log, "=", delta->text);
  }
}

static void put_meta(struct test_log *log, const char *label, mill_slice text) {
  if (text.len)
    test_log_slice(log, label, text);
}

static int on_event(void *ctx, const mill_event *event, const struct mill__meta *meta,
                    const struct mill__delta *deltas, size_t n_deltas) {
  struct test_log *log = ctx;
  CHECK_INT(event->number, log->n_events);
  CHECK_INT(event->n_chunks, n_deltas);
  CHECK(event->type.len > 0);
  log->n_events++;
  test_log_put(log, "-");
  put_meta(log, " id:", meta->id);
  put_meta(log, " model:", meta->model);
  put_meta(log, " role:", meta->role);
  for (size_t i = 0; i < n_deltas; i++)
    put_delta(log, &deltas[i]);
  test_log_put(log, "\n");
  return log->answer;
}

static int on_comment(void *ctx, mill_slice text) {
  ((struct test_log *)ctx)->n_comments++;
  return MILL_OK;
}

void test_log_end(struct test_log *log, const struct mill__decoder *decoder, int error) {
  static const struct {
    int code;
    const char *name;
  } ends[] = {{MILL_OK, "complete"},
              {MILL_E_PROVIDER, "provider error"},
              {MILL_E_INTERRUPTED, "interrupted"},
              {MILL_E_PROTOCOL, "protocol error"},
              {MILL_E_LIMIT, "limit"}};
  size_t i = 0;
  while (i < sizeof ends / sizeof *ends && ends[i].code != error)
    i++;
  CHECK(i < sizeof ends / sizeof *ends);
  test_log_put(log, "%s", ends[i].name);
  if (error == MILL_E_PROTOCOL)
    test_log_put(log, " at %llu", (unsigned long long)mill__decoder_error_offset(decoder));
  const struct mill__provider_error *provider_error = mill__decoder_provider_error(decoder);
  CHECK_INT(provider_error->seen, error == MILL_E_PROVIDER);
  if (!provider_error->seen)
    return;
  test_log_put(log, " %d", provider_error->status);
  test_log_slice(log, " ", mill__buf_slice(&provider_error->kind));
  test_log_slice(log, ": ", mill__buf_slice(&provider_error->message));
}

struct mill__decoder *test_log_open(struct test_log *log, const char *format,
                                    const mill_limits *limits) {
  log->len = 0;
  log->n_events = 0;
  log->n_comments = 0;
  log->answer = MILL_OK;
  struct mill__decoder *decoder = NULL;
  const struct mill__sink sink = {.event = on_event, .comment = on_comment, .ctx = log};
  int error = mill__decoder_new(mill__dialect_find(format), limits, &sink, &decoder);
  CHECK(error == MILL_OK || error == MILL_E_NOMEM);
  return decoder;
}
