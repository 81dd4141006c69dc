/* Fuzz target: the parser of an array as a stream of its elements; see support.h. */
#include "parse/json_array.h"
#include "support.h"

static int on_event(void *run) {
  fuzz_tell(run, 'e', NULL, 0);
  return fuzz_verdict(run);
}

static int feed(void *array, const char *bytes, size_t len, size_t *ret_consumed) {
  return mill__json_array_feed(array, bytes, len, ret_consumed);
}

static void tell(struct fuzz_run *run, const struct fuzz_input *input) {
  static const struct mill__json_array_callbacks callbacks = {fuzz_tell_data, on_event};
  struct mill__json_array array;
  run->memory_bytes = 0;
  mill__json_array_init(&array, input->limit, &callbacks, run);
  int rc = fuzz_feed_all(run, feed, &array, input->bytes, input->len);
  fuzz_tell_number(run, 'F', rc == MILL_OK && mill__json_array_finish(&array));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  return fuzz_whole_and_cut(tell, data, size);
}
