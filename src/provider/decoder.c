/*
 * A body -> events and deltas: a framing feeds the dialect's JSON table, whose values become
 * deltas of the assembly; see decoder.h.
 */
#include "provider/decoder.h"

#include <stdint.h>
#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "provider/framing.h"
#include "provider/reader.h"

#define KEEP_BYTES ((size_t)64 * 1024) /* what a larger event took is given back */
/* Where an error object begins in broken data is tried out; a try may cost the whole length. */
#define ERROR_TRIES 8

/* What the data of an event has turned out to be, so far. */
enum payload {
  BLANK,      /* nothing but white space */
  TERMINATOR, /* a beginning of the dialect's terminator, or all of it and white space */
  JSON        /* or what should be */
};

/* JSON that stands in the body as it is, outside of events: so some servers tell of an error. */
struct stray {
  struct mill__buf text; /* whole lines; empty: none is open */
  unsigned depth;        /* brackets that are open */
};

struct mill__decoder {
  struct mill__framer framer;
  struct mill__reader reader;
  struct mill__assembly assembly;
  struct mill__sink sink;
  int error;
  bool terminated;
  bool paused; /* ... and the sink paused there */
  bool judged; /* what the body ended in was looked at */

  /* the event */
  bool begun;
  enum payload payload;
  size_t matched;        /* bytes of the terminator */
  mill_slice piece;      /* data that came as one piece of what is being fed, not copied yet */
  bool waits;            /* ... nor read: it may be all of the data */
  struct mill__buf data; /* else */
  bool offset_known;
  uint64_t event_offset; /* where its data begins in the body */
  uint64_t n_events;

  struct stray stray;

  /* what is being fed, and where it stands in the body */
  mill_slice feed;
  uint64_t feed_offset;
};

/* ---- errors outside of whole events ---------------------------------------------------------- */

/* Data that is no whole event: all of it, or a part of it to the end, may be an error object. */
static int find_glued_error(struct mill__decoder *decoder, mill_slice data) {
  static const char opening[] = "{\"error\"";
  struct mill__provider_error *ret_error = &decoder->assembly.error;
  if (ret_error->seen)
    return MILL_OK;
  for (int tries = 0; tries < ERROR_TRIES && data.len; tries++) {
    int rc = mill__reader_find_error(decoder->reader.dialect, &data, 1, ret_error);
    if (rc != MILL_END)
      return rc;
    const char *next = memmem(data.ptr + 1, data.len - 1, opening, sizeof opening - 1);
    if (!next)
      break;
    data = (mill_slice){next, (size_t)(data.ptr + data.len - next)};
  }
  return MILL_END;
}

/* ---- the data of an event, as it arrives ----------------------------------------------------- */

static bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* That it is no JSON is judged when all of it is there. */
static int feed_json(struct mill__decoder *decoder, const char *bytes, size_t len) {
  decoder->payload = JSON;
  int error = mill__reader_feed(&decoder->reader, bytes, len);
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

/* The piece is not all of the data. */
static int read_waiting(struct mill__decoder *decoder) {
  if (!decoder->waits)
    return MILL_OK;
  decoder->waits = false;
  return feed_payload(decoder, decoder->piece.ptr, decoder->piece.len);
}

/* What the framing found wrong stands behind the data: a fault of that is told first. */
static int fault_before(struct mill__decoder *decoder, int found) {
  int error = read_waiting(decoder);
  return error ? error : found;
}

/* The piece will not last: read it and copy it. */
static int keep_piece(struct mill__decoder *decoder) {
  int error = read_waiting(decoder);
  mill_slice piece = decoder->piece;
  decoder->piece = (mill_slice){0};
  return error ? error : mill__buf_append(&decoder->data, piece.ptr, piece.len);
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
    decoder->waits = decoder->reader.dialect->value;
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
  mill__reader_begin(&decoder->reader);
  mill__assembly_begin_event(&decoder->assembly);
}

static int on_data(void *ctx, const char *bytes, size_t len) {
  struct mill__decoder *decoder = ctx;
  if (!len)
    return MILL_OK;
  begin_event(decoder);
  int error = keep_data(decoder, bytes, len);
  if (error || decoder->waits || !decoder->reader.dialect->value)
    return error;
  return feed_payload(decoder, bytes, len);
}

/* ---- whole events ---------------------------------------------------------------------------- */

static bool whole_terminator(const struct mill__decoder *decoder) {
  return decoder->payload == TERMINATOR && !decoder->reader.dialect->terminator[decoder->matched];
}

/* The terminator is there, and the answer is complete with it. */
static bool ends_the_answer(const struct mill__decoder *decoder) {
  return decoder->assembly.complete || !decoder->reader.dialect->typed_end;
}

/* Bytes as they came, as a text of the event's error. */
static int set_error_text(struct mill__decoder *decoder, enum mill__error_field field,
                          mill_slice bytes) {
  struct mill__utf8 utf8;
  mill__utf8_init(&utf8);
  struct mill__buf text;
  mill__buf_init(&text, SIZE_MAX); /* three times the bytes at most */
  int error = mill__utf8_repair(&utf8, bytes.ptr, bytes.len, &text);
  if (!error)
    error = mill__utf8_repair_end(&utf8, &text);
  if (!error)
    error = mill__assembly_error_text(&decoder->assembly, field, mill__buf_slice(&text));
  mill__buf_fini(&text);
  return error;
}

/* The event is an error, but holds no error object that the dialect knows: the data is the text. */
static int take_error_text(struct mill__decoder *decoder) {
  mill__assembly_begin_event(&decoder->assembly);
  mill__assembly_error(&decoder->assembly);
  return set_error_text(decoder, MILL__ERROR_MESSAGE, event_data(decoder));
}

static int take_broken(struct mill__decoder *decoder, const struct mill__framed *framed) {
  if (framed->failed)
    return take_error_text(decoder);
  int rc = find_glued_error(decoder, event_data(decoder));
  if (rc == MILL_OK)
    return MILL_E_PROVIDER;
  if (rc != MILL_END)
    return rc;
  return decoder->judged ? MILL_E_INTERRUPTED : MILL_E_PROTOCOL; /* a last line may be cut */
}

static int take_json(struct mill__decoder *decoder, const struct mill__framed *framed) {
  const struct mill__assembly *assembly = &decoder->assembly;
  int error = mill__reader_end(&decoder->reader, event_data(decoder), framed->type);
  if (error == MILL_E_PROTOCOL)
    return take_broken(decoder, framed);
  if (!error && framed->failed && !assembly->failed &&
      !assembly->error_text[MILL__ERROR_MESSAGE].len)
    error = take_error_text(decoder);
  return error;
}

/* The piece is all of the data: as an object it is read at once. */
static int read_whole(struct mill__decoder *decoder) {
  if (!decoder->waits || decoder->piece.ptr[0] != '{')
    return read_waiting(decoder);
  decoder->waits = false;
  decoder->payload = JSON;
  int error = mill__reader_whole(&decoder->reader, decoder->piece);
  return error == MILL_E_PROTOCOL ? MILL_OK : error;
}

/* Bring the event's payload to its end: the assembly holds what it gives. */
static int take_payload(struct mill__decoder *decoder, const struct mill__framed *framed) {
  if (!decoder->reader.dialect->value)
    return MILL_OK;
  int waited = read_whole(decoder);
  if (waited || decoder->payload == BLANK)
    return waited;
  if (whole_terminator(decoder))
    return ends_the_answer(decoder) ? mill__assembly_terminate(&decoder->assembly) : MILL_OK;
  int error = decoder->payload == TERMINATOR ? feed_mismatch(decoder, "", 0) : MILL_OK;
  return error ? error : take_json(decoder, framed);
}

/* What the framing itself says of an error, beside the payload. */
static int take_failure(struct mill__decoder *decoder, const struct mill__framed *framed) {
  if (!framed->failed || (decoder->payload != JSON && !framed->code.len && !framed->message.len))
    return MILL_OK;
  mill__assembly_error(&decoder->assembly);
  int error = MILL_OK;
  if (framed->code.len)
    error = set_error_text(decoder, MILL__ERROR_CODE, framed->code);
  if (!error && framed->message.len)
    error = set_error_text(decoder, MILL__ERROR_MESSAGE, framed->message);
  return error;
}

/* Nothing of interest can follow. */
static bool ends(const struct mill__decoder *decoder) {
  const struct mill__assembly *assembly = &decoder->assembly;
  return assembly->terminated || (assembly->complete && !decoder->reader.dialect->terminator);
}

static int on_event(void *ctx, const struct mill__framed *framed) {
  struct mill__decoder *decoder = ctx;
  struct mill__assembly *assembly = &decoder->assembly;
  begin_event(decoder);
  struct mill__meta meta;
  int error = take_payload(decoder, framed);
  if (!error)
    error = take_failure(decoder, framed);
  if (!error)
    error = mill__assembly_end_event(assembly, &meta);
  if (error)
    return error;
  const mill_event event = {
      .type = framed->type.len ? framed->type : (mill_slice){"message", 7},
      .data = event_data(decoder),
      .id = framed->id,
      .number = decoder->n_events++,
      .n_chunks = (unsigned)assembly->n_pending,
  };
  error =
      decoder->sink.event(decoder->sink.ctx, &event, &meta, assembly->deltas, assembly->n_pending);
  decoder->begun = false;
  decoder->piece = (mill_slice){0};
  mill__buf_shrink(&decoder->data, KEEP_BYTES);
  if (error < 0 || !ends(decoder))
    return error;
  decoder->terminated = true;
  decoder->paused = error == MILL_AGAIN;
  return MILL_AGAIN; /* whatever follows is not even looked at */
}

/* Comments, `retry` and other lines may stand between data: its faults are told before them. */
static int on_comment(void *ctx, mill_slice text) {
  struct mill__decoder *decoder = ctx;
  int error = read_waiting(decoder);
  if (error || !decoder->sink.comment)
    return error;
  return decoder->sink.comment(decoder->sink.ctx, text);
}

static int on_id(void *ctx, mill_slice id) {
  struct mill__sink *sink = &((struct mill__decoder *)ctx)->sink;
  return sink->id ? sink->id(sink->ctx, id) : MILL_OK;
}

static int on_retry(void *ctx, uint64_t retry_ms) {
  struct mill__decoder *decoder = ctx;
  int error = read_waiting(decoder);
  if (error || !decoder->sink.retry)
    return error;
  return decoder->sink.retry(decoder->sink.ctx, retry_ms);
}

/* ---- lines outside of events ----------------------------------------------------------------- */

/* Old llama.cpp sends its errors as a field of that name. */
static int take_error_field(struct mill__decoder *decoder, mill_slice value) {
  const mill_slice pieces[] = {{"{\"error\":", 9}, value, {"}", 1}};
  return mill__reader_find_error(decoder->reader.dialect, pieces, 3, &decoder->assembly.error);
}

/* The brackets that are open behind a line; JSON has no line break inside a string. */
static unsigned depth_behind(unsigned depth, mill_slice line) {
  bool in_string = false;
  for (size_t i = 0; i < line.len; i++) {
    char c = line.ptr[i];
    if (c == '"')
      in_string = !in_string;
    else if (in_string)
      i += c == '\\';
    else if (c == '{' || c == '[')
      depth++;
    else if ((c == '}' || c == ']') && depth)
      depth--;
  }
  return depth;
}

/* A line of stray JSON; with its last one it may be an error object. MILL_END: (still) none. */
static int take_stray_line(struct mill__decoder *decoder, mill_slice line) {
  struct stray *stray = &decoder->stray;
  if (!stray->depth && !(line.len && (line.ptr[0] == '{' || line.ptr[0] == '[')))
    return MILL_END;
  stray->depth = depth_behind(stray->depth, line);
  int rc = mill__buf_append(&stray->text, line.ptr, line.len);
  if (!rc && stray->depth)
    return MILL_END;
  const mill_slice text = mill__buf_slice(&stray->text);
  if (!rc)
    rc = mill__reader_find_error(decoder->reader.dialect, &text, 1, &decoder->assembly.error);
  stray->depth = 0;
  mill__buf_shrink(&stray->text, KEEP_BYTES);
  return rc;
}

static int take_line(struct mill__decoder *decoder, mill_slice name, mill_slice value) {
  if (decoder->assembly.error.seen || !decoder->reader.dialect->value)
    return MILL_OK;
  const mill_slice line = {name.ptr, (size_t)(value.ptr + value.len - name.ptr)};
  int rc =
      mill__is(name, "error") ? take_error_field(decoder, value) : take_stray_line(decoder, line);
  return rc == MILL_END ? MILL_OK : rc;
}

static int on_unknown(void *ctx, mill_slice name, mill_slice value) {
  int error = read_waiting(ctx);
  return error ? error : take_line(ctx, name, value);
}

static const struct mill__framer_callbacks callbacks = {.data = on_data,
                                                        .event = on_event,
                                                        .comment = on_comment,
                                                        .unknown = on_unknown,
                                                        .id = on_id,
                                                        .retry = on_retry};

/* ---- the functions of decoder.h -------------------------------------------------------------- */

int mill__decoder_new(const struct mill__dialect *dialect, const mill_limits *limits,
                      const struct mill__sink *sink, struct mill__decoder **ret_decoder) {
  struct mill__decoder *decoder = mill__calloc(1, sizeof *decoder);
  if (!decoder)
    return MILL_E_NOMEM;
  mill__assembly_init(&decoder->assembly, limits->event_bytes);
  int error = mill__reader_init(&decoder->reader, dialect, limits, &decoder->assembly);
  if (error) {
    mill__assembly_fini(&decoder->assembly);
    mill__free(decoder);
    return error;
  }
  mill__framer_init(&decoder->framer, dialect->framing, limits->event_bytes, &callbacks, decoder);
  decoder->sink = *sink;
  mill__buf_init(&decoder->data, limits->event_bytes);
  mill__buf_init(&decoder->stray.text, limits->event_bytes);
  *ret_decoder = decoder;
  return MILL_OK;
}

void mill__decoder_free(struct mill__decoder *decoder) {
  if (!decoder)
    return;
  mill__framer_fini(&decoder->framer);
  mill__buf_fini(&decoder->data);
  mill__buf_fini(&decoder->stray.text);
  mill__reader_fini(&decoder->reader);
  mill__assembly_fini(&decoder->assembly);
  mill__free(decoder);
}

void mill__decoder_store_init(struct mill__decoder_store *store) {
  mill__json_store_init(&store->json);
  mill__assembly_store_init(&store->assembly);
}

void mill__decoder_store_fini(struct mill__decoder_store *store) {
  mill__json_store_fini(&store->json);
  mill__assembly_store_fini(&store->assembly);
}

long mill__decoder_store_blocks(const struct mill__decoder_store *store) {
  return atomic_load_explicit(&store->json.blocks, memory_order_relaxed) +
         mill__assembly_store_blocks(&store->assembly);
}

void mill__decoder_share(struct mill__decoder *decoder, struct mill__decoder_store *store) {
  decoder->assembly.store = &store->assembly;
  mill__reader_share(&decoder->reader, &store->json);
}

int mill__decoder_set_last_event_id(struct mill__decoder *decoder, mill_slice id) {
  return mill__framer_set_last_event_id(&decoder->framer, id);
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
  int rc = mill__framer_feed(&decoder->framer, bytes, len, ret_consumed);
  decoder->feed = (mill_slice){0};
  decoder->feed_offset += *ret_consumed;
  if (decoder->assembly.store && !decoder->begun)
    mill__assembly_rest(&decoder->assembly);
  if (decoder->terminated && !decoder->paused) {
    *ret_consumed = len;
    return MILL_OK;
  }
  if (rc == MILL_OK)
    rc = keep_piece(decoder);
  else if (rc < 0)
    rc = fault_before(decoder, rc);
  if (rc < 0 && !decoder->begun)
    decoder->event_offset = decoder->feed_offset; /* between events: where it got to */
  if (rc != MILL_AGAIN)
    decoder->error = rc;
  return rc;
}

/*
 * The body ended inside an event, which therefore was not told. It is still read for how the stream
 * ended: the terminator, an end of another kind, or an error.
 */
static int judge_event(struct mill__decoder *decoder) {
  if (whole_terminator(decoder)) {
    decoder->terminated = ends_the_answer(decoder);
    return MILL_OK;
  }
  int rc = MILL_E_PROTOCOL;
  if (decoder->payload == JSON)
    rc = mill__reader_end(&decoder->reader, event_data(decoder), (mill_slice){"", 0});
  if (rc && rc != MILL_E_PROTOCOL)
    return rc;
  decoder->terminated = ends(decoder);
  rc = find_glued_error(decoder, event_data(decoder));
  return rc == MILL_END ? MILL_OK : rc;
}

static int judge_rest(struct mill__decoder *decoder) {
  const struct mill__dialect *dialect = decoder->reader.dialect;
  if (!dialect->value)
    return MILL_OK;
  int rc = mill__framer_finish(&decoder->framer);
  if (rc < 0)
    return rc;
  /* Of a frame that was cut, not even what has come is sure: its checksum has not. */
  bool readable = decoder->begun && dialect->framing != MILL__FRAMING_AWSEV;
  rc = readable ? judge_event(decoder) : MILL_OK;
  const mill_slice line = mill__framer_line(&decoder->framer);
  if (!rc && !decoder->terminated && line.len)
    rc = take_line(decoder, line, (mill_slice){line.ptr + line.len, 0});
  return rc;
}

/* No terminator came: is that all the same a whole answer? */
static bool whole_without(const struct mill__decoder *decoder) {
  const struct mill__dialect *dialect = decoder->reader.dialect;
  const struct mill__assembly *assembly = &decoder->assembly;
  if (assembly->complete)
    return true;
  bool enough = !dialect->value || (dialect->finish_ends && mill__assembly_finished(assembly));
  return enough && !mill__framer_cut(&decoder->framer);
}

int mill__decoder_finish(struct mill__decoder *decoder) {
  bool judged = decoder->judged;
  decoder->judged = true;
  if (!decoder->error && !decoder->terminated && !judged)
    decoder->error = judge_rest(decoder);
  if (decoder->error)
    return decoder->error;
  if (decoder->assembly.error.seen)
    return MILL_E_PROVIDER;
  return decoder->terminated || whole_without(decoder) ? MILL_OK : MILL_E_INTERRUPTED;
}

bool mill__decoder_terminated(const struct mill__decoder *decoder) {
  return decoder->terminated;
}

bool mill__decoder_complete(const struct mill__decoder *decoder) {
  return decoder->terminated || decoder->assembly.complete;
}

const struct mill__provider_error *
mill__decoder_provider_error(const struct mill__decoder *decoder) {
  return &decoder->assembly.error;
}

uint64_t mill__decoder_error_offset(const struct mill__decoder *decoder) {
  return decoder->event_offset;
}
