/*
 * Fuzz target: what stands before yajl gives the same text, however its input is cut, and one that
 * is UTF-8 but for surrogates in their three-byte form; see support.h.
 */
#include <stdlib.h>
#include <string.h>

#include "parse/json_filter.h"
#include "support.h"

struct subject {
  struct mill__json_filter filter;
  struct fuzz_bytes text;
};

static int feed(void *user, const char *bytes, size_t len, size_t *ret_consumed) {
  struct subject *subject = user;
  mill_slice text;
  *ret_consumed = len;
  int rc = mill__json_filter_run(&subject->filter, bytes, len, &text);
  if (rc == MILL_OK)
    fuzz_append(&subject->text, text.ptr, text.len);
  return rc;
}

/* Their three bytes give way to those of U+FFFD. */
static void replace_surrogates(char *bytes, size_t len) {
  for (size_t i = 0; i + 2 < len; i++)
    if ((unsigned char)bytes[i] == 0xED && (unsigned char)bytes[i + 1] >= 0xA0)
      memcpy(bytes + i, "\xEF\xBF\xBD", 3);
}

static void tell(struct fuzz_run *run, const struct fuzz_input *input) {
  struct subject subject = {.text = {0}};
  const size_t cap = 3 * (input->len + MILL__JSON_ESCAPE_BYTES);
  run->memory_bytes = 2 * cap;
  mill__json_filter_init(&subject.filter, cap);
  require(fuzz_feed_all(run, feed, &subject, input->bytes, input->len) == MILL_OK);
  fuzz_tell_number(run, 'O', mill__json_filter_is_open(&subject.filter));
  fuzz_tell(run, 't', subject.text.ptr, subject.text.len);
  replace_surrogates(subject.text.ptr, subject.text.len);
  fuzz_tell_text(run, 'u', (mill_slice){subject.text.ptr, subject.text.len});
  mill__json_filter_fini(&subject.filter);
  free(subject.text.ptr);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  return fuzz_whole_and_cut(tell, data, size);
}
