/*
 * JSON: bytes -> the values at the paths of a table, incrementally, any split. The one file pair
 * that knows yajl.
 *
 * Owns: a yajl handle and its memory, kept from document to document or, with a store, lent to it
 * for one. Thread: the owner's.
 * Blocks: never. Limits: depth, MILL__JSON_NUMBER_BYTES for a number, `document_bytes` in all.
 * Errors: MILL_E_PROTOCOL (not JSON; see mill__json_error_offset), MILL_E_LIMIT, MILL_E_NOMEM, or
 * what the callback returned; sticky until _reset.
 *
 * Input need not be valid UTF-8: it is repaired as the WHATWG decoder does. Strings come out as
 * UTF-8 in which a lone surrogate escape stands as its three-byte form (ED A0 80 ... ED BF BF), so
 * that a pair split over two documents can be joined: put text through mill__text before use.
 * Escaped pairs are one character. Strings may hold NUL.
 */
#ifndef MILL_PARSE_JSON_H
#define MILL_PARSE_JSON_H

#include <stdatomic.h>

#include "base/buf.h"
#include "base/list.h"

#define MILL__JSON_NUMBER_BYTES 1024 /* longer number literals are MILL_E_LIMIT */
#define MILL__JSON_INDEXES 4         /* array levels on a path whose indexes are reported */
#define MILL__JSON_STORE_MACHINES 16 /* more parsers than these are seldom inside a document */

enum mill__json_kind {
  MILL__JSON_NULL = 1,
  MILL__JSON_BOOL = 2,
  MILL__JSON_NUMBER = 4,
  MILL__JSON_STRING = 8,
  MILL__JSON_BEGIN = 16, /* an object or array begins */
  MILL__JSON_END = 32,   /* ... and ends */
  MILL__JSON_RAW = 64    /* an object or array, whole, as JSON text (when it ends) */
};

/*
 * One row of a table. Path: keys joined by '.', "[]" for every element of an array:
 * "choices[].delta.tool_calls[].function.name". "" is the document itself. A value whose kind is
 * not wanted is passed over. One row a path. A key that repeats in an object is reported again
 * (the last wins where the reader assigns).
 */
struct mill__json_path {
  const char *path;
  uint16_t field; /* the table owner's enum */
  uint16_t want;  /* kinds, or-ed */
};

struct mill__json_value {
  uint16_t field;
  enum mill__json_kind kind;
  bool is_array; /* BEGIN, END, RAW */
  bool boolean;
  mill_slice text; /* STRING: its characters; NUMBER: its literal; RAW: its JSON */
  unsigned index[MILL__JSON_INDEXES]; /* of the "[]" of the path, outermost first; then 0 */
};

typedef int (*mill__json_fn)(void *ctx, const struct mill__json_value *value);

/* A compiled table: immutable, shared by any number of parsers and threads; borrows the paths. */
struct mill__json_table;
int mill__json_table_new(const struct mill__json_path *paths, size_t n_paths,
                         struct mill__json_table **ret_table);
void mill__json_table_free(struct mill__json_table *table);

struct mill__json;
int mill__json_new(const struct mill__json_table *table, unsigned max_depth, size_t document_bytes,
                   mill__json_fn fn, void *ctx, struct mill__json **ret_json);
void mill__json_free(struct mill__json *json);

/* yajl's handles, some KiB each, for parsers of one thread of which few are inside a document. */
struct mill__json_store {
  struct mill__list machines;
  unsigned n;
  atomic_long blocks; /* of memory, in all of them; may be read by any thread */
};
void mill__json_store_init(struct mill__json_store *store);
void mill__json_store_fini(struct mill__json_store *store);
/* Before the first document; borrows the store. */
void mill__json_share(struct mill__json *json, struct mill__json_store *store);

/* Begin a new document, whatever became of the last one. */
void mill__json_reset(struct mill__json *json);
int mill__json_feed(struct mill__json *json, const char *bytes, size_t len);
/*
 * All of a document at once, after _reset: as _feed and _finish, but quick where it is like the last
 * one that came this way (json_template.h).
 */
int mill__json_whole(struct mill__json *json, const char *bytes, size_t len);
/* The document ended: MILL_E_PROTOCOL unless it held exactly one value. */
int mill__json_finish(struct mill__json *json);
/* How many bytes of this document were taken before an error, close to where it is. */
size_t mill__json_error_offset(const struct mill__json *json);

/* Number literals: exact where it fits, else clamped; false where it is no integer. */
bool mill__json_int64(mill_slice literal, int64_t *ret_number);

#endif
