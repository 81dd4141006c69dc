/*
 * What the core allocates for a chunk once a stream is under way.
 *
 *     steady URL
 *
 * Reads the chat stream at URL, and counts from its 1000th chunk on to its last one: the calls of
 * the core's allocator hook, and of malloc and its kin by the whole process, libcurl and yajl
 * included. Prints one line of JSON.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "millstream/millstream.h"

#define WARM_CHUNKS 1000

static atomic_uint_fast64_t core_calls, all_calls;

/* ---- the C library's functions, counted ------------------------------------------------------ */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);

void *malloc(size_t size) {
  atomic_fetch_add_explicit(&all_calls, 1, memory_order_relaxed);
  return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  atomic_fetch_add_explicit(&all_calls, 1, memory_order_relaxed);
  return __libc_calloc(count, size);
}

void *realloc(void *block, size_t size) {
  atomic_fetch_add_explicit(&all_calls, 1, memory_order_relaxed);
  return __libc_realloc(block, size);
}

/* ---- the core's hook ------------------------------------------------------------------------- */

static void *core_malloc(size_t size) {
  atomic_fetch_add_explicit(&core_calls, 1, memory_order_relaxed);
  return malloc(size);
}

static void *core_realloc(void *block, size_t size) {
  atomic_fetch_add_explicit(&core_calls, 1, memory_order_relaxed);
  return realloc(block, size);
}

/* ---- the stream ------------------------------------------------------------------------------ */

struct counts {
  uint64_t chunks, core, all;
};

static struct counts counts_at(uint64_t chunks) {
  return (struct counts){chunks, atomic_load(&core_calls), atomic_load(&all_calls)};
}

static void fail(const char *what, int code) {
  fprintf(stderr, "steady: %s: %s\n", what, mill_error_text(code));
  exit(1);
}

/* The next chunk, however long it takes: MILL_OK or MILL_END. */
static int next(mill_stream *stream, mill_chunk *ret_chunk) {
  int result;
  while ((result = mill_stream_next(stream, ret_chunk)) == MILL_AGAIN)
    mill_stream_wait(stream, -1);
  if (result < 0)
    fail("the stream failed", result);
  return result;
}

/* Reads the stream; what was counted when it was warm, and at its last text. */
static void read_stream(mill_stream *stream, struct counts *ret_warm, struct counts *ret_last) {
  mill_chunk chunk;
  uint64_t chunks = 0;
  while (next(stream, &chunk) != MILL_END) {
    if (chunk.type != MILL_CHUNK_TEXT)
      continue;
    *ret_last = counts_at(++chunks);
    if (chunks == WARM_CHUNKS)
      *ret_warm = *ret_last;
  }
  if (chunks <= WARM_CHUNKS)
    fail("the stream is too short", MILL_END);
}

int main(int argc, char **argv) {
  const mill_allocator allocator = {core_malloc, core_realloc, free};
  mill_engine *engine;
  mill_stream *stream;
  struct counts warm = {0}, last = {0};
  if (argc != 2)
    return 2;
  mill_set_allocator(&allocator);
  int result = mill_engine_new(&engine);
  if (result)
    fail("no engine", result);
  mill_request request;
  mill_request_init(&request);
  request.url = argv[1];
  request.body = "{}";
  request.body_len = strlen(request.body);
  result = mill_stream_start(engine, &request, &stream, NULL);
  if (result)
    fail("no stream", result);
  read_stream(stream, &warm, &last);
  mill_stream_free(stream);
  mill_engine_free(engine);
  double chunks = (double)(last.chunks - warm.chunks);
  printf("{\"mallocs_a_chunk\": %.6f, \"mallocs_a_chunk_of_all\": %.6f}\n",
         (double)(last.core - warm.core) / chunks, (double)(last.all - warm.all) / chunks);
  return 0;
}
