/*
 * The one door to the heap: every allocation of the core goes through here, so that a test can
 * fail the Nth one and an embedder can bring its own allocator.
 * Thread: any. Errors: NULL when out of memory.
 */
#ifndef MILL_BASE_ALLOC_H
#define MILL_BASE_ALLOC_H

#include <stddef.h>

void *mill__malloc(size_t size);
void *mill__calloc(size_t count, size_t size); /* zeroed; checks the product */
void *mill__realloc(void *block, size_t size);
void mill__free(void *block);                      /* NULL is allowed */
void mill__free_secret(void *block, size_t size);  /* overwrites it first; NULL is allowed */
char *mill__strndup(const char *text, size_t len); /* adds the NUL */
char *mill__strdup(const char *text);              /* NULL gives NULL */

#endif
