/* AWS event streams that a fuzzer can make: random bytes hardly ever have the right checksums. */
#ifndef MILL_FUZZ_FRAMES_H
#define MILL_FUZZ_FRAMES_H

#include <stddef.h>

#define FUZZ_FRAME_BYTES ((size_t)16) /* of a frame without headers and payload */

/* Put the checksums right, as far as there are frames whose length can be. */
void fuzz_seal_frames(char *bytes, size_t len);
/* The same in a copy of its own memory. The caller frees it. */
char *fuzz_sealed_frames(const char *bytes, size_t len);
void fuzz_put_number(char *at, size_t number, int n_bytes); /* big-endian */

#endif
