/* The event under construction; see assembly.h. */
#include "provider/assembly.h"

#include <assert.h>
#include <limits.h>
#include <string.h>

#include "base/alloc.h"
#include "parse/json.h"

#define KEEP_BYTES ((size_t)64 * 1024) /* what a larger event took is given back */
#define KEEP_DELTAS 64                 /* a store takes no array of more */
#define FIRST_CAPACITY 2               /* most events hold one delta, and there are many streams */

/* ---- strings -------------------------------------------------------------------------------- */

static bool has_surrogate(mill_slice text) {
  const char *at = text.ptr, *end = text.ptr + text.len;
  while (at < end && (at = memchr(at, 0xED, (size_t)(end - at)))) {
    if (end - at >= 3 && (unsigned char)at[1] >= 0xA0)
      return true;
    at++;
  }
  return false;
}

/* The text with its lone halves replaced; good until the scratch buffer is used again. */
static int clean(struct mill__assembly *assembly, mill_slice text, mill_slice *ret_clean) {
  *ret_clean = text;
  if (!has_surrogate(text))
    return MILL_OK;
  struct mill__text halves = {0};
  mill__buf_clear(&assembly->scratch);
  int error = mill__text_piece(&halves, text, &assembly->scratch);
  if (!error)
    error = mill__text_end(&halves, &assembly->scratch);
  *ret_clean = mill__buf_slice(&assembly->scratch);
  return error;
}

int mill__assembly_keep_piece(struct mill__assembly *assembly, mill_slice piece,
                              struct mill__span *ret_span) {
  size_t at = assembly->strings.len;
  int error = mill__buf_append(&assembly->strings, piece.ptr, piece.len);
  if (!error)
    *ret_span = (struct mill__span){at, piece.len};
  return error;
}

int mill__assembly_extend_piece(struct mill__assembly *assembly, mill_slice piece,
                                struct mill__span *span) {
  struct mill__buf *strings = &assembly->strings;
  size_t len = span->len;
  if (span->at + len == strings->len || !len) { /* nothing stands behind it */
    struct mill__span added;
    int error = mill__assembly_keep_piece(assembly, piece, &added);
    if (!error)
      *span = (struct mill__span){len ? span->at : added.at, len + piece.len};
    return error;
  }
  int error = mill__buf_reserve(strings, len + piece.len);
  if (error)
    return error;
  mill_slice old = mill__assembly_slice(assembly, *span);
  span->at = strings->len;
  error = mill__buf_append(strings, old.ptr, old.len);
  return error ? error : mill__assembly_extend_piece(assembly, piece, span);
}

int mill__assembly_keep(struct mill__assembly *assembly, mill_slice text,
                        struct mill__span *ret_span) {
  int error = clean(assembly, text, &text);
  return error ? error : mill__assembly_keep_piece(assembly, text, ret_span);
}

static mill_slice slice_of(const struct mill__buf *buf, struct mill__span span) {
  return span.len ? (mill_slice){buf->ptr + span.at, span.len} : (mill_slice){"", 0};
}

mill_slice mill__assembly_slice(const struct mill__assembly *assembly, struct mill__span span) {
  return slice_of(&assembly->strings, span);
}

/* A whole string that was kept as a piece. */
static int clean_span(struct mill__assembly *assembly, struct mill__span *span) {
  mill_slice text = mill__assembly_slice(assembly, *span);
  return has_surrogate(text) ? mill__assembly_keep(assembly, text, span) : MILL_OK;
}

static bool equal(mill_slice a, mill_slice b) {
  return a.len == b.len && (!a.len || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool mill__is(mill_slice text, const char *word) {
  return equal(text, (mill_slice){word, strlen(word)});
}

/* Join a kept piece with the half that the one before left. */
static int join(struct mill__assembly *assembly, struct mill__text *held, struct mill__span *span) {
  mill_slice piece = mill__assembly_slice(assembly, *span);
  if (!piece.len || (!held->held && !has_surrogate(piece)))
    return MILL_OK;
  mill__buf_clear(&assembly->scratch);
  int error = mill__text_piece(held, piece, &assembly->scratch);
  if (error)
    return error;
  return mill__assembly_keep_piece(assembly, mill__buf_slice(&assembly->scratch), span);
}

/* ---- growing arrays ------------------------------------------------------------------------- */

/* The array with room for one more, NULL when out of memory: then it is as it was. */
static void *grown(void *array, size_t *capacity, size_t item_bytes) {
  size_t larger = *capacity ? *capacity * 2 : FIRST_CAPACITY;
  void *moved = mill__realloc(array, larger * item_bytes);
  if (moved)
    *capacity = larger;
  return moved;
}

/* What stands in an array of deltas that nobody uses. */
struct spare {
  struct mill__pending *next;
  struct mill__delta *deltas;
  size_t capacity;
};

static_assert(sizeof(struct spare) <= sizeof(struct mill__pending), "a spare stands in a delta");

static struct spare spare_in(const struct mill__pending *pending) {
  struct spare spare;
  memcpy(&spare, pending, sizeof spare);
  return spare;
}

void mill__assembly_store_init(struct mill__assembly_store *store) {
  store->first = NULL;
  atomic_init(&store->n, 0);
}

void mill__assembly_store_fini(struct mill__assembly_store *store) {
  while (store->first) {
    struct spare spare = spare_in(store->first);
    mill__free(store->first);
    mill__free(spare.deltas);
    store->first = spare.next;
  }
}

static int n_spares(const struct mill__assembly_store *store) {
  return atomic_load_explicit(&store->n, memory_order_relaxed);
}

/* Written by one thread. */
static void count(struct mill__assembly_store *store, int more) {
  atomic_store_explicit(&store->n, n_spares(store) + more, memory_order_relaxed);
}

long mill__assembly_store_blocks(const struct mill__assembly_store *store) {
  return 2L * n_spares(store); /* two arrays each */
}

static bool take_spare(struct mill__assembly *assembly) {
  struct mill__assembly_store *store = assembly->store;
  if (assembly->pending || !store || !store->first)
    return false;
  struct spare spare = spare_in(store->first);
  assembly->pending = store->first;
  assembly->deltas = spare.deltas;
  assembly->capacity = spare.capacity;
  store->first = spare.next;
  count(store, -1);
  return true;
}

static void give_spare(struct mill__assembly *assembly) {
  struct mill__assembly_store *store = assembly->store;
  struct spare spare = {store->first, assembly->deltas, assembly->capacity};
  memcpy(assembly->pending, &spare, sizeof spare);
  store->first = assembly->pending;
  count(store, 1);
}

static void free_arrays(struct mill__assembly *assembly) {
  mill__free(assembly->pending);
  mill__free(assembly->deltas);
}

void mill__assembly_rest(struct mill__assembly *assembly) {
  const struct mill__assembly_store *store = assembly->store;
  if (!assembly->capacity)
    return;
  if (n_spares(store) == MILL__DECODER_STORE_ARRAYS || assembly->capacity > KEEP_DELTAS)
    free_arrays(assembly);
  else
    give_spare(assembly);
  assembly->pending = NULL;
  assembly->deltas = NULL;
  assembly->capacity = assembly->n_pending = 0;
}

static int grow_pending(struct mill__assembly *assembly) {
  if (assembly->n_pending == MILL__EVENT_DELTAS)
    return MILL_E_LIMIT;
  if (take_spare(assembly))
    return MILL_OK;
  size_t capacity = assembly->capacity;
  void *pending = grown(assembly->pending, &capacity, sizeof *assembly->pending);
  if (!pending)
    return MILL_E_NOMEM;
  assembly->pending = pending;
  capacity = assembly->capacity;
  void *deltas = grown(assembly->deltas, &capacity, sizeof *assembly->deltas);
  if (!deltas)
    return MILL_E_NOMEM;
  assembly->deltas = deltas;
  assembly->capacity = capacity;
  return MILL_OK;
}

int mill__assembly_begin(struct mill__assembly *assembly, enum mill_chunk_type type,
                         size_t *ret_number) {
  if (assembly->n_pending == assembly->capacity) {
    int error = grow_pending(assembly);
    if (error)
      return error;
  }
  *ret_number = assembly->n_pending++;
  assembly->pending[*ret_number] = (struct mill__pending){.type = type, .tool_key = -1};
  return MILL_OK;
}

int mill__assembly_add(struct mill__assembly *assembly, const struct mill__pending *delta) {
  size_t number;
  int error = mill__assembly_begin(assembly, delta->type, &number);
  if (!error)
    assembly->pending[number] = *delta;
  return error;
}

/* Begin a delta that needs no binding. */
static int begin_bound(struct mill__assembly *assembly, enum mill_chunk_type type, int choice,
                       struct mill__pending **ret_delta) {
  size_t number;
  int error = mill__assembly_begin(assembly, type, &number);
  if (error)
    return error;
  assembly->n_bound = assembly->n_pending;
  *ret_delta = &assembly->pending[number];
  (*ret_delta)->choice = choice;
  return MILL_OK;
}

/* ---- choices and tool calls ----------------------------------------------------------------- */

static int find_choice(struct mill__assembly *assembly, int index,
                       struct mill__choice_state **ret_choice) {
  for (size_t i = 0; i < assembly->n_choices; i++)
    if (assembly->choices[i].index == index) {
      *ret_choice = &assembly->choices[i];
      return MILL_OK;
    }
  if (assembly->n_choices == MILL__STREAM_CHOICES)
    return MILL_E_LIMIT;
  if (assembly->n_choices == assembly->choices_capacity) {
    void *choices =
        grown(assembly->choices, &assembly->choices_capacity, sizeof *assembly->choices);
    if (!choices)
      return MILL_E_NOMEM;
    assembly->choices = choices;
  }
  *ret_choice = &assembly->choices[assembly->n_choices++];
  **ret_choice = (struct mill__choice_state){.index = index};
  return MILL_OK;
}

static int new_tool(struct mill__assembly *assembly, struct mill__choice_state *choice, int64_t key,
                    struct mill__tool_state **ret_tool) {
  if (assembly->n_tools == MILL__STREAM_TOOL_CALLS)
    return MILL_E_LIMIT;
  if (assembly->n_tools == assembly->tools_capacity) {
    void *tools = grown(assembly->tools, &assembly->tools_capacity, sizeof *assembly->tools);
    if (!tools)
      return MILL_E_NOMEM;
    assembly->tools = tools;
  }
  *ret_tool = &assembly->tools[assembly->n_tools++];
  **ret_tool =
      (struct mill__tool_state){.choice = choice->index, .index = choice->n_tools++, .key = key};
  return MILL_OK;
}

/*
 * Whether a fragment goes on with this call. With a key: the call of that key, unless both have an
 * id and these differ. Without: the call of its item, or of its id; without any, the last one.
 */
static bool continues(const struct mill__assembly *assembly, const struct mill__tool_state *tool,
                      int64_t key, mill_slice item, mill_slice id) {
  if (item.len && tool->item.len && (key < 0 || tool->key < 0))
    return equal(item, slice_of(&assembly->tool_ids, tool->item));
  if (key >= 0 && tool->key != key)
    return false;
  if (!id.len || (key >= 0 && !tool->id.len))
    return true;
  return equal(id, slice_of(&assembly->tool_ids, tool->id));
}

static int find_tool(struct mill__assembly *assembly, struct mill__choice_state *choice,
                     const struct mill__pending *delta, struct mill__tool_state **ret_tool) {
  mill_slice id = mill__assembly_slice(assembly, delta->tool_id),
             item = mill__assembly_slice(assembly, delta->tool_item);
  for (size_t i = assembly->n_tools; i-- > 0;) {
    struct mill__tool_state *tool = &assembly->tools[i];
    if (tool->choice == choice->index && continues(assembly, tool, delta->tool_key, item, id)) {
      *ret_tool = tool;
      return MILL_OK;
    }
  }
  return new_tool(assembly, choice, delta->tool_key, ret_tool);
}

static int remember(struct mill__assembly *assembly, struct mill__span span,
                    struct mill__span *ret_span) {
  mill_slice text = mill__assembly_slice(assembly, span);
  size_t at = assembly->tool_ids.len;
  int error = mill__buf_append(&assembly->tool_ids, text.ptr, text.len);
  if (!error)
    *ret_span = (struct mill__span){at, text.len};
  return error;
}

/* Id and name stand in the first fragment only, also where the provider repeats them. */
static int take_names(struct mill__assembly *assembly, struct mill__tool_state *tool,
                      struct mill__pending *delta) {
  int error = MILL_OK;
  if (tool->id.len)
    delta->tool_id.len = 0;
  else
    error = remember(assembly, delta->tool_id, &tool->id);
  if (!error && !tool->item.len)
    error = remember(assembly, delta->tool_item, &tool->item);
  if (tool->named)
    delta->tool_name.len = 0;
  tool->named |= delta->tool_name.len > 0;
  return error;
}

static int take_arguments(struct mill__assembly *assembly, struct mill__tool_state *tool,
                          struct mill__pending *delta) {
  if (tool->whole || (delta->tool_all && tool->argued))
    delta->text.len = 0;
  tool->argued |= delta->text.len > 0;
  tool->whole |= delta->tool_all && delta->text.len > 0;
  return join(assembly, &tool->held, &delta->text);
}

static int bind_tool(struct mill__assembly *assembly, struct mill__choice_state *choice,
                     struct mill__pending *delta) {
  if (!delta->tool_id.len && !delta->tool_name.len && !delta->text.len)
    return MILL_OK;
  int error = clean_span(assembly, &delta->tool_id);
  if (!error)
    error = clean_span(assembly, &delta->tool_name);
  struct mill__tool_state *tool;
  if (!error)
    error = find_tool(assembly, choice, delta, &tool);
  if (!error)
    error = take_names(assembly, tool, delta);
  if (error)
    return error;
  delta->tool_index = tool->index;
  return take_arguments(assembly, tool, delta);
}

const struct mill__tool_state *mill__assembly_tool(const struct mill__assembly *assembly,
                                                   int choice, int64_t key) {
  for (size_t i = assembly->n_tools; i-- > 0;)
    if (assembly->tools[i].choice == choice && assembly->tools[i].key == key)
      return &assembly->tools[i];
  return NULL;
}

bool mill__assembly_calls(const struct mill__assembly *assembly, int choice) {
  for (size_t i = 0; i < assembly->n_tools; i++)
    if (assembly->tools[i].choice == choice)
      return true;
  return false;
}

/* ---- binding -------------------------------------------------------------------------------- */

static int bind_delta(struct mill__assembly *assembly, struct mill__choice_state *choice,
                      struct mill__pending *delta) {
  delta->choice = choice->index;
  if (delta->type < MILL__HELD_TEXTS) {
    int error = join(assembly, &choice->held[delta->type], &delta->text);
    return error ? error : clean_span(assembly, &delta->signature);
  }
  if (delta->type == MILL_CHUNK_TOOL_CALL)
    return bind_tool(assembly, choice, delta);
  return MILL_OK;
}

int mill__assembly_bind(struct mill__assembly *assembly, int index) {
  struct mill__choice_state *choice;
  int error = find_choice(assembly, index, &choice);
  size_t kept = assembly->n_bound;
  for (size_t i = kept; i < assembly->n_pending && !error; i++) {
    struct mill__pending *delta = &assembly->pending[i];
    error = bind_delta(assembly, choice, delta);
    if (delta->text.len || delta->signature.len || delta->tool_id.len || delta->tool_name.len)
      assembly->pending[kept++] = *delta;
  }
  assembly->n_bound = assembly->n_pending = kept;
  return error;
}

/* A half that waits for its other half will wait for ever: U+FFFD, as a delta of its own. */
static int flush(struct mill__assembly *assembly, struct mill__text *held,
                 struct mill__pending delta) {
  if (!held->held)
    return MILL_OK;
  mill__buf_clear(&assembly->scratch);
  int error = mill__text_end(held, &assembly->scratch);
  if (!error)
    error = mill__assembly_keep_piece(assembly, mill__buf_slice(&assembly->scratch), &delta.text);
  struct mill__pending *place;
  if (!error)
    error = begin_bound(assembly, delta.type, delta.choice, &place);
  if (!error)
    *place = delta;
  return error;
}

static int flush_choice(struct mill__assembly *assembly, struct mill__choice_state *choice) {
  int error = MILL_OK;
  for (int type = 0; type < MILL__HELD_TEXTS && !error; type++)
    error = flush(assembly, &choice->held[type],
                  (struct mill__pending){.type = type, .choice = choice->index});
  for (size_t i = 0; i < assembly->n_tools && !error; i++) {
    struct mill__tool_state *tool = &assembly->tools[i];
    if (tool->choice == choice->index)
      error = flush(assembly, &tool->held,
                    (struct mill__pending){.type = MILL_CHUNK_TOOL_CALL,
                                           .choice = choice->index,
                                           .tool_index = tool->index});
  }
  return error;
}

int mill__assembly_finish(struct mill__assembly *assembly, int index, enum mill_finish finish,
                          struct mill__span word) {
  struct mill__choice_state *choice;
  int error = find_choice(assembly, index, &choice);
  if (!error)
    error = flush_choice(assembly, choice);
  if (!error)
    error = clean_span(assembly, &word);
  struct mill__pending *delta;
  if (!error)
    error = begin_bound(assembly, MILL_CHUNK_FINISH, index, &delta);
  if (error)
    return error;
  choice->finished = true;
  delta->finish = finish;
  delta->finish_raw = word;
  return MILL_OK;
}

int mill__assembly_complete(struct mill__assembly *assembly) {
  assembly->complete = true;
  int error = MILL_OK;
  for (size_t i = 0; i < assembly->n_choices && !error; i++)
    error = flush_choice(assembly, &assembly->choices[i]);
  return error;
}

int mill__assembly_terminate(struct mill__assembly *assembly) {
  assembly->terminated = true;
  return mill__assembly_complete(assembly);
}

bool mill__assembly_finished(const struct mill__assembly *assembly) {
  for (size_t i = 0; i < assembly->n_choices; i++)
    if (!assembly->choices[i].finished)
      return false;
  return assembly->n_choices > 0;
}

/* ---- meta, usage ---------------------------------------------------------------------------- */

int mill__assembly_meta(struct mill__assembly *assembly, enum mill__meta_field field,
                        mill_slice text) {
  struct mill__buf *known = &assembly->meta[field];
  int error = clean(assembly, text, &text);
  if (error || !text.len || equal(text, mill__buf_slice(known)))
    return error;
  mill__buf_clear(known);
  assembly->new_meta |= 1u << field;
  return mill__buf_append(known, text.ptr, text.len);
}

void mill__assembly_usage(struct mill__assembly *assembly, enum mill__usage_field field,
                          mill_slice literal) {
  int64_t count;
  if (!mill__json_int64(literal, &count) || count < 0)
    return;
  assembly->usage[field] = count;
  assembly->has_usage = true;
}

int mill__assembly_usage_raw(struct mill__assembly *assembly, mill_slice json) {
  return mill__assembly_keep(assembly, json, &assembly->usage_raw);
}

void mill__assembly_usage_rest(struct mill__assembly *assembly) {
  for (int i = 0; i < MILL__USAGE_FIELDS && assembly->has_usage; i++)
    if (assembly->usage[i] < 0)
      assembly->usage[i] = 0;
}

void mill__assembly_no_usage(struct mill__assembly *assembly) {
  assembly->has_usage = false;
}

static int add_usage(struct mill__assembly *assembly) {
  struct mill__pending *delta;
  return assembly->has_usage ? begin_bound(assembly, MILL_CHUNK_USAGE, 0, &delta) : MILL_OK;
}

/* ---- errors --------------------------------------------------------------------------------- */

/* The words by which APIs say what others say by an HTTP status. */
static const struct {
  const char *word;
  int status;
} status_words[] = {
    {"invalid_request_error", 400},
    {"bad_request", 400},
    {"invalid_prompt", 400},
    {"context_length_exceeded", 400},
    {"authentication_error", 401},
    {"invalid_api_key", 401},
    {"billing_error", 402},
    {"permission_error", 403},
    {"permission_denied", 403},
    {"not_found_error", 404},
    {"model_not_found", 404},
    {"request_too_large", 413},
    {"rate_limit_error", 429},
    {"rate_limit_exceeded", 429},
    {"insufficient_quota", 429},
    {"server_error", 500},
    {"api_error", 500},
    {"internal_server_error", 500},
    {"service_unavailable", 503},
    {"timeout_error", 504},
    {"overloaded_error", 529},
    /* Amazon Bedrock's exceptions */
    {"validationException", 400},
    {"accessDeniedException", 403},
    {"resourceNotFoundException", 404},
    {"modelTimeoutException", 408},
    {"modelErrorException", 424},
    {"modelStreamErrorException", 424},
    {"modelNotReadyException", 429},
    {"throttlingException", 429},
    {"internalServerException", 500},
    {"serviceUnavailableException", 503},
    /* Google's, as gRPC names them */
    {"INVALID_ARGUMENT", 400},
    {"FAILED_PRECONDITION", 400},
    {"OUT_OF_RANGE", 400},
    {"UNAUTHENTICATED", 401},
    {"PERMISSION_DENIED", 403},
    {"NOT_FOUND", 404},
    {"ALREADY_EXISTS", 409},
    {"ABORTED", 409},
    {"RESOURCE_EXHAUSTED", 429},
    {"CANCELLED", 499},
    {"INTERNAL", 500},
    {"UNKNOWN", 500},
    {"DATA_LOSS", 500},
    {"UNIMPLEMENTED", 501},
    {"UNAVAILABLE", 503},
    {"DEADLINE_EXCEEDED", 504},
};

static int status_of_word(mill_slice word) {
  for (size_t i = 0; i < sizeof status_words / sizeof *status_words; i++)
    if (mill__is(word, status_words[i].word))
      return status_words[i].status;
  return 0;
}

void mill__assembly_error(struct mill__assembly *assembly) {
  assembly->failed = true;
}

int mill__assembly_error_text(struct mill__assembly *assembly, enum mill__error_field field,
                              mill_slice text) {
  return mill__assembly_keep(assembly, text, &assembly->error_text[field]);
}

void mill__assembly_error_status(struct mill__assembly *assembly, mill_slice literal) {
  int64_t status;
  if (mill__json_int64(literal, &status) && status >= 400 && status <= 599)
    assembly->error_status = (int)status;
}

static int set_text(struct mill__buf *buf, mill_slice text) {
  mill__buf_clear(buf);
  return mill__buf_append(buf, text.ptr, text.len);
}

int mill__provider_error_set(struct mill__provider_error *error, int status, mill_slice kind,
                             mill_slice message) {
  int rc = set_text(&error->kind, kind);
  if (!rc)
    rc = set_text(&error->message, message);
  error->status = status;
  error->seen = !rc;
  return rc;
}

/* The first error of the stream is the one to tell of: what follows is its consequence. */
static int settle_error(struct mill__assembly *assembly) {
  struct mill__provider_error *error = &assembly->error;
  if (!assembly->failed || error->seen)
    return MILL_OK;
  mill_slice text[MILL__ERROR_FIELDS];
  for (int i = 0; i < MILL__ERROR_FIELDS; i++)
    text[i] = mill__assembly_slice(assembly, assembly->error_text[i]);
  const mill_slice code = text[MILL__ERROR_CODE], type = text[MILL__ERROR_TYPE],
                   message = text[MILL__ERROR_MESSAGE];
  int status = assembly->error_status;
  if (!status)
    status = status_of_word(code);
  if (!status)
    status = status_of_word(type);
  return mill__provider_error_set(error, status, code.len ? code : type,
                                  message.len ? message : text[MILL__ERROR_RAW]);
}

/* ---- the event ------------------------------------------------------------------------------ */

void mill__assembly_init(struct mill__assembly *assembly, size_t event_bytes) {
  *assembly = (struct mill__assembly){0};
  /* A byte of JSON is kept as a string, inside its raw object, and once more joined. */
  size_t cap = event_bytes < SIZE_MAX / 4 ? event_bytes * 4 : SIZE_MAX;
  mill__buf_init(&assembly->strings, cap);
  mill__buf_init(&assembly->scratch, cap);
  mill__buf_init(&assembly->tool_ids, event_bytes);
  for (int i = 0; i < MILL__META_FIELDS; i++)
    mill__buf_init(&assembly->meta[i], event_bytes);
  mill__buf_init(&assembly->error.message, event_bytes);
  mill__buf_init(&assembly->error.kind, event_bytes);
}

void mill__assembly_fini(struct mill__assembly *assembly) {
  mill__buf_fini(&assembly->strings);
  mill__buf_fini(&assembly->scratch);
  mill__buf_fini(&assembly->tool_ids);
  for (int i = 0; i < MILL__META_FIELDS; i++)
    mill__buf_fini(&assembly->meta[i]);
  mill__buf_fini(&assembly->error.message);
  mill__buf_fini(&assembly->error.kind);
  mill__free(assembly->pending);
  mill__free(assembly->deltas);
  mill__free(assembly->choices);
  mill__free(assembly->tools);
}

void mill__assembly_begin_event(struct mill__assembly *assembly) {
  mill__buf_shrink(&assembly->strings, KEEP_BYTES);
  mill__buf_shrink(&assembly->scratch, KEEP_BYTES);
  assembly->n_pending = assembly->n_bound = 0;
  for (int i = 0; i < MILL__USAGE_FIELDS; i++)
    assembly->usage[i] = -1;
  assembly->usage_raw = (struct mill__span){0};
  assembly->has_usage = false;
  assembly->new_meta = 0;
  assembly->failed = false;
  assembly->error_status = 0;
  memset(assembly->error_text, 0, sizeof assembly->error_text);
}

static struct mill__delta delta_of(const struct mill__assembly *assembly,
                                   const struct mill__pending *pending) {
  struct mill__delta delta = {
      .type = pending->type,
      .choice = pending->choice,
      .text = mill__assembly_slice(assembly, pending->text),
      .signature = mill__assembly_slice(assembly, pending->signature),
      .tool_index = pending->tool_index,
      .tool_id = mill__assembly_slice(assembly, pending->tool_id),
      .tool_name = mill__assembly_slice(assembly, pending->tool_name),
      .finish = pending->finish,
      .finish_raw = mill__assembly_slice(assembly, pending->finish_raw),
  };
  if (pending->type == MILL_CHUNK_USAGE)
    delta.usage = (mill_usage){
        .input_tokens = assembly->usage[MILL__USAGE_INPUT],
        .output_tokens = assembly->usage[MILL__USAGE_OUTPUT],
        .reasoning_tokens = assembly->usage[MILL__USAGE_REASONING],
        .cached_tokens = assembly->usage[MILL__USAGE_CACHED],
        .raw = mill__assembly_slice(assembly, assembly->usage_raw),
    };
  return delta;
}

static mill_slice new_meta(const struct mill__assembly *assembly, enum mill__meta_field field) {
  if (!(assembly->new_meta & 1u << field))
    return (mill_slice){"", 0};
  return mill__buf_slice(&assembly->meta[field]);
}

/* An event without a delta that we know is still told, unless it ends the stream or failed. */
static int add_other(struct mill__assembly *assembly) {
  if (assembly->n_pending || assembly->failed || assembly->terminated)
    return MILL_OK;
  struct mill__pending *delta;
  return begin_bound(assembly, MILL_CHUNK_OTHER, 0, &delta);
}

int mill__assembly_end_event(struct mill__assembly *assembly, struct mill__meta *ret_meta) {
  int error = MILL_OK;
  if (assembly->n_bound < assembly->n_pending)
    error = mill__assembly_bind(assembly, 0);
  if (!error)
    error = add_usage(assembly);
  if (!error)
    error = settle_error(assembly);
  if (!error)
    error = add_other(assembly);
  if (error)
    return error;
  for (size_t i = 0; i < assembly->n_pending; i++)
    assembly->deltas[i] = delta_of(assembly, &assembly->pending[i]);
  *ret_meta = (struct mill__meta){
      .id = new_meta(assembly, MILL__META_ID),
      .model = new_meta(assembly, MILL__META_MODEL),
      .role = new_meta(assembly, MILL__META_ROLE),
  };
  return MILL_OK;
}
