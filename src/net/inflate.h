/*
 * A compressed body, unpacked as it arrives: gzip and deflate. The one file that knows zlib.
 * libcurl could do it, but takes a gzip file that was cut inside a whole HTTP body for a whole one.
 * Source: RFC 9110, section 8.4.1 "Content Codings"; RFC 1950 to 1952.
 * Owns: zlib's state and one block of what comes out; nothing is allocated after the first pieces.
 * Thread: the loop. Limits: MILL__INFLATE_BYTES at a time, however small the piece.
 * Errors: MILL_E_PROTOCOL and why, MILL_E_NOMEM; both stick.
 */
#ifndef MILL_NET_INFLATE_H
#define MILL_NET_INFLATE_H

#include "millstream/millstream.h"

#define MILL__INFLATE_BYTES 16384

enum mill__coding {
  MILL__CODING_NONE,
  MILL__CODING_GZIP,    /* one file, or several one behind the other */
  MILL__CODING_DEFLATE, /* with zlib's header, or without as some servers send it */
  MILL__CODING_UNKNOWN  /* another one, or more than one */
};

struct mill__inflate;

/* `coding`: gzip or deflate. */
int mill__inflate_new(enum mill__coding coding, struct mill__inflate **ret_inflater);
void mill__inflate_free(struct mill__inflate *inflater); /* NULL is allowed */
/*
 * What comes of `rest`, which moves on behind what was read, as far as it fits. Empty: all was read,
 * and all that came of it was handed out. Valid until the next call.
 */
int mill__inflate_next(struct mill__inflate *inflater, mill_slice *rest, mill_slice *ret_block);
/* What was read may end here: no byte, or up to the end of what was packed. */
bool mill__inflate_is_whole(const struct mill__inflate *inflater);
/* Of MILL_E_PROTOCOL: zlib's words. */
const char *mill__inflate_why(const struct mill__inflate *inflater);

#endif
