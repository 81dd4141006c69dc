/*
 * What stands before yajl: bytes -> text that it decodes as it should.
 *
 * Invalid UTF-8 is repaired as the WHATWG decoder does; a surrogate escape becomes what it stands
 * for, a lone half its three-byte form (see json.h). Text that needs neither is not copied.
 * Owns: its buffers. Thread: the owner's. Limits: `cap` bytes of output a piece.
 * Errors: MILL_E_NOMEM, MILL_E_LIMIT.
 */
#ifndef MILL_PARSE_JSON_FILTER_H
#define MILL_PARSE_JSON_FILTER_H

#include <stdbool.h>

#include "base/utf8.h"

#define MILL__JSON_ESCAPE_BYTES 12 /* "\\ud83d\\ude00" */

struct mill__json_filter {
  struct mill__utf8 utf8;
  struct mill__buf repaired, rewritten;
  char escape[MILL__JSON_ESCAPE_BYTES]; /* an escape sequence, so far */
  size_t n_escape;
};

void mill__json_filter_init(struct mill__json_filter *filter, size_t cap);
void mill__json_filter_fini(struct mill__json_filter *filter);
/* For the next document; buffers above `keep_bytes` are given back. */
void mill__json_filter_reset(struct mill__json_filter *filter, size_t keep_bytes);
/* The text of a piece: the piece itself, or good until the next call. */
int mill__json_filter_run(struct mill__json_filter *filter, const char *bytes, size_t len,
                          mill_slice *ret_text);
/* A character or an escape has begun and not ended. */
bool mill__json_filter_is_open(const struct mill__json_filter *filter);

#endif
