/*
 * UTF-8 by the WHATWG Encoding standard's decoder: what is not valid becomes U+FFFD, a character
 * cut between two pieces is put together.
 * Thread: the owner's. Limits: output is at most 3 x (input + 3 held bytes).
 */
#ifndef MILL_BASE_UTF8_H
#define MILL_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Length of the longest prefix of whole, valid UTF-8 (RFC 3629: no overlongs, no surrogates). */
size_t mill__utf8_valid_prefix(const char *bytes, size_t len);

struct mill__utf8 {
  unsigned char held[3]; /* the beginning of a character whose end has not come */
  uint8_t n_held;
};

void mill__utf8_init(struct mill__utf8 *utf8);
/* Append the repaired form of a piece to `out`, which holds a part of it after an error. */
int mill__utf8_repair(struct mill__utf8 *utf8, const char *bytes, size_t len,
                      struct mill__buf *out);
/* The input ended: a character left half becomes one U+FFFD. */
int mill__utf8_repair_end(struct mill__utf8 *utf8, struct mill__buf *out);

#endif
