/*
 * Fuzz target: the decoders of all formats; see decoder.h. The first byte of an input chooses the
 * format, by its place in mill_formats().
 */
#include "decoder.h"
#include "millstream/millstream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const char *const *formats = mill_formats();
  size_t n_formats = 0;
  while (formats[n_formats])
    n_formats++;
  if (size)
    fuzz_decoder(formats[data[0] % n_formats], data + 1, size - 1);
  return 0;
}
