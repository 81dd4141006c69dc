/* A stream through a decoder, whole and cut; see decoder.h. */
#include "decoder.h"

#include "provider/decoder.h"
#include "provider/dialect.h"

#define BIT_ID 2u
#define DEPTH 12
#define WIDE_EVENT_BYTES 3000
/* Beside the events: parsers that keep 64 KiB each, tables, a message's fields. */
#define MEMORY_BYTES ((size_t)1 << 20)

static void tell_usage(struct fuzz_run *run, const mill_usage *usage) {
  fuzz_tell_number(run, 'u', usage->input_tokens);
  fuzz_tell_number(run, 'u', usage->output_tokens);
  fuzz_tell_number(run, 'u', usage->reasoning_tokens);
  fuzz_tell_number(run, 'u', usage->cached_tokens);
  fuzz_tell_text(run, 'u', usage->raw);
}

static void tell_delta(struct fuzz_run *run, const struct mill__delta *delta) {
  fuzz_tell_number(run, 'D', delta->type);
  fuzz_tell_number(run, 'c', delta->choice);
  fuzz_tell_text(run, 'x', delta->text);
  fuzz_tell_text(run, 's', delta->signature);
  fuzz_tell_number(run, 'o', delta->tool_index);
  fuzz_tell_text(run, 'o', delta->tool_id);
  fuzz_tell_text(run, 'o', delta->tool_name);
  fuzz_tell_number(run, 'f', delta->finish);
  fuzz_tell_text(run, 'f', delta->finish_raw);
  if (delta->type == MILL_CHUNK_USAGE)
    tell_usage(run, &delta->usage);
}

static int on_event(void *run, const mill_event *event, const struct mill__meta *meta,
                    const struct mill__delta *deltas, size_t n_deltas) {
  fuzz_tell_slice(run, 't', event->type);
  fuzz_tell_slice(run, 'e', event->data);
  fuzz_tell_slice(run, 'i', event->id);
  fuzz_tell_number(run, 'n', (int64_t)event->number);
  fuzz_tell_text(run, 'm', meta->id);
  fuzz_tell_text(run, 'm', meta->model);
  fuzz_tell_text(run, 'm', meta->role);
  for (size_t i = 0; i < n_deltas; i++)
    tell_delta(run, &deltas[i]);
  return fuzz_verdict(run);
}

static int on_comment(void *run, mill_slice text) {
  fuzz_tell_slice(run, 'k', text);
  return MILL_OK;
}

static int on_id(void *run, mill_slice id) {
  fuzz_tell_slice(run, 'j', id);
  return MILL_OK;
}

static int on_retry(void *run, uint64_t retry_ms) {
  fuzz_tell_number(run, 'r', (int64_t)retry_ms);
  return MILL_OK;
}

static int feed(void *decoder, const char *bytes, size_t len, size_t *ret_consumed) {
  return mill__decoder_feed(decoder, bytes, len, ret_consumed);
}

static void tell_end(struct fuzz_run *run, struct mill__decoder *decoder) {
  int rc = mill__decoder_finish(decoder);
  const struct mill__provider_error *error = mill__decoder_provider_error(decoder);
  fuzz_tell_number(run, 'F', rc);
  fuzz_tell_number(run, 'T', mill__decoder_terminated(decoder));
  if (rc == MILL_E_PROTOCOL)
    fuzz_tell_number(run, 'O', (int64_t)mill__decoder_error_offset(decoder));
  require(!error->seen || rc != MILL_OK);
  require(mill__decoder_finish(decoder) == rc);
  fuzz_tell_number(run, 'E', error->status);
  fuzz_tell_text(run, 'E', mill__buf_slice(&error->message));
  fuzz_tell_text(run, 'E', mill__buf_slice(&error->kind));
}

void fuzz_tell_decoder(struct fuzz_run *run, const struct fuzz_input *input, const char *format,
                       mill_slice bytes) {
  const struct mill__dialect *dialect = mill__dialect_find(format);
  const mill_limits limits = {
      .event_bytes = input->limit < 128 ? 4 * input->limit : WIDE_EVENT_BYTES, .json_depth = DEPTH};
  const struct mill__sink sink = {
      .event = on_event, .comment = on_comment, .id = on_id, .retry = on_retry, .ctx = run};
  struct mill__decoder *decoder;
  run->memory_bytes = MEMORY_BYTES;
  struct mill__decoder_store store;
  mill__decoder_store_init(&store);
  require(mill__decoder_new(dialect, &limits, &sink, &decoder) == MILL_OK);
  mill__decoder_share(decoder, &store);
  if (input->bits & BIT_ID && dialect->framing == MILL__FRAMING_SSE)
    fuzz_tell_number(run, 'S', mill__decoder_set_last_event_id(decoder, (mill_slice){"before", 6}));
  fuzz_feed_all(run, feed, decoder, bytes.ptr, bytes.len);
  tell_end(run, decoder);
  mill__decoder_free(decoder);
  mill__decoder_store_fini(&store);
}
