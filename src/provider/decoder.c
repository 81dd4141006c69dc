/*
 * A body -> events and deltas: the SSE framing feeds the dialect's JSON table, whose values become
 * deltas of the assembly; see decoder.h.
 */
#include "provider/decoder.h"

#include <stdint.h>
#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "parse/sse.h"
#include "provider/assembly.h"
#include "provider/dialect.h"

#define KEEP_BYTES ((size_t)64 * 1024) /* what a larger event took is given back */
/* Where an error object begins in broken data is tried out; a try may cost the whole length. */
#define ERROR_TRIES 8
#define ERROR_DEPTH 64 /* nested containers of an error object */

/* What the data of an event has turned out to be, so far. */
enum payload {
  BLANK,      /* nothing but white space */
  TERMINATOR, /* a beginning of the dialect's terminator, or all of it and white space */
  JSON        /* or what should be */
};

/* The dialect at work on one JSON document after the other. */
struct reader {
  const struct mill__dialect *dialect;
  struct mill__json *json;
  struct mill__assembly assembly;
  void *state;
};

struct mill__decoder {
  struct reader reader;
  struct mill__sink sink;
  struct mill__sse sse;
  int error;
  bool terminated;
  bool paused; /* ... and the sink paused there */

  /* the event */
  bool begun;
  enum payload payload;
  size_t matched;        /* bytes of the terminator */
  mill_slice piece;      /* data that came as one piece of what is being fed, not copied yet */
  struct mill__buf data; /* else */
  bool offset_known;
  uint64_t event_offset; /* where its data begins in the body */
  uint64_t n_events;

  /* what is being fed, and where it stands in the body */
  mill_slice feed;
  uint64_t feed_offset;
};

/* ---- the reader ----------------------------------------------------------------------------- */

static int on_value(void *ctx, const struct mill__json_value *value) {
  struct reader *reader = ctx;
  return reader->dialect->value(&reader->assembly, reader->state, value);
}

static void reader_fini(struct reader *reader) {
  if (reader->state && reader->dialect->fini)
    reader->dialect->fini(reader->state);
  mill__free(reader->state);
  mill__json_free(reader->json);
  mill__assembly_fini(&reader->assembly);
}

static int reader_init(struct reader *reader, const struct mill__dialect *dialect,
                       const mill_limits *limits) {
  *reader = (struct reader){.dialect = dialect};
  mill__assembly_init(&reader->assembly, limits->event_bytes);
  const struct mill__json_table *table;
  int error = mill__dialect_table(dialect, &table);
  if (!error)
    error = mill__json_new(table, limits->json_depth, limits->event_bytes, on_value, reader,
                           &reader->json);
  if (!error && !(reader->state = mill__calloc(1, dialect->state_size)))
    error = MILL_E_NOMEM;
  if (error)
    reader_fini(reader);
  return error;
}

/* The document is whole and was JSON. */
static int reader_end(struct reader *reader, mill_slice type) {
  if (!reader->dialect->event)
    return MILL_OK;
  return reader->dialect->event(&reader->assembly, reader->state, type);
}

static void reader_begin(struct reader *reader) {
  mill__json_reset(reader->json);
  mill__assembly_begin_event(&reader->assembly);
}

/* One whole document, for what errors it holds. MILL_E_PROTOCOL: it is no JSON. */
static int read_document(struct reader *reader, const mill_slice *pieces, size_t n_pieces) {
  reader_begin(reader);
  int error = MILL_OK;
  for (size_t i = 0; i < n_pieces && !error; i++)
    error = mill__json_feed(reader->json, pieces[i].ptr, pieces[i].len);
  if (!error)
    error = mill__json_finish(reader->json);
  if (!error)
    error = reader_end(reader, (mill_slice){"", 0});
  struct mill__meta meta;
  return error ? error : mill__assembly_end_event(&reader->assembly, &meta);
}

/* ---- errors outside of whole events --------------------------------------------------------- */

static int set_text(struct mill__buf *buf, mill_slice text) {
  mill__buf_clear(buf);
  return mill__buf_append(buf, text.ptr, text.len);
}

static int copy_error(const struct mill__provider_error *from, struct mill__provider_error *to) {
  int error = set_text(&to->message, mill__buf_slice(&from->message));
  if (!error)
    error = set_text(&to->kind, mill__buf_slice(&from->kind));
  to->status = from->status;
  to->seen = !error;
  return error;
}

/*
 * Look for an error object in a document that is read beside the stream, so that nothing of its
 * other values gets into it. MILL_END: there is none.
 */
static int find_error(const struct mill__dialect *dialect, const mill_slice *pieces,
                      size_t n_pieces, struct mill__provider_error *ret_error) {
  size_t len = 0;
  for (size_t i = 0; i < n_pieces; i++)
    len += pieces[i].len;
  const mill_limits limits = {.event_bytes = len, .json_depth = ERROR_DEPTH};
  struct reader reader;
  int error = reader_init(&reader, dialect, &limits);
  if (error)
    return error;
  error = read_document(&reader, pieces, n_pieces);
  const struct mill__provider_error *found = &reader.assembly.error;
  if (error != MILL_E_NOMEM)
    error = found->seen && !error ? copy_error(found, ret_error) : MILL_END;
  reader_fini(&reader);
  return error;
}

/* Data that is no whole event: all of it, or a part of it to the end, may be an error object. */
static int find_glued_error(struct mill__decoder *decoder, mill_slice data) {
  static const char opening[] = "{\"error\"";
  struct mill__provider_error *ret_error = &decoder->reader.assembly.error;
  if (ret_error->seen)
    return MILL_OK;
  for (int tries = 0; tries < ERROR_TRIES && data.len; tries++) {
    int rc = find_error(decoder->reader.dialect, &data, 1, ret_error);
    if (rc != MILL_END)
      return rc;
    const char *next = memmem(data.ptr + 1, data.len - 1, opening, sizeof opening - 1);
    if (!next)
      break;
    data = (mill_slice){next, (size_t)(data.ptr + data.len - next)};
  }
  return MILL_END;
}

bool mill__dialect_error_body(const struct mill__dialect *dialect, const char *body, size_t len,
                              struct mill__provider_error *ret_error) {
  return find_error(dialect, &(mill_slice){body, len}, 1, ret_error) == MILL_OK;
}

/* ---- the data of an event, as it arrives ---------------------------------------------------- */

static bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* That it is no JSON is judged when all of it is there. */
static int feed_json(struct mill__decoder *decoder, const char *bytes, size_t len) {
  decoder->payload = JSON;
  int error = mill__json_feed(decoder->reader.json, bytes, len);
  return error == MILL_E_PROTOCOL ? MILL_OK : error;
}

/* It looked like the terminator, but goes on in another way. */
static int feed_mismatch(struct mill__decoder *decoder, const char *bytes, size_t len) {
  int error = feed_json(decoder, decoder->reader.dialect->terminator, decoder->matched);
  return error ? error : feed_json(decoder, bytes, len);
}

static int feed_terminator(struct mill__decoder *decoder, const char *bytes, size_t len) {
  const char *terminator = decoder->reader.dialect->terminator;
  for (size_t i = 0; i < len; i++) {
    char wanted = terminator[decoder->matched];
    if (wanted ? bytes[i] != wanted : !is_space(bytes[i]))
      return feed_mismatch(decoder, bytes + i, len - i);
    decoder->matched += wanted != '\0';
  }
  return MILL_OK;
}

static int feed_first(struct mill__decoder *decoder, const char *bytes, size_t len) {
  size_t blank = 0;
  while (blank < len && is_space(bytes[blank]))
    blank++;
  if (blank == len)
    return MILL_OK;
  const char *terminator = decoder->reader.dialect->terminator;
  if (!terminator || bytes[blank] != terminator[0])
    return feed_json(decoder, bytes + blank, len - blank);
  decoder->payload = TERMINATOR;
  return feed_terminator(decoder, bytes + blank, len - blank);
}

static int feed_payload(struct mill__decoder *decoder, const char *bytes, size_t len) {
  switch (decoder->payload) {
  case BLANK:
    return feed_first(decoder, bytes, len);
  case TERMINATOR:
    return feed_terminator(decoder, bytes, len);
  case JSON:
    break;
  }
  return feed_json(decoder, bytes, len);
}

/* The piece will not last: copy it. */
static int keep_piece(struct mill__decoder *decoder) {
  mill_slice piece = decoder->piece;
  decoder->piece = (mill_slice){0};
  return mill__buf_append(&decoder->data, piece.ptr, piece.len);
}

static bool is_fed(const struct mill__decoder *decoder, const char *bytes) {
  uintptr_t at = (uintptr_t)bytes, from = (uintptr_t)decoder->feed.ptr;
  return at >= from && at - from < decoder->feed.len;
}

static int keep_data(struct mill__decoder *decoder, const char *bytes, size_t len) {
  bool fed = is_fed(decoder, bytes);
  if (fed && !decoder->offset_known) {
    decoder->event_offset = decoder->feed_offset + (uint64_t)(bytes - decoder->feed.ptr);
    decoder->offset_known = true;
  }
  if (fed && !decoder->piece.len && !decoder->data.len) {
    decoder->piece = (mill_slice){bytes, len};
    return MILL_OK;
  }
  int error = keep_piece(decoder);
  return error ? error : mill__buf_append(&decoder->data, bytes, len);
}

static mill_slice event_data(const struct mill__decoder *decoder) {
  return decoder->piece.len ? decoder->piece : mill__buf_slice(&decoder->data);
}

static void begin_event(struct mill__decoder *decoder) {
  if (decoder->begun)
    return;
  decoder->begun = true;
  decoder->payload = BLANK;
  decoder->matched = 0;
  decoder->offset_known = false;
  reader_begin(&decoder->reader);
}

static int on_data(void *ctx, const char *bytes, size_t len) {
  struct mill__decoder *decoder = ctx;
  if (!len)
    return MILL_OK;
  begin_event(decoder);
  int error = keep_data(decoder, bytes, len);
  return error ? error : feed_payload(decoder, bytes, len);
}

/* ---- whole events --------------------------------------------------------------------------- */

static bool whole_terminator(const struct mill__decoder *decoder) {
  return decoder->payload == TERMINATOR && !decoder->reader.dialect->terminator[decoder->matched];
}

static bool named_error(mill_slice name) {
  return name.len == 5 && memcmp(name.ptr, "error", 5) == 0;
}

/* An event named "error" without an error object that the dialect knows: the data is the text. */
static int take_error_text(struct mill__decoder *decoder) {
  struct mill__assembly *assembly = &decoder->reader.assembly;
  mill__assembly_begin_event(assembly);
  mill__assembly_error(assembly);
  mill_slice data = event_data(decoder);
  struct mill__utf8 utf8;
  mill__utf8_init(&utf8);
  struct mill__buf text;
  mill__buf_init(&text, SIZE_MAX); /* three times the data at most */
  int error = mill__utf8_repair(&utf8, data.ptr, data.len, &text);
  if (!error)
    error = mill__utf8_repair_end(&utf8, &text);
  if (!error)
    error = mill__assembly_error_text(assembly, MILL__ERROR_MESSAGE, mill__buf_slice(&text));
  mill__buf_fini(&text);
  return error;
}

static int take_broken(struct mill__decoder *decoder, mill_slice type) {
  if (named_error(type))
    return take_error_text(decoder);
  int rc = find_glued_error(decoder, event_data(decoder));
  if (rc == MILL_OK)
    return MILL_E_PROVIDER;
  return rc == MILL_END ? MILL_E_PROTOCOL : rc;
}

static int take_json(struct mill__decoder *decoder, mill_slice type) {
  struct reader *reader = &decoder->reader;
  int error = mill__json_finish(reader->json);
  if (error == MILL_E_PROTOCOL)
    return take_broken(decoder, type);
  if (!error)
    error = reader_end(reader, type);
  if (!error && named_error(type) && !reader->assembly.failed)
    error = take_error_text(decoder);
  return error;
}

/* Bring the event's payload to its end: the assembly holds what it gives. */
static int take_payload(struct mill__decoder *decoder, mill_slice type) {
  if (decoder->payload == BLANK)
    return MILL_OK;
  if (whole_terminator(decoder))
    return mill__assembly_terminate(&decoder->reader.assembly);
  int error = decoder->payload == TERMINATOR ? feed_mismatch(decoder, "", 0) : MILL_OK;
  return error ? error : take_json(decoder, type);
}

static int on_event(void *ctx, mill_slice type, mill_slice id) {
  struct mill__decoder *decoder = ctx;
  struct mill__assembly *assembly = &decoder->reader.assembly;
  begin_event(decoder);
  struct mill__meta meta;
  int error = take_payload(decoder, type);
  if (!error)
    error = mill__assembly_end_event(assembly, &meta);
  if (error)
    return error;
  const mill_event event = {
      .type = type.len ? type : (mill_slice){"message", 7},
      .data = event_data(decoder),
      .id = id,
      .number = decoder->n_events++,
      .n_chunks = (unsigned)assembly->n_pending,
  };
  error =
      decoder->sink.event(decoder->sink.ctx, &event, &meta, assembly->deltas, assembly->n_pending);
  decoder->begun = false;
  decoder->piece = (mill_slice){0};
  mill__buf_shrink(&decoder->data, KEEP_BYTES);
  if (error < 0 || !assembly->terminated)
    return error;
  decoder->terminated = true;
  decoder->paused = error == MILL_AGAIN;
  return MILL_AGAIN; /* whatever follows is not even looked at */
}

static int on_comment(void *ctx, mill_slice text) {
  struct mill__decoder *decoder = ctx;
  if (decoder->sink.comment)
    decoder->sink.comment(decoder->sink.ctx);
  return MILL_OK;
}

/* Old llama.cpp sends its errors as a field of that name, outside of any event's data. */
static int on_unknown(void *ctx, mill_slice name, mill_slice value) {
  struct mill__decoder *decoder = ctx;
  struct mill__provider_error *provider_error = &decoder->reader.assembly.error;
  if (provider_error->seen || !named_error(name))
    return MILL_OK;
  const mill_slice pieces[] = {{"{\"error\":", 9}, value, {"}", 1}};
  int rc = find_error(decoder->reader.dialect, pieces, 3, provider_error);
  return rc == MILL_END ? MILL_OK : rc;
}

static const struct mill__sse_callbacks callbacks = {
    .data = on_data, .event = on_event, .comment = on_comment, .unknown = on_unknown};

/* ---- the functions of decoder.h ------------------------------------------------------------- */

int mill__decoder_new(const struct mill__dialect *dialect, const mill_limits *limits,
                      const struct mill__sink *sink, struct mill__decoder **ret_decoder) {
  struct mill__decoder *decoder = mill__calloc(1, sizeof *decoder);
  if (!decoder)
    return MILL_E_NOMEM;
  int error = reader_init(&decoder->reader, dialect, limits);
  if (error) {
    mill__free(decoder);
    return error;
  }
  error = mill__sse_init(&decoder->sse, limits->event_bytes, &callbacks, decoder);
  if (error) {
    reader_fini(&decoder->reader);
    mill__free(decoder);
    return error;
  }
  decoder->sink = *sink;
  mill__buf_init(&decoder->data, limits->event_bytes);
  *ret_decoder = decoder;
  return MILL_OK;
}

void mill__decoder_free(struct mill__decoder *decoder) {
  if (!decoder)
    return;
  mill__sse_fini(&decoder->sse);
  mill__buf_fini(&decoder->data);
  reader_fini(&decoder->reader);
  mill__free(decoder);
}

int mill__decoder_feed(struct mill__decoder *decoder, const char *bytes, size_t len,
                       size_t *ret_consumed) {
  *ret_consumed = 0;
  if (decoder->error)
    return decoder->error;
  *ret_consumed = len;
  if (decoder->terminated)
    return MILL_OK;
  decoder->feed = (mill_slice){bytes, len};
  int rc = mill__sse_feed(&decoder->sse, bytes, len, ret_consumed);
  decoder->feed = (mill_slice){0};
  decoder->feed_offset += *ret_consumed;
  if (decoder->terminated && !decoder->paused) {
    *ret_consumed = len;
    return MILL_OK;
  }
  if (rc == MILL_OK)
    rc = keep_piece(decoder);
  if (rc != MILL_AGAIN)
    decoder->error = rc;
  return rc;
}

/*
 * The body ended inside an event, which therefore was not told. It is still read for how the stream
 * ended: the terminator, or an error.
 */
static int judge_rest(struct mill__decoder *decoder) {
  if (!decoder->begun)
    return MILL_OK;
  decoder->terminated = whole_terminator(decoder);
  if (decoder->terminated)
    return MILL_OK;
  int rc = find_glued_error(decoder, event_data(decoder));
  return rc == MILL_END ? MILL_OK : rc;
}

int mill__decoder_finish(struct mill__decoder *decoder) {
  if (!decoder->error && !decoder->terminated)
    decoder->error = judge_rest(decoder);
  if (decoder->error)
    return decoder->error;
  const struct mill__assembly *assembly = &decoder->reader.assembly;
  if (assembly->error.seen)
    return MILL_E_PROVIDER;
  if (decoder->terminated)
    return MILL_OK;
  bool complete = decoder->reader.dialect->finish_ends && mill__assembly_finished(assembly) &&
                  !mill__sse_finish(&decoder->sse);
  return complete ? MILL_OK : MILL_E_INTERRUPTED;
}

bool mill__decoder_terminated(const struct mill__decoder *decoder) {
  return decoder->terminated;
}

const struct mill__provider_error *
mill__decoder_provider_error(const struct mill__decoder *decoder) {
  return &decoder->reader.assembly.error;
}

uint64_t mill__decoder_error_offset(const struct mill__decoder *decoder) {
  return decoder->event_offset;
}
