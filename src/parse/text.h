/*
 * Delta strings -> text that is always valid Unicode.
 *
 * A provider may cut a surrogate pair between two deltas: the first ends with the high half, the
 * next begins with the low one. The high half is held back until the next piece of the same text
 * says whether it is a pair; a lone half becomes U+FFFD and eats no neighbour.
 * Input: strings as parse/json.h gives them. Thread: the owner's.
 * Errors: MILL_E_NOMEM, MILL_E_LIMIT.
 */
#ifndef MILL_PARSE_TEXT_H
#define MILL_PARSE_TEXT_H

#include "base/buf.h"

struct mill__text {
  uint16_t held; /* a high surrogate, or 0 */
};

/* Append the text of a piece to `out`, which holds a part of it after an error. */
int mill__text_piece(struct mill__text *text, mill_slice piece, struct mill__buf *out);
/* The text ended: a high half still held becomes U+FFFD. */
int mill__text_end(struct mill__text *text, struct mill__buf *out);

#endif
