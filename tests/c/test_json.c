/*
 * parse/json: what is reported for which document, in any split; limits, errors, memory, and the
 * JSONTestSuite where it is at hand.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "parse/json.h"
#include "support.h"

#define SCALARS (MILL__JSON_NULL | MILL__JSON_BOOL | MILL__JSON_NUMBER | MILL__JSON_STRING)

/* A field is the number of its row. */
static const struct mill__json_path paths[] = {
    {"a", 0, SCALARS},
    {"list[]", 1, SCALARS | MILL__JSON_BEGIN | MILL__JSON_END},
    {"list[].x", 2, SCALARS},
    {"grid[][]", 3, MILL__JSON_NUMBER},
    {"raw", 4, MILL__JSON_RAW},
    {"raw.in[]", 5, MILL__JSON_RAW | MILL__JSON_NUMBER},
    {"deep.er.est", 6, MILL__JSON_STRING},
    {"c[].t[].f.n", 7, MILL__JSON_STRING},
};
enum { N_PATHS = sizeof paths / sizeof *paths };

static const struct mill__json_path root_path[] = {
    {"", 0, SCALARS | MILL__JSON_BEGIN | MILL__JSON_END | MILL__JSON_RAW},
    {"[]", 1, SCALARS},
};

/* ---- the log of what is reported ------------------------------------------------------------ */

struct log {
  const struct mill__json_path *paths;
  char *text; /* room for all that a test reports */
  size_t len, size;
  int answer; /* what the callback returns */
};

static void put(struct log *log, const char *bytes, size_t len) {
  CHECK(log->len + len <= log->size);
  memcpy(log->text + log->len, bytes, len);
  log->len += len;
}

static void put_string(struct log *log, const char *text) {
  put(log, text, strlen(text));
}

/* The path with its indexes filled in. */
static void put_path(struct log *log, const struct mill__json_value *value) {
  unsigned level = 0;
  for (const char *at = log->paths[value->field].path; *at; at++) {
    put(log, at, 1);
    char number[16];
    if (*at == '[') {
      snprintf(number, sizeof number, "%u", value->index[level++]);
      put_string(log, number);
    }
  }
}

static int on_value(void *ctx, const struct mill__json_value *value) {
  struct log *log = ctx;
  put_path(log, value);
  switch (value->kind) {
  case MILL__JSON_NULL:
    put_string(log, "=null");
    break;
  case MILL__JSON_BOOL:
    put_string(log, value->boolean ? "=true" : "=false");
    break;
  case MILL__JSON_STRING:
    put_string(log, "=\"");
    put(log, value->text.ptr, value->text.len);
    put_string(log, "\"");
    break;
  case MILL__JSON_BEGIN:
    put_string(log, value->is_array ? " [" : " {");
    break;
  case MILL__JSON_END:
    put_string(log, value->is_array ? " ]" : " }");
    break;
  default:
    put_string(log, value->kind == MILL__JSON_RAW ? "~" : "=");
    put(log, value->text.ptr, value->text.len);
  }
  put_string(log, "\n");
  return log->answer;
}

struct parser {
  struct mill__json_table *table;
  struct mill__json *json;
  struct log log;
  char text[4096];
};

static void open_limited(struct parser *parser, const struct mill__json_path *rows, size_t n_rows,
                         unsigned depth, size_t bytes) {
  parser->log = (struct log){.paths = rows, .text = parser->text, .size = sizeof parser->text};
  CHECK_INT(mill__json_table_new(rows, n_rows, &parser->table), MILL_OK);
  CHECK_INT(mill__json_new(parser->table, depth, bytes, on_value, &parser->log, &parser->json),
            MILL_OK);
}

static void open_parser(struct parser *parser) {
  open_limited(parser, paths, N_PATHS, 64, SIZE_MAX);
}

static void close_parser(struct parser *parser) {
  mill__json_free(parser->json);
  mill__json_table_free(parser->table);
}

/* One document, as the run cuts it. */
static int parse_pieces(struct parser *parser, struct test_pieces *pieces) {
  parser->log.len = 0;
  mill__json_reset(parser->json);
  const char *piece;
  size_t len;
  int error = MILL_OK;
  while (!error && (piece = test_next_piece(pieces, &len)))
    error = mill__json_feed(parser->json, piece, len);
  return error ? error : mill__json_finish(parser->json);
}

static int parse(struct parser *parser, const char *bytes, size_t len) {
  parser->log.len = 0;
  mill__json_reset(parser->json);
  int error = mill__json_feed(parser->json, test_guarded(bytes, len), len);
  return error ? error : mill__json_finish(parser->json);
}

/* ---- documents and what they give ----------------------------------------------------------- */

#define HIGH "\xED\xA0\xBD" /* the three-byte form of U+D83D */
#define LOW "\xED\xB8\x80"  /* ... of U+DE00 */
#define FACE "\xF0\x9F\x98\x80"
#define BAD "\xEF\xBF\xBD"

static const struct {
  const char *name;
  const char *json;
  size_t json_len;
  const char *log;
  size_t log_len;
} documents[] = {
    {"scalars", BYTES("{\"a\":1,\"a\":-2.5e3,\"a\":true,\"a\":false,\"a\":null,\"a\":\"s\"}"),
     BYTES("a=1\na=-2.5e3\na=true\na=false\na=null\na=\"s\"\n")},
    {"indexes", BYTES("{\"list\":[1,{\"x\":2},[],{\"y\":{\"x\":9},\"x\":3},\"four\"]}"),
     BYTES("list[0]=1\nlist[1] {\nlist[1].x=2\nlist[1] }\nlist[2] [\nlist[2] ]\nlist[3] {\n"
           "list[3].x=3\nlist[3] }\nlist[4]=\"four\"\n")},
    {"two levels of indexes", BYTES("{\"grid\":[[1,2],[],[3],4,{\"grid\":[[5]]},[[6],7]]}"),
     BYTES("grid[0][0]=1\ngrid[0][1]=2\ngrid[2][0]=3\ngrid[5][1]=7\n")},
    {"indexes far apart",
     BYTES(
         "{\"c\":[{},{\"t\":[0,{\"f\":{\"n\":\"p\"}}]},{\"t\":[{\"f\":{\"m\":1,\"n\":\"q\"}}]}]}"),
     BYTES("c[1].t[1].f.n=\"p\"\nc[2].t[0].f.n=\"q\"\n")},
    {"off every path",
     BYTES("{\"b\":{\"a\":1,\"list\":[2]},\"lis\":[3],\"listt\":[4],\"\":5,\"deep\":"
           "{\"a\":1,\"er\":[{\"est\":\"no\"}]},\"a\":{\"a\":6},\"list\":{\"x\":7}}"),
     BYTES("")},
    {"on the path", BYTES("{\"deep\":{\"x\":[{}],\"er\":{\"est\":\"yes\"}},\"deep\":1,\"a\":2}"),
     BYTES("deep.er.est=\"yes\"\na=2\n")},
    {"raw, as it came",
     BYTES("{\"raw\" : { \"k\" : [1 , \"\\n\\\"}\"], \"in\":[{\"z\": 1},7,[ 8]] } ,\"raw\":[ "
           "],\"raw\":5}"),
     BYTES("raw.in[0]~{\"z\": 1}\nraw.in[1]=7\nraw.in[2]~[ 8]\n"
           "raw~{ \"k\" : [1 , \"\\n\\\"}\"], \"in\":[{\"z\": 1},7,[ 8]] }\nraw~[ ]\n")},
    {"raw with repaired text", BYTES("{\"raw\":{\"k\":\"\xFF\\ud83d\\ude00\\ud83d.\"}}"),
     BYTES("raw~{\"k\":\"" BAD FACE HIGH ".\"}\n")},
    {"numbers too big for any type",
     BYTES("{\"a\":-9223372036854775809,\"a\":123456789012345678901234567890,\"a\":1e400}"),
     BYTES("a=-9223372036854775809\na=123456789012345678901234567890\na=1e400\n")},
    {"escapes", BYTES("{\"\\u0061\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u20AC\"}"),
     BYTES("a=\"\"\\/\b\f\n\r\t\xC3\xA9\xE2\x82\xAC\"\n")},
    {"NUL", BYTES("{\"a\":\"x\\u0000y\",\"a\\u0000\":1}"), BYTES("a=\"x\0y\"\n")},
    {"a pair", BYTES("{\"a\":\"<\\ud83d\\ude00>\",\"a\":\"\\uD83D\\uDE00\\uD83D\\uDE00\"}"),
     BYTES("a=\"<" FACE ">\"\na=\"" FACE FACE "\"\n")},
    {"a lone high half eats nothing",
     BYTES("{\"a\":\"\\ud83dA\",\"a\":\"\\ud83d\",\"a\":\"\\ud83d\\n\"}"),
     BYTES("a=\"" HIGH "A\"\na=\"" HIGH "\"\na=\"" HIGH "\n\"\n")},
    {"a lone low half", BYTES("{\"a\":\"\\ude00\\ud83dx\\ude00\"}"),
     BYTES("a=\"" LOW HIGH "x" LOW "\"\n")},
    {"two high halves, then a low one", BYTES("{\"a\":\"\\ud83d\\ud83d\\ude00\"}"),
     BYTES("a=\"" HIGH FACE "\"\n")},
    {"a high half before another escape", BYTES("{\"a\":\"\\ud83d\\u0041\\ud83d\\\\ude00\"}"),
     BYTES("a=\"" HIGH "A" HIGH "\\ude00\"\n")},
    {"escaped backslashes are no escapes", BYTES("{\"a\":\"\\\\ud83d\\\\\\ud83d\\\\\\\\ude00\"}"),
     BYTES("a=\"\\ud83d\\" HIGH "\\\\ude00\"\n")},
    {"the ends of the surrogate range",
     BYTES("{\"a\":\"\\ud7ff\\ud800\\udbff\\udfff\\udc00\\ue000\"}"),
     BYTES("a=\"\xED\x9F\xBF\xED\xA0\x80\xF4\x8F\xBF\xBF\xED\xB0\x80\xEE\x80\x80\"\n")},
    {"a surrogate escape in a key", BYTES("{\"\\ud83d\":1,\"a\":2}"), BYTES("a=2\n")},
    {"invalid UTF-8",
     BYTES("{\"a\":\"\xFF\",\"a\":\"\xC3\",\"a\":\"\xE2\x82\",\"a\":\"\xC0\xAF\",\"a\":"
           "\"\xED\xA0\x80\"}"),
     BYTES("a=\"" BAD "\"\na=\"" BAD "\"\na=\"" BAD "\"\na=\"" BAD BAD "\"\na=\"" BAD BAD BAD
           "\"\n")},
    {"valid UTF-8", BYTES("{\"a\":\"\xC3\xA9\xE2\x82\xAC" FACE "\xED\x9F\xBF\"}"),
     BYTES("a=\"\xC3\xA9\xE2\x82\xAC" FACE "\xED\x9F\xBF\"\n")},
    {"white space", BYTES(" \t\r\n{ \"a\" :\n1 , \"list\":[ ] } \r\n"), BYTES("a=1\n")},
};

static void test_documents(void) {
  struct parser parser;
  open_parser(&parser); /* one handle for all of them */
  for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) {
    struct test_pieces pieces = {.bytes = documents[i].json, .len = documents[i].json_len};
    while (test_next_run(&pieces)) {
      test_case("%s, %s", documents[i].name, test_run_name(&pieces));
      CHECK_INT(parse_pieces(&parser, &pieces), MILL_OK);
      CHECK_BYTES(parser.log.text, parser.log.len, documents[i].log, documents[i].log_len);
    }
  }
  close_parser(&parser);
}

static const struct {
  const char *json, *log;
} roots[] = {
    {"1", "=1\n"},
    {" -0.5e1 ", "=-0.5e1\n"},
    {"\"s\"", "=\"s\"\n"},
    {"true", "=true\n"},
    {"null\n", "=null\n"},
    {"[]", " [\n~[]\n ]\n"},
    {"[1,[2],\"x\"]", " [\n[0]=1\n[2]=\"x\"\n~[1,[2],\"x\"]\n ]\n"},
    {"{\"k\":[1]}", " {\n~{\"k\":[1]}\n }\n"},
};

static void test_roots(void) {
  struct parser parser;
  open_limited(&parser, root_path, 2, 64, SIZE_MAX);
  for (size_t i = 0; i < sizeof roots / sizeof *roots; i++) {
    struct test_pieces pieces = {.bytes = roots[i].json, .len = strlen(roots[i].json)};
    while (test_next_run(&pieces)) {
      test_case("%s, %s", roots[i].json, test_run_name(&pieces));
      CHECK_INT(parse_pieces(&parser, &pieces), MILL_OK);
      CHECK_BYTES(parser.log.text, parser.log.len, roots[i].log, strlen(roots[i].log));
    }
  }
  close_parser(&parser);
}

/* ---- errors --------------------------------------------------------------------------------- */

static const struct {
  const char *json;
  size_t len;
} refused[] = {
    {BYTES("")},
    {BYTES("  ")},
    {BYTES("{")},
    {BYTES("{\"a\":1")},
    {BYTES("{\"a\":1}}")},
    {BYTES("{\"a\":1} x")},
    {BYTES("{\"a\":1}{\"a\":1}")},
    {BYTES("{} {}")},
    {BYTES("{},{}")},
    {BYTES("1 2")},
    {BYTES("{}\"")},
    {BYTES("{}\"x")},
    {BYTES("tru")},
    {BYTES("{\"a\":nul}")},
    {BYTES("[1,]")},
    {BYTES("{\"a\" 1}")},
    {BYTES("{\"a\":\"\n\"}")},
    {BYTES("{\"a\":\"x\0y\"}")},
    {BYTES("{\"a\":\"\\u12\"}")},
    {BYTES("{\"a\":\"\\ud8\"}")},
    {BYTES("{\"a\":\"\\ud83d\\u\"}")},
    {BYTES("{\"a\":\"\\")},
    {BYTES("{\"a\":\"\\ud83d")},
    {BYTES("\\ud83d")},
    {BYTES("{}\xE2\x82")},
    {BYTES("{}\\ud83d")},
    {BYTES("{} \\")},
    {BYTES("{\"a\":\"\\x\"}")},
    {BYTES("[\f]")},
    {BYTES("[\v1]")},
    {BYTES("\xEF\xBB\xBF{}")},
    {BYTES("[\xFF]")},
    {BYTES("{\"a\":+1}")},
    {BYTES("{\"a\":01}")},
    {BYTES("// c\n{}")},
    {BYTES("[NaN]")},
};

/* The error stays until a reset, and the parser is as good as new after it. */
static void check_recovery(struct parser *parser, int error) {
  CHECK_INT(mill__json_feed(parser->json, "{}", 2), error);
  CHECK_INT(mill__json_finish(parser->json), error);
  parser->log.answer = MILL_OK;
  CHECK_INT(parse(parser, BYTES("{\"a\":1,\"list\":[2]}")), MILL_OK);
  CHECK_BYTES(parser->log.text, parser->log.len, "a=1\nlist[0]=2\n", 14);
}

static void test_refused(void) {
  struct parser parser;
  open_parser(&parser);
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    struct test_pieces pieces = {.bytes = refused[i].json, .len = refused[i].len};
    while (test_next_run(&pieces)) {
      test_case("%s, %s", refused[i].json, test_run_name(&pieces));
      CHECK_INT(parse_pieces(&parser, &pieces), MILL_E_PROTOCOL);
      CHECK(mill__json_error_offset(parser.json) <= refused[i].len);
      check_recovery(&parser, MILL_E_PROTOCOL);
    }
  }
  test_case("%s", "error offset");
  CHECK_INT(parse(&parser, BYTES("{\"a\":1,\"b\":!}       ")), MILL_E_PROTOCOL);
  CHECK(mill__json_error_offset(parser.json) >= 10 && mill__json_error_offset(parser.json) <= 13);
  close_parser(&parser);
}

static void test_reset_of_a_cut_document(void) {
  static const char document[] = "{\"raw\":{\"in\":[\"\\ud83d\xE2\x82";
  struct parser parser;
  open_parser(&parser);
  for (size_t len = 0; len < sizeof document; len++) {
    test_case("cut after %zu bytes", len);
    mill__json_reset(parser.json);
    CHECK_INT(mill__json_feed(parser.json, document, len), MILL_OK);
    CHECK_INT(parse(&parser, BYTES("{\"a\":1,\"list\":[2]}")), MILL_OK);
    CHECK_BYTES(parser.log.text, parser.log.len, "a=1\nlist[0]=2\n", 14);
  }
  close_parser(&parser);
}

static void test_callback_error(void) {
  test_case("%s", "the callback's own error");
  struct parser parser;
  open_parser(&parser);
  parser.log.answer = MILL_E_CANCELLED;
  CHECK_INT(parse(&parser, BYTES("{\"a\":1,\"a\":2}")), MILL_E_CANCELLED);
  CHECK_BYTES(parser.log.text, parser.log.len, "a=1\n", 4);
  check_recovery(&parser, MILL_E_CANCELLED);
  close_parser(&parser);
}

/* ---- limits --------------------------------------------------------------------------------- */

static char *repeated(const char *unit, size_t times, size_t *ret_len) {
  size_t len = strlen(unit);
  char *text = malloc(len * times + 1);
  CHECK(text != NULL);
  for (size_t i = 0; i < times; i++)
    memcpy(text + i * len, unit, len);
  text[len * times] = '\0';
  *ret_len = len * times;
  return text;
}

/* `unit` many times over must be refused for its size; whole and byte by byte. */
static void check_limit(struct parser *parser, const char *start, const char *unit, size_t times) {
  size_t len;
  char *text = repeated(unit, times, &len);
  for (size_t step = len; step; step = step > 1 ? 1 : 0) {
    test_case("%s and %zu times %s, in steps of %zu", start, times, unit, step);
    mill__json_reset(parser->json);
    int error = mill__json_feed(parser->json, start, strlen(start));
    for (size_t at = 0; at < len && !error; at += step)
      error = mill__json_feed(parser->json, text + at, step);
    if (!error)
      error = mill__json_feed(parser->json, "]", 1);
    CHECK_INT(error ? error : mill__json_finish(parser->json), MILL_E_LIMIT);
    check_recovery(parser, MILL_E_LIMIT);
  }
  free(text);
}

static void test_limits(void) {
  struct parser parser;
  open_limited(&parser, paths, N_PATHS, 8, 20000);
  CHECK_INT(parse(&parser, BYTES("[[[[[[[[1]]]]]]]]")), MILL_OK);
  CHECK_INT(parse(&parser, BYTES("{\"raw\":{\"raw\":{\"raw\":{\"raw\":[[[[]]]]}}}}")), MILL_OK);
  check_limit(&parser, "", "[", 9);
  check_limit(&parser, "", "[", 15000);
  check_limit(&parser, "{\"raw\":", "{\"in\":", 100);
  check_limit(&parser, "[1", "0", MILL__JSON_NUMBER_BYTES);
  check_limit(&parser, "{\"b\":[", "1,", 10000);
  check_limit(&parser, "{\"list\":[\"", "long ", 4000);
  check_limit(&parser, "{\"list\":[\"", "\xFF", 7000); /* the repaired text counts */
  check_limit(&parser, "", " ", 20001);

  size_t len;
  char *digits = repeated("1", MILL__JSON_NUMBER_BYTES, &len);
  CHECK_INT(parse(&parser, digits, len), MILL_OK);
  free(digits);
  close_parser(&parser);
}

/* What is wrong first is told first, also where a later limit is met in the same piece. */
static void test_fault_before_a_limit(void) {
  char bytes[200];
  memset(bytes, 0xFF, sizeof bytes); /* each is three when it is repaired */
  struct parser parser;
  open_limited(&parser, paths, N_PATHS, 8, 16);
  struct test_pieces pieces = {.bytes = bytes, .len = sizeof bytes};
  while (test_next_run(&pieces)) {
    test_case("%s", test_run_name(&pieces));
    CHECK_INT(parse_pieces(&parser, &pieces), MILL_E_PROTOCOL);
  }
  close_parser(&parser);
}

/*
 * Work must be linear in the length of an open token: byte by byte, this string would be scanned
 * 10^12 times otherwise, and the test would run into its time limit.
 */
static void test_long_token(void) {
  test_case("%s", "a long string, byte by byte");
  size_t len;
  char *text = repeated("all work and no \\ud83d\\ude00 ", 100000, &len);
  char *log_text = malloc(len + 64);
  struct parser parser;
  open_parser(&parser);
  parser.log.text = log_text;
  parser.log.size = len + 64;
  CHECK_INT(mill__json_feed(parser.json, "{\"a\":\"", 6), MILL_OK);
  for (size_t i = 0; i < len; i++)
    CHECK_INT(mill__json_feed(parser.json, text + i, 1), MILL_OK);
  CHECK_INT(mill__json_feed(parser.json, "\"}", 2), MILL_OK);
  CHECK_INT(mill__json_finish(parser.json), MILL_OK);
  CHECK_INT(parser.log.len, 3 + 100000 * strlen("all work and no " FACE " ") + 2);
  CHECK(memcmp(log_text, "a=\"all work and no " FACE " all", 25) == 0);
  close_parser(&parser);
  free(log_text);
  free(text);
}

static void test_memory_is_given_back(void) {
  test_case("%s", "after a long document");
  struct parser parser;
  open_parser(&parser);
  size_t live = test_alloc_live(), len;
  char *text = repeated("\\n", 100000, &len);
  CHECK_INT(mill__json_feed(parser.json, "[\"", 2), MILL_OK);
  CHECK_INT(mill__json_feed(parser.json, text, len), MILL_OK);
  CHECK_INT(mill__json_feed(parser.json, "\"]", 2), MILL_OK);
  CHECK_INT(mill__json_finish(parser.json), MILL_OK);
  CHECK(test_alloc_live() > live + 1);
  mill__json_reset(parser.json);
  CHECK_INT(test_alloc_live(), live + 1); /* the buffer that the last piece waited in */
  close_parser(&parser);
  free(text);
}

/* ---- memory --------------------------------------------------------------------------------- */

static const char memory_document[] = "{\"a\":\"\\n\\ud83d\\ude00\xFF\",\"raw\":{\"in\":[{\"z\":"
                                      "\"a string that is cut\"},[[[]]]]},\"list\":[1]}";
static const char memory_log[] =
    "a=\"\n" FACE BAD "\"\nraw.in[0]~{\"z\":\"a string that is cut\"}\n"
    "raw.in[1]~[[[]]]\nraw~{\"in\":[{\"z\":\"a string that is cut\"},"
    "[[[]]]]}\nlist[0]=1\n";

static int parse_in_steps(struct parser *parser) {
  parser->log.len = 0;
  mill__json_reset(parser->json);
  const size_t len = sizeof memory_document - 1, step = 7;
  int error = MILL_OK;
  for (size_t at = 0; at < len && !error; at += step)
    error = mill__json_feed(parser->json, memory_document + at, at + step < len ? step : len - at);
  return error ? error : mill__json_finish(parser->json);
}

static void run_with_failing_memory(void *ctx) {
  struct parser *parser = ctx;
  parser->table = NULL;
  parser->json = NULL;
  parser->log = (struct log){.paths = paths, .text = parser->text, .size = sizeof parser->text};
  int error = mill__json_table_new(paths, N_PATHS, &parser->table);
  if (!error)
    error = mill__json_new(parser->table, 64, 4096, on_value, &parser->log, &parser->json);
  for (int i = 0; i < 2 && !error; i++) {
    error = parse_in_steps(parser);
    if (error)
      CHECK_INT(mill__json_feed(parser->json, "1", 1), error);
    else
      CHECK_BYTES(parser->text, parser->log.len, memory_log, sizeof memory_log - 1);
  }
  if (error)
    CHECK_INT(error, MILL_E_NOMEM);
  CHECK(!error || test_alloc_failed());
  close_parser(parser);
}

/* Once there is memory again, the parser works again. */
static void test_memory_comes_back(void) {
  int error = MILL_E_NOMEM;
  size_t n_failed = 0;
  for (; error; n_failed++) {
    struct parser parser;
    open_parser(&parser);
    test_alloc_fail(n_failed + 1, false);
    error = parse_in_steps(&parser);
    test_case("allocation %zu failed", n_failed + 1);
    test_alloc_fail(0, false);
    CHECK_INT(parse_in_steps(&parser), MILL_OK);
    CHECK_BYTES(parser.text, parser.log.len, memory_log, sizeof memory_log - 1);
    close_parser(&parser);
  }
  CHECK(n_failed > 5);
}

/* More parsers than a store keeps yajl handles for, all inside a document at the same time. */
static void test_store(void) {
  test_case("%s", "parsers that share a store");
  enum { N = MILL__JSON_STORE_MACHINES + 2 };
  static struct parser parsers[N];
  struct mill__json_store store;
  mill__json_store_init(&store);
  for (size_t i = 0; i < N; i++) {
    open_parser(&parsers[i]);
    mill__json_share(parsers[i].json, &store);
  }
  for (size_t at = 0; at < sizeof memory_document - 1; at++)
    for (size_t i = 0; i < N; i++)
      CHECK_INT(mill__json_feed(parsers[i].json, memory_document + at, 1), MILL_OK);
  CHECK_INT(store.n, 0);
  for (size_t i = 0; i < N; i++) {
    CHECK_INT(mill__json_finish(parsers[i].json), MILL_OK);
    CHECK_BYTES(parsers[i].text, parsers[i].log.len, memory_log, sizeof memory_log - 1);
  }
  CHECK_INT(store.n, MILL__JSON_STORE_MACHINES);
  test_alloc_fail(1, true);
  CHECK_INT(parse_in_steps(&parsers[0]), MILL_OK);
  CHECK(!test_alloc_failed());
  test_alloc_fail(0, false);
  mill__json_reset(parsers[1].json);
  CHECK_INT(mill__json_feed(parsers[1].json, "[,", 2), MILL_E_PROTOCOL);
  CHECK_INT(store.n, MILL__JSON_STORE_MACHINES - 1); /* one that met a fault is not used again */
  for (size_t i = 0; i < N; i++)
    close_parser(&parsers[i]);
  mill__json_store_fini(&store);
}

static void test_steady_state(void) {
  test_case("%s", "no allocation from the second document on");
  struct parser parser;
  open_parser(&parser);
  CHECK_INT(parse_in_steps(&parser), MILL_OK);
  test_alloc_fail(1, true);
  for (int i = 0; i < 100; i++)
    CHECK_INT(parse_in_steps(&parser), MILL_OK);
  CHECK(!test_alloc_failed());
  test_alloc_fail(0, false);
  close_parser(&parser);
}

/* ---- numbers -------------------------------------------------------------------------------- */

static void check_int64(const char *literal, bool is_integer, int64_t expected) {
  test_case("%s", literal);
  int64_t number = 0;
  CHECK_INT(mill__json_int64((mill_slice){literal, strlen(literal)}, &number), is_integer);
  if (is_integer)
    CHECK_INT(number, expected);
}

static void test_int64(void) {
  check_int64("0", true, 0);
  check_int64("-17", true, -17);
  check_int64("9223372036854775807", true, INT64_MAX);
  check_int64("9223372036854775808", true, INT64_MAX);
  check_int64("99999999999999999999999", true, INT64_MAX);
  check_int64("-9223372036854775808", true, INT64_MIN);
  check_int64("-9223372036854775809", true, INT64_MIN);
  check_int64("-123456789012345678901", true, INT64_MIN);
  check_int64("1.5", false, 0);
  check_int64("1e3", false, 0);
  check_int64("", false, 0);
  check_int64("-", false, 0);
}

/* ---- JSONTestSuite -------------------------------------------------------------------------- */

static int verdict(struct parser *parser, const char *bytes, size_t len, size_t step) {
  parser->log.len = 0;
  mill__json_reset(parser->json);
  int error = MILL_OK;
  for (size_t at = 0; at < len && !error; at += step) {
    size_t n = len - at < step ? len - at : step;
    error = mill__json_feed(parser->json, test_guarded(bytes + at, n), n);
  }
  return error ? error : mill__json_finish(parser->json);
}

static void check_suite_file(struct parser *parser, const char *folder, const char *name) {
  char path[4096 + 256];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  size_t len;
  char *bytes = test_read_file(path, &len);
  int whole = verdict(parser, bytes, len, len);
  int cut = verdict(parser, bytes, len, 1);
  test_case("%s", name);
  CHECK_INT(cut, whole);
  if (name[0] == 'y')
    CHECK_INT(whole, MILL_OK);
  if (name[0] == 'n')
    CHECK(whole == MILL_E_PROTOCOL || whole == MILL_E_LIMIT);
  free(bytes);
}

static bool test_suite(void) {
  const char *shared = test_shared("JSONTestSuite");
  if (!shared)
    return false;
  char folder[4096];
  snprintf(folder, sizeof folder, "%s", shared);
  struct parser parser;
  open_limited(&parser, NULL, 0, 512, SIZE_MAX);
  DIR *dir = opendir(folder);
  CHECK(dir != NULL);
  size_t n_files = 0;
  for (const struct dirent *entry; (entry = readdir(dir));)
    if (strlen(entry->d_name) > 2 && entry->d_name[1] == '_') {
      check_suite_file(&parser, folder, entry->d_name);
      n_files++;
    }
  closedir(dir);
  CHECK(n_files > 300);
  close_parser(&parser);
  return true;
}

int main(void) {
  test_alloc_install();
  test_documents();
  test_roots();
  test_refused();
  test_reset_of_a_cut_document();
  test_callback_error();
  test_limits();
  test_fault_before_a_limit();
  test_long_token();
  test_memory_is_given_back();
  test_int64();
  test_store();
  test_steady_state();
  test_memory_comes_back();
  static struct parser parser;
  test_each_failing_allocation(run_with_failing_memory, &parser);
  CHECK_INT(test_alloc_live(), 0);
  return test_suite() ? 0 : test_skipped("JSONTestSuite");
}
