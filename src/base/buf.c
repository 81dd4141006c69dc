/* The capped buffer: capacity doubles, so that appending costs a constant time a byte. */
#include "base/buf.h"

#include <string.h>

#include "base/alloc.h"

#define FIRST_CAPACITY 64

void mill__buf_init(struct mill__buf *buf, size_t cap) {
  *buf = (struct mill__buf){.cap = cap};
}

void mill__buf_fini(struct mill__buf *buf) {
  mill__free(buf->ptr);
  mill__buf_init(buf, buf->cap);
}

void mill__buf_clear(struct mill__buf *buf) {
  buf->len = 0;
}

void mill__buf_give_back(struct mill__buf *buf, size_t keep) {
  if (keep == 0) {
    mill__buf_fini(buf);
    return;
  }
  char *smaller = mill__realloc(buf->ptr, keep);
  if (smaller == NULL)
    return; /* the larger block serves as well */
  buf->ptr = smaller;
  buf->capacity = keep;
}

/* The next capacity that holds `needed`, which is not above the cap. */
static size_t grown(const struct mill__buf *buf, size_t needed) {
  size_t capacity = buf->capacity < FIRST_CAPACITY ? FIRST_CAPACITY : buf->capacity;
  while (capacity < needed)
    capacity = capacity > buf->cap / 2 ? buf->cap : capacity * 2;
  return capacity > buf->cap ? buf->cap : capacity;
}

int mill__buf_reserve(struct mill__buf *buf, size_t extra) {
  if (extra > buf->cap - buf->len)
    return MILL_E_LIMIT;
  if (extra <= buf->capacity - buf->len)
    return MILL_OK;
  size_t capacity = grown(buf, buf->len + extra);
  char *larger = mill__realloc(buf->ptr, capacity);
  if (larger == NULL)
    return MILL_E_NOMEM;
  buf->ptr = larger;
  buf->capacity = capacity;
  return MILL_OK;
}

int mill__buf_append(struct mill__buf *buf, const void *bytes, size_t len) {
  if (len == 0)
    return MILL_OK;
  int rc = mill__buf_reserve(buf, len);
  if (rc != MILL_OK)
    return rc;
  memcpy(buf->ptr + buf->len, bytes, len);
  buf->len += len;
  return MILL_OK;
}

int mill__buf_append_byte(struct mill__buf *buf, char byte) {
  return mill__buf_append(buf, &byte, 1);
}

mill_slice mill__buf_slice(const struct mill__buf *buf) {
  return (mill_slice){buf->ptr != NULL ? buf->ptr : "", buf->len};
}
