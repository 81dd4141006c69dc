/* The harness of the C tests; see support.h. */
#include "support.h"

#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "millstream/millstream.h"

/* ---- checks ---------------------------------------------------------------------------------- */

static char current_case[256];

void test_case(const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(current_case, sizeof(current_case), format, args);
  va_end(args);
}

/* The head of a failure's message. */
static void begin_failure(const char *what, const char *file, int line) {
  fprintf(stderr, "%s:%d: %s", file, line, what);
  if (current_case[0] != '\0')
    fprintf(stderr, " [%s]", current_case);
}

static _Noreturn void fail(const char *what, const char *file, int line) {
  begin_failure(what, file, line);
  fputc('\n', stderr);
  exit(1);
}

void test_check(bool condition, const char *what, const char *file, int line) {
  if (!condition)
    fail(what, file, line);
}

void test_check_int(long long value, long long expected, const char *what, const char *file,
                    int line) {
  if (value == expected)
    return;
  begin_failure(what, file, line);
  fprintf(stderr, ": %lld, expected %lld\n", value, expected);
  exit(1);
}

/* At most 400 bytes from `from` on: the difference is near. */
static void print_bytes(const char *label, const unsigned char *bytes, size_t len, size_t from) {
  fprintf(stderr, "  %s (%zu bytes, from %zu): ", label, len, from);
  for (size_t i = from; i < len && i < from + 400; i++) {
    if (bytes[i] >= 0x20 && bytes[i] < 0x7F)
      fputc(bytes[i], stderr);
    else
      fprintf(stderr, "\\x%02x", bytes[i]);
  }
  fputc('\n', stderr);
}

void test_check_bytes(const void *ptr, size_t len, const void *expected, size_t expected_len,
                      const char *what, const char *file, int line) {
  const unsigned char *a = ptr, *b = expected;
  size_t same = 0;
  while (same < len && same < expected_len && a[same] == b[same])
    same++;
  if (same == len && len == expected_len)
    return;
  begin_failure(what, file, line);
  fprintf(stderr, ": differs at byte %zu\n", same);
  size_t from = same > 100 ? same - 100 : 0;
  print_bytes("is      ", a, len, from);
  print_bytes("expected", b, expected_len, from);
  exit(1);
}

void test_check_str(const char *value, const char *expected, const char *what, const char *file,
                    int line) {
  if (value == NULL || expected == NULL) {
    test_check(value == expected, what, file, line);
    return;
  }
  test_check_bytes(value, strlen(value), expected, strlen(expected), what, file, line);
}

#ifdef TEST_COVERAGE
void __gcov_dump(void);
#endif

void test_exit_child(int status) {
#ifdef TEST_COVERAGE
  __gcov_dump();
#endif
  _exit(status);
}

/* ---- guarded memory -------------------------------------------------------------------------- */

static struct {
  char *start;
  size_t size; /* bytes before the guard page */
} guarded;

static void map_guarded(size_t len) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  if (guarded.start != NULL)
    munmap(guarded.start, guarded.size + page);
  guarded.size = (len / page + 1) * page;
  guarded.start =
      mmap(NULL, guarded.size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(guarded.start != MAP_FAILED);
  CHECK(mprotect(guarded.start + guarded.size, page, PROT_NONE) == 0);
}

const char *test_guarded(const char *bytes, size_t len) {
  if (guarded.start == NULL || len > guarded.size)
    map_guarded(len);
  char *copy = guarded.start + guarded.size - len;
  if (len > 0)
    memcpy(copy, bytes, len);
  return copy;
}

/* ---- ways to cut an input -------------------------------------------------------------------- */

#define ALL_SPLITS_BYTES 2048 /* longer inputs are split at a sample of places */
#define SAMPLED_SPLITS 64
#define PIECE_SIZES 31

struct test_feeding {
  const char *name;
  size_t (*n_runs)(size_t len);
  /* Length of the piece at `offset`; more than what is left means all of it. */
  size_t (*piece)(size_t run, size_t len, size_t offset);
};

static size_t one_run(size_t len) {
  (void)len;
  return 1;
}

static size_t all_of_it(size_t run, size_t len, size_t offset) {
  (void)run;
  return len - offset;
}

static size_t split_runs(size_t len) {
  if (len < 2)
    return 0;
  return len <= ALL_SPLITS_BYTES ? len - 1 : SAMPLED_SPLITS;
}

/* The sample holds the first and the last splits, and some spread evenly between them. */
static size_t split_piece(size_t run, size_t len, size_t offset) {
  if (offset > 0)
    return len - offset;
  if (len <= ALL_SPLITS_BYTES || run < SAMPLED_SPLITS / 4)
    return run + 1;
  if (run < SAMPLED_SPLITS / 2)
    return len - 1 - (run - SAMPLED_SPLITS / 4);
  return len / SAMPLED_SPLITS * run;
}

static size_t size_runs(size_t len) {
  return len < PIECE_SIZES ? len : PIECE_SIZES;
}

static size_t size_piece(size_t run, size_t len, size_t offset) {
  (void)len;
  (void)offset;
  return run + 1;
}

static const struct test_feeding feedings[] = {
    {"whole", one_run, all_of_it},
    {"split in two", split_runs, split_piece},
    {"pieces of one size", size_runs, size_piece}, /* run 0: byte by byte */
};

bool test_next_run(struct test_pieces *pieces) {
  const struct test_feeding *end = feedings + sizeof(feedings) / sizeof(feedings[0]);
  pieces->offset = 0;
  if (pieces->feeding == NULL) {
    pieces->feeding = feedings;
    pieces->run = 0;
  } else {
    pieces->run++;
  }
  while (pieces->feeding < end && pieces->run >= pieces->feeding->n_runs(pieces->len)) {
    pieces->feeding++;
    pieces->run = 0;
  }
  return pieces->feeding < end;
}

const char *test_next_piece(struct test_pieces *pieces, size_t *ret_len) {
  size_t left = pieces->len - pieces->offset;
  if (left == 0)
    return NULL;
  size_t n = pieces->feeding->piece(pieces->run, pieces->len, pieces->offset);
  *ret_len = n < left ? n : left;
  const char *piece = test_guarded(pieces->bytes + pieces->offset, *ret_len);
  pieces->offset += *ret_len;
  return piece;
}

const char *test_run_name(const struct test_pieces *pieces) {
  static char name[64];
  snprintf(name, sizeof(name), "%s, run %zu", pieces->feeding->name, pieces->run);
  return name;
}

/* ---- faults ---------------------------------------------------------------------------------- */

void test_fault_set(struct test_fault *fault, size_t n, bool for_ever) {
  atomic_store(&fault->struck, false);
  atomic_store(&fault->for_ever, for_ever);
  atomic_store(&fault->countdown, n);
}

/* Counts down to the fault; at 1 it is this one. */
bool test_fault_strikes(struct test_fault *fault) {
  size_t left = atomic_load(&fault->countdown);
  while (left > 0) {
    size_t next = left > 1 ? left - 1 : atomic_load(&fault->for_ever) ? 1 : 0;
    if (!atomic_compare_exchange_weak(&fault->countdown, &left, next))
      continue;
    if (left > 1)
      return false;
    atomic_store(&fault->struck, true);
    return true;
  }
  return false;
}

/* ---- allocations ----------------------------------------------------------------------------- */

#define BLOCK_MAGIC UINT64_C(0x6D696C6C626C6B21)

/* Stands before every block: a free of what is not ours, or a second one, is seen. */
struct block {
  uint64_t magic;
  size_t size;
};

static atomic_size_t alloc_live;
static struct test_fault alloc_fault;

void *test_alloc_spared(size_t size) {
  struct block *block = malloc(sizeof(*block) + size);
  if (block == NULL)
    return NULL;
  *block = (struct block){BLOCK_MAGIC, size};
  atomic_fetch_add(&alloc_live, 1);
  return block + 1;
}

static void *counting_malloc(size_t size) {
  CHECK(size > 0); /* some allocators answer 0 with NULL */
  return test_fault_strikes(&alloc_fault) ? NULL : test_alloc_spared(size);
}

static struct block *block_of(void *memory) {
  struct block *block = (struct block *)memory - 1;
  CHECK(block->magic == BLOCK_MAGIC);
  return block;
}

static void counting_free(void *memory) {
  if (memory == NULL)
    return;
  struct block *block = block_of(memory);
  block->magic = 0;
  atomic_fetch_sub(&alloc_live, 1);
  free(block);
}

static void *counting_realloc(void *memory, size_t size) {
  void *moved = counting_malloc(size);
  if (moved == NULL || memory == NULL)
    return moved;
  size_t old_size = block_of(memory)->size;
  memcpy(moved, memory, old_size < size ? old_size : size);
  counting_free(memory);
  return moved;
}

void test_alloc_install(void) {
  static const mill_allocator counting = {counting_malloc, counting_realloc, counting_free};
  mill_set_allocator(&counting);
}

void test_alloc_fail(size_t n, bool for_ever) {
  test_fault_set(&alloc_fault, n, for_ever);
}

bool test_alloc_failed(void) {
  return atomic_load(&alloc_fault.struck);
}

size_t test_alloc_live(void) {
  return atomic_load(&alloc_live);
}

void test_each_failing_allocation(void (*run)(void *ctx), void *ctx) {
  size_t live = test_alloc_live();
  for (int for_ever = 0; for_ever <= 1; for_ever++) {
    bool failed = true;
    for (size_t n = 1; failed; n++) {
      test_case("allocation %zu fails %s", n, for_ever ? "for ever" : "once");
      test_alloc_fail(n, for_ever);
      run(ctx);
      failed = test_alloc_failed();
      test_alloc_fail(0, false);
      CHECK_INT(test_alloc_live(), live);
      CHECK(failed || n > 1); /* a run that allocates nothing shows nothing */
    }
  }
  test_case("%s", "");
}

/* ---- files ----------------------------------------------------------------------------------- */

char *test_read_file(const char *path, size_t *ret_len) {
  test_case("%s", path);
  FILE *file = fopen(path, "rb");
  CHECK(file != NULL);
  CHECK(fseek(file, 0, SEEK_END) == 0);
  long size = ftell(file);
  CHECK(size >= 0);
  rewind(file);
  char *bytes = malloc((size_t)size + 1);
  CHECK(bytes != NULL);
  CHECK(fread(bytes, 1, (size_t)size, file) == (size_t)size);
  fclose(file);
  bytes[size] = '\0';
  *ret_len = (size_t)size;
  test_case("%s", "");
  return bytes;
}

const char *test_shared(const char *name) {
  static char path[PATH_MAX];
  const char *folder = getenv("MILL_SHARED");
  if (folder == NULL)
    return NULL;
  snprintf(path, sizeof(path), "%s/%s", folder, name);
  return access(path, R_OK) == 0 ? path : NULL;
}

int test_skipped(const char *name) {
  printf("skipped: %s is not there (MILL_SHARED)\n", name);
  return TEST_SKIPPED;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

struct reader {
  const char *p, *end;
};

static char peek(struct reader *reader) {
  while (reader->p < reader->end && strchr(" \t\r\n", *reader->p) != NULL && *reader->p != '\0')
    reader->p++;
  return reader->p < reader->end ? *reader->p : '\0';
}

static bool accept(struct reader *reader, char c) {
  bool there = peek(reader) == c;
  reader->p += there;
  return there;
}

static void expect(struct reader *reader, char c) {
  if (!accept(reader, c))
    fail("not well-formed JSON", __FILE__, __LINE__);
}

static unsigned hex4(struct reader *reader) {
  unsigned value = 0;
  for (int i = 0; i < 4; i++) {
    CHECK(reader->p < reader->end);
    char digit[] = {*reader->p++, '\0'};
    char *rest;
    value = value << 4 | (unsigned)strtoul(digit, &rest, 16);
    CHECK(*rest == '\0');
  }
  return value;
}

static size_t encode_utf8(unsigned point, char *out) {
  static const unsigned char leads[] = {0, 0, 0xC0, 0xE0, 0xF0};
  size_t len = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
  for (size_t i = len; i-- > 1; point >>= 6)
    out[i] = (char)(0x80 | (point & 0x3F));
  out[0] = (char)(leads[len] | point);
  return len;
}

static bool at_low_surrogate(const struct reader *reader) {
  return reader->end - reader->p >= 6 && reader->p[0] == '\\' && reader->p[1] == 'u' &&
         (reader->p[2] | 0x20) == 'd' && strchr("cdefCDEF", reader->p[3]) != NULL;
}

/* Behind a backslash. A lone surrogate keeps its three-byte form. */
static size_t read_escape(struct reader *reader, char *out) {
  static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
  CHECK(reader->p < reader->end);
  char c = *reader->p++;
  if (c != 'u') {
    const char *known = strchr(from, c);
    CHECK(c != '\0' && known != NULL);
    *out = to[known - from];
    return 1;
  }
  unsigned point = hex4(reader);
  if (point >= 0xD800 && point <= 0xDBFF && at_low_surrogate(reader)) {
    reader->p += 2;
    point = 0x10000 + ((point - 0xD800) << 10) + (hex4(reader) - 0xDC00);
  }
  return encode_utf8(point, out);
}

static char *read_string(struct reader *reader, size_t *ret_len) {
  expect(reader, '"');
  char *text =
      malloc((size_t)(reader->end - reader->p) + 1); /* no escape is shorter than what it is for */
  CHECK(text != NULL);
  size_t len = 0;
  for (;;) {
    CHECK(reader->p < reader->end);
    char c = *reader->p++;
    if (c == '"')
      break;
    if (c == '\\')
      len += read_escape(reader, text + len);
    else
      text[len++] = c;
  }
  text[len] = '\0';
  *ret_len = len;
  char *fitted = realloc(text, len + 1);
  return fitted != NULL ? fitted : text;
}

static struct json *read_value(struct reader *reader);

static struct json *read_members(struct reader *reader, struct json *json, char close) {
  struct json **tail = &json->child;
  if (accept(reader, close))
    return json;
  do {
    char *key = NULL;
    size_t key_len;
    if (close == '}') {
      key = read_string(reader, &key_len);
      expect(reader, ':');
    }
    *tail = read_value(reader);
    (*tail)->key = key;
    tail = &(*tail)->next;
  } while (accept(reader, ','));
  expect(reader, close);
  return json;
}

static void read_number(struct reader *reader, struct json *json) {
  char *rest;
  json->number = strtod(reader->p, &rest); /* the input ends in NUL */
  CHECK(rest > reader->p && rest <= reader->end);
  reader->p = rest;
}

static void read_word(struct reader *reader, const char *word) {
  while (*word != '\0')
    expect(reader, *word++);
}

static struct json *read_value(struct reader *reader) {
  struct json *json = calloc(1, sizeof(*json));
  CHECK(json != NULL);
  switch (peek(reader)) {
  case '{':
    reader->p++;
    json->type = JSON_OBJECT;
    return read_members(reader, json, '}');
  case '[':
    reader->p++;
    json->type = JSON_ARRAY;
    return read_members(reader, json, ']');
  case '"':
    json->type = JSON_STRING;
    json->text = read_string(reader, &json->len);
    return json;
  case 't':
    json->type = JSON_TRUE;
    read_word(reader, "true");
    return json;
  case 'f':
    json->type = JSON_FALSE;
    read_word(reader, "false");
    return json;
  case 'n':
    json->type = JSON_NULL;
    read_word(reader, "null");
    return json;
  default:
    json->type = JSON_NUMBER;
    read_number(reader, json);
    return json;
  }
}

struct json *json_read(const char *path) {
  size_t len;
  char *bytes = test_read_file(path, &len);
  struct reader reader = {bytes, bytes + len};
  struct json *json = read_value(&reader);
  peek(&reader);
  CHECK(reader.p == reader.end);
  free(bytes);
  return json;
}

void json_free(struct json *json) {
  while (json != NULL) {
    struct json *next = json->next;
    json_free(json->child);
    free(json->key);
    free(json->text);
    free(json);
    json = next;
  }
}

const struct json *json_get(const struct json *object, const char *key) {
  CHECK(object->type == JSON_OBJECT);
  for (const struct json *member = object->child; member != NULL; member = member->next) {
    if (strcmp(member->key, key) == 0)
      return member->type != JSON_NULL ? member : NULL;
  }
  return NULL;
}

const struct json *json_need(const struct json *object, const char *key, enum json_type type) {
  const struct json *member = json_get(object, key);
  CHECK(member != NULL && member->type == type);
  return member;
}

/* ---- random numbers -------------------------------------------------------------------------- */

uint64_t test_random(uint64_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state;
}
