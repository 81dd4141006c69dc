/* Surrogate halves in deltas: each piece of a case gives exactly the output beside it. */
#include <string.h>

#include "parse/text.h"
#include "support.h"

#define HIGH "\xED\xA0\xBD"      /* U+D83D */
#define LOW "\xED\xB8\x80"       /* U+DE00 */
#define SMILE "\xF0\x9F\x98\x80" /* the two together: U+1F600 */
#define FFFD "\xEF\xBF\xBD"
#define FIRST_HIGH "\xED\xA0\x80" /* U+D800 */
#define LAST_HIGH "\xED\xAF\xBF"  /* U+DBFF */
#define FIRST_LOW "\xED\xB0\x80"  /* U+DC00 */
#define LAST_LOW "\xED\xBF\xBF"   /* U+DFFF */
#define HANGUL "\xED\x95\x9C"     /* U+D55C: begins with ED, is no surrogate */
#define LAST_BELOW "\xED\x9F\xBF" /* U+D7FF */

struct piece {
  const char *in, *out;
};

struct text_case {
  const char *name;
  struct piece pieces[4]; /* up to the first NULL */
  const char *end;        /* what mill__text_end adds */
};

static const struct text_case cases[] = {
    {"plain", {{"Hello", "Hello"}, {"", ""}, {" world", " world"}}, ""},
    {"whole characters", {{"\xC3\xA9" SMILE HANGUL, "\xC3\xA9" SMILE HANGUL}}, ""},
    {"ED that is no surrogate", {{LAST_BELOW HANGUL, LAST_BELOW HANGUL}, {HANGUL, HANGUL}}, ""},
    {"pair cut between two pieces", {{"a" HIGH, "a"}, {LOW "b", SMILE "b"}}, ""},
    {"pair in one piece", {{"a" HIGH LOW "b", "a" SMILE "b"}}, ""},
    {"an empty piece changes nothing", {{HIGH, ""}, {"", ""}, {LOW, SMILE}}, ""},
    {"lone high eats no neighbour", {{HIGH, ""}, {"A", FFFD "A"}}, ""},
    {"lone high inside a piece", {{"a" HIGH "b", "a" FFFD "b"}}, ""},
    {"lone low", {{LOW, FFFD}, {"a" LOW "b", "a" FFFD "b"}}, ""},
    {"low before high", {{LOW HIGH, FFFD}}, FFFD},
    {"two highs, one low", {{HIGH HIGH, FFFD}, {LOW, SMILE}}, ""},
    {"two highs in two pieces", {{HIGH, ""}, {HIGH, FFFD}, {LOW, SMILE}}, ""},
    {"one high, two lows", {{HIGH, ""}, {LOW LOW, SMILE FFFD}}, ""},
    {"two pairs cut", {{SMILE HIGH, SMILE}, {LOW HIGH, SMILE}, {LOW, SMILE}}, ""},
    {"high at the end", {{"a" HIGH, "a"}}, FFFD},
    {"high before a Hangul syllable", {{HIGH, ""}, {HANGUL, FFFD HANGUL}}, ""},
    {"lowest pair", {{FIRST_HIGH, ""}, {FIRST_LOW, "\xF0\x90\x80\x80"}}, ""},
    {"highest pair", {{LAST_HIGH, ""}, {LAST_LOW, "\xF4\x8F\xBF\xBF"}}, ""},
    {"a cut surrogate is not read past its end",
     {{"a\xED\xA0", "a\xED\xA0"}, {"b\xED", "b\xED"}},
     ""},
    {"U+10FC00", {{LAST_HIGH FIRST_LOW, "\xF4\x8F\xB0\x80"}}, ""},
    {"U+103FF", {{FIRST_HIGH LAST_LOW, "\xF0\x90\x8F\xBF"}}, ""},
};

static void run_case(const struct text_case *c) {
  struct mill__text text = {0};
  struct mill__buf out;
  mill__buf_init(&out, 1000);
  for (size_t i = 0; i < 4 && c->pieces[i].in != NULL; i++) {
    test_case("%s, piece %zu", c->name, i);
    size_t len = strlen(c->pieces[i].in);
    mill__buf_clear(&out);
    CHECK_INT(mill__text_piece(&text, (mill_slice){test_guarded(c->pieces[i].in, len), len}, &out),
              MILL_OK);
    mill_slice got = mill__buf_slice(&out);
    CHECK_BYTES(got.ptr, got.len, c->pieces[i].out, strlen(c->pieces[i].out));
  }
  test_case("%s, end", c->name);
  mill__buf_clear(&out);
  CHECK_INT(mill__text_end(&text, &out), MILL_OK);
  mill_slice got = mill__buf_slice(&out);
  CHECK_BYTES(got.ptr, got.len, c->end, strlen(c->end));
  CHECK_INT(text.held, 0);
  mill__buf_fini(&out);
}

/* NUL is a character like any other. */
static void test_nul(void) {
  struct mill__text text = {0};
  struct mill__buf out;
  mill__buf_init(&out, 100);
  CHECK_INT(mill__text_piece(&text, (mill_slice){BYTES("a\0" HIGH)}, &out), MILL_OK);
  CHECK_INT(mill__text_piece(&text, (mill_slice){BYTES("\0b")}, &out), MILL_OK);
  CHECK_BYTES(out.ptr, out.len, "a\0" FFFD "\0b", 7);
  mill__buf_fini(&out);
}

static void test_limit(void) {
  struct mill__text text = {0};
  struct mill__buf out;
  mill__buf_init(&out, 3);
  CHECK_INT(mill__text_piece(&text, (mill_slice){BYTES("abcd")}, &out), MILL_E_LIMIT);
  CHECK_INT(mill__text_piece(&text, (mill_slice){BYTES(HIGH LOW)}, &out), MILL_E_LIMIT);
  mill__buf_fini(&out);
}

static void run_without_memory(void *ctx) {
  (void)ctx;
  struct mill__text text = {0};
  struct mill__buf out;
  mill__buf_init(&out, 1000);
  int rc = mill__text_piece(&text, (mill_slice){BYTES("a" LOW HIGH)}, &out);
  if (rc == MILL_OK)
    rc = mill__text_piece(&text, (mill_slice){BYTES(LOW HIGH)}, &out);
  if (rc == MILL_OK)
    rc = mill__text_end(&text, &out);
  CHECK_INT(rc, test_alloc_failed() ? MILL_E_NOMEM : MILL_OK);
  mill__buf_fini(&out);
}

int main(void) {
  test_alloc_install();
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
    run_case(&cases[i]);
  test_case("%s", "");
  test_nul();
  test_limit();
  test_each_failing_allocation(run_without_memory, NULL);
  CHECK_INT(test_alloc_live(), 0);
  return 0;
}
