/* The allocator hook: the C library's functions until mill_set_allocator names others. */
#include "base/alloc.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "millstream/millstream.h"

static const mill_allocator c_library = {malloc, realloc, free};
static mill_allocator current = {malloc, realloc, free};

void mill_set_allocator(const mill_allocator *allocator) {
  current = allocator != NULL ? *allocator : c_library;
}

static atomic_long held; /* blocks */

long mill_memory_blocks(void) {
  return atomic_load_explicit(&held, memory_order_relaxed);
}

static void *count(void *block) {
  if (block != NULL)
    atomic_fetch_add_explicit(&held, 1, memory_order_relaxed);
  return block;
}

/* Never ask for 0 bytes: some allocators answer NULL, which means "out of memory" here. */
static size_t at_least_one(size_t size) {
  return size > 0 ? size : 1;
}

void *mill__malloc(size_t size) {
  return count(current.malloc(at_least_one(size)));
}

void *mill__calloc(size_t count, size_t size) {
  if (size > 0 && count > SIZE_MAX / size)
    return NULL;
  void *block = mill__malloc(count * size);
  if (block != NULL)
    memset(block, 0, count * size);
  return block;
}

void *mill__realloc(void *block, size_t size) {
  void *moved = current.realloc(block, at_least_one(size));
  return block != NULL ? moved : count(moved);
}

void mill__free(void *block) {
  if (block == NULL)
    return;
  atomic_fetch_sub_explicit(&held, 1, memory_order_relaxed);
  current.free(block);
}

void mill__free_secret(void *block, size_t size) {
  if (block != NULL)
    explicit_bzero(block, size);
  mill__free(block);
}

char *mill__strndup(const char *text, size_t len) {
  if (len == SIZE_MAX)
    return NULL;
  char *copy = mill__malloc(len + 1);
  if (copy == NULL)
    return NULL;
  if (len > 0)
    memcpy(copy, text, len);
  copy[len] = '\0';
  return copy;
}

char *mill__strdup(const char *text) {
  return text != NULL ? mill__strndup(text, strlen(text)) : NULL;
}
