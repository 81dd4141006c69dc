/*
 * Fuzz target: the parser of growing JSON gives the same changes whole and in pieces, well nested
 * and in valid UTF-8; and where nothing stands around the value, it takes and refuses what yajl does.
 */
#include "millstream/partial.h"

#include <string.h>

#include "parse/json.h"
#include "support.h"

#define BIT_LENIENT 2u
#define BIT_OBJECTS 4u
#define DEPTH 20
#define DOCUMENT_BYTES ((size_t)1 << 22)
#define MEMORY_BYTES ((size_t)512 * 1024) /* a key, levels, and yajl's */

struct reader {
  struct fuzz_run *run;
  bool is_array[DEPTH];
  size_t depth;
  bool in_string, began;
  uint64_t begin, end; /* of a root that is no number or literal; end 0: not complete */
};

static void check_place(const struct reader *reader, const mill_partial_change *change) {
  require(!reader->in_string && change->depth == reader->depth);
  bool in_object = reader->depth > 0 && !reader->is_array[reader->depth - 1];
  require((change->key.ptr != NULL) == in_object);
}

static void take_end(struct reader *reader, const mill_partial_change *change) {
  if (!reader->in_string) {
    require(reader->depth > 0);
    reader->depth--;
  }
  reader->in_string = false;
  require(change->depth == reader->depth);
  if (reader->depth == 0)
    reader->end = change->offset;
}

static void take_value(struct reader *reader, const mill_partial_change *change) {
  check_place(reader, change);
  require(change->depth > 0 || !reader->began);
  if (!reader->began)
    reader->begin = change->offset;
  reader->began = true;
  reader->in_string = change->kind == MILL_PARTIAL_STRING;
  if (change->kind == MILL_PARTIAL_OBJECT || change->kind == MILL_PARTIAL_ARRAY) {
    require(reader->depth < DEPTH);
    reader->is_array[reader->depth++] = change->kind == MILL_PARTIAL_ARRAY;
  }
}

static int on_change(void *ctx, const mill_partial_change *change) {
  struct reader *reader = ctx;
  if (change->kind == MILL_PARTIAL_TEXT) {
    require(reader->in_string && change->depth == reader->depth);
    return fuzz_tell_data(reader->run, change->text.ptr, change->text.len);
  }
  fuzz_tell_number(reader->run, 'k', change->kind);
  fuzz_tell_number(reader->run, 'o', (int64_t)change->offset);
  fuzz_tell_number(reader->run, 'i', (int64_t)change->index);
  fuzz_tell_number(reader->run, 'r', (int64_t)change->repair);
  fuzz_tell_text(reader->run, 't', change->text);
  fuzz_tell_text(reader->run, 'n', change->key);
  if (change->kind == MILL_PARTIAL_END)
    take_end(reader, change);
  else if (change->kind != MILL_PARTIAL_REPAIR)
    take_value(reader, change);
  return MILL_OK;
}

static int feed(void *partial, const char *bytes, size_t len, size_t *ret_consumed) {
  *ret_consumed = len;
  return mill_partial_feed(partial, bytes, len);
}

/* ---- yajl ------------------------------------------------------------------------------------- */

static int on_json(void *ctx, const struct mill__json_value *value) {
  return MILL_OK;
}

static bool yajl_takes(const struct fuzz_input *input) {
  static const struct mill__json_path paths[] = {{"", 0, MILL__JSON_BEGIN}};
  struct mill__json_table *table;
  struct mill__json *json;
  require(mill__json_table_new(paths, 1, &table) == MILL_OK);
  require(mill__json_new(table, DEPTH, DOCUMENT_BYTES, on_json, NULL, &json) == MILL_OK);
  int rc = mill__json_feed(json, input->bytes, input->len);
  if (rc == MILL_OK)
    rc = mill__json_finish(json);
  mill__json_free(json);
  mill__json_table_free(table);
  return rc == MILL_OK;
}

static bool is_space(const char *bytes, size_t len) {
  for (size_t i = 0; i < len; i++)
    if (memchr(" \t\r\n", bytes[i], 4) == NULL)
      return false;
  return true;
}

/* yajl also takes a form feed and a vertical tab as white space. */
static bool has_odd_space(const struct fuzz_input *input) {
  return memchr(input->bytes, '\f', input->len) != NULL ||
         memchr(input->bytes, '\v', input->len) != NULL;
}

static void compare(const struct reader *reader, const struct fuzz_input *input, bool taken) {
  const size_t begin = (size_t)reader->begin, end = (size_t)reader->end;
  if (taken && end > 0 && is_space(input->bytes, begin) &&
      is_space(input->bytes + end, input->len - end))
    require(yajl_takes(input));
  if (!taken && !has_odd_space(input))
    require(!yajl_takes(input));
}

/* ---- the target ------------------------------------------------------------------------------- */

static void tell(struct fuzz_run *run, const struct fuzz_input *input) {
  struct reader reader = {.run = run};
  mill_partial_options options;
  mill_partial *partial;
  mill_partial_options_init(&options);
  run->memory_bytes = MEMORY_BYTES;
  options.lenient = input->bits & BIT_LENIENT;
  options.max_depth = DEPTH;
  options.text_bytes = input->limit;
  if (input->bits & BIT_OBJECTS)
    options.roots = MILL_PARTIAL_ROOT_OBJECT;
  if (options.text_bytes == 0)
    return;
  require(mill_partial_new(&options, on_change, &reader, &partial) == MILL_OK);
  fuzz_feed_all(run, feed, partial, input->bytes, input->len);
  int rc = mill_partial_finish(partial);
  fuzz_tell_number(run, 'R', rc);
  require(rc != MILL_OK || (mill_partial_done(partial) && reader.depth == 0 && !reader.in_string));
  mill_partial_free(partial);
  bool all = (input->bits & (BIT_LENIENT | BIT_OBJECTS)) == 0 && input->len <= options.text_bytes;
  if (all && run->cuts == 0)
    compare(&reader, input, rc == MILL_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  return fuzz_whole_and_cut(tell, data, size);
}
