/*
 * Numbers, literals and, in lenient mode, other words of growing JSON. They are kept in `token`
 * until the byte behind them comes.
 *
 * At the beginning of a text a token may be the root or the first word of some text: what does not
 * fit is text there, and no error.
 */
#include <string.h>

#include "parse/partial.h"

/* How far the grammar of a number has come: RFC 8259, section 6. */
enum number {
  SIGNED = 1, /* behind the sign */
  ZERO,       /* behind a leading zero */
  INTEGER,    /* in the digits before the dot */
  BARE_DOT,   /* lenient: behind a dot without digits before it */
  DOT,        /* behind a dot */
  FRACTION,   /* in the digits behind it */
  E,          /* behind the e */
  SIGNED_E,   /* behind its sign */
  EXPONENT    /* in its digits */
};

struct literal {
  const char *word;
  enum mill_partial_kind kind;
  const char *number; /* as it is reported */
};

static const struct literal literals[] = {
    {"true", MILL_PARTIAL_TRUE, NULL},
    {"false", MILL_PARTIAL_FALSE, NULL},
    {"null", MILL_PARTIAL_NULL, NULL},
    /* from here on in lenient mode only */
    {"True", MILL_PARTIAL_TRUE, NULL},
    {"False", MILL_PARTIAL_FALSE, NULL},
    {"None", MILL_PARTIAL_NULL, NULL},
    {"undefined", MILL_PARTIAL_NULL, NULL},
    {"NaN", MILL_PARTIAL_NUMBER, "NaN"},
    {"nan", MILL_PARTIAL_NUMBER, "NaN"},
    {"Infinity", MILL_PARTIAL_NUMBER, "Infinity"},
    {"inf", MILL_PARTIAL_NUMBER, "Infinity"},
    {"-Infinity", MILL_PARTIAL_NUMBER, "-Infinity"},
    {"-inf", MILL_PARTIAL_NUMBER, "-Infinity"},
};
#define STRICT_LITERALS 3
#define LITERALS (sizeof literals / sizeof *literals)

static size_t n_literals(const struct mill_partial *partial) {
  return partial->options.lenient ? LITERALS : STRICT_LITERALS;
}

static bool is_at_start(const struct mill_partial *partial) {
  return partial->depth == 0;
}

/* ---- where tokens begin and go on ------------------------------------------------------------- */

bool mill__partial_is_word_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$';
}

static bool is_in_word(char c) {
  return mill__partial_is_word_start(c) || mill__partial_is_digit(c) || c == '-' || c == '.';
}

bool mill__partial_begin_scalar(struct mill_partial *partial, const char *at) {
  const char c = *at;
  const bool lenient = partial->options.lenient && !is_at_start(partial);
  bool is_number = mill__partial_is_digit(c) || c == '-' || (lenient && (c == '+' || c == '.'));
  if (!is_number && !mill__partial_is_word_start(c))
    return false;
  mill__buf_clear(&partial->token);
  partial->token_offset = mill__partial_offset(partial, at);
  partial->is_word = !is_number;
  partial->number = 0;
  partial->place = is_number ? IN_NUMBER : IN_WORD;
  return true;
}

/* ---- numbers ---------------------------------------------------------------------------------- */

static uint8_t behind_digit(const struct mill_partial *partial, char c) {
  switch (partial->number) {
  case 0:
  case SIGNED:
    return c == '0' ? ZERO : INTEGER;
  case ZERO:
    return partial->options.lenient ? INTEGER : 0;
  case BARE_DOT:
  case DOT:
    return FRACTION;
  case E:
  case SIGNED_E:
    return EXPONENT;
  default:
    return partial->number;
  }
}

static uint8_t behind_sign(const struct mill_partial *partial) {
  if (partial->number == 0) /* a plus begins a number in lenient mode only */
    return SIGNED;
  return partial->number == E ? SIGNED_E : 0;
}

static uint8_t behind_dot(const struct mill_partial *partial) {
  if (partial->number == ZERO || partial->number == INTEGER)
    return DOT;
  return partial->number <= SIGNED && partial->options.lenient ? BARE_DOT : 0;
}

static uint8_t behind_e(const struct mill_partial *partial) {
  bool digits = partial->number == ZERO || partial->number == INTEGER ||
                partial->number == FRACTION || (partial->number == DOT && partial->options.lenient);
  return digits ? E : 0;
}

static bool is_in_number(char c) {
  return mill__partial_is_digit(c) || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

/* Where `c` leads; 0: it cannot stand here. */
static uint8_t next_number(const struct mill_partial *partial, char c) {
  switch (c) {
  case '-':
  case '+':
    return behind_sign(partial);
  case '.':
    return behind_dot(partial);
  case 'e':
  case 'E':
    return behind_e(partial);
  default:
    return behind_digit(partial, c);
  }
}

static bool is_whole_number(const struct mill_partial *partial) {
  return partial->number == ZERO || partial->number == INTEGER || partial->number == FRACTION ||
         partial->number == EXPONENT || (partial->number == DOT && partial->options.lenient);
}

/* In lenient mode numbers can be written as JSON does not: such a one is told as it came. */
static bool is_odd_number(mill_slice text) {
  const char *at = text.ptr, *end = text.ptr + text.len;
  if (*at == '+')
    return true;
  at += *at == '-';
  if (*at == '.' || (*at == '0' && end - at > 1 && mill__partial_is_digit(at[1])))
    return true;
  const char *dot = memchr(at, '.', (size_t)(end - at));
  return dot != NULL && (dot + 1 == end || !mill__partial_is_digit(dot[1]));
}

static bool end_number(struct mill_partial *partial) {
  const mill_slice text = mill__buf_slice(&partial->token);
  if (!is_whole_number(partial))
    return false;
  if (is_odd_number(text))
    mill__partial_repair(partial, MILL_REPAIR_NUMBER, partial->token_offset);
  mill__partial_value(partial, MILL_PARTIAL_NUMBER, text, partial->token_offset);
  mill__partial_end_value(partial);
  return true;
}

/* ---- words ------------------------------------------------------------------------------------ */

static const struct literal *find_literal(const struct mill_partial *partial) {
  for (size_t i = 0; i < n_literals(partial); i++)
    if (strlen(literals[i].word) == partial->token.len &&
        memcmp(literals[i].word, partial->token.ptr, partial->token.len) == 0)
      return &literals[i];
  return NULL;
}

/* The token and `c` begin a literal. */
static bool begins_literal(const struct mill_partial *partial, char c) {
  const size_t len = partial->token.len;
  for (size_t i = 0; i < n_literals(partial); i++)
    if (len < strlen(literals[i].word) && literals[i].word[len] == c &&
        (len == 0 || memcmp(literals[i].word, partial->token.ptr, len) == 0))
      return true;
  return false;
}

static void report_literal(struct mill_partial *partial, const struct literal *literal) {
  const char *number = literal->number != NULL ? literal->number : "";
  if (literal >= literals + STRICT_LITERALS)
    mill__partial_repair(partial, MILL_REPAIR_LITERAL, partial->token_offset);
  mill__partial_value(partial, literal->kind, (mill_slice){number, strlen(number)},
                      partial->token_offset);
  mill__partial_end_value(partial);
}

static void report_bare_string(struct mill_partial *partial) {
  const uint64_t offset = partial->token_offset;
  mill__partial_repair(partial, MILL_REPAIR_BARE_STRING, offset);
  mill__partial_value(partial, MILL_PARTIAL_STRING, (mill_slice){"", 0}, offset);
  mill__partial_grow(partial, partial->token.ptr, partial->token.len);
  mill__partial_end_string(partial, offset + partial->token.len);
  mill__buf_clear(&partial->token);
}

static bool end_word(struct mill_partial *partial) {
  const struct literal *literal = find_literal(partial);
  if (literal != NULL)
    report_literal(partial, literal);
  return literal != NULL;
}

bool mill__partial_end_scalar(struct mill_partial *partial) {
  bool is_value = partial->is_word ? end_word(partial) : end_number(partial);
  if (is_value)
    mill__buf_clear(&partial->token);
  return is_value;
}

/* ---- a byte more, or the byte behind ---------------------------------------------------------- */

static const char *append(struct mill_partial *partial, const char *at) {
  int rc = mill__buf_append_byte(&partial->token, *at);
  mill__partial_check(partial, rc, partial->token_offset, "a number or word is too long");
  return at + 1;
}

/* Not as JSON has it: some other text where nothing has begun. */
static const char *refuse(struct mill_partial *partial, const char *at, const char *error) {
  if (!is_at_start(partial))
    return mill__partial_refuse(partial, at, error);
  partial->place = IN_TEXT;
  mill__buf_clear(&partial->token);
  return at;
}

static const char *behind_number(struct mill_partial *partial, const char *at) {
  if (partial->number == SIGNED && partial->options.lenient && mill__partial_is_word_start(*at)) {
    partial->is_word = true; /* -Infinity */
    partial->place = IN_WORD;
  } else if (!is_whole_number(partial)) {
    return refuse(partial, at, "a number that is not whole");
  } else if (is_at_start(partial)) {
    partial->place = BEHIND_TOKEN;
  } else {
    mill__partial_end_scalar(partial);
  }
  return at;
}

static const char *in_number(struct mill_partial *partial, const char *at) {
  if (!is_in_number(*at))
    return behind_number(partial, at);
  uint8_t next = next_number(partial, *at);
  if (next == 0)
    return refuse(partial, at, "a number that JSON does not have");
  partial->number = next;
  return append(partial, at);
}

static const char *behind_word(struct mill_partial *partial, const char *at) {
  if (is_at_start(partial) && find_literal(partial) != NULL)
    partial->place = BEHIND_TOKEN;
  else if (is_at_start(partial) ||
           (!mill__partial_end_scalar(partial) && !partial->options.lenient))
    return refuse(partial, at, "a word that is no literal of JSON");
  else if (partial->place == IN_WORD)
    report_bare_string(partial);
  return at;
}

static const char *in_word(struct mill_partial *partial, const char *at) {
  if (!is_in_word(*at))
    return behind_word(partial, at);
  bool any_word = partial->options.lenient && !is_at_start(partial);
  if (!any_word && !begins_literal(partial, *at))
    return refuse(partial, at, "a word that is no literal of JSON");
  return append(partial, at);
}

const char *mill__partial_in_scalar(struct mill_partial *partial, const char *at, const char *end) {
  return partial->place == IN_NUMBER ? in_number(partial, at) : in_word(partial, at);
}

const char *mill__partial_in_bare_key(struct mill_partial *partial, const char *at,
                                      const char *end) {
  const char *start = at;
  while (at < end && is_in_word(*at))
    at++;
  mill__partial_grow(partial, start, (size_t)(at - start));
  if (at < end) {
    partial->in_key = false;
    partial->place = AT_COLON;
  }
  return at;
}
