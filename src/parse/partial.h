/*
 * The inside of mill_partial (millstream/partial.h), shared by the files of the parser: partial.c
 * (the interface, and what stands between tokens), partial_string.c, partial_scalar.c and
 * partial_outside.c (the text around the value).
 *
 * A function that takes `at` and `end` takes bytes of a piece, at least one or none but for another
 * place, and returns where it got to; the outcome is left in `status`.
 */
#ifndef MILL_PARSE_PARTIAL_H
#define MILL_PARSE_PARTIAL_H

#include "base/buf.h"
#include "base/utf8.h"
#include "millstream/partial.h"
#include "parse/text.h"

enum mill__partial_place {
  /* outside of the root */
  AT_START,     /* of the text or a fence */
  AT_LINE,      /* nothing but white space since the line's beginning */
  IN_TEXT,      /* in a line of text */
  IN_FENCE,     /* in backticks or tildes that begin a line */
  IN_INFO,      /* in the line of a fence that opens */
  AT_OPENER,    /* behind a bracket in a line of text, which may be the root's */
  BEHIND_TOKEN, /* behind a number or literal at the start: the root, unless more follows */
  BEHIND_ROOT,  /* directly */
  BEHIND_SPACE, /* in the root's last line, white space between */
  /* between tokens */
  AT_FIRST_VALUE, /* behind '[' */
  AT_VALUE,       /* behind a comma of an array, or a colon */
  AT_FIRST_KEY,   /* behind '{' */
  AT_KEY,         /* behind a comma of an object */
  AT_COLON,       /* behind a key */
  BEHIND_VALUE,
  AT_COMMENT, /* behind its '/' */
  IN_LINE_COMMENT,
  IN_BLOCK_COMMENT,
  AT_COMMENT_END, /* behind a '*' in it */
  /* in tokens */
  IN_STRING,
  IN_ESCAPE,  /* behind the backslash */
  IN_UNICODE, /* in the four digits of \u */
  AT_QUOTE,   /* lenient mode: behind a quote, and spaces, which ends the string or is in it */
  IN_NUMBER,
  IN_WORD, /* a literal, or in lenient mode another word */
  IN_BARE_KEY
};

struct mill__partial_level {
  size_t count; /* elements that have begun, in an array */
  bool is_array;
};

struct mill_partial {
  mill_partial_options options;
  mill_partial_fn *fn;
  void *ctx;

  struct mill__partial_level *levels; /* the open containers, outermost first */
  size_t depth, capacity;
  size_t n_arrays; /* of the open containers */

  struct mill__buf key;   /* of the value to come, or the beginning of one */
  struct mill__buf token; /* a number or word; outside: a character that is cut; AT_QUOTE: it, and
                             what follows */
  struct mill__buf text;  /* characters that are not in the piece as they are */
  struct mill__utf8 utf8; /* in a string: a character that is cut */
  struct mill__text pair; /* ... or a surrogate pair */
  char hex[5];            /* of an escape: the u and its digits */
  uint8_t n_hex;

  uint8_t place;  /* enum mill__partial_place */
  uint8_t back;   /* the place that a comment stands in */
  uint8_t number; /* how far a number's grammar has come: partial_scalar.c */
  char opener;    /* AT_OPENER: the bracket. IN_FENCE: its character */
  uint8_t n_fence;
  char quote;     /* that ends the open string */
  bool in_key;    /* the open string is a key */
  bool in_quotes; /* which are in the open string */
  bool held;      /* the innermost object is in an array, and not reported yet */
  bool is_word;   /* the token is a word */
  bool done;      /* the root is complete */
  bool finished;

  uint64_t held_offset;  /* of that object */
  uint64_t token_offset; /* of the token, of the bracket AT_OPENER */
  uint64_t quote_offset; /* AT_QUOTE */
  uint64_t fed;          /* bytes before the piece */
  const char *piece;     /* the one being fed */

  int status; /* sticky */
  uint64_t error_offset;
  const char *error;
};

static inline bool mill__partial_is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static inline bool mill__partial_is_digit(char c) {
  return c >= '0' && c <= '9';
}

/* ---- partial.c: what the others report -------------------------------------------------------- */

uint64_t mill__partial_offset(const struct mill_partial *partial, const char *at);
void mill__partial_fail(struct mill_partial *partial, int code, uint64_t offset, const char *error);
/* What a buffer's function returned. */
void mill__partial_check(struct mill_partial *partial, int rc, uint64_t offset,
                         const char *too_long);
/* MILL_E_PROTOCOL for the byte at `at`. Returns it. */
const char *mill__partial_refuse(struct mill_partial *partial, const char *at, const char *error);
void mill__partial_repair(struct mill_partial *partial, enum mill_repair repair, uint64_t offset);
/* A value begins, or is whole. */
void mill__partial_value(struct mill_partial *partial, enum mill_partial_kind kind, mill_slice text,
                         uint64_t offset);
/* The open string grows, or a key does. Reports nothing where `len` is 0. */
void mill__partial_grow(struct mill_partial *partial, const char *text, size_t len);
/* What is known to be complete: a string, a number, a literal, a container. */
void mill__partial_end_string(struct mill_partial *partial, uint64_t offset);
void mill__partial_end_container(struct mill_partial *partial, uint64_t offset);
void mill__partial_end_value(struct mill_partial *partial);
/* '{' or '[' */
void mill__partial_open(struct mill_partial *partial, char bracket, uint64_t offset);

/* ---- partial_string.c ------------------------------------------------------------------------- */

void mill__partial_begin_string(struct mill_partial *partial, char quote, bool is_key,
                                uint64_t offset);
const char *mill__partial_in_string(struct mill_partial *partial, const char *at, const char *end);
/* No more text comes: halves of characters and pairs become U+FFFD. */
void mill__partial_end_text(struct mill_partial *partial);

/* ---- partial_scalar.c ------------------------------------------------------------------------- */

/* The byte at `at` begins a number or word, or, with false, neither. */
bool mill__partial_begin_scalar(struct mill_partial *partial, const char *at);
bool mill__partial_is_word_start(char c);
const char *mill__partial_in_scalar(struct mill_partial *partial, const char *at, const char *end);
const char *mill__partial_in_bare_key(struct mill_partial *partial, const char *at,
                                      const char *end);
/* The token as a value, where it is one: else false, and nothing was done. */
bool mill__partial_end_scalar(struct mill_partial *partial);

/* ---- partial_outside.c ------------------------------------------------------------------------ */

const char *mill__partial_outside(struct mill_partial *partial, const char *at, const char *end);
/* The text ended: a character that is cut is none. */
void mill__partial_end_outside(struct mill_partial *partial);

#endif
