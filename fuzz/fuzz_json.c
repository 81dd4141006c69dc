/*
 * Fuzz target: the JSON parser reports the same values of a document, fed in pieces, and at once by
 * the short way of parse/json_template.h, whatever documents the same parser was fed before.
 *
 * Documents are separated by LF. With bit 1 the text of containers is asked for, which no template
 * gives. With bit 2 each document is followed by one like it: other strings stand for its 'z' and
 * other numbers for its '7', as the rest of the bits chooses.
 */
#include <stdlib.h>
#include <string.h>

#include "parse/json.h"
#include "support.h"

#define BIT_RAW 1u
#define BIT_ALIKE 2u
#define DEPTH 20
#define WIDE_DOCUMENT_BYTES 3000
#define MEMORY_BYTES ((size_t)512 * 1024) /* yajl's, the template, and what is kept */

static const struct mill__json_path paths[] = {
    {"", 0, 127},           {"a", 1, 127},  {"a.b", 2, 127},         {"a.b[]", 3, 127},
    {"a.b[].c", 4, 15},     {"[]", 5, 127}, {"[][]", 6, 15},         {"[].a", 7, 127},
    {"[][][][][]", 8, 127}, {"é", 9, 127},  {"a.b[].c[].d", 10, 64}, {"text", 11, 8},
};
enum { N_PATHS = sizeof paths / sizeof *paths };

static int on_value(void *run, const struct mill__json_value *value) {
  fuzz_tell_number(run, 'v', value->field);
  fuzz_tell_number(run, 'k', value->kind);
  fuzz_tell_number(run, 'a', value->is_array);
  fuzz_tell_number(run, 'b', value->boolean);
  fuzz_tell(run, 'i', value->index, sizeof value->index);
  fuzz_tell_slice(run, 't', value->text);
  return MILL_OK;
}

static int feed(void *json, const char *bytes, size_t len, size_t *ret_consumed) {
  *ret_consumed = len;
  return mill__json_feed(json, bytes, len);
}

/* At once or in pieces; what the feed itself returned is no part of it. */
static void tell_document(struct fuzz_run *run, struct mill__json *json, const char *bytes,
                          size_t len) {
  int rc;
  mill__json_reset(json);
  if (run->cuts == 0) {
    rc = mill__json_whole(json, bytes, len);
  } else {
    for (size_t at = 0, n; at < len; at += n) {
      n = fuzz_next_cut(run, len - at);
      if (fuzz_feed_piece(run, feed, json, bytes + at, n) != MILL_OK)
        break;
    }
    rc = mill__json_finish(json);
  }
  require(mill__json_error_offset(json) <= 3 * len + 1);
  fuzz_tell_number(run, 'R', rc);
}

/* The document with its 'z' and '7' replaced. */
static struct fuzz_bytes alike(const char *bytes, size_t len, unsigned choice) {
  static const char *const texts[] = {"", "zz", "\xc3\xa9", "\\n", "\"", "\\ud83d", "\xff", "\x01"};
  static const char *const numbers[] = {"0", "-12", "3.5e1", "00", "-", "1e400", "1.", ""};
  struct fuzz_bytes copy = {0};
  for (size_t i = 0; i < len; i++) {
    const char *other = bytes[i] == 'z'   ? texts[choice & 7u]
                        : bytes[i] == '7' ? numbers[choice >> 3 & 7u]
                                          : NULL;
    fuzz_append(&copy, other ? other : bytes + i, other ? strlen(other) : 1);
  }
  return copy;
}

static void tell_documents(struct fuzz_run *run, const struct fuzz_input *input,
                           struct mill__json *json) {
  const char *at = input->bytes, *end = at + input->len;
  while (at < end) {
    const char *lf = memchr(at, '\n', (size_t)(end - at));
    size_t len = lf ? (size_t)(lf - at) : (size_t)(end - at);
    tell_document(run, json, at, len);
    if (input->bits & BIT_ALIKE) {
      struct fuzz_bytes copy = alike(at, len, input->bits >> 2);
      tell_document(run, json, copy.len ? copy.ptr : "", copy.len);
      free(copy.ptr);
    }
    at += len + (lf != NULL);
  }
}

static void tell(struct fuzz_run *run, const struct fuzz_input *input) {
  struct mill__json_table *table;
  struct mill__json *json;
  struct mill__json_path rows[N_PATHS];
  memcpy(rows, paths, sizeof rows);
  for (size_t i = 0; i < N_PATHS && !(input->bits & BIT_RAW); i++)
    rows[i].want &= (uint16_t)~MILL__JSON_RAW;
  const size_t limit = input->limit < 128 ? input->limit : WIDE_DOCUMENT_BYTES;
  run->memory_bytes = MEMORY_BYTES;
  require(mill__json_table_new(rows, N_PATHS, &table) == MILL_OK);
  require(mill__json_new(table, DEPTH, limit, on_value, run, &json) == MILL_OK);
  tell_documents(run, input, json);
  mill__json_free(json);
  mill__json_table_free(table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  return fuzz_whole_and_cut(tell, data, size);
}
