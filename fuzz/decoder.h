/*
 * What the fuzz targets of the decoder share: it tells the same of a stream, however that is cut
 * and whether or not the sink pauses, and every text that it tells is valid UTF-8.
 */
#ifndef MILL_FUZZ_DECODER_H
#define MILL_FUZZ_DECODER_H

#include "support.h"

/* The stream is `bytes`; of the input only the settings are used. Bit 2: an id is set beforehand. */
void fuzz_tell_decoder(struct fuzz_run *run, const struct fuzz_input *input, const char *format,
                       mill_slice bytes);

#endif
