/*
 * A growing byte buffer with a mandatory cap.
 * Owns: its bytes. Thread: the owner's. Limits: `cap` bytes, given at init. Errors: MILL_E_NOMEM,
 * MILL_E_LIMIT; a failed call leaves the buffer as it was.
 */
#ifndef MILL_BASE_BUF_H
#define MILL_BASE_BUF_H

#include "millstream/millstream.h"

struct mill__buf {
  char *ptr;
  size_t len;      /* bytes used */
  size_t capacity; /* bytes allocated */
  size_t cap;      /* `len` never gets above this */
};

void mill__buf_init(struct mill__buf *buf, size_t cap); /* allocates nothing */
void mill__buf_fini(struct mill__buf *buf);
void mill__buf_clear(struct mill__buf *buf);                  /* empty; keeps the memory */
void mill__buf_give_back(struct mill__buf *buf, size_t keep); /* free what is above `keep` */
/* Empty; frees what is above `keep`. Inline: it is called for every event, for nothing as a rule. */
static inline void mill__buf_shrink(struct mill__buf *buf, size_t keep) {
  buf->len = 0;
  if (buf->capacity > keep)
    mill__buf_give_back(buf, keep);
}
int mill__buf_reserve(struct mill__buf *buf, size_t extra); /* room for `extra` more bytes */
int mill__buf_append(struct mill__buf *buf, const void *bytes, size_t len);
int mill__buf_append_byte(struct mill__buf *buf, char byte);
mill_slice mill__buf_slice(const struct mill__buf *buf);

#endif
