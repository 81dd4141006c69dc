/* Two runs of an input and their logs; see support.h. */
#include "support.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

#define WIDE_LIMIT ((size_t)1 << 20)
#define ROUNDING_BYTES 256 /* blocks are larger than they were asked for */

void require(bool condition) {
  if (!condition)
    abort();
}

/* ---- what the core has allocated ------------------------------------------------------------- */

static atomic_size_t live_bytes, peak_bytes;

static void add_live(size_t size) {
  size_t live = atomic_fetch_add(&live_bytes, size) + size;
  size_t peak = atomic_load(&peak_bytes);
  while (live > peak && !atomic_compare_exchange_weak(&peak_bytes, &peak, live)) {
  }
}

static void *counted_malloc(size_t size) {
  void *block = malloc(size);
  add_live(malloc_usable_size(block));
  return block;
}

static void counted_free(void *block) {
  atomic_fetch_sub(&live_bytes, malloc_usable_size(block));
  free(block);
}

static void *counted_realloc(void *block, size_t size) {
  size_t before = malloc_usable_size(block);
  void *larger = realloc(block, size);
  require(larger != NULL);
  atomic_fetch_sub(&live_bytes, before);
  add_live(malloc_usable_size(larger));
  return larger;
}

size_t fuzz_memory(void) {
  return atomic_load(&live_bytes);
}

__attribute__((constructor)) static void count_allocations(void) {
  static const mill_allocator counted = {counted_malloc, counted_realloc, counted_free};
  mill_set_allocator(&counted);
}

/* ---- the log --------------------------------------------------------------------------------- */

void fuzz_append(struct fuzz_bytes *bytes, const void *more, size_t len) {
  if (len > bytes->capacity - bytes->len) {
    bytes->capacity = 2 * (bytes->len + len);
    bytes->ptr = realloc(bytes->ptr, bytes->capacity);
    require(bytes->ptr != NULL);
  }
  if (len > 0)
    memcpy(bytes->ptr + bytes->len, more, len);
  bytes->len += len;
}

static void add_record(struct fuzz_run *run, char letter, const void *bytes, size_t len) {
  fuzz_append(&run->log, &letter, sizeof letter);
  fuzz_append(&run->log, &len, sizeof len);
  fuzz_append(&run->log, bytes, len);
}

void fuzz_tell(struct fuzz_run *run, char letter, const void *bytes, size_t len) {
  if (run->data.len > 0)
    add_record(run, 'd', run->data.ptr, run->data.len);
  run->data.len = 0;
  add_record(run, letter, bytes, len);
}

void fuzz_tell_slice(struct fuzz_run *run, char letter, mill_slice slice) {
  fuzz_tell(run, letter, slice.ptr, slice.len);
}

void fuzz_tell_text(struct fuzz_run *run, char letter, mill_slice text) {
  require(mill__utf8_valid_prefix(text.ptr, text.len) == text.len);
  fuzz_tell_slice(run, letter, text);
}

void fuzz_tell_number(struct fuzz_run *run, char letter, int64_t number) {
  fuzz_tell(run, letter, &number, sizeof number);
}

int fuzz_tell_data(void *user, const char *bytes, size_t len) {
  struct fuzz_run *run = user;
  require(len > 0);
  fuzz_append(&run->data, bytes, len);
  return MILL_OK;
}

int fuzz_verdict(const struct fuzz_run *run) {
  return run->pauses ? MILL_AGAIN : MILL_OK;
}

/* ---- feeding --------------------------------------------------------------------------------- */

size_t fuzz_next_cut(struct fuzz_run *run, size_t left) {
  if (run->cuts == 0)
    return left;
  run->cuts = run->cuts * 1103515245u + 12345u;
  size_t wanted = 1 + (run->cuts >> 16) % 9 * ((run->cuts >> 24) % 5);
  return wanted < left ? wanted : left;
}

int fuzz_feed_piece(struct fuzz_run *run, fuzz_feed *feed, void *parser, const char *bytes,
                    size_t len) {
  char *piece = malloc(len);
  size_t at = 0, consumed;
  int rc;
  require(piece != NULL);
  memcpy(piece, bytes, len);
  do {
    rc = feed(parser, piece + at, len - at, &consumed);
    require(consumed <= len - at);
    at += consumed;
    require(rc != MILL_AGAIN || run->pauses);
  } while (rc == MILL_AGAIN);
  require(rc != MILL_OK || at == len);
  free(piece);
  return rc;
}

int fuzz_feed_all(struct fuzz_run *run, fuzz_feed *feed, void *parser, const char *bytes,
                  size_t len) {
  int rc = MILL_OK;
  for (size_t at = 0, n; at < len && rc == MILL_OK; at += n) {
    n = fuzz_next_cut(run, len - at);
    rc = fuzz_feed_piece(run, feed, parser, bytes + at, n);
  }
  fuzz_tell_number(run, 'R', rc);
  return rc;
}

/* ---- the two runs ---------------------------------------------------------------------------- */

bool fuzz_read_input(const uint8_t *data, size_t size, struct fuzz_input *ret_input) {
  if (size < FUZZ_SETTINGS_BYTES)
    return false;
  *ret_input = (struct fuzz_input){
      .limit = data[0] < 128 ? data[0] : WIDE_LIMIT,
      .seed = 1u | (unsigned)data[1] << 1 | (unsigned)data[2] << 9,
      .bits = data[3],
      .bytes = (const char *)data + FUZZ_SETTINGS_BYTES,
      .len = size - FUZZ_SETTINGS_BYTES,
  };
  return true;
}

static void run_measured(fuzz_target *target, struct fuzz_run *run,
                         const struct fuzz_input *input) {
  size_t before = atomic_load(&live_bytes);
  atomic_store(&peak_bytes, before);
  target(run, input);
  const size_t rounding = run->memory_bytes ? ROUNDING_BYTES : 0;
  require(atomic_load(&peak_bytes) - before <= run->memory_bytes + rounding);
}

int fuzz_whole_and_cut(fuzz_target *target, const uint8_t *data, size_t size) {
  struct fuzz_input input;
  if (!fuzz_read_input(data, size, &input))
    return 0;
  struct fuzz_run whole = {.cuts = 0};
  struct fuzz_run cut = {.cuts = input.seed, .pauses = (input.bits & FUZZ_BIT_PAUSE) != 0};
  run_measured(target, &whole, &input);
  run_measured(target, &cut, &input);
  require(whole.log.len == cut.log.len);
  require(whole.log.len == 0 || memcmp(whole.log.ptr, cut.log.ptr, whole.log.len) == 0);
  free(whole.log.ptr);
  free(whole.data.ptr);
  free(cut.log.ptr);
  free(cut.data.ptr);
  return 0;
}
