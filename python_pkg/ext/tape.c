/*
 * Changes of a growing JSON value, kept until Python objects may be made of them.
 *
 * Owns: copies of the changes and of their bytes. Thread: one at a time, with the GIL or without
 * it: all memory is of the raw allocator. Blocks: never. Limits: those of the text it is made of.
 */
#include "core.h"

#include <string.h>

#define FIRST_ENTRIES 256
#define FIRST_BYTES 4096

/* The slices' pointers say where in the tape's bytes they begin, for those may move. */
struct tape_entry {
  mill_partial_change change;
  size_t text_at, key_at;
};

static int reserve(void **ptr, size_t *capacity, size_t wanted, size_t unit, size_t first) {
  if (wanted <= *capacity)
    return 0;
  size_t larger = 2 * wanted < first ? first : 2 * wanted;
  void *moved = PyMem_RawRealloc(*ptr, larger * unit);
  if (!moved)
    return -1;
  *ptr = moved;
  *capacity = larger;
  return 0;
}

static size_t keep_bytes(struct tape *tape, mill_slice bytes) {
  size_t at = tape->len;
  if (bytes.len)
    memcpy(tape->bytes + at, bytes.ptr, bytes.len);
  tape->len += bytes.len;
  return at;
}

int tape_record(struct tape *tape, const mill_partial_change *change) {
  size_t room = tape->len + change->text.len + change->key.len + 1; /* never none */
  void *entries = tape->entries, *bytes = tape->bytes;
  int result =
      reserve(&entries, &tape->capacity, tape->count + 1, sizeof *tape->entries, FIRST_ENTRIES);
  tape->entries = entries;
  if (!result)
    result = reserve(&bytes, &tape->room, room, 1, FIRST_BYTES);
  tape->bytes = bytes;
  if (result)
    return MILL_E_NOMEM;
  struct tape_entry *entry = &tape->entries[tape->count++];
  entry->change = *change;
  entry->text_at = keep_bytes(tape, change->text);
  entry->key_at = keep_bytes(tape, change->key);
  return MILL_OK;
}

int tape_play(struct tape *tape, mill_partial_fn *fn, void *ctx) {
  int result = MILL_OK;
  for (size_t i = 0; i < tape->count && result == MILL_OK; i++) {
    struct tape_entry *entry = &tape->entries[i];
    entry->change.text.ptr = tape->bytes + entry->text_at;
    if (entry->change.key.ptr)
      entry->change.key.ptr = tape->bytes + entry->key_at;
    result = fn(ctx, &entry->change);
  }
  tape->count = tape->len = 0;
  return result;
}

void tape_free(struct tape *tape) {
  PyMem_RawFree(tape->entries);
  PyMem_RawFree(tape->bytes);
}
