/* Surrogate halves in delta strings: pairs are joined across pieces, lone halves become U+FFFD. */
#include "parse/text.h"

#include <string.h>

#define SURROGATE_BYTES 3 /* ED A0..BF 80..BF */

static bool is_high(unsigned unit) {
  return unit >= 0xD800 && unit <= 0xDBFF;
}

/* The first surrogate's three bytes at or after `p`, or `end`. */
static const char *find_surrogate(const char *p, const char *end) {
  while ((p = memchr(p, 0xED, (size_t)(end - p))) != NULL) {
    if (end - p >= SURROGATE_BYTES && (unsigned char)p[1] >= 0xA0)
      return p;
    p++; /* U+D000 to U+D7FF begin with ED too */
  }
  return end;
}

static unsigned surrogate_at(const char *p) {
  return 0xD000u | ((unsigned)p[1] & 0x3Fu) << 6 | ((unsigned)p[2] & 0x3Fu);
}

static int append_pair(struct mill__buf *out, unsigned high, unsigned low) {
  uint32_t point = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
  const char bytes[] = {
      (char)(0xF0 | point >> 18),
      (char)(0x80 | (point >> 12 & 0x3F)),
      (char)(0x80 | (point >> 6 & 0x3F)),
      (char)(0x80 | (point & 0x3F)),
  };
  return mill__buf_append(out, bytes, sizeof(bytes));
}

static int append_replacement(struct mill__buf *out) {
  return mill__buf_append(out, "\xEF\xBF\xBD", 3);
}

static int append_surrogate(struct mill__text *text, unsigned unit, struct mill__buf *out) {
  if (is_high(unit)) {
    int rc = mill__text_end(text, out);
    text->held = (uint16_t)unit;
    return rc;
  }
  if (text->held == 0)
    return append_replacement(out);
  unsigned high = text->held;
  text->held = 0;
  return append_pair(out, high, unit);
}

/* Text without surrogates: a half still held found no partner. */
static int append_run(struct mill__text *text, const char *run, size_t len, struct mill__buf *out) {
  if (len == 0)
    return MILL_OK;
  int rc = mill__text_end(text, out);
  return rc == MILL_OK ? mill__buf_append(out, run, len) : rc;
}

int mill__text_piece(struct mill__text *text, mill_slice piece, struct mill__buf *out) {
  if (piece.len == 0)
    return MILL_OK;
  const char *p = piece.ptr, *end = piece.ptr + piece.len;
  int rc = MILL_OK;
  while (p < end && rc == MILL_OK) {
    const char *surrogate = find_surrogate(p, end);
    rc = append_run(text, p, (size_t)(surrogate - p), out);
    p = surrogate;
    if (p < end && rc == MILL_OK) {
      rc = append_surrogate(text, surrogate_at(p), out);
      p += SURROGATE_BYTES;
    }
  }
  return rc;
}

int mill__text_end(struct mill__text *text, struct mill__buf *out) {
  if (text->held == 0)
    return MILL_OK;
  text->held = 0;
  return append_replacement(out);
}
