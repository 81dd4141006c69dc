/*
 * Fuzz target: delta strings become the text that their UTF-16 says, however that is cut between
 * two units; see support.h. The bytes behind the settings are the units, big-endian; the code of a
 * pair is one character where both halves are in one piece and bit 2 is set, as parse/json.h has it.
 */
#include <stdlib.h>
#include <string.h>

#include "parse/text.h"
#include "support.h"

#define BIT_JOIN 2u

static unsigned unit_at(const char *bytes) {
  return (unsigned)(unsigned char)bytes[0] << 8 | (unsigned char)bytes[1];
}

static bool is_high(unsigned unit) {
  return unit >= 0xD800 && unit <= 0xDBFF;
}

static bool is_low(unsigned unit) {
  return unit >= 0xDC00 && unit <= 0xDFFF;
}

/* UTF-8, that of surrogates too. */
static void put_code(struct fuzz_bytes *out, uint32_t code) {
  char bytes[4];
  size_t len = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  static const unsigned char leads[] = {0, 0xC0, 0xE0, 0xF0};
  for (size_t i = len; i-- > 1; code >>= 6)
    bytes[i] = (char)(0x80 | (code & 0x3F));
  bytes[0] = (char)(leads[len - 1] | code);
  fuzz_append(out, bytes, len);
}

/* `join`: pairs become one character; `replace`: what is no pair becomes U+FFFD. */
static struct fuzz_bytes encode(const char *bytes, size_t len, bool join, bool replace) {
  struct fuzz_bytes out = {0};
  for (size_t i = 0; i + 1 < len; i += 2) {
    unsigned unit = unit_at(bytes + i), next = i + 3 < len ? unit_at(bytes + i + 2) : 0;
    if (join && is_high(unit) && is_low(next)) {
      put_code(&out, 0x10000 + ((unit - 0xD800) << 10) + (next - 0xDC00));
      i += 2;
    } else {
      put_code(&out, replace && (is_high(unit) || is_low(unit)) ? 0xFFFD : unit);
    }
  }
  return out;
}

static void add_piece(struct mill__text *text, struct mill__buf *out, const char *bytes, size_t len,
                      bool join) {
  struct fuzz_bytes piece = encode(bytes, len, join, false);
  char *exact = malloc(piece.len + 1); /* so that a sanitizer sees a byte too far */
  require(exact != NULL);
  if (piece.len > 0)
    memcpy(exact + 1, piece.ptr, piece.len);
  require(mill__text_piece(text, (mill_slice){exact + 1, piece.len}, out) == MILL_OK);
  free(exact);
  free(piece.ptr);
}

static void tell(struct fuzz_run *run, const struct fuzz_input *input) {
  const bool join = (input->bits & BIT_JOIN) != 0;
  const size_t len = input->len & ~(size_t)1, cap = 3 * len + 3;
  struct mill__text text = {0};
  struct mill__buf out;
  run->memory_bytes = cap;
  mill__buf_init(&out, cap);
  for (size_t at = 0, n; at < len; at += n) {
    n = fuzz_next_cut(run, len - at);
    n += n & 1; /* between units */
    add_piece(&text, &out, input->bytes + at, n, join);
  }
  require(mill__text_end(&text, &out) == MILL_OK);
  fuzz_tell_text(run, 't', mill__buf_slice(&out));

  struct fuzz_bytes expected = encode(input->bytes, len, true, true);
  require(expected.len == out.len);
  require(out.len == 0 || memcmp(expected.ptr, out.ptr, out.len) == 0);
  free(expected.ptr);
  mill__buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  return fuzz_whole_and_cut(tell, data, size);
}
