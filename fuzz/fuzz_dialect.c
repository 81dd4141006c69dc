/*
 * Fuzz target: the decoders of all formats; see decoder.h. The first byte behind the settings
 * chooses the format, by its place in mill_formats().
 */
#include "decoder.h"

static void tell(struct fuzz_run *run, const struct fuzz_input *input) {
  const char *const *formats = mill_formats();
  size_t n_formats = 0;
  while (formats[n_formats])
    n_formats++;
  if (input->len > 0)
    fuzz_tell_decoder(run, input, formats[(unsigned char)input->bytes[0] % n_formats],
                      (mill_slice){input->bytes + 1, input->len - 1});
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  return fuzz_whole_and_cut(tell, data, size);
}
