/*
 * Fuzz target: UTF-8 is repaired as the table of the WHATWG's decoder says, however it is cut; see
 * support.h. The reference is written down from the standard's own words: section 8.1.1.
 */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "support.h"

#define REPLACEMENT "\xEF\xBF\xBD"

/* A decoder's variables. */
struct reference {
  unsigned needed, seen; /* bytes of a character */
  unsigned char lower, upper;
};

static const struct reference AT_START = {0, 0, 0x80, 0xBF};

/* Begin a character; false: no byte that begins one. */
static bool lead(struct reference *reference, unsigned char byte) {
  *reference = AT_START;
  if (byte >= 0xC2 && byte <= 0xDF)
    reference->needed = 1;
  else if (byte >= 0xE0 && byte <= 0xEF)
    reference->needed = 2;
  else if (byte >= 0xF0 && byte <= 0xF4)
    reference->needed = 3;
  else
    return byte < 0x80;
  if (byte == 0xE0)
    reference->lower = 0xA0;
  if (byte == 0xED)
    reference->upper = 0x9F;
  if (byte == 0xF0)
    reference->lower = 0x90;
  if (byte == 0xF4)
    reference->upper = 0x8F;
  return true;
}

static struct fuzz_bytes reference_repair(const char *bytes, size_t len) {
  struct fuzz_bytes out = {0};
  struct reference reference = AT_START;
  size_t begin = 0;
  for (size_t i = 0; i < len; i++) {
    const unsigned char byte = (unsigned char)bytes[i];
    if (reference.needed == 0) {
      begin = i;
      if (!lead(&reference, byte))
        fuzz_append(&out, REPLACEMENT, 3);
      else if (reference.needed == 0)
        fuzz_append(&out, bytes + i, 1);
    } else if (byte < reference.lower || byte > reference.upper) {
      fuzz_append(&out, REPLACEMENT, 3);
      reference = AT_START;
      i--; /* the byte is looked at again */
    } else {
      reference.lower = 0x80;
      reference.upper = 0xBF;
      if (++reference.seen == reference.needed) {
        fuzz_append(&out, bytes + begin, reference.needed + 1);
        reference = AT_START;
      }
    }
  }
  if (reference.needed > 0)
    fuzz_append(&out, REPLACEMENT, 3);
  return out;
}

static void require_same(const struct mill__buf *buf, const char *expected, size_t len) {
  require(buf->len == len);
  require(len == 0 || memcmp(buf->ptr, expected, len) == 0);
}

struct subject {
  struct mill__utf8 utf8;
  struct mill__buf out;
};

static int feed(void *user, const char *bytes, size_t len, size_t *ret_consumed) {
  struct subject *subject = user;
  *ret_consumed = len;
  return mill__utf8_repair(&subject->utf8, bytes, len, &subject->out);
}

static void tell(struct fuzz_run *run, const struct fuzz_input *input) {
  struct subject subject;
  const size_t cap = 3 * (input->len + 3);
  run->memory_bytes = cap;
  mill__utf8_init(&subject.utf8);
  mill__buf_init(&subject.out, cap);
  require(fuzz_feed_all(run, feed, &subject, input->bytes, input->len) == MILL_OK);
  require(mill__utf8_repair_end(&subject.utf8, &subject.out) == MILL_OK);
  fuzz_tell_text(run, 'o', mill__buf_slice(&subject.out));

  struct fuzz_bytes expected = reference_repair(input->bytes, input->len);
  require_same(&subject.out, expected.ptr, expected.len);
  size_t prefix = mill__utf8_valid_prefix(input->bytes, input->len);
  require(prefix <= input->len && prefix <= expected.len);
  require(prefix == 0 || memcmp(input->bytes, expected.ptr, prefix) == 0);
  bool is_valid = input->len == 0 || (expected.len == input->len &&
                                      memcmp(input->bytes, expected.ptr, input->len) == 0);
  require((prefix == input->len) == is_valid);
  free(expected.ptr);
  mill__buf_fini(&subject.out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  return fuzz_whole_and_cut(tell, data, size);
}
