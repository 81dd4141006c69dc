/* Fuzz target: the decoder of the most used format; see decoder.h. */
#include "decoder.h"

static void tell(struct fuzz_run *run, const struct fuzz_input *input) {
  fuzz_tell_decoder(run, input, "openai-chat", (mill_slice){input->bytes, input->len});
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  return fuzz_whole_and_cut(tell, data, size);
}
