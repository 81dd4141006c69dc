/* Fuzz target: the parser of lines of JSON; see support.h. */
#include "parse/ndjson.h"
#include "support.h"

static int on_event(void *run) {
  fuzz_tell(run, 'e', NULL, 0);
  return fuzz_verdict(run);
}

static int feed(void *ndjson, const char *bytes, size_t len, size_t *ret_consumed) {
  return mill__ndjson_feed(ndjson, bytes, len, ret_consumed);
}

static void tell(struct fuzz_run *run, const struct fuzz_input *input) {
  static const struct mill__ndjson_callbacks callbacks = {fuzz_tell_data, on_event};
  struct mill__ndjson ndjson;
  run->memory_bytes = 0;
  mill__ndjson_init(&ndjson, input->limit, &callbacks, run);
  int rc = fuzz_feed_all(run, feed, &ndjson, input->bytes, input->len);
  if (rc == MILL_OK)
    rc = mill__ndjson_finish(&ndjson);
  fuzz_tell_number(run, 'F', rc == MILL_AGAIN ? MILL_OK : rc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  return fuzz_whole_and_cut(tell, data, size);
}
