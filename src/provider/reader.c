/* A dialect at work; see reader.h. */
#include "provider/reader.h"

#include <string.h>

#include "base/alloc.h"

#define ERROR_DEPTH 64 /* nested containers of an error object */

static int on_value(void *ctx, const struct mill__json_value *value) {
  struct mill__reader *reader = ctx;
  return reader->dialect->value(reader->assembly, reader->state, value);
}

int mill__reader_init(struct mill__reader *reader, const struct mill__dialect *dialect,
                      const mill_limits *limits, struct mill__assembly *assembly) {
  *reader = (struct mill__reader){.dialect = dialect, .limits = *limits, .assembly = assembly};
  const struct mill__json_table *table;
  int error = mill__dialect_table(dialect, &table);
  if (!error)
    error = mill__json_new(table, limits->json_depth, limits->event_bytes, on_value, reader,
                           &reader->json);
  if (!error && dialect->state_size && !(reader->state = mill__calloc(1, dialect->state_size)))
    error = MILL_E_NOMEM;
  if (error)
    mill__reader_fini(reader);
  return error;
}

void mill__reader_share(struct mill__reader *reader, struct mill__json_store *store) {
  reader->store = store;
  mill__json_share(reader->json, store);
}

static void free_inner(struct mill__reader *reader) {
  if (!reader->inner)
    return;
  mill__reader_fini(reader->inner);
  mill__free(reader->inner);
  reader->inner = NULL;
}

void mill__reader_fini(struct mill__reader *reader) {
  free_inner(reader);
  if (reader->state && reader->dialect->fini)
    reader->dialect->fini(reader->state);
  mill__free(reader->state);
  mill__json_free(reader->json);
}

void mill__reader_begin(struct mill__reader *reader) {
  if (reader->state)
    memset(reader->state, 0, reader->dialect->event_size);
  mill__json_reset(reader->json);
}

int mill__reader_feed(struct mill__reader *reader, const char *bytes, size_t len) {
  return mill__json_feed(reader->json, bytes, len);
}

int mill__reader_whole(struct mill__reader *reader, mill_slice document) {
  return mill__json_whole(reader->json, document.ptr, document.len);
}

/* ---- what a document carries ---------------------------------------------------------------- */

static int new_inner(struct mill__reader *reader, const struct mill__dialect *dialect) {
  struct mill__reader *inner = mill__calloc(1, sizeof *inner);
  if (!inner)
    return MILL_E_NOMEM;
  int error = mill__reader_init(inner, dialect, &reader->limits, reader->assembly);
  if (error) {
    mill__free(inner);
    return error;
  }
  mill__reader_share(inner, reader->store);
  reader->inner = inner;
  return MILL_OK;
}

/* The dialect stays the same for all of a stream, as a rule. */
static int get_inner(struct mill__reader *reader, const struct mill__dialect *dialect) {
  if (reader->inner && reader->inner->dialect == dialect)
    return MILL_OK;
  free_inner(reader);
  return new_inner(reader, dialect);
}

static int read_inner(struct mill__reader *reader, mill_slice document, mill_slice type) {
  if (!reader->dialect->inner)
    return MILL_OK;
  const struct mill__dialect *dialect = reader->dialect->inner(reader->state, &document);
  if (!dialect)
    return MILL_OK;
  int error = get_inner(reader, dialect);
  if (error)
    return error;
  mill__reader_begin(reader->inner);
  error = mill__reader_whole(reader->inner, document);
  return error ? error : mill__reader_end(reader->inner, document, type);
}

int mill__reader_end(struct mill__reader *reader, mill_slice document, mill_slice type) {
  int error = mill__json_finish(reader->json);
  if (!error)
    error = read_inner(reader, document, type);
  if (!error && reader->dialect->event)
    error = reader->dialect->event(reader->assembly, reader->state, type);
  return error;
}

/* ---- errors outside of events --------------------------------------------------------------- */

static int copy_error(const struct mill__provider_error *from, struct mill__provider_error *to) {
  return mill__provider_error_set(to, from->status, mill__buf_slice(&from->kind),
                                  mill__buf_slice(&from->message));
}

/* One whole document. MILL_E_PROTOCOL: it is no JSON. */
static int read_document(struct mill__reader *reader, const mill_slice *pieces, size_t n_pieces) {
  const mill_slice none = {"", 0};
  struct mill__meta meta;
  mill__reader_begin(reader);
  mill__assembly_begin_event(reader->assembly);
  int error = MILL_OK;
  for (size_t i = 0; i < n_pieces && !error; i++)
    error = mill__reader_feed(reader, pieces[i].ptr, pieces[i].len);
  if (!error)
    error = mill__reader_end(reader, n_pieces == 1 ? pieces[0] : none, none);
  return error ? error : mill__assembly_end_event(reader->assembly, &meta);
}

int mill__reader_find_error(const struct mill__dialect *dialect, const mill_slice *pieces,
                            size_t n_pieces, struct mill__provider_error *ret_error) {
  size_t len = 0;
  for (size_t i = 0; i < n_pieces; i++)
    len += pieces[i].len;
  const mill_limits limits = {.event_bytes = len, .json_depth = ERROR_DEPTH};
  struct mill__assembly assembly;
  mill__assembly_init(&assembly, len);
  struct mill__reader reader;
  int error = mill__reader_init(&reader, dialect, &limits, &assembly);
  if (!error) {
    error = read_document(&reader, pieces, n_pieces);
    mill__reader_fini(&reader);
    if (error != MILL_E_NOMEM)
      error = assembly.error.seen && !error ? copy_error(&assembly.error, ret_error) : MILL_END;
  }
  mill__assembly_fini(&assembly);
  return error;
}

bool mill__dialect_error_body(const struct mill__dialect *dialect, const char *body, size_t len,
                              struct mill__provider_error *ret_error) {
  return mill__reader_find_error(dialect, &(mill_slice){body, len}, 1, ret_error) == MILL_OK;
}
