/*
 * parse/json_template: which documents are like the one before, and that the short way through them
 * reports what the full parse does, whatever is changed in a document.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "parse/json_template.h"
#include "support.h"

#define CHECK_TEXT(slice, text) CHECK_BYTES((slice).ptr, (slice).len, text, strlen(text))

/* ---- what matches ---------------------------------------------------------------------------- */

static void learn(struct mill__json_template *template, const char *document, unsigned n_holes) {
  mill__json_template_begin(template, (mill_slice){document, strlen(document)});
  for (unsigned i = 0; i < n_holes; i++)
    mill__json_template_hole(template);
  mill__json_template_end(template, true);
}

static bool matches(struct mill__json_template *template, const char *bytes, size_t len,
                    mill_slice *texts) {
  return mill__json_template_match(template, (mill_slice){test_guarded(bytes, len), len}, texts);
}

static const char FIRST[] = "{\"a\": \"x\", \"n\":1 ,\"l\":[true,null,\"\"]}";

static const struct {
  const char *bytes;
  size_t len;
  bool matches;
} documents[] = {
    {BYTES("{\"a\": \"x\", \"n\":1 ,\"l\":[true,null,\"\"]}"), true},
    {BYTES("{\"a\": \"another one, longer than sixteen bytes\", \"n\":-0.25e-10 "
           ",\"l\":[true,null,\"}]{[,:\"]}"),
     true},
    {BYTES("{\"a\": \"\", \"n\":0 ,\"l\":[true,null,\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\"]}"),
     true},
    {BYTES("{\"a\": \"\x7f\", \"n\":1E+2 ,\"l\":[true,null,\"\"]}"), true},
    /* a text that is not plain */
    {BYTES("{\"a\": \"x\\n\", \"n\":1 ,\"l\":[true,null,\"\"]}"), false},
    {BYTES("{\"a\": \"\\\"\", \"n\":1 ,\"l\":[true,null,\"\"]}"), false},
    {BYTES("{\"a\": \"\n\", \"n\":1 ,\"l\":[true,null,\"\"]}"), false},
    {BYTES("{\"a\": \"0123456789abcdefg\x1f\", \"n\":1 ,\"l\":[true,null,\"\"]}"), false},
    {BYTES("{\"a\": \"\0\", \"n\":1 ,\"l\":[true,null,\"\"]}"), false},
    {BYTES("{\"a\": \"\x80\", \"n\":1 ,\"l\":[true,null,\"\"]}"), false},
    {BYTES("{\"a\": \"\xC3\", \"n\":1 ,\"l\":[true,null,\"\"]}"), false},
    {BYTES("{\"a\": \"\xED\xA0\x80\", \"n\":1 ,\"l\":[true,null,\"\"]}"), false},
    {BYTES("{\"a\": \"\xC0\xAF\", \"n\":1 ,\"l\":[true,null,\"\"]}"), false},
    /* what is no number */
    {BYTES("{\"a\": \"x\", \"n\":01 ,\"l\":[true,null,\"\"]}"), false},
    {BYTES("{\"a\": \"x\", \"n\":+1 ,\"l\":[true,null,\"\"]}"), false},
    {BYTES("{\"a\": \"x\", \"n\":- ,\"l\":[true,null,\"\"]}"), false},
    {BYTES("{\"a\": \"x\", \"n\":1. ,\"l\":[true,null,\"\"]}"), false},
    {BYTES("{\"a\": \"x\", \"n\":.5 ,\"l\":[true,null,\"\"]}"), false},
    {BYTES("{\"a\": \"x\", \"n\":1e ,\"l\":[true,null,\"\"]}"), false},
    {BYTES("{\"a\": \"x\", \"n\":1e+ ,\"l\":[true,null,\"\"]}"), false},
    {BYTES("{\"a\": \"x\", \"n\": ,\"l\":[true,null,\"\"]}"), false},
    {BYTES("{\"a\": \"x\", \"n\":\"1\" ,\"l\":[true,null,\"\"]}"), false},
    /* another shape */
    {BYTES("{\"b\": \"x\", \"n\":1 ,\"l\":[true,null,\"\"]}"), false},
    {BYTES("{\"a\":\"x\", \"n\":1 ,\"l\":[true,null,\"\"]}"), false},
    {BYTES("{\"a\": null, \"n\":1 ,\"l\":[true,null,\"\"]}"), false},
    {BYTES("{\"a\": \"x\", \"n\":1 ,\"l\":[false,null,\"\"]}"), false},
    {BYTES("{\"a\": \"x\", \"n\":1 ,\"l\":[true,null,\"\"]} "), false},
    {BYTES("{\"a\": \"x\", \"n\":1 ,\"l\":[true,null,\"\"]"), false},
    {BYTES("{\"a\": \"x\", \"n\":1 ,\"l\":[true,null,\""), false},
    {BYTES("{\"a\": \"x\", \"n\":1"), false},
    {BYTES("{\"a\": \"x"), false},
    {BYTES(""), false},
};

static void test_what_matches(void) {
  struct mill__json_template template;
  mill__json_template_init(&template);
  mill_slice texts[MILL__JSON_TEMPLATE_HOLES];
  learn(&template, FIRST, 3);
  for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) {
    test_case("document %zu: %s", i, documents[i].bytes);
    CHECK_INT(matches(&template, documents[i].bytes, documents[i].len, texts),
              documents[i].matches);
  }
  CHECK(matches(&template, documents[1].bytes, documents[1].len, texts));
  CHECK_TEXT(texts[0], "another one, longer than sixteen bytes");
  CHECK_TEXT(texts[1], "-0.25e-10");
  CHECK_TEXT(texts[2], "}]{[,:");
  mill__json_template_fini(&template);
}

/* A string in the template may be any: only what is around it counts. */
static void test_template_with_escapes(void) {
  struct mill__json_template template;
  mill__json_template_init(&template);
  mill_slice texts[MILL__JSON_TEMPLATE_HOLES];
  learn(&template, "{\"k\\\"\":\"a\\\\\\\"\\u0041\\\\\"}", 1);
  CHECK(matches(&template, BYTES("{\"k\\\"\":\"plain\"}"), texts));
  CHECK_TEXT(texts[0], "plain");
  CHECK(!matches(&template, BYTES("{\"k\":\"plain\"}"), texts));
  mill__json_template_fini(&template);
}

static void test_numbers_that_are_too_long(void) {
  struct mill__json_template template;
  mill__json_template_init(&template);
  mill_slice texts[MILL__JSON_TEMPLATE_HOLES];
  char number[MILL__JSON_NUMBER_BYTES + 4];
  learn(&template, "[1]", 1);
  memset(number, '7', sizeof number);
  number[0] = '[';
  number[MILL__JSON_NUMBER_BYTES + 1] = ']';
  CHECK(matches(&template, number, MILL__JSON_NUMBER_BYTES + 2, texts));
  number[MILL__JSON_NUMBER_BYTES + 1] = '7';
  number[MILL__JSON_NUMBER_BYTES + 2] = ']';
  CHECK(!matches(&template, number, MILL__JSON_NUMBER_BYTES + 3, texts));
  mill__json_template_fini(&template);
}

/* Beyond each limit there is no template. */
static void test_limits(void) {
  struct mill__json_template template;
  mill__json_template_init(&template);
  mill_slice texts[MILL__JSON_TEMPLATE_HOLES];
  char document[MILL__JSON_TEMPLATE_BYTES + 8];
  for (unsigned n = MILL__JSON_TEMPLATE_HOLES - 1; n <= MILL__JSON_TEMPLATE_HOLES + 1; n++) {
    size_t len = 0;
    for (unsigned i = 0; i < n; i++)
      len += (size_t)sprintf(document + len, "%c%u", i ? ',' : '[', i);
    len += (size_t)sprintf(document + len, "]");
    learn(&template, document, n);
    CHECK_INT(matches(&template, document, len, texts), n <= MILL__JSON_TEMPLATE_HOLES);
    template.misses = 0;
  }
  memset(document, ' ', sizeof document);
  document[0] = '[';
  document[MILL__JSON_TEMPLATE_BYTES - 1] = ']';
  document[MILL__JSON_TEMPLATE_BYTES] = '\0';
  learn(&template, document, 0);
  CHECK(matches(&template, document, MILL__JSON_TEMPLATE_BYTES, texts));
  document[MILL__JSON_TEMPLATE_BYTES - 1] = ' ';
  document[MILL__JSON_TEMPLATE_BYTES] = ']';
  document[MILL__JSON_TEMPLATE_BYTES + 1] = '\0';
  learn(&template, document, 0);
  CHECK(!matches(&template, document, MILL__JSON_TEMPLATE_BYTES + 1, texts));
  mill__json_template_fini(&template);
}

/* ---- the short way and the long way ---------------------------------------------------------- */

static const struct mill__json_path paths[] = {
    {"id", 0, MILL__JSON_STRING},
    {"choices[]", 1, MILL__JSON_BEGIN | MILL__JSON_END},
    {"choices[].index", 2, MILL__JSON_NUMBER | MILL__JSON_STRING | MILL__JSON_NULL},
    {"choices[].delta.content", 3, MILL__JSON_STRING | MILL__JSON_NULL},
    {"choices[].delta.parts[][]", 4, MILL__JSON_STRING | MILL__JSON_BOOL},
    {"usage", 5, MILL__JSON_RAW | MILL__JSON_NULL},
    {"usage.n", 6, MILL__JSON_NUMBER},
};

static const char *const seeds[] = {
    "{\"id\":\"c-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" a\"},\"finish\":null}],"
    "\"usage\":null,\"pad\":\"qw\"}",
    "{\"id\":\"c-1\",\"choices\":[{\"delta\":{\"parts\":[[\"x\",true],[\"y\"]]},\"index\":12},"
    "{\"delta\":{\"content\":\"b\"},\"index\":1}]}",
    "{\"usage\":{\"n\":3,\"more\":[1,2]},\"id\":\"\",\"choices\":[]}",
    "{\"choices\":[{\"index\":\"1\",\"index\":2,\"delta\":{\"content\":\"\\u00e9\\n\"}}]}",
    "\"text\"",
    "12",
};

struct log {
  char text[8192];
  size_t len;
  int answer; /* what the callback returns, at the report `answer_at` */
  size_t n, answer_at;
};

static int on_value(void *ctx, const struct mill__json_value *value) {
  struct log *log = ctx;
  log->len += (size_t)snprintf(log->text + log->len, sizeof log->text - log->len,
                               "%u %d %d %d [%u %u %u %u] %zu:", value->field, (int)value->kind,
                               value->is_array, value->boolean, value->index[0], value->index[1],
                               value->index[2], value->index[3], value->text.len);
  CHECK(log->len + value->text.len + 1 < sizeof log->text);
  if (value->text.len)
    memcpy(log->text + log->len, value->text.ptr, value->text.len);
  log->len += value->text.len;
  return log->n++ == log->answer_at ? log->answer : MILL_OK;
}

struct parser {
  struct mill__json_table *table;
  struct mill__json *json;
  struct log log;
};

static void open_parser(struct parser *parser, unsigned depth, size_t bytes) {
  CHECK_INT(mill__json_table_new(paths, sizeof paths / sizeof *paths, &parser->table), MILL_OK);
  CHECK_INT(mill__json_new(parser->table, depth, bytes, on_value, &parser->log, &parser->json),
            MILL_OK);
}

static void close_parser(struct parser *parser) {
  mill__json_free(parser->json);
  mill__json_table_free(parser->table);
}

static int run(struct parser *parser, const char *bytes, size_t len, bool whole) {
  parser->log.len = parser->log.n = 0;
  mill__json_reset(parser->json);
  const char *guarded = test_guarded(bytes, len);
  if (whole)
    return mill__json_whole(parser->json, guarded, len);
  int error = mill__json_feed(parser->json, guarded, len);
  return error ? error : mill__json_finish(parser->json);
}

static void check_same(struct parser *quick, struct parser *slow, const char *bytes, size_t len) {
  int expected = run(slow, bytes, len, false);
  CHECK_INT(run(quick, bytes, len, true), expected);
  CHECK_BYTES(quick->log.text, quick->log.len, slow->log.text, slow->log.len);
  CHECK_INT(mill__json_finish(quick->json), expected);
  if (!expected)
    CHECK_INT(mill__json_error_offset(quick->json), mill__json_error_offset(slow->json));
}

/* Overwrite, insert or take out one byte. */
static size_t mutate(char *bytes, size_t len, uint64_t *random) {
  static const char alphabet[] = "\"\\{}[],:0123456789-+.eE \n\x01 truefalsn\xC3\xA9\xED\xA0x";
  size_t at = len ? test_random(random) % len : 0;
  char byte = alphabet[test_random(random) % (sizeof alphabet - 1)];
  switch (test_random(random) % 3) {
  case 0:
    memmove(bytes + at + 1, bytes + at, len - at);
    bytes[at] = byte;
    return len + 1;
  case 1:
    if (len)
      memmove(bytes + at, bytes + at + 1, len - at - 1);
    return len ? len - 1 : 0;
  default:
    if (len)
      bytes[at] = byte;
    return len;
  }
}

static void test_every_change_of_a_document(void) {
  struct parser quick = {0}, slow = {0};
  open_parser(&quick, 6, 200);
  open_parser(&slow, 6, 200);
  uint64_t random = 7;
  for (int round = 0; round < 60000; round++) {
    const char *seed = seeds[test_random(&random) % (sizeof seeds / sizeof *seeds)];
    char bytes[512];
    size_t len = strlen(seed);
    memcpy(bytes, seed, len);
    test_case("round %d of %s", round, seed);
    check_same(&quick, &slow, seed, len);
    for (uint64_t n = test_random(&random) % 3; n > 0; n--)
      len = mutate(bytes, len, &random);
    check_same(&quick, &slow, bytes, len);
  }
  close_parser(&quick);
  close_parser(&slow);
}

/* What the callback answers ends either way. */
static void test_a_callback_that_stops(void) {
  struct parser quick = {0}, slow = {0};
  open_parser(&quick, 64, 4096);
  open_parser(&slow, 64, 4096);
  for (size_t at = 0; at < 8; at++) {
    check_same(&quick, &slow, seeds[0], strlen(seeds[0]));
    quick.log.answer = slow.log.answer = MILL_E_LIMIT;
    quick.log.answer_at = slow.log.answer_at = at;
    check_same(&quick, &slow, seeds[0], strlen(seeds[0]));
    quick.log.answer = slow.log.answer = MILL_OK;
  }
  close_parser(&quick);
  close_parser(&slow);
}

static void parse_twice(void *unused) {
  (void)unused;
  struct parser parser = {0};
  if (mill__json_table_new(paths, sizeof paths / sizeof *paths, &parser.table))
    return;
  if (!mill__json_new(parser.table, 64, 4096, on_value, &parser.log, &parser.json)) {
    int error = run(&parser, seeds[0], strlen(seeds[0]), true);
    CHECK(!error || error == MILL_E_NOMEM);
    if (!error)
      CHECK_INT(run(&parser, seeds[0], strlen(seeds[0]), true), MILL_OK);
  }
  close_parser(&parser);
}

/* The short way takes no memory, which is also how it is known to be taken. */
static void test_the_short_way_allocates_nothing(void) {
  struct parser parser = {0};
  open_parser(&parser, 64, 4096);
  CHECK_INT(run(&parser, seeds[0], strlen(seeds[0]), true), MILL_OK);
  test_alloc_fail(1, true);
  for (int i = 0; i < 3; i++)
    CHECK_INT(run(&parser, seeds[0], strlen(seeds[0]), true), MILL_OK);
  CHECK(!test_alloc_failed());
  test_alloc_fail(0, false);
  close_parser(&parser);
}

int main(void) {
  test_alloc_install();
  test_what_matches();
  test_template_with_escapes();
  test_numbers_that_are_too_long();
  test_limits();
  test_every_change_of_a_document();
  test_a_callback_that_stops();
  test_the_short_way_allocates_nothing();
  test_each_failing_allocation(parse_twice, NULL);
  CHECK_INT(test_alloc_live(), 0);
  return 0;
}
