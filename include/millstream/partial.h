/*
 * A JSON text that is still being written: its bytes -> the changes that they make to its value.
 *
 * Each byte is looked at once, at a cost that does not grow with the text; nothing is kept but what
 * is open. Any split of the text gives the same changes, once the pieces of a string are joined.
 *
 * Threads: one at a time. Blocks: never. Limits: mill_partial_options and MILL_PARTIAL_*_BYTES.
 * Errors: MILL_E_PROTOCOL (see mill_partial_error), MILL_E_LIMIT, MILL_E_NOMEM, or what the callback
 * returned; sticky until mill_partial_reset.
 *
 * Text around the value is skipped, Markdown's code fences among it:
 * - An object or array begins at a '{' or '[' that is first on its line or in the text. Further on in
 *   a line of text only where a value can follow: behind '{' a quote or '}', behind '[' one of
 *   '{' '[' '"' ']' '-' or a digit. A string begins only at the beginning of the text or of a fence,
 *   a number or literal there only where nothing else follows.
 * - Directly behind the value stands white space, a fence, '<' (a closing tag), or nothing; text
 *   further on in that line does not begin with '{', '[', '"', ']', '}', ',' or ':'. A '{' or '['
 *   that is first on a later line is a second value. All else there is skipped.
 * What is not so is MILL_E_PROTOCOL, and in lenient mode a repair: skipped, and reported.
 *
 * Invalid UTF-8 in a string becomes U+FFFD, as does a lone half of a surrogate pair; elsewhere it is
 * MILL_E_PROTOCOL, and in lenient mode skipped where it is in the text around.
 */
#ifndef MILLSTREAM_PARTIAL_H
#define MILLSTREAM_PARTIAL_H

#include "millstream/millstream.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MILL_PARTIAL_KEY_BYTES 65536  /* a longer key is MILL_E_LIMIT */
#define MILL_PARTIAL_TOKEN_BYTES 1024 /* a longer number or word too */

typedef struct mill_partial mill_partial;

enum mill_partial_kind {
  MILL_PARTIAL_OBJECT, /* begins, empty; one in an array with its first member or its end */
  MILL_PARTIAL_ARRAY,  /* begins, empty */
  MILL_PARTIAL_STRING, /* begins, empty */
  MILL_PARTIAL_TEXT,   /* the open string grows by `text`: whole characters */
  MILL_PARTIAL_NUMBER, /* whole; `text` is its literal. Known by the byte behind it, as the next 3 */
  MILL_PARTIAL_TRUE,
  MILL_PARTIAL_FALSE,
  MILL_PARTIAL_NULL,
  MILL_PARTIAL_END,   /* the open string, or else the innermost open container, is complete. In
                         lenient mode a string in a container is known to be by the byte behind it */
  MILL_PARTIAL_REPAIR /* lenient mode: `repair` was made at `offset` */
};

/* X(NAME, "name", "what was there") */
#define MILL_REPAIRS(X)                                                                            \
  X(TRAILING_COMMA, "trailing_comma", "a comma behind the last element or member")                 \
  X(EXTRA_COMMA, "extra_comma", "a comma with nothing before it")                                  \
  X(MISSING_COMMA, "missing_comma", "no comma between two elements or members")                    \
  X(MISSING_COLON, "missing_colon", "no colon behind a key")                                       \
  X(MISSING_VALUE, "missing_value", "a key without a value, or a cut value: left out")             \
  X(MISSING_CLOSER, "missing_closer", "no closing bracket or quote")                               \
  X(STRAY_CLOSER, "stray_closer", "a closing bracket of nothing that is open: skipped")            \
  X(COMMENT, "comment", "a comment: skipped")                                                      \
  X(SINGLE_QUOTES, "single_quotes", "a string in single quotes")                                   \
  X(INNER_QUOTE, "inner_quote", "a quote in a string, with text behind it: kept")                  \
  X(BARE_KEY, "bare_key", "a key without quotes")                                                  \
  X(BARE_STRING, "bare_string", "a word that is no literal: taken as a string")                    \
  X(LITERAL, "literal", "a literal of Python or JavaScript: True, None, NaN, undefined")           \
  X(NUMBER, "number", "a number with a plus, a leading zero, or a dot without a digit beside it")  \
  X(ESCAPE, "escape", "an escape that JSON does not have: kept, but for the backslash of \\'")     \
  X(CONTROL, "control", "a control character in a string: kept")                                   \
  X(ENCODING, "encoding", "no UTF-8 in the text around the value: skipped")                        \
  X(TRAILING_TEXT, "trailing_text", "text glued to the end of the value: skipped")                 \
  X(SECOND_ROOT, "second_root", "a second value: skipped")

enum mill_repair {
#define MILL_REPAIR_ENUM(name, word, text) MILL_REPAIR_##name,
  MILL_REPAIRS(MILL_REPAIR_ENUM)
#undef MILL_REPAIR_ENUM
      MILL_REPAIR_COUNT
};

MILL_API const char *mill_repair_name(enum mill_repair repair); /* "trailing_comma" */

/*
 * One change. The place of a value is told by its parent, the innermost open container: the value
 * goes to its `key`, where that is an object, or to its `index`. Who applies the changes keeps a
 * stack: OBJECT and ARRAY push, END of a container pops. A key that comes again in its object
 * replaces the value that it had.
 */
typedef struct mill_partial_change {
  enum mill_partial_kind kind;
  enum mill_repair repair; /* REPAIR */
  mill_slice text;         /* TEXT: UTF-8, may hold NUL. NUMBER: as it came, in lenient mode also
                              "NaN", "Infinity", "-Infinity", "+1", "01", ".5" and "5." */
  mill_slice key;          /* where a value begins in an object; else ptr is NULL */
  size_t index;            /* where a value begins in an array, from 0 */
  size_t depth;            /* containers around the value; 0 for the root */
  uint64_t offset;         /* in the text: of the value's first byte, behind its last for END and
                              for REPAIR where something is missing; TEXT: 0 */
} mill_partial_change;

/*
 * MILL_OK, or a negative MILL_E_* code, which the feed then returns. Slices are valid inside only.
 * Must not call functions of this parser.
 */
typedef int mill_partial_fn(void *ctx, const mill_partial_change *change);

/* Which values may be the root; others are text to be skipped. */
enum mill_partial_root {
  MILL_PARTIAL_ROOT_OBJECT = 1,
  MILL_PARTIAL_ROOT_ARRAY = 2,
  MILL_PARTIAL_ROOT_SCALAR = 4, /* a string, number or literal */
  MILL_PARTIAL_ROOT_ANY = 7
};

/* Fill with mill_partial_options_init first. */
typedef struct mill_partial_options {
  bool lenient;       /* repair, and report it; default false */
  unsigned roots;     /* enum mill_partial_root, or-ed; default any */
  size_t text_bytes;  /* all that is fed; default 64 MiB */
  unsigned max_depth; /* containers in containers; default 512 */
} mill_partial_options;

MILL_API void mill_partial_options_init(mill_partial_options *options);

/* Borrows `ctx`. MILL_E_ARG where an option makes no sense. Release with mill_partial_free. */
MILL_API int mill_partial_new(const mill_partial_options *options, mill_partial_fn *fn, void *ctx,
                              mill_partial **ret_partial);
MILL_API void mill_partial_free(mill_partial *partial); /* NULL is allowed */
/* Begin a new text, whatever became of the last one. */
MILL_API void mill_partial_reset(mill_partial *partial);

/* The next bytes. MILL_E_ARG behind mill_partial_finish. */
MILL_API int mill_partial_feed(mill_partial *partial, const char *bytes, size_t len);
/*
 * The text ended: what was waiting for the byte behind it is complete. MILL_E_PROTOCOL where there
 * is no value, or, unless lenient, where it is cut. Again: the same result, and nothing is done.
 */
MILL_API int mill_partial_finish(mill_partial *partial);
/* The root is complete: a number or literal as root only with mill_partial_finish or a fence. */
MILL_API bool mill_partial_done(const mill_partial *partial);
/*
 * What is wrong and where, once a call failed: a static text, and an offset in the text fed. NULL,
 * and nothing written, before that.
 */
MILL_API const char *mill_partial_error(const mill_partial *partial, uint64_t *ret_offset);

#ifdef __cplusplus
}
#endif
#endif
