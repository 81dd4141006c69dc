/*
 * Strings and keys of growing JSON: runs of plain characters are handed on as they stand in the
 * piece; escapes, halves of surrogate pairs and what is no UTF-8 go through `text`.
 */
#include <string.h>

#include "parse/partial.h"

#define REPAIRED_BYTES 1024 /* at a time; they may become three times as many */

/* ---- growth ----------------------------------------------------------------------------------- */

static void check(struct mill_partial *partial, int rc) {
  mill__partial_check(partial, rc, partial->token_offset, "a string is too long");
}

static void flush(struct mill_partial *partial) {
  mill__partial_grow(partial, partial->text.ptr, partial->text.len);
  mill__buf_clear(&partial->text);
}

/* Whole characters: a half of a pair before them is alone. */
static void give(struct mill_partial *partial, const char *text, size_t len) {
  if (len == 0)
    return;
  if (partial->pair.held != 0) {
    check(partial, mill__text_end(&partial->pair, &partial->text));
    flush(partial);
  }
  mill__partial_grow(partial, text, len);
}

static void give_repaired(struct mill_partial *partial, const char *bytes, size_t len) {
  while (len > 0 && partial->status == MILL_OK) {
    size_t n = len < REPAIRED_BYTES ? len : REPAIRED_BYTES;
    check(partial, mill__text_end(&partial->pair, &partial->text));
    check(partial, mill__utf8_repair(&partial->utf8, bytes, n, &partial->text));
    flush(partial);
    bytes += n;
    len -= n;
  }
}

/* Bytes of the string without escapes. */
static void give_run(struct mill_partial *partial, const char *run, size_t len) {
  size_t valid = partial->utf8.n_held == 0 ? mill__utf8_valid_prefix(run, len) : 0;
  give(partial, run, valid);
  give_repaired(partial, run + valid, len - valid);
}

/* What follows is no character's rest. */
static void end_character(struct mill_partial *partial) {
  if (partial->utf8.n_held == 0)
    return;
  check(partial, mill__utf8_repair_end(&partial->utf8, &partial->text));
  flush(partial);
}

void mill__partial_end_text(struct mill_partial *partial) {
  end_character(partial);
  if (partial->pair.held == 0)
    return;
  check(partial, mill__text_end(&partial->pair, &partial->text));
  flush(partial);
}

/* ---- escapes ---------------------------------------------------------------------------------- */

/* What the escape of `c` stands for; 0: none of RFC 8259, section 7. */
static char unescaped(char c) {
  switch (c) {
  case '"':
  case '\\':
  case '/':
    return c;
  case 'b':
    return '\b';
  case 'f':
    return '\f';
  case 'n':
    return '\n';
  case 'r':
    return '\r';
  case 't':
    return '\t';
  default:
    return 0;
  }
}

/* An escape that JSON does not have stands for itself, but \' for the quote. */
static const char *keep_escape(struct mill_partial *partial, const char *at) {
  if (!partial->options.lenient)
    return mill__partial_refuse(partial, at, "an escape that JSON does not have");
  mill__partial_repair(partial, MILL_REPAIR_ESCAPE, mill__partial_offset(partial, at));
  partial->place = IN_STRING;
  if (*at == '\'' && partial->n_hex == 0) {
    give(partial, at, 1);
    return at + 1;
  }
  give(partial, "\\", 1);
  if (partial->n_hex > 0)
    give(partial, partial->hex, partial->n_hex);
  return at;
}

static const char *in_escape(struct mill_partial *partial, const char *at) {
  const char c = unescaped(*at);
  partial->n_hex = 0;
  if (*at == 'u') {
    partial->place = IN_UNICODE;
    partial->hex[partial->n_hex++] = 'u';
    return at + 1;
  }
  if (c == 0)
    return keep_escape(partial, at);
  give(partial, &c, 1);
  partial->place = IN_STRING;
  return at + 1;
}

static int hex_value(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  if (c >= 'A' && c <= 'F')
    return c - 'A' + 10;
  return -1;
}

/* UTF-8 in which a surrogate has three bytes, as mill__text takes it. Returns its length. */
static size_t encode(unsigned unit, char *ret_bytes) {
  if (unit < 0x80) {
    ret_bytes[0] = (char)unit;
    return 1;
  }
  if (unit < 0x800) {
    ret_bytes[0] = (char)(0xC0 | unit >> 6);
    ret_bytes[1] = (char)(0x80 | (unit & 0x3F));
    return 2;
  }
  ret_bytes[0] = (char)(0xE0 | unit >> 12);
  ret_bytes[1] = (char)(0x80 | (unit >> 6 & 0x3F));
  ret_bytes[2] = (char)(0x80 | (unit & 0x3F));
  return 3;
}

static void give_unit(struct mill_partial *partial) {
  char bytes[3];
  unsigned unit = 0;
  for (size_t i = 1; i < partial->n_hex; i++)
    unit = unit << 4 | (unsigned)hex_value(partial->hex[i]);
  mill_slice piece = {bytes, encode(unit, bytes)};
  check(partial, mill__text_piece(&partial->pair, piece, &partial->text));
  flush(partial);
}

static const char *in_unicode(struct mill_partial *partial, const char *at) {
  if (hex_value(*at) < 0)
    return keep_escape(partial, at);
  partial->hex[partial->n_hex++] = *at;
  if (partial->n_hex == sizeof partial->hex) {
    give_unit(partial);
    partial->place = IN_STRING;
  }
  return at + 1;
}

/* ---- the string ------------------------------------------------------------------------------- */

void mill__partial_begin_string(struct mill_partial *partial, char quote, bool is_key,
                                uint64_t offset) {
  partial->quote = quote;
  partial->in_key = is_key;
  partial->in_quotes = false;
  partial->token_offset = offset;
  partial->place = IN_STRING;
  if (is_key)
    mill__buf_clear(&partial->key);
  else
    mill__partial_value(partial, MILL_PARTIAL_STRING, (mill_slice){"", 0}, offset);
}

static const char *find_special(const char *at, const char *end, char quote) {
  while (at < end && *at != quote && *at != '\\' && (unsigned char)*at >= 0x20)
    at++;
  return at;
}

static const char *take_control(struct mill_partial *partial, const char *at) {
  if (!partial->options.lenient)
    return mill__partial_refuse(partial, at, "a control character in a string");
  mill__partial_repair(partial, MILL_REPAIR_CONTROL, mill__partial_offset(partial, at));
  give(partial, at, 1);
  return at + 1;
}

/* Cannot stand behind a string, on its line. */
static bool is_of_text(const struct mill_partial *partial, char c) {
  return mill__partial_is_word_start(c) || (unsigned char)c >= 0x80 ||
         (c == partial->quote && partial->in_quotes && partial->token.len == 1);
}

/* A quote that is not escaped is in the string where text follows: "the "old" mill", 'it's'. */
static const char *at_quote(struct mill_partial *partial, const char *at) {
  struct mill__buf *text = &partial->token;
  if ((*at == ' ' || *at == '\t') && text->len < MILL_PARTIAL_TOKEN_BYTES) {
    check(partial, mill__buf_append(text, at, 1));
    return at + 1;
  }
  if (!is_of_text(partial, *at)) {
    mill__partial_end_string(partial, partial->quote_offset + 1);
    return at;
  }
  mill__partial_repair(partial, MILL_REPAIR_INNER_QUOTE, partial->quote_offset);
  partial->place = IN_STRING;
  partial->in_quotes = !partial->in_quotes;
  give(partial, text->ptr, text->len);
  mill__buf_clear(text);
  return at;
}

static const char *take_quote(struct mill_partial *partial, const char *at) {
  const uint64_t offset = mill__partial_offset(partial, at);
  if (!partial->options.lenient || partial->in_key || partial->depth == 0) {
    mill__partial_end_string(partial, offset + 1);
    return at + 1;
  }
  partial->place = AT_QUOTE;
  partial->quote_offset = offset;
  check(partial, mill__buf_append(&partial->token, at, 1));
  return at + 1;
}

static const char *in_characters(struct mill_partial *partial, const char *at, const char *end) {
  const char *special = find_special(at, end, partial->quote);
  give_run(partial, at, (size_t)(special - at));
  if (special == end)
    return end;
  end_character(partial);
  if (*special == partial->quote)
    return take_quote(partial, special);
  if (*special != '\\')
    return take_control(partial, special);
  partial->place = IN_ESCAPE;
  return special + 1;
}

const char *mill__partial_in_string(struct mill_partial *partial, const char *at, const char *end) {
  if (partial->place == IN_ESCAPE)
    return in_escape(partial, at);
  if (partial->place == IN_UNICODE)
    return in_unicode(partial, at);
  if (partial->place == AT_QUOTE)
    return at_quote(partial, at);
  return in_characters(partial, at, end);
}
