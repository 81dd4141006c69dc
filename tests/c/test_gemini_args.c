/* Arguments at JSON paths: the text of one object that only grows, whatever paths come. */
#include <stdio.h>
#include <string.h>

#include "provider/gemini_args.h"
#include "support.h"

/* A value at a path: a piece of a string, or JSON as it is. NULL: no more. */
struct value {
  const char *path, *string, *literal;
};

#define STRING(path, text)                                                                         \
  { path, text, NULL }
#define LITERAL(path, text)                                                                        \
  { path, NULL, text }

static const struct {
  const char *name;
  struct value values[6];
  const char *text;
} cases[] = {
    {"nothing", {{NULL, NULL, NULL}}, "{}"},
    {"members",
     {STRING("$.a", "x"), LITERAL("$.b", "1"), STRING("$.c", "")},
     "{\"a\":\"x\",\"b\":1,\"c\":\"\"}"},
    {"a string in pieces",
     {STRING("$.a", "x"), STRING("$.a", "\"\\\n"), LITERAL("$.b", "2")},
     "{\"a\":\"x\\\"\\\\\\u000a\",\"b\":2}"},
    {"a string behind another value at its place",
     {LITERAL("$.a", "1"), LITERAL("$.a", "2")},
     "{\"a\":1}"},
    {"down, up and down again",
     {LITERAL("$.a.b[0].c", "1"), LITERAL("$.a.b[0].d", "2"), LITERAL("$.a.b[1]", "3"),
      LITERAL("$.e[0][0]", "4"), LITERAL("$.e[0][1]", "5")},
     "{\"a\":{\"b\":[{\"c\":1,\"d\":2},3]},\"e\":[[4,5]]}"},
    {"names in brackets",
     {LITERAL("$['a b']", "1"), LITERAL("$[\"c.d\"]['e']", "2"), LITERAL("$['f\\'g\\\\']", "3"),
      LITERAL("$['']", "4")},
     "{\"a b\":1,\"c.d\":{\"e\":2},\"f'g\\\\\":3,\"\":4}"},
    {"names that need an escape",
     {LITERAL("$['a\"b']", "1"), LITERAL("$['c\td']", "2")},
     "{\"a\\\"b\":1,\"c\\u0009d\":2}"},
    {"paths of other lengths are other paths",
     {LITERAL("$.ab", "1"), LITERAL("$.a", "2"), LITERAL("$.b", "3")},
     "{\"ab\":1,\"a\":2,\"b\":3}"},
    {"no paths",
     {LITERAL("", "1"), LITERAL("$", "1"), LITERAL("a.b", "1"), LITERAL("$a", "1"),
      LITERAL("$.", "1")},
     "{}"},
    {"half paths",
     {LITERAL("$['a", "1"), LITERAL("$['a'", "1"), LITERAL("$[", "1"), LITERAL("$.a[0", "1"),
      LITERAL("$.a.", "1"), LITERAL("$['a\\", "1")},
     "{}"},
    {"an element where there is no array", {LITERAL("$[0]", "1"), STRING("$[0]", "x")}, "{}"},
    {"an element of what was an object",
     {LITERAL("$.a.b", "1"), LITERAL("$.a[0]", "2"), STRING("$.a[1]", "x"), LITERAL("$.c", "3")},
     "{\"a\":{\"b\":1},\"c\":3}"},
};

static mill_slice slice(const char *text) {
  return (mill_slice){text, strlen(text)};
}

static int put(struct mill__gemini_args *args, const struct value *value, struct mill__buf *out) {
  mill_slice path = slice(value->path);
  if (value->literal)
    return mill__gemini_args_literal(args, path, slice(value->literal), out);
  return mill__gemini_args_string(args, path, slice(value->string), out);
}

static int write_case(size_t i, struct mill__buf *out) {
  struct mill__gemini_args args = {.path_len = 0};
  int error = MILL_OK;
  for (size_t n = 0; n < 6 && cases[i].values[n].path && !error; n++)
    error = put(&args, &cases[i].values[n], out);
  return error ? error : mill__gemini_args_end(&args, out);
}

static void test_cases(void) {
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct mill__buf out;
    test_case("%s", cases[i].name);
    mill__buf_init(&out, 4096);
    CHECK_INT(write_case(i, &out), MILL_OK);
    CHECK_BYTES(out.ptr, out.len, cases[i].text, strlen(cases[i].text));
    mill__buf_fini(&out);
  }
}

/* A text that has no room is an error at every byte of it. */
static void test_limits(void) {
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    size_t len = strlen(cases[i].text);
    for (size_t cap = 0; cap < len; cap++) {
      struct mill__buf out;
      test_case("%s, %zu bytes", cases[i].name, cap);
      mill__buf_init(&out, cap);
      CHECK_INT(write_case(i, &out), MILL_E_LIMIT);
      CHECK(out.len <= cap && memcmp(out.ptr ? out.ptr : "", cases[i].text, out.len) == 0);
      mill__buf_fini(&out);
    }
  }
}

static void test_long_path(void) {
  struct mill__gemini_args args = {.path_len = 0};
  struct mill__buf out;
  char path[MILL__GEMINI_PATH_BYTES + 2] = "$.";
  mill__buf_init(&out, 4096);
  memset(path + 2, 'p', sizeof path - 3);
  path[sizeof path - 1] = '\0';
  CHECK_INT(mill__gemini_args_literal(&args, slice(path), slice("1"), &out), MILL_OK);
  CHECK_INT(out.len, 0); /* left out */
  path[MILL__GEMINI_PATH_BYTES] = '\0';
  CHECK_INT(mill__gemini_args_literal(&args, slice(path), slice("1"), &out), MILL_OK);
  CHECK_INT(out.len, strlen("{\"\":1") + MILL__GEMINI_PATH_BYTES - 2);
  mill__buf_fini(&out);
}

int main(void) {
  test_cases();
  test_limits();
  test_long_path();
  return 0;
}
