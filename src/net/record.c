/*
 * The layout of a queue record. Of an event: a header, the event's strings, then each delta with its
 * strings. Of a note: the note, then its strings, which it points to.
 */
#include "net/record.h"

#include <stdalign.h>
#include <string.h>

struct event_header {
  enum mill__record_kind kind; /* first, as in a note */
  uint64_t number;
  size_t data_len, type_len, id_len;
  size_t meta_id_len, model_len, role_len;
  unsigned n_deltas;
};

struct delta_header {
  size_t text_len, signature_len, tool_id_len, tool_name_len, finish_raw_len;
  int choice, tool_index;
  uint8_t type, finish;
  bool has_usage; /* a usage_header follows */
};

struct usage_header {
  int64_t input_tokens, output_tokens, reasoning_tokens, cached_tokens;
  size_t raw_len;
};

/* Most events name no type: the empty string stands for it in the record. */
static const char DEFAULT_TYPE[] = "message";

static size_t padded(size_t len) {
  return (len + alignof(int64_t) - 1) / alignof(int64_t) * alignof(int64_t);
}

static size_t delta_bytes(const struct mill__delta *delta) {
  size_t size = sizeof(struct delta_header) + delta->text.len + delta->signature.len +
                delta->tool_id.len + delta->tool_name.len + delta->finish_raw.len;
  if (delta->type == MILL_CHUNK_USAGE)
    size += sizeof(struct usage_header) + delta->usage.raw.len;
  return padded(size);
}

/* ---- notes ----------------------------------------------------------------------------------- */

enum mill__record_kind mill__record_kind(const void *record) {
  enum mill__record_kind kind;
  memcpy(&kind, record, sizeof kind);
  return kind;
}

static size_t text_bytes(const char *text) {
  return text ? strlen(text) + 1 : 0;
}

static size_t body_bytes(const mill_error *error) {
  return error->body ? error->body_len + 1 : 0;
}

/* Copies the bytes to `*at` and gives their place there; NULL stays NULL. */
static char *move_bytes(char **at, const char *bytes, size_t len) {
  char *place = bytes ? *at : NULL;
  if (len)
    memcpy(*at, bytes, len);
  *at += len;
  return place;
}

int mill__record_put_note(struct mill__queue *queue, const struct mill__note *note) {
  const mill_error *error = &note->error;
  size_t size = sizeof *note + note->text.len + text_bytes(error->text) + text_bytes(error->kind) +
                text_bytes(error->request_id) + body_bytes(error);
  struct mill__note *copy = mill__queue_reserve(queue, size);
  if (!copy)
    return MILL_E_NOMEM;
  char *at = (char *)(copy + 1);
  *copy = *note;
  copy->text.ptr = move_bytes(&at, note->text.ptr, note->text.len);
  copy->error.text = move_bytes(&at, error->text, text_bytes(error->text));
  copy->error.kind = move_bytes(&at, error->kind, text_bytes(error->kind));
  copy->error.request_id = move_bytes(&at, error->request_id, text_bytes(error->request_id));
  copy->error.body = move_bytes(&at, error->body, body_bytes(error));
  mill__queue_commit(queue);
  return MILL_OK;
}

const struct mill__note *mill__record_note(const void *record) {
  return record;
}

/* ---- events ---------------------------------------------------------------------------------- */

static char *put_bytes(char *at, const void *bytes, size_t len) {
  if (len)
    memcpy(at, bytes, len);
  return at + len;
}

static char *put_slice(char *at, mill_slice slice) {
  return put_bytes(at, slice.ptr, slice.len);
}

static void put_delta(char *at, const struct mill__delta *delta) {
  struct delta_header header = {
      .text_len = delta->text.len,
      .signature_len = delta->signature.len,
      .tool_id_len = delta->tool_id.len,
      .tool_name_len = delta->tool_name.len,
      .finish_raw_len = delta->finish_raw.len,
      .choice = delta->choice,
      .tool_index = delta->tool_index,
      .type = (uint8_t)delta->type,
      .finish = (uint8_t)delta->finish,
      .has_usage = delta->type == MILL_CHUNK_USAGE,
  };
  at = put_bytes(at, &header, sizeof header);
  if (header.has_usage) {
    struct usage_header usage = {
        .input_tokens = delta->usage.input_tokens,
        .output_tokens = delta->usage.output_tokens,
        .reasoning_tokens = delta->usage.reasoning_tokens,
        .cached_tokens = delta->usage.cached_tokens,
        .raw_len = delta->usage.raw.len,
    };
    at = put_bytes(at, &usage, sizeof usage);
    at = put_slice(at, delta->usage.raw);
  }
  at = put_slice(at, delta->text);
  at = put_slice(at, delta->signature);
  at = put_slice(at, delta->tool_id);
  at = put_slice(at, delta->tool_name);
  put_slice(at, delta->finish_raw);
}

static bool is_default_type(mill_slice type) {
  return type.len == sizeof DEFAULT_TYPE - 1 && !memcmp(type.ptr, DEFAULT_TYPE, type.len);
}

int mill__record_put(struct mill__queue *queue, const mill_event *event,
                     const struct mill__meta *meta, const struct mill__delta *deltas,
                     size_t n_deltas) {
  struct event_header header = {
      .kind = MILL__RECORD_EVENT,
      .number = event->number,
      .data_len = event->data.len,
      .type_len = is_default_type(event->type) ? 0 : event->type.len,
      .id_len = event->id.len,
      .meta_id_len = meta->id.len,
      .model_len = meta->model.len,
      .role_len = meta->role.len,
      .n_deltas = (unsigned)n_deltas,
  };
  size_t head = padded(sizeof header + header.data_len + header.type_len + header.id_len +
                       header.meta_id_len + header.model_len + header.role_len);
  size_t size = head;
  for (size_t i = 0; i < n_deltas; i++)
    size += delta_bytes(&deltas[i]);

  char *record = mill__queue_reserve(queue, size);
  if (!record)
    return MILL_E_NOMEM;
  char *at = put_bytes(record, &header, sizeof header);
  at = put_slice(at, event->data);
  at = put_bytes(at, event->type.ptr, header.type_len);
  at = put_slice(at, event->id);
  at = put_slice(at, meta->id);
  at = put_slice(at, meta->model);
  put_slice(at, meta->role);
  at = record + head;
  for (size_t i = 0; i < n_deltas; i++) {
    put_delta(at, &deltas[i]);
    at += delta_bytes(&deltas[i]);
  }
  mill__queue_commit(queue);
  return MILL_OK;
}

static mill_slice take(const char **at, size_t len) {
  mill_slice slice = {*at, len};
  *at += len;
  return slice;
}

void mill__record_open(struct mill__record_reader *reader, const void *record,
                       mill_event *ret_event, struct mill__meta *ret_meta) {
  struct event_header header;
  memcpy(&header, record, sizeof header);
  const char *at = (const char *)record + sizeof header;
  ret_event->data = take(&at, header.data_len);
  ret_event->type = take(&at, header.type_len);
  if (!header.type_len)
    ret_event->type = (mill_slice){DEFAULT_TYPE, sizeof DEFAULT_TYPE - 1};
  ret_event->id = take(&at, header.id_len);
  ret_event->number = header.number;
  ret_event->n_chunks = header.n_deltas;
  ret_meta->id = take(&at, header.meta_id_len);
  ret_meta->model = take(&at, header.model_len);
  ret_meta->role = take(&at, header.role_len);
  reader->next = (const char *)record + padded((size_t)(at - (const char *)record));
  reader->left = header.n_deltas;
}

void mill__record_next(struct mill__record_reader *reader, mill_chunk *ret_chunk) {
  const char *begin = reader->next, *at = begin;
  struct delta_header header;
  memcpy(&header, at, sizeof header);
  at += sizeof header;
  ret_chunk->usage = (mill_usage){-1, -1, -1, -1, {NULL, 0}};
  if (header.has_usage) {
    struct usage_header usage;
    memcpy(&usage, at, sizeof usage);
    at += sizeof usage;
    ret_chunk->usage = (mill_usage){usage.input_tokens, usage.output_tokens, usage.reasoning_tokens,
                                    usage.cached_tokens, take(&at, usage.raw_len)};
  }
  ret_chunk->type = (enum mill_chunk_type)header.type;
  ret_chunk->choice = header.choice;
  ret_chunk->tool_index = header.tool_index;
  ret_chunk->finish = (enum mill_finish)header.finish;
  ret_chunk->text = take(&at, header.text_len);
  ret_chunk->signature = take(&at, header.signature_len);
  ret_chunk->tool_id = take(&at, header.tool_id_len);
  ret_chunk->tool_name = take(&at, header.tool_name_len);
  ret_chunk->finish_raw = take(&at, header.finish_raw_len);
  reader->next = begin + padded((size_t)(at - begin));
  reader->left--;
}
