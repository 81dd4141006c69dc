/*
 * A response body -> events and deltas: one framing (parse/) and one dialect (provider/) put
 * together. Pure: no I/O, no threads, no clock.
 *
 * Owns: the framing parser, the dialect's state, the event under construction. Thread: the owner's.
 * Limits: mill_limits.event_bytes and .json_depth. Errors: MILL_E_NOMEM, MILL_E_LIMIT,
 * MILL_E_PROTOCOL (byte offset in decoder->error), or what the sink returned; sticky.
 */
#ifndef MILL_PROVIDER_DECODER_H
#define MILL_PROVIDER_DECODER_H

#include "parse/json.h"

/* What one delta says; slices valid inside the sink's call only. */
struct mill__delta {
  enum mill_chunk_type type;
  int choice;
  mill_slice text, signature; /* as in mill_chunk */
  int tool_index;
  mill_slice tool_id, tool_name;
  enum mill_finish finish;
  mill_slice finish_raw;
  mill_usage usage;
};

/* Facts of the whole message that an event told anew; empty slices: nothing new. */
struct mill__meta {
  mill_slice id, model, role;
};

/*
 * Where decoded events go. `event` is called once for every event, in order, with its deltas (an
 * event that gives none has one of type OTHER; a terminator and an error need none). MILL_OK,
 * MILL_AGAIN to pause behind this event, or an error.
 */
struct mill__sink {
  int (*event)(void *ctx, const mill_event *event, const struct mill__meta *meta,
               const struct mill__delta *deltas, size_t n_deltas);
  /* The rest only of server-sent events, each may be NULL: a comment (a keep-alive), the last event
   * id where no event tells it, the `retry` field. MILL_OK or an error. */
  int (*comment)(void *ctx, mill_slice text);
  void *ctx;
  int (*id)(void *ctx, mill_slice id);
  int (*retry)(void *ctx, uint64_t retry_ms);
};

/* An error that the provider sent inside the stream. */
struct mill__provider_error {
  bool seen;
  int status; /* the HTTP status that its code stands for; 0 where it says nothing */
  struct mill__buf message, kind; /* its text; its code or type */
};

struct mill__decoder;
struct mill__dialect;
struct mill__pending;

#define MILL__DECODER_STORE_ARRAYS 16 /* more decoders are seldom inside an event */

/* What decoders of one thread lend each other: few of them are inside an event at a time. */
struct mill__decoder_store {
  struct mill__json_store json;
  struct mill__assembly_store {
    struct mill__pending *first; /* arrays for deltas; in each stands the next */
    atomic_int n;                /* may be read by any thread */
  } assembly;
};
void mill__decoder_store_init(struct mill__decoder_store *store);
void mill__decoder_store_fini(struct mill__decoder_store *store); /* after the last decoder */
/* Of memory, in what nobody uses. Thread: any. */
long mill__decoder_store_blocks(const struct mill__decoder_store *store);

int mill__decoder_new(const struct mill__dialect *dialect, const mill_limits *limits,
                      const struct mill__sink *sink, struct mill__decoder **ret_decoder);
void mill__decoder_free(struct mill__decoder *decoder);
/* Before the first byte; borrows the store. */
void mill__decoder_share(struct mill__decoder *decoder, struct mill__decoder_store *store);
/* For the start of a body of server-sent events: the id that an earlier one left. */
int mill__decoder_set_last_event_id(struct mill__decoder *decoder, mill_slice id);
/* As mill__sse_feed: MILL_AGAIN when the sink paused, *ret_consumed says how far it got. */
int mill__decoder_feed(struct mill__decoder *decoder, const char *bytes, size_t len,
                       size_t *ret_consumed);
/*
 * The body ended cleanly: MILL_OK when the answer is complete (terminator seen, or a finish reason
 * for every choice where the protocol's servers are known to send no terminator), MILL_E_PROVIDER
 * after an error in the stream, else MILL_E_INTERRUPTED. A last line that only lacks its line break
 * (NDJSON) is told to the sink before that, with what it decides.
 */
int mill__decoder_finish(struct mill__decoder *decoder);
bool mill__decoder_terminated(const struct mill__decoder *decoder); /* the terminator was seen */
/* The answer is complete, but a terminator may still come: it is not worth a long wait. */
bool mill__decoder_complete(const struct mill__decoder *decoder);
const struct mill__provider_error *
mill__decoder_provider_error(const struct mill__decoder *decoder);
/* Body offset of the event that an error was found in. */
uint64_t mill__decoder_error_offset(const struct mill__decoder *decoder);

/* An error answer's body (status 4xx or 5xx, or JSON where a stream was asked for). True where it
 * held an error object of the dialect's form; fills `ret_error` (init'ed by the caller). */
bool mill__dialect_error_body(const struct mill__dialect *dialect, const char *body, size_t len,
                              struct mill__provider_error *ret_error);

#endif
