/*
 * UTF-8 repair against the WHATWG decoder, written down here as the standard has it: all sequences
 * of one to three bytes and all kinds of four, cut at every place.
 */
#include <string.h>

#include "base/utf8.h"
#include "support.h"

#define FFFD "\xEF\xBF\xBD"
#define MAX_OUT 64

/* ---- the reference: WHATWG Encoding, section 8.1.1, byte by byte ----------------------------- */

struct output {
  char bytes[MAX_OUT];
  size_t len;
  size_t valid_prefix; /* of the input */
  bool valid;          /* so far */
};

static void emit(struct output *out, const void *bytes, size_t len) {
  CHECK(out->len + len <= MAX_OUT);
  memcpy(out->bytes + out->len, bytes, len);
  out->len += len;
}

static void emit_error(struct output *out) {
  emit(out, FFFD, 3);
  out->valid = false;
}

/* How many bytes follow this lead byte, and the range of the first of them; 0 for no lead byte. */
static size_t begin_character(unsigned char byte, unsigned char *lower, unsigned char *upper) {
  if (byte >= 0xC2 && byte <= 0xDF)
    return 1;
  if (byte >= 0xE0 && byte <= 0xEF) {
    *lower = byte == 0xE0 ? 0xA0 : *lower;
    *upper = byte == 0xED ? 0x9F : *upper;
    return 2;
  }
  if (byte >= 0xF0 && byte <= 0xF4) {
    *lower = byte == 0xF0 ? 0x90 : *lower;
    *upper = byte == 0xF4 ? 0x8F : *upper;
    return 3;
  }
  return 0;
}

static void decode(const unsigned char *in, size_t len, struct output *out) {
  size_t needed = 0, seen = 0;
  unsigned char lower = 0x80, upper = 0xBF;
  *out = (struct output){.valid = true};
  for (size_t i = 0; i < len; i++) {
    if (needed == 0 && in[i] <= 0x7F) {
      emit(out, in + i, 1);
    } else if (needed == 0) {
      needed = begin_character(in[i], &lower, &upper);
      if (needed == 0)
        emit_error(out);
    } else if (in[i] < lower || in[i] > upper) {
      needed = seen = 0;
      lower = 0x80, upper = 0xBF;
      emit_error(out);
      i--; /* "prepend byte to ioQueue" */
    } else {
      lower = 0x80, upper = 0xBF;
      if (++seen == needed) {
        emit(out, in + i - needed, needed + 1);
        needed = seen = 0;
      }
    }
    if (out->valid && needed == 0)
      out->valid_prefix = i + 1;
  }
  if (needed > 0)
    emit_error(out);
}

/* ---- sequences ------------------------------------------------------------------------------- */

/* Feed `in` cut where the bits of `cuts` are set (bit 0: behind the first byte). */
static void check_cut(const char *in, size_t len, unsigned cuts, const struct output *expected,
                      struct mill__buf *out) {
  struct mill__utf8 utf8;
  mill__utf8_init(&utf8);
  mill__buf_clear(out);
  size_t start = 0;
  for (size_t i = 1; i <= len; i++) {
    if (i < len && (cuts >> (i - 1) & 1) == 0)
      continue;
    if (mill__utf8_repair(&utf8, in + start, i - start, out) != MILL_OK)
      CHECK(!"repair failed");
    start = i;
  }
  if (mill__utf8_repair_end(&utf8, out) != MILL_OK)
    CHECK(!"repair_end failed");
  if (out->len == expected->len && memcmp(out->ptr, expected->bytes, out->len) == 0)
    return;
  test_case("%02x %02x %02x %02x: %zu bytes, cuts %u", in[0] & 0xFF, in[1] & 0xFF, in[2] & 0xFF,
            in[3] & 0xFF, len, cuts);
  CHECK_BYTES(out->ptr, out->len, expected->bytes, expected->len);
}

static void check_sequence(const char in[4], size_t len, struct mill__buf *out) {
  struct output expected;
  decode((const unsigned char *)in, len, &expected);
  if (mill__utf8_valid_prefix(in, len) != expected.valid_prefix)
    CHECK_INT(mill__utf8_valid_prefix(in, len), expected.valid_prefix);
  for (unsigned cuts = 0; cuts < 1u << (len - 1); cuts++)
    check_cut(in, len, cuts, &expected, out);
}

static void test_all_up_to_three_bytes(struct mill__buf *out) {
  for (unsigned a = 0; a < 256; a++) {
    check_sequence((char[4]){(char)a}, 1, out);
    for (unsigned b = 0; b < 256; b++) {
      check_sequence((char[4]){(char)a, (char)b}, 2, out);
      for (unsigned c = 0; c < 256; c++)
        check_sequence((char[4]){(char)a, (char)b, (char)c}, 3, out);
    }
  }
}

/* Four bytes: one from each side of every boundary that the decoder knows. */
static void test_four_bytes(struct mill__buf *out) {
  static const char edges[] = "\x00\x7F\x80\x8F\x90\x9F\xA0\xBF\xC0\xC1\xC2\xDF\xE0\xE1\xEC\xED\xEE"
                              "\xEF\xF0\xF1\xF3\xF4\xF5\xFF";
  enum { N = sizeof(edges) - 1 };
  for (unsigned i = 0; i < N * N * N * N; i++) {
    const char in[4] = {edges[i / (N * N * N)], edges[i / (N * N) % N], edges[i / N % N],
                        edges[i % N]};
    check_sequence(in, 4, out);
  }
}

/* ---- text ------------------------------------------------------------------------------------ */

struct text_case {
  const char *name, *in, *out;
};

static const struct text_case cases[] = {
    {"plain", "Hello, world", "Hello, world"},
    {"all widths", "$\xC2\xA2\xE2\x82\xAC\xF0\x9F\x98\x80",
     "$\xC2\xA2\xE2\x82\xAC\xF0\x9F\x98\x80"},
    {"Unicode table 3-8",
     "a\xF1\x80\x80\xE1\x80\xC2"
     "b\x80"
     "c\x80\xBF"
     "d",
     "a" FFFD FFFD FFFD "b" FFFD "c" FFFD FFFD "d"},
    {"cut character before a newline", "a\xE2\x82\nb", "a" FFFD "\nb"},
    {"cut character at the end", "a\xF0\x9F\x98", "a" FFFD},
    {"cut, then a whole one", "\xE2\x82\xE2\x82\xAC", FFFD "\xE2\x82\xAC"},
    {"overlong newline",
     "a\xC0\x8A"
     "b",
     "a" FFFD FFFD "b"},
    {"surrogate", "\xED\xA0\x80", FFFD FFFD FFFD},
    {"above U+10FFFF", "\xF4\x90\x80\x80", FFFD FFFD FFFD FFFD},
    {"Latin-1", "caf\xE9 cr\xE8me", "caf" FFFD " cr" FFFD "me"},
};

static void run_case(const struct text_case *c) {
  struct mill__buf out;
  mill__buf_init(&out, 1000);
  struct test_pieces pieces = {.bytes = c->in, .len = strlen(c->in)};
  while (test_next_run(&pieces)) {
    test_case("%s, %s", c->name, test_run_name(&pieces));
    struct mill__utf8 utf8;
    mill__utf8_init(&utf8);
    mill__buf_clear(&out);
    const char *piece;
    size_t len;
    while ((piece = test_next_piece(&pieces, &len)) != NULL) {
      CHECK_INT(mill__utf8_repair(&utf8, piece, len, &out), MILL_OK);
      CHECK_INT(mill__utf8_repair(&utf8, piece, 0, &out), MILL_OK); /* changes nothing */
    }
    CHECK_INT(mill__utf8_repair_end(&utf8, &out), MILL_OK);
    CHECK_INT(mill__utf8_repair_end(&utf8, &out), MILL_OK);
    CHECK_BYTES(out.ptr, out.len, c->out, strlen(c->out));
  }
  mill__buf_fini(&out);
}

/* A bad byte at every place of ASCII text of every length: the fast path may skip none. */
static void test_every_alignment(void) {
  char text[80];
  memset(text, 'x', sizeof(text));
  for (size_t len = 1; len <= sizeof(text); len++) {
    const char *guarded = test_guarded(text, len);
    CHECK_INT(mill__utf8_valid_prefix(guarded, len), len);
    for (size_t bad = 0; bad < len; bad++) {
      text[bad] = (char)0x80;
      guarded = test_guarded(text, len);
      text[bad] = 'x';
      CHECK_INT(mill__utf8_valid_prefix(guarded, len), bad);
    }
  }
}

static void run_without_memory(void *ctx) {
  (void)ctx;
  struct mill__buf out;
  struct mill__utf8 utf8;
  mill__utf8_init(&utf8);
  mill__buf_init(&out, 1000);
  int rc = mill__utf8_repair(&utf8, BYTES("ab\xE2\x82"), &out);
  if (rc == MILL_OK)
    rc = mill__utf8_repair(&utf8, BYTES("\xAC\xFF\xF0\x9F"), &out);
  if (rc == MILL_OK)
    rc = mill__utf8_repair_end(&utf8, &out);
  CHECK_INT(rc, test_alloc_failed() ? MILL_E_NOMEM : MILL_OK);
  mill__buf_fini(&out);
}

static void test_limit(void) {
  struct mill__buf out;
  struct mill__utf8 utf8;
  mill__utf8_init(&utf8);
  mill__buf_init(&out, 4);
  CHECK_INT(mill__utf8_repair(&utf8, BYTES("abcde"), &out), MILL_E_LIMIT);
  CHECK_INT(mill__utf8_repair(&utf8, BYTES("\xFF\xFF"), &out), MILL_E_LIMIT);
  mill__buf_fini(&out);
}

int main(void) {
  test_alloc_install();
  struct mill__buf out;
  mill__buf_init(&out, MAX_OUT);
  test_all_up_to_three_bytes(&out);
  test_four_bytes(&out);
  mill__buf_fini(&out);
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
    run_case(&cases[i]);
  test_case("%s", "");
  test_every_alignment();
  test_limit();
  test_each_failing_allocation(run_without_memory, NULL);
  CHECK_INT(test_alloc_live(), 0);
  return 0;
}
