/*
 * What the C tests share: checks, guarded memory, ways to cut an input, an allocator that fails on
 * purpose, and a small JSON reader.
 *
 * A test is a program: every check that fails prints where and what, and exits with 1.
 * Thread: the allocator may be used from any; all else belongs to the main thread.
 */
#ifndef MILL_TESTS_SUPPORT_H
#define MILL_TESTS_SUPPORT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define TEST_SKIPPED 77 /* the exit code for "skipped" */

/* ---- checks ---------------------------------------------------------------------------------- */

#define CHECK(condition) test_check((condition), #condition, __FILE__, __LINE__)
#define CHECK_INT(value, expected)                                                                 \
  test_check_int((long long)(value), (long long)(expected), #value, __FILE__, __LINE__)
/* Bytes, shown with escapes. */
#define CHECK_BYTES(ptr, len, expected, expected_len)                                              \
  test_check_bytes((ptr), (len), (expected), (expected_len), #ptr, __FILE__, __LINE__)
#define CHECK_STR(value, expected) test_check_str((value), (expected), #value, __FILE__, __LINE__)

void test_check(bool condition, const char *what, const char *file, int line);
void test_check_int(long long value, long long expected, const char *what, const char *file,
                    int line);
void test_check_bytes(const void *ptr, size_t len, const void *expected, size_t expected_len,
                      const char *what, const char *file, int line);
void test_check_str(const char *value, const char *expected, const char *what, const char *file,
                    int line);

/* Names the case that runs; printed with a check that fails. */
void test_case(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A literal with its length: two arguments; the NUL at its end is not in it. */
#define BYTES(literal) (literal), (sizeof(literal) - 1)

/* End the child of a fork; what a coverage build has counted in it is kept. */
_Noreturn void test_exit_child(int status);

/* ---- guarded memory -------------------------------------------------------------------------- */

/*
 * A copy of the bytes that ends exactly at a page that cannot be read: one byte too far crashes.
 * Valid until the next call.
 */
const char *test_guarded(const char *bytes, size_t len);

/* ---- ways to cut an input -------------------------------------------------------------------- */

/* One way, and one of its runs: {whole, every split in two, pieces of 1 to 31 bytes}. */
struct test_pieces {
  const struct test_feeding *feeding;
  size_t run;
  const char *bytes;
  size_t len, offset; /* offset: where the next piece begins */
};

/*
 * Go through all the runs of all the ways:
 *   struct test_pieces pieces = {.bytes = ..., .len = ...};
 *   while (test_next_run(&pieces))
 *     while ((piece = test_next_piece(&pieces, &piece_len)) != NULL)
 * Of inputs above some KiB only a sample of the splits in two is run.
 */
bool test_next_run(struct test_pieces *pieces);
/* The next piece, guarded; NULL at the end. */
const char *test_next_piece(struct test_pieces *pieces, size_t *ret_len);
/* "split in two, run 7": for test_case. Valid until the next call. */
const char *test_run_name(const struct test_pieces *pieces);

/* ---- faults ---------------------------------------------------------------------------------- */

/* Strikes at the `n`th call from now (1: the next), and at all after it if `for_ever`; 0: never. */
struct test_fault {
  atomic_size_t countdown;
  atomic_bool for_ever, struck;
};

void test_fault_set(struct test_fault *fault, size_t n, bool for_ever);
bool test_fault_strikes(struct test_fault *fault); /* counts a call */

/* ---- allocations ----------------------------------------------------------------------------- */

/* Count all of the core's allocations, from here on. A realloc always moves the block. */
void test_alloc_install(void);
/* As test_fault_set. */
void test_alloc_fail(size_t n, bool for_ever);
bool test_alloc_failed(void);         /* one failed since the last test_alloc_fail */
size_t test_alloc_live(void);         /* blocks that are not freed */
void *test_alloc_spared(size_t size); /* counted as live, and never fails by test_alloc_fail */
/*
 * Call `run` with its first allocation failing, its second, ..., once and for ever, until nothing
 * fails any more. Each call must free all that it allocated.
 */
void test_each_failing_allocation(void (*run)(void *ctx), void *ctx);

/* ---- files ----------------------------------------------------------------------------------- */

/* The whole file; free() it. A file that cannot be read ends the test. A NUL is put behind. */
char *test_read_file(const char *path, size_t *ret_len);
/* The path of a shared file, or NULL where that is missing. Valid until the next call. */
const char *test_shared(const char *name);
/* Say that `name` is missing; returns TEST_SKIPPED. */
int test_skipped(const char *name);

/* ---- JSON ------------------------------------------------------------------------------------ */

enum json_type {
  JSON_NULL,
  JSON_FALSE,
  JSON_TRUE,
  JSON_NUMBER,
  JSON_STRING,
  JSON_ARRAY,
  JSON_OBJECT
};

/* A value. Members and elements are a list: `child`, then each one's `next`. */
struct json {
  enum json_type type;
  char *key; /* of a member of an object; ends in NUL */
  double number;
  char *text; /* of a string: UTF-8, may hold NUL, and ends in one more */
  size_t len;
  struct json *child, *next;
};

/* Well-formed JSON only: anything else ends the test. */
struct json *json_read(const char *path);
void json_free(struct json *json);
/* A member; NULL where the object has none of this name, or it is null. */
const struct json *json_get(const struct json *object, const char *key);
/* A member that must be there and of this type. */
const struct json *json_need(const struct json *object, const char *key, enum json_type type);

/* ---- random numbers -------------------------------------------------------------------------- */

/* xorshift64: the same numbers in every run. */
uint64_t test_random(uint64_t *state);

#endif
