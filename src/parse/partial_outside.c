/*
 * The text around growing JSON: where the root begins, and what may stand behind it. The rules are
 * in millstream/partial.h.
 */
#include <string.h>

#include "base/utf8.h"
#include "parse/partial.h"

#define FENCE_LEN 3
#define CHARACTER_BYTES 4 /* the longest */
#define BOM "\xEF\xBB\xBF"

static bool wants(const struct mill_partial *partial, char c) {
  unsigned root = c == '{'   ? MILL_PARTIAL_ROOT_OBJECT
                  : c == '[' ? MILL_PARTIAL_ROOT_ARRAY
                             : MILL_PARTIAL_ROOT_SCALAR;
  return (partial->options.roots & root) != 0;
}

static bool is_bracket(char c) {
  return c == '{' || c == '[';
}

/* A fault behind the root, or in the text around, which lenient mode passes over as text. */
static const char *pass_over(struct mill_partial *partial, enum mill_repair repair, const char *at,
                             const char *error) {
  if (!partial->options.lenient)
    return mill__partial_refuse(partial, at, error);
  mill__partial_repair(partial, repair, mill__partial_offset(partial, at));
  partial->place = IN_TEXT;
  return at + 1;
}

static const char *second_root(struct mill_partial *partial, const char *at) {
  return pass_over(partial, MILL_REPAIR_SECOND_ROOT, at, "a second value in the text");
}

/* ---- characters beyond ASCII ------------------------------------------------------------------ */

static void pass_over_high(struct mill_partial *partial, uint64_t offset) {
  mill__buf_clear(&partial->token);
  if (partial->options.lenient)
    mill__partial_repair(partial, MILL_REPAIR_ENCODING, offset);
  else
    mill__partial_fail(partial, MILL_E_PROTOCOL, offset, "the text around the value is no UTF-8");
}

/* They are only checked; a BOM at the beginning is passed over like white space. */
static const char *take_high(struct mill_partial *partial, const char *at) {
  struct mill__buf *token = &partial->token;
  int rc = mill__buf_append_byte(token, *at);
  mill__partial_check(partial, rc, mill__partial_offset(partial, at), NULL);
  if (partial->status != MILL_OK)
    return at;
  bool bom_may_come = partial->place == AT_START && token->len <= sizeof BOM - 1 &&
                      memcmp(token->ptr, BOM, token->len) == 0;
  if (!bom_may_come && partial->place != IN_INFO)
    partial->place = IN_TEXT;
  if (mill__utf8_valid_prefix(token->ptr, token->len) == token->len) {
    mill__buf_clear(token);
  } else if (token->len == CHARACTER_BYTES) {
    pass_over_high(partial, mill__partial_offset(partial, at));
  }
  return at + 1;
}

/* An ASCII character in the middle of another one. */
static const char *cut_high(struct mill_partial *partial, const char *at) {
  partial->place = IN_TEXT;
  pass_over_high(partial, mill__partial_offset(partial, at));
  return at;
}

void mill__partial_end_outside(struct mill_partial *partial) {
  if (partial->token.len > 0)
    pass_over_high(partial, partial->fed);
}

/* ---- before the root -------------------------------------------------------------------------- */

static const char *take_text(struct mill_partial *partial, const char *at) {
  const bool fence_opens = partial->place == IN_INFO && !partial->done;
  partial->place = partial->place == IN_INFO ? IN_INFO : IN_TEXT;
  if (*at == '\n') {
    partial->place = fence_opens ? AT_START : AT_LINE;
  } else if (!partial->done && is_bracket(*at) && wants(partial, *at)) {
    partial->opener = *at;
    partial->token_offset = mill__partial_offset(partial, at);
    partial->place = AT_OPENER;
  }
  return at + 1;
}

/* The next character tells whether a bracket in a line of text begins the root. */
static bool is_root_opener(const struct mill_partial *partial, char next) {
  if (partial->opener == '[')
    return next == '{' || next == '[' || next == '"' || next == ']' || next == '-' ||
           mill__partial_is_digit(next);
  return next == '"' || next == '}' || (next == '\'' && partial->options.lenient);
}

static const char *at_opener(struct mill_partial *partial, const char *at) {
  if (mill__partial_is_space(*at))
    return at + 1;
  if (is_root_opener(partial, *at))
    mill__partial_open(partial, partial->opener, partial->token_offset);
  else
    partial->place = IN_TEXT;
  return at;
}

static const char *begin_fence(struct mill_partial *partial, const char *at) {
  partial->opener = *at;
  partial->n_fence = 0;
  partial->place = IN_FENCE;
  return at;
}

static const char *in_fence(struct mill_partial *partial, const char *at) {
  if (*at == partial->opener && partial->n_fence < FENCE_LEN) {
    partial->n_fence++;
    return at + 1;
  }
  partial->place = partial->n_fence == FENCE_LEN ? IN_INFO : IN_TEXT;
  return at;
}

static bool is_fence(char c) {
  return c == '`' || c == '~';
}

/* First on its line. */
static const char *at_line(struct mill_partial *partial, const char *at) {
  if (mill__partial_is_space(*at))
    return at + 1;
  if (is_fence(*at))
    return begin_fence(partial, at);
  if (!is_bracket(*at) || !wants(partial, *at))
    return take_text(partial, at);
  if (partial->done)
    return second_root(partial, at);
  mill__partial_open(partial, *at, mill__partial_offset(partial, at));
  return at + 1;
}

static const char *at_start(struct mill_partial *partial, const char *at) {
  if (wants(partial, *at) && *at == '"') {
    mill__partial_begin_string(partial, '"', false, mill__partial_offset(partial, at));
    return at + 1;
  }
  if (wants(partial, *at) && mill__partial_begin_scalar(partial, at))
    return at;
  return at_line(partial, at);
}

/* ---- behind the root -------------------------------------------------------------------------- */

static const char *behind_token(struct mill_partial *partial, const char *at) {
  if (mill__partial_is_space(*at))
    return at + 1;
  if (is_fence(*at) || *at == '<') {
    mill__partial_end_scalar(partial);
    partial->place = AT_LINE;
  } else {
    partial->place = IN_TEXT;
  }
  mill__buf_clear(&partial->token);
  return at;
}

static const char *behind_root(struct mill_partial *partial, const char *at) {
  if (*at == '\n') {
    partial->place = AT_LINE;
    return at + 1;
  }
  if (mill__partial_is_space(*at)) {
    partial->place = BEHIND_SPACE;
    return at + 1;
  }
  if (is_bracket(*at) || *at == '"')
    return second_root(partial, at);
  bool glued = partial->place == BEHIND_ROOT && !is_fence(*at) && *at != '<';
  if (glued || memchr("]},:", *at, 4) != NULL)
    return pass_over(partial, MILL_REPAIR_TRAILING_TEXT, at, "text at the end of the value");
  partial->place = IN_TEXT;
  return at;
}

const char *mill__partial_outside(struct mill_partial *partial, const char *at, const char *end) {
  const bool behind = partial->place == BEHIND_ROOT;
  if (partial->place == BEHIND_TOKEN)
    return behind_token(partial, at);
  if ((unsigned char)*at >= 0x80 && !behind && partial->place != AT_OPENER)
    return take_high(partial, at);
  if (partial->token.len > 0 && (unsigned char)*at < 0x80)
    return cut_high(partial, at);
  switch ((enum mill__partial_place)partial->place) {
  case AT_START:
    return at_start(partial, at);
  case AT_LINE:
    return at_line(partial, at);
  case IN_FENCE:
    return in_fence(partial, at);
  case AT_OPENER:
    return at_opener(partial, at);
  case BEHIND_ROOT:
  case BEHIND_SPACE:
    return behind_root(partial, at);
  default:
    return take_text(partial, at);
  }
}
