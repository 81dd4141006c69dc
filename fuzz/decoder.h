/*
 * What the fuzz targets of the decoder share: it tells the same of a stream, however that is cut
 * and whether or not the sink pauses, and every text that it tells is valid UTF-8. Else it aborts.
 */
#ifndef MILL_FUZZ_DECODER_H
#define MILL_FUZZ_DECODER_H

#include <stddef.h>
#include <stdint.h>

/* The first three bytes are settings: the limit, the seed of the cuts, the pauses. */
void fuzz_decoder(const char *format, const uint8_t *data, size_t size);

#endif
