/*
 * The event under construction, and what a stream remembers from event to event: the verbs that a
 * dialect is written in.
 *
 * A dialect's value() keeps strings and begins deltas while the JSON is still arriving; the choice
 * that they belong to may stand behind them, so it is _bind that gives a delta its choice. There
 * surrogate halves are joined with the piece before, tool calls get their number, and deltas that
 * say nothing are dropped: a dialect may begin more than it fills.
 *
 * Owns: all buffers; kept from event to event or, with a store, lent to it for as long as it has an
 * event under construction, so that a stream in its stride allocates nothing.
 * Thread: the owner's. Limits: what is named below. Errors: MILL_E_NOMEM, MILL_E_LIMIT.
 */
#ifndef MILL_PROVIDER_ASSEMBLY_H
#define MILL_PROVIDER_ASSEMBLY_H

#include "base/buf.h"
#include "parse/text.h"
#include "provider/decoder.h"

#define MILL__EVENT_DELTAS 65536     /* some hundred bytes each: a flood must not take gigabytes */
#define MILL__STREAM_CHOICES 256     /* they are searched one by one; no API gives more than 128 */
#define MILL__STREAM_TOOL_CALLS 1024 /* the same; no answer makes as many */

/* Bytes kept for the event; {0} is empty. */
struct mill__span {
  size_t at, len;
};

/* A delta being built. The pointer is good until the next one is begun. */
struct mill__pending {
  enum mill_chunk_type type;
  int choice; /* from _bind */
  struct mill__span text;
  struct mill__span signature; /* reasoning */
  /* tool calls */
  int64_t tool_key; /* the number that the provider gives the call; -1: none sent */
  int tool_index;   /* from _bind */
  struct mill__span tool_id, tool_name;
  struct mill__span tool_item; /* the name of the call within the stream, beside its id */
  bool tool_all; /* `text` is all of its arguments: what came before or comes behind is the same */
  /* finish */
  enum mill_finish finish;
  struct mill__span finish_raw;
};

#define MILL__HELD_TEXTS (MILL_CHUNK_REFUSAL + 1) /* text, reasoning, refusal */

struct mill__choice_state {
  int index;
  bool finished;
  int n_tools;
  struct mill__text held[MILL__HELD_TEXTS]; /* by mill_chunk_type */
};

struct mill__tool_state {
  int choice, index;
  int64_t key;
  struct mill__span id, item; /* in assembly->tool_ids */
  bool named;
  bool argued;            /* it has arguments */
  bool whole;             /* ... and all of them */
  struct mill__text held; /* of its arguments */
};

enum mill__meta_field { MILL__META_ID, MILL__META_MODEL, MILL__META_ROLE, MILL__META_FIELDS };
enum mill__error_field {
  MILL__ERROR_MESSAGE,
  MILL__ERROR_CODE,
  MILL__ERROR_TYPE,
  MILL__ERROR_RAW,
  MILL__ERROR_FIELDS
};
enum mill__usage_field {
  MILL__USAGE_INPUT,
  MILL__USAGE_OUTPUT,
  MILL__USAGE_REASONING,
  MILL__USAGE_CACHED,
  MILL__USAGE_FIELDS
};

struct mill__assembly {
  struct mill__assembly_store *store; /* NULL: it keeps its arrays */

  /* the event */
  struct mill__buf strings; /* what spans point into */
  struct mill__pending *pending;
  struct mill__delta *deltas; /* the same, for the sink */
  size_t n_pending, capacity;
  size_t n_bound; /* how many of them belong to their choice */
  int64_t usage[MILL__USAGE_FIELDS];
  struct mill__span usage_raw;
  bool has_usage;
  unsigned new_meta; /* bit per mill__meta_field */
  bool failed;       /* it carries an error */
  int error_status;
  struct mill__span error_text[MILL__ERROR_FIELDS];

  /* the stream */
  struct mill__buf meta[MILL__META_FIELDS];
  struct mill__choice_state *choices;
  size_t n_choices, choices_capacity;
  struct mill__tool_state *tools;
  size_t n_tools, tools_capacity;
  struct mill__buf tool_ids;
  struct mill__provider_error error; /* the first one */
  bool complete, terminated;

  struct mill__buf scratch;
};

/* ---- for a dialect -------------------------------------------------------------------------- */

/* Keep a whole string; a lone surrogate half in it becomes U+FFFD. (So it does in ids, names and
 * words that were kept as pieces, when they are bound.) */
int mill__assembly_keep(struct mill__assembly *assembly, mill_slice text,
                        struct mill__span *ret_span);
/* Keep a piece of a running text, to be joined with the piece before by _bind. */
int mill__assembly_keep_piece(struct mill__assembly *assembly, mill_slice piece,
                              struct mill__span *ret_span);
/* The same, behind what `span` holds already. */
int mill__assembly_extend_piece(struct mill__assembly *assembly, mill_slice piece,
                                struct mill__span *span);
mill_slice mill__assembly_slice(const struct mill__assembly *assembly, struct mill__span span);
bool mill__is(mill_slice text, const char *word);

/* Begin a delta; _at gives it again (they are numbered from 0 within the event, until _bind). */
int mill__assembly_begin(struct mill__assembly *assembly, enum mill_chunk_type type,
                         size_t *ret_number);
/* Begin it as it stands; `tool_key` must be set. */
int mill__assembly_add(struct mill__assembly *assembly, const struct mill__pending *delta);
static inline struct mill__pending *mill__assembly_at(struct mill__assembly *assembly,
                                                      size_t number) {
  return &assembly->pending[number];
}

/* All deltas begun since the last call belong to this choice, which has now been seen. */
int mill__assembly_bind(struct mill__assembly *assembly, int choice);
/* The choice is complete, `word` says why in the provider's own terms; behind _bind. */
int mill__assembly_finish(struct mill__assembly *assembly, int choice, enum mill_finish finish,
                          struct mill__span word);

/*
 * The answer is complete, behind _bind: an event or a field of it ends the stream. A dialect that
 * has a terminator too reads on to it, or to the end of the body; success is certain either way.
 */
int mill__assembly_complete(struct mill__assembly *assembly);

/* The newest call of this key; NULL: there is none (yet), see _bind. */
const struct mill__tool_state *mill__assembly_tool(const struct mill__assembly *assembly,
                                                   int choice, int64_t key);
/* The choice has called a tool. */
bool mill__assembly_calls(const struct mill__assembly *assembly, int choice);

/* Reported only where it differs from what was last told; empty is nothing. */
int mill__assembly_meta(struct mill__assembly *assembly, enum mill__meta_field field,
                        mill_slice text);

/* A number literal; what is no count is passed over. One usage delta closes the event. */
void mill__assembly_usage(struct mill__assembly *assembly, enum mill__usage_field field,
                          mill_slice literal);
int mill__assembly_usage_raw(struct mill__assembly *assembly, mill_slice json);
/* What the event counts beside those that it leaves out: these are zero. */
void mill__assembly_usage_rest(struct mill__assembly *assembly);
/* What the event counts is not the message's. */
void mill__assembly_no_usage(struct mill__assembly *assembly);

/* The event carries an error; of several in a stream the first stays. */
void mill__assembly_error(struct mill__assembly *assembly);
int mill__assembly_error_text(struct mill__assembly *assembly, enum mill__error_field field,
                              mill_slice text);
/* An HTTP status, as a number or a string of digits; anything else is passed over. */
void mill__assembly_error_status(struct mill__assembly *assembly, mill_slice literal);

/* ---- for the decoder ------------------------------------------------------------------------ */

/* Fill in an error; init'ed before. */
int mill__provider_error_set(struct mill__provider_error *error, int status, mill_slice kind,
                             mill_slice message);

void mill__assembly_init(struct mill__assembly *assembly, size_t event_bytes);
void mill__assembly_fini(struct mill__assembly *assembly);
void mill__assembly_store_init(struct mill__assembly_store *store);
void mill__assembly_store_fini(struct mill__assembly_store *store);
long mill__assembly_store_blocks(const struct mill__assembly_store *store); /* any thread */
/* With a store; no event is under construction: what only events need goes there. */
void mill__assembly_rest(struct mill__assembly *assembly);
void mill__assembly_begin_event(struct mill__assembly *assembly);
/* The event is whole: settle everything, and fill `deltas` (n_pending of them) and `ret_meta`. */
int mill__assembly_end_event(struct mill__assembly *assembly, struct mill__meta *ret_meta);
/* The stream is complete: halves still held become U+FFFD, as deltas of the event. */
int mill__assembly_terminate(struct mill__assembly *assembly);
/* Every choice that was seen has its finish reason, and there is one at least. */
bool mill__assembly_finished(const struct mill__assembly *assembly);

#endif
