/* The allocator hook and the capped buffer: growth, cap, what a failed call leaves behind. */
#include <string.h>

#include "base/alloc.h"
#include "support.h"

static void check_holds(const struct mill__buf *buf, const char *expected) {
  mill_slice slice = mill__buf_slice(buf);
  CHECK_BYTES(slice.ptr, slice.len, expected, strlen(expected));
}

static void test_strings(void) {
  char *copy = mill__strndup("ab\0cd", 5);
  CHECK(copy != NULL);
  CHECK_BYTES(copy, 6, "ab\0cd", 6);
  mill__free(copy);
  copy = mill__strdup("text");
  CHECK_STR(copy, "text");
  mill__free(copy);
  CHECK(mill__strdup(NULL) == NULL);
  CHECK(mill__strndup("", SIZE_MAX) == NULL);
}

static void test_blocks(void) {
  unsigned char *block = mill__calloc(3, 5);
  CHECK(block != NULL);
  for (size_t i = 0; i < 15; i++)
    CHECK_INT(block[i], 0);
  mill__free(block);
  CHECK(mill__calloc(SIZE_MAX / 2, 3) == NULL);
  mill__free(NULL);
  void *empty = mill__malloc(0);
  CHECK(empty != NULL); /* NULL would mean "out of memory" */
  empty = mill__realloc(empty, 0);
  CHECK(empty != NULL);
  mill__free(empty);
}

/* Failed allocations count for nothing, and a block that moves is one. */
static void test_blocks_are_counted(void) {
  long before = mill_memory_blocks();
  char *block = mill__realloc(NULL, 1);
  char *copy = mill__strdup("text");
  CHECK_INT(mill_memory_blocks(), before + 2);
  block = mill__realloc(block, 100000);
  CHECK_INT(mill_memory_blocks(), before + 2);
  test_alloc_fail(1, false);
  CHECK(mill__malloc(1) == NULL);
  mill__free(NULL);
  CHECK_INT(mill_memory_blocks(), before + 2);
  mill__free(block);
  mill__free_secret(copy, 5);
  CHECK_INT(mill_memory_blocks(), before);
}

static void test_default_allocator(void) {
  size_t live = test_alloc_live();
  mill_set_allocator(NULL);
  char *copy = mill__strdup("not counted");
  CHECK_INT(test_alloc_live(), live);
  mill__free(copy);
  test_alloc_install();
}

static void test_appending(void) {
  struct mill__buf buf;
  mill__buf_init(&buf, 1000);
  CHECK(buf.ptr == NULL);
  check_holds(&buf, "");
  CHECK_INT(mill__buf_append(&buf, NULL, 0), MILL_OK);
  CHECK_INT(mill__buf_append(&buf, "ab", 2), MILL_OK);
  CHECK_INT(mill__buf_append_byte(&buf, 'c'), MILL_OK);
  check_holds(&buf, "abc");
  mill__buf_clear(&buf);
  check_holds(&buf, "");
  CHECK(buf.capacity > 0);
  mill__buf_fini(&buf);
  CHECK_INT(test_alloc_live(), 0);
}

static void test_cap(void) {
  struct mill__buf buf;
  for (size_t cap = 0; cap < 300; cap++) {
    mill__buf_init(&buf, cap);
    for (size_t i = 0; i < cap; i++)
      CHECK_INT(mill__buf_append_byte(&buf, (char)i), MILL_OK);
    CHECK_INT(mill__buf_append_byte(&buf, 'x'), MILL_E_LIMIT);
    CHECK_INT(buf.len, cap);
    CHECK(buf.capacity <= cap);
    for (size_t i = 0; i < cap; i++)
      CHECK_INT(buf.ptr[i], (char)i);
    mill__buf_fini(&buf);
  }
  mill__buf_init(&buf, SIZE_MAX);
  CHECK_INT(mill__buf_append(&buf, "x", 1), MILL_OK);
  CHECK_INT(mill__buf_reserve(&buf, SIZE_MAX), MILL_E_LIMIT);
  CHECK_INT(buf.len, 1);
  mill__buf_fini(&buf);
}

/* Appending a byte 100,000 times allocates some twenty times, not 100,000 times. */
static void test_growth_is_geometric(void) {
  struct mill__buf buf;
  mill__buf_init(&buf, 1 << 20);
  size_t moves = 0;
  for (size_t i = 0; i < 100000; i++) {
    const char *before = buf.ptr;
    CHECK_INT(mill__buf_append_byte(&buf, 'x'), MILL_OK);
    moves += buf.ptr != before;
  }
  CHECK(moves < 20);
  mill__buf_fini(&buf);
}

static void test_reserve(void) {
  struct mill__buf buf;
  mill__buf_init(&buf, 1000);
  CHECK_INT(mill__buf_reserve(&buf, 500), MILL_OK);
  const char *before = buf.ptr;
  for (size_t i = 0; i < 500; i++)
    CHECK_INT(mill__buf_append_byte(&buf, 'x'), MILL_OK);
  CHECK(buf.ptr == before);
  CHECK_INT(mill__buf_reserve(&buf, 501), MILL_E_LIMIT);
  mill__buf_fini(&buf);
}

static void test_shrink(void) {
  struct mill__buf buf;
  mill__buf_init(&buf, 10000);
  CHECK_INT(mill__buf_reserve(&buf, 5000), MILL_OK);
  mill__buf_shrink(&buf, 100);
  CHECK_INT(buf.capacity, 100);
  CHECK_INT(buf.len, 0);
  CHECK_INT(mill__buf_append(&buf, "ab", 2), MILL_OK);
  mill__buf_shrink(&buf, 100);
  CHECK_INT(buf.capacity, 100);
  check_holds(&buf, "");
  mill__buf_shrink(&buf, 0);
  CHECK(buf.ptr == NULL);
  CHECK_INT(buf.capacity, 0);
  CHECK_INT(test_alloc_live(), 0);
  CHECK_INT(mill__buf_append(&buf, "ab", 2), MILL_OK); /* still of use */
  mill__buf_fini(&buf);
}

static void test_out_of_memory(void) {
  struct mill__buf buf;
  mill__buf_init(&buf, 1000);
  CHECK_INT(mill__buf_append(&buf, "abc", 3), MILL_OK);
  test_alloc_fail(1, true);
  CHECK_INT(mill__buf_reserve(&buf, 500), MILL_E_NOMEM);
  CHECK(mill__strdup("x") == NULL);
  CHECK(mill__calloc(1, 1) == NULL);
  check_holds(&buf, "abc");
  test_alloc_fail(0, false);
  CHECK_INT(mill__buf_reserve(&buf, 900), MILL_OK);
  check_holds(&buf, "abc");
  test_alloc_fail(1, true);
  mill__buf_shrink(&buf, 100); /* cannot get a smaller block: keeps the larger */
  CHECK(buf.capacity >= 100);
  CHECK_INT(mill__buf_append(&buf, "abc", 3), MILL_OK);
  test_alloc_fail(0, false);
  mill__buf_fini(&buf);
}

int main(void) {
  test_alloc_install();
  test_strings();
  test_blocks();
  test_blocks_are_counted();
  test_default_allocator();
  test_appending();
  test_cap();
  test_growth_is_geometric();
  test_reserve();
  test_shrink();
  test_out_of_memory();
  CHECK_INT(test_alloc_live(), 0);
  return 0;
}
