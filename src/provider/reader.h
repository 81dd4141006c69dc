/*
 * A dialect at work on one JSON document after the other: its values go into an assembly.
 *
 * What a document carries inside, in another dialect, is read by a reader of that dialect, for the
 * same assembly.
 * Owns: the JSON parser, the dialect's state, the inner reader. Borrows: the assembly.
 * Thread: the owner's. Limits: mill_limits.event_bytes and .json_depth. Errors: those of
 * parse/json.h and of the dialect.
 */
#ifndef MILL_PROVIDER_READER_H
#define MILL_PROVIDER_READER_H

#include "provider/assembly.h"
#include "provider/dialect.h"

struct mill__reader {
  const struct mill__dialect *dialect;
  mill_limits limits;
  struct mill__json *json;
  struct mill__json_store *store; /* NULL: the parser keeps what it needs */
  struct mill__assembly *assembly;
  void *state;
  struct mill__reader *inner; /* NULL: none was needed yet */
};

/* On an error there is nothing to free. */
int mill__reader_init(struct mill__reader *reader, const struct mill__dialect *dialect,
                      const mill_limits *limits, struct mill__assembly *assembly);
void mill__reader_fini(struct mill__reader *reader);
/* Before the first document; as mill__json_share. */
void mill__reader_share(struct mill__reader *reader, struct mill__json_store *store);
/* Begin a document, whatever became of the last one. */
void mill__reader_begin(struct mill__reader *reader);
int mill__reader_feed(struct mill__reader *reader, const char *bytes, size_t len);
/* All of a document at once, after _begin: as _feed, but quick where it is like the last one. */
int mill__reader_whole(struct mill__reader *reader, mill_slice document);
/*
 * The document is whole: `document` is all that was fed, `type` the name of its event.
 * MILL_E_PROTOCOL: it, or what it carries, is no JSON.
 */
int mill__reader_end(struct mill__reader *reader, mill_slice document, mill_slice type);

/*
 * Look for an error object in a document that is read beside the stream, so that nothing of its
 * other values gets into it. MILL_END: there is none.
 */
int mill__reader_find_error(const struct mill__dialect *dialect, const mill_slice *pieces,
                            size_t n_pieces, struct mill__provider_error *ret_error);

#endif
