/* What stands before yajl; see json_filter.h. */
#include "parse/json_filter.h"

#include <string.h>

void mill__json_filter_init(struct mill__json_filter *filter, size_t cap) {
  mill__utf8_init(&filter->utf8);
  mill__buf_init(&filter->repaired, cap);
  mill__buf_init(&filter->rewritten, cap);
  filter->n_escape = 0;
}

void mill__json_filter_fini(struct mill__json_filter *filter) {
  mill__buf_fini(&filter->repaired);
  mill__buf_fini(&filter->rewritten);
}

void mill__json_filter_reset(struct mill__json_filter *filter, size_t keep_bytes) {
  mill__utf8_init(&filter->utf8);
  mill__buf_shrink(&filter->repaired, keep_bytes);
  mill__buf_shrink(&filter->rewritten, keep_bytes);
  filter->n_escape = 0;
}

/* ---- surrogate escapes ------------------------------------------------------------------------ */

/* The four hex digits of an escape; -1 where they are none. */
static int hex4(const char *digits) {
  int number = 0;
  for (int i = 0; i < 4; i++) {
    char c = digits[i], lower = (char)(c | 0x20);
    if (c >= '0' && c <= '9')
      number = number * 16 + c - '0';
    else if (lower >= 'a' && lower <= 'f')
      number = number * 16 + lower - 'a' + 10;
    else
      return -1;
  }
  return number;
}

static bool is_high(int code) {
  return code >= 0xD800 && code <= 0xDBFF;
}

static bool is_low(int code) {
  return code >= 0xDC00 && code <= 0xDFFF;
}

/* The bytes in front of the first surrogate escape, or of an escape that the piece cuts. */
static size_t plain_prefix(const char *bytes, size_t len) {
  size_t at = 0;
  while (at < len) {
    const char *backslash = memchr(bytes + at, '\\', len - at);
    if (!backslash)
      return len;
    at = (size_t)(backslash - bytes);
    if (len - at >= 2 && backslash[1] != 'u') {
      at += 2;
      continue;
    }
    if (len - at < 6)
      return at;
    int code = hex4(backslash + 2);
    if (is_high(code) || is_low(code))
      return at;
    at += 6;
  }
  return len;
}

/* Generalized UTF-8: a lone surrogate has its three-byte form. */
static int put_surrogate(struct mill__buf *out, int code) {
  const char bytes[] = {(char)0xED, (char)(0x80 | (code >> 6 & 0x3F)),
                        (char)(0x80 | (code & 0x3F))};
  return mill__buf_append(out, bytes, sizeof bytes);
}

static int put_pair(struct mill__buf *out, int high, int low) {
  int code = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
  const char bytes[] = {(char)(0xF0 | code >> 18), (char)(0x80 | (code >> 12 & 0x3F)),
                        (char)(0x80 | (code >> 6 & 0x3F)), (char)(0x80 | (code & 0x3F))};
  return mill__buf_append(out, bytes, sizeof bytes);
}

/* The escape so far is no surrogate's: it goes on as it came. */
static int flush_escape(struct mill__json_filter *filter) {
  size_t len = filter->n_escape;
  filter->n_escape = 0;
  return mill__buf_append(&filter->rewritten, filter->escape, len);
}

static int settle_first(struct mill__json_filter *filter) {
  int code = hex4(filter->escape + 2);
  if (is_high(code))
    return MILL_OK; /* wait for the other half */
  if (!is_low(code))
    return flush_escape(filter);
  filter->n_escape = 0;
  return put_surrogate(&filter->rewritten, code);
}

/* A high half, and behind it (bytes 6 and on) something that is no low half: it is lone. */
static int settle_lone(struct mill__json_filter *filter) {
  int error = put_surrogate(&filter->rewritten, hex4(filter->escape + 2));
  filter->n_escape -= 6;
  memmove(filter->escape, filter->escape + 6, filter->n_escape);
  return error;
}

static int settle_second(struct mill__json_filter *filter) {
  int high = hex4(filter->escape + 2), low = hex4(filter->escape + 8);
  if (is_low(low)) {
    filter->n_escape = 0;
    return put_pair(&filter->rewritten, high, low);
  }
  int error = settle_lone(filter);
  return error ? error : settle_first(filter);
}

/* One more byte of an escape came. */
static int settle_escape(struct mill__json_filter *filter) {
  const char *escape = filter->escape;
  switch (filter->n_escape) {
  case 2:
    return escape[1] == 'u' ? MILL_OK : flush_escape(filter);
  case 6:
    return settle_first(filter);
  case 7:
  case 8: {
    if (escape[filter->n_escape - 1] == (filter->n_escape == 7 ? '\\' : 'u'))
      return MILL_OK;
    int error = settle_lone(filter);
    return error ? error : flush_escape(filter);
  }
  case 12:
    return settle_second(filter);
  default:
    return MILL_OK;
  }
}

static int rewrite_escapes(struct mill__json_filter *filter, const char *bytes, size_t len) {
  const char *end = bytes + len;
  mill__buf_clear(&filter->rewritten);
  while (bytes < end) {
    int error;
    if (filter->n_escape) {
      filter->escape[filter->n_escape++] = *bytes++;
      error = settle_escape(filter);
    } else {
      size_t plain = plain_prefix(bytes, (size_t)(end - bytes));
      error = mill__buf_append(&filter->rewritten, bytes, plain);
      bytes += plain;
      if (bytes < end)
        filter->escape[filter->n_escape++] = *bytes++;
    }
    if (error)
      return error;
  }
  return MILL_OK;
}

/* ---- the stages ------------------------------------------------------------------------------- */

static int replace_escapes(struct mill__json_filter *filter, mill_slice *text) {
  if (!filter->n_escape && plain_prefix(text->ptr, text->len) == text->len)
    return MILL_OK;
  int error = rewrite_escapes(filter, text->ptr, text->len);
  *text = mill__buf_slice(&filter->rewritten);
  return error;
}

int mill__json_filter_run(struct mill__json_filter *filter, const char *bytes, size_t len,
                          mill_slice *ret_text) {
  mill_slice text = {bytes, len};
  int error = MILL_OK;
  if (filter->utf8.n_held || mill__utf8_valid_prefix(bytes, len) != len) {
    mill__buf_clear(&filter->repaired);
    error = mill__utf8_repair(&filter->utf8, bytes, len, &filter->repaired);
    text = mill__buf_slice(&filter->repaired);
  }
  if (!error)
    error = replace_escapes(filter, &text);
  if (!error)
    *ret_text = text;
  return error;
}

bool mill__json_filter_is_open(const struct mill__json_filter *filter) {
  return filter->utf8.n_held || filter->n_escape;
}
