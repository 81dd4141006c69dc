/*
 * What the fuzz targets share: an input is told twice, whole and cut into pieces, and both runs must
 * tell the same, within the memory that the target allows. What must hold and does not, aborts.
 *
 * An input begins with four settings: the limit, the seed of the cuts (two bytes), and bits, of
 * which 1 makes the reader pause; the others are the target's.
 */
#ifndef MILL_FUZZ_SUPPORT_H
#define MILL_FUZZ_SUPPORT_H

#include "millstream/millstream.h"

#define FUZZ_SETTINGS_BYTES 4
#define FUZZ_BIT_PAUSE 1u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

void require(bool condition);

struct fuzz_input {
  size_t limit; /* small, or 1 MiB: beyond all that a fuzzer makes */
  unsigned seed;
  unsigned bits;
  const char *bytes;
  size_t len;
};

/* False where there are not even settings. */
bool fuzz_read_input(const uint8_t *data, size_t size, struct fuzz_input *ret_input);

/* What the core has allocated and not freed. */
size_t fuzz_memory(void);

struct fuzz_bytes {
  char *ptr;
  size_t len, capacity;
};

/* Not from the core's allocator, whose use is measured. */
void fuzz_append(struct fuzz_bytes *bytes, const void *more, size_t len);

/* One of the two runs, and what it has told. */
struct fuzz_run {
  struct fuzz_bytes log;
  struct fuzz_bytes data; /* of fuzz_tell_data, not in the log yet */
  unsigned cuts;          /* 0: whole */
  bool pauses;
  size_t memory_bytes; /* that the core may hold at once: set by the target, first of all */
};

/* A record: a letter, the length, the bytes. */
void fuzz_tell(struct fuzz_run *run, char letter, const void *bytes, size_t len);
void fuzz_tell_slice(struct fuzz_run *run, char letter, mill_slice slice);
void fuzz_tell_text(struct fuzz_run *run, char letter, mill_slice text); /* must be UTF-8 */
void fuzz_tell_number(struct fuzz_run *run, char letter, int64_t number);
/* A callback: pieces with no record between them are one. */
int fuzz_tell_data(void *run, const char *bytes, size_t len);
/* What a callback at the end of an event returns. */
int fuzz_verdict(const struct fuzz_run *run);

/* The length of the next piece, at most `left`, which is not 0. */
size_t fuzz_next_cut(struct fuzz_run *run, size_t left);

typedef int fuzz_feed(void *parser, const char *bytes, size_t len, size_t *ret_consumed);

/*
 * Feed a piece, again and again while the reader pauses. It is in memory of its own, so that a
 * sanitizer sees a byte too far.
 */
int fuzz_feed_piece(struct fuzz_run *run, fuzz_feed *feed, void *parser, const char *bytes,
                    size_t len);
/* Feed in pieces as the run wants it, until all is fed or feed() fails. Tells what it returned. */
int fuzz_feed_all(struct fuzz_run *run, fuzz_feed *feed, void *parser, const char *bytes,
                  size_t len);

typedef void fuzz_target(struct fuzz_run *run, const struct fuzz_input *input);

/* Both runs of the input. Returns 0, as LLVMFuzzerTestOneInput must. */
int fuzz_whole_and_cut(fuzz_target *target, const uint8_t *data, size_t size);

#endif
