/* Frames with the right checksums; see frames.h. */
#include "frames.h"

#include <stdlib.h>
#include <string.h>

#include "base/crc32.h"
#include "support.h"

static size_t number_at(const char *bytes) {
  size_t number = 0;
  for (int i = 0; i < 4; i++)
    number = number << 8 | (unsigned char)bytes[i];
  return number;
}

void fuzz_put_number(char *at, size_t number, int n_bytes) {
  for (int i = 0; i < n_bytes; i++)
    at[i] = (char)(number >> 8 * (n_bytes - 1 - i));
}

void fuzz_seal_frames(char *bytes, size_t len) {
  while (len >= FUZZ_FRAME_BYTES) {
    size_t total = number_at(bytes);
    fuzz_put_number(bytes + 8, mill__crc32(0, bytes, 8), 4);
    if (total < FUZZ_FRAME_BYTES || total > len)
      return;
    fuzz_put_number(bytes + total - 4, mill__crc32(0, bytes, total - 4), 4);
    bytes += total;
    len -= total;
  }
}

char *fuzz_sealed_frames(const char *bytes, size_t len) {
  char *copy = malloc(len + 1);
  require(copy != NULL);
  memcpy(copy, bytes, len);
  fuzz_seal_frames(copy, len);
  return copy;
}
