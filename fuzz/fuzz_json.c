/*
 * Fuzz target: the JSON parser reports the same values of a document, however it is cut, and
 * whatever document the same parser was fed before.
 *
 * The first byte of an input is the seed of the cuts.
 */
#include <stdlib.h>
#include <string.h>

#include "parse/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct mill__json_path paths[] = {
    {"", 0, 127},           {"a", 1, 127},  {"a.b", 2, 127},         {"a.b[]", 3, 127},
    {"a.b[].c", 4, 15},     {"[]", 5, 127}, {"[][]", 6, 15},         {"[].a", 7, 127},
    {"[][][][][]", 8, 127}, {"é", 9, 127},  {"a.b[].c[].d", 10, 64},
};

static void require(bool condition) {
  if (!condition)
    abort();
}

static void record(struct mill__buf *log, const void *bytes, size_t len) {
  require(mill__buf_append(log, bytes, len) == MILL_OK);
}

static int on_value(void *ctx, const struct mill__json_value *value) {
  record(ctx, &value->field, sizeof value->field);
  record(ctx, &value->kind, sizeof value->kind);
  record(ctx, &value->is_array, sizeof value->is_array);
  record(ctx, &value->boolean, sizeof value->boolean);
  record(ctx, value->index, sizeof value->index);
  record(ctx, &value->text.len, sizeof value->text.len);
  record(ctx, value->text.ptr, value->text.len);
  return MILL_OK;
}

/* One document; `cuts` 0: whole. The outcome stands at the end of the log. */
static void run(struct mill__json *json, struct mill__buf *log, const char *bytes, size_t len,
                unsigned cuts) {
  mill__json_reset(json);
  mill__buf_clear(log);
  int rc = MILL_OK;
  for (size_t at = 0, n; at < len && rc == MILL_OK; at += n) {
    n = len - at;
    if (cuts != 0) {
      cuts = cuts * 1103515245u + 12345u;
      size_t wanted = 1 + (cuts >> 16) % 9 * ((cuts >> 24) % 5);
      n = wanted < n ? wanted : n;
    }
    char *piece = malloc(n); /* of its own memory, so that a sanitizer sees a byte too far */
    require(piece != NULL);
    memcpy(piece, bytes + at, n);
    rc = mill__json_feed(json, piece, n);
    free(piece);
  }
  rc = mill__json_finish(json);
  require(mill__json_error_offset(json) <= 3 * len + 1);
  record(log, &rc, sizeof rc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 1)
    return 0;
  struct mill__buf whole, cut;
  struct mill__json_table *table;
  struct mill__json *json;
  mill__buf_init(&whole, SIZE_MAX);
  mill__buf_init(&cut, SIZE_MAX);
  require(mill__json_table_new(paths, sizeof paths / sizeof *paths, &table) == MILL_OK);
  require(mill__json_new(table, 20, 30000, on_value, &cut, &json) == MILL_OK);
  run(json, &cut, (const char *)data + 1, size - 1, 0);
  struct mill__buf swapped = whole;
  whole = cut;
  cut = swapped;
  run(json, &cut, (const char *)data + 1, size - 1, 1u | (unsigned)data[0] << 1);
  require(whole.len == cut.len && memcmp(whole.ptr, cut.ptr, cut.len) == 0);
  mill__json_free(json);
  mill__json_table_free(table);
  mill__buf_fini(&whole);
  mill__buf_fini(&cut);
  return 0;
}
