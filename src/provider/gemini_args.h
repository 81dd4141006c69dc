/*
 * The arguments of a Gemini call that come in pieces, each a value at a JSON path ("$.a.b[0]"):
 * they are written as the JSON text of one object, while they come.
 *
 * The model speaks in the order of that text, so that it only grows: of the value before, all
 * containers that the next one is not in are closed. A string stays open until another path comes,
 * since its pieces bear the same one. Source: RFC 9535 for the paths (names and indexes).
 * Thread: the owner's. Limits: MILL__GEMINI_PATH_BYTES. Errors: MILL_E_NOMEM, MILL_E_LIMIT.
 */
#ifndef MILL_PROVIDER_GEMINI_ARGS_H
#define MILL_PROVIDER_GEMINI_ARGS_H

#include "base/buf.h"

#define MILL__GEMINI_PATH_BYTES 512 /* a value at a longer path is left out */

/* {0} is the beginning. */
struct mill__gemini_args {
  char path[MILL__GEMINI_PATH_BYTES]; /* of the last value */
  size_t path_len;                    /* 0: nothing is written */
  bool in_string;
};

/*
 * Append what a value adds to the text: a piece of a string, or JSON as it is. A path that cannot
 * be gone to adds nothing.
 */
int mill__gemini_args_string(struct mill__gemini_args *args, mill_slice path, mill_slice piece,
                             struct mill__buf *out);
int mill__gemini_args_literal(struct mill__gemini_args *args, mill_slice path, mill_slice literal,
                              struct mill__buf *out);
/* Append the end; without any value, the object is empty. */
int mill__gemini_args_end(struct mill__gemini_args *args, struct mill__buf *out);

#endif
