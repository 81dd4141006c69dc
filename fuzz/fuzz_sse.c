/* Fuzz target: the parser of server-sent events; see support.h. Bit 2: an id is set beforehand. */
#include "parse/sse.h"
#include "support.h"

#define BIT_ID 2u

static int on_event(void *run, mill_slice type, mill_slice id) {
  fuzz_tell_slice(run, 't', type);
  fuzz_tell_slice(run, 'i', id);
  return fuzz_verdict(run);
}

static int on_comment(void *run, mill_slice text) {
  fuzz_tell_slice(run, 'c', text);
  return MILL_OK;
}

static int on_retry(void *run, uint64_t retry_ms) {
  require(retry_ms <= MILL__SSE_RETRY_MAX_MS);
  fuzz_tell_number(run, 'r', (int64_t)retry_ms);
  return MILL_OK;
}

static int on_id(void *run, mill_slice id) {
  fuzz_tell_slice(run, 'j', id);
  return MILL_OK;
}

static int on_unknown(void *run, mill_slice name, mill_slice value) {
  fuzz_tell_slice(run, 'n', name);
  fuzz_tell_slice(run, 'v', value);
  return MILL_OK;
}

static int feed(void *sse, const char *bytes, size_t len, size_t *ret_consumed) {
  return mill__sse_feed(sse, bytes, len, ret_consumed);
}

static void tell(struct fuzz_run *run, const struct fuzz_input *input) {
  static const struct mill__sse_callbacks callbacks = {
      .data = fuzz_tell_data,
      .event = on_event,
      .comment = on_comment,
      .retry = on_retry,
      .id = on_id,
      .unknown = on_unknown,
  };
  struct mill__sse sse;
  run->memory_bytes = 8 * input->limit + 1024; /* four buffers that grow by doubling */
  require(mill__sse_init(&sse, input->limit, &callbacks, run) == MILL_OK);
  if (input->bits & BIT_ID)
    fuzz_tell_number(run, 'S', mill__sse_set_last_event_id(&sse, "before", 6));
  int rc = fuzz_feed_all(run, feed, &sse, input->bytes, input->len);
  fuzz_tell_slice(run, 'I', mill__sse_last_event_id(&sse));
  fuzz_tell_number(run, 'F', rc == MILL_OK && mill__sse_finish(&sse));
  if (rc == MILL_OK)
    fuzz_tell_slice(run, 'L', mill__sse_line(&sse));
  mill__sse_fini(&sse);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  return fuzz_whole_and_cut(tell, data, size);
}
