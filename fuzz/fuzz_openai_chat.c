/* Fuzz target: the chat decoder; see decoder.h. */
#include "decoder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz_decoder("openai-chat", data, size);
  return 0;
}
