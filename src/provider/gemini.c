/*
 * The dialect of Gemini's generateContent, for the Gemini API and Vertex: every event is a piece of
 * a whole answer, whose candidates have parts. Source: Google's API reference and recorded streams.
 * The last finish reason is the end. A signature may stand with a part of any kind: it is told as
 * one of the reasoning behind it. Citations stand in the event's data only.
 */
#include "provider/dialect.h"
#include "provider/fields.h"
#include "provider/gemini_args.h"

enum field {
  BLOCK_REASON = MILL__FIELD_OWN,
  CANDIDATE, /* BEGIN, END */
  CANDIDATE_INDEX,
  FINISH,
  PART, /* BEGIN */
  TEXT,
  THOUGHT,
  SIGNATURE,
  CALL, /* BEGIN, END */
  CALL_ID,
  CALL_NAME,
  CALL_ARGS,
  CALL_CONTINUES,
  ARG, /* BEGIN, END */
  ARG_PATH,
  ARG_STRING,
  ARG_LITERAL,
  ARG_NULL
};

#define PARTS "candidates[].content.parts[]"
#define ARGS PARTS ".functionCall.partialArgs[]"
/* A status is a word here, and the code is an HTTP status. */
#define ERROR_ROWS(at)                                                                             \
  {at, MILL__FIELD_ERROR, MILL__JSON_STRING | MILL__JSON_BEGIN | MILL__JSON_RAW},                  \
      {at ".message", MILL__FIELD_ERROR_MESSAGE, MILL__JSON_STRING},                               \
      {at ".status", MILL__FIELD_ERROR_CODE, MILL__JSON_STRING}, {                                 \
    at ".code", MILL__FIELD_ERROR_STATUS, MILL__JSON_NUMBER | MILL__JSON_STRING                    \
  }

static const struct mill__json_path paths[] = {
    {"responseId", MILL__FIELD_ID, MILL__JSON_STRING},
    {"modelVersion", MILL__FIELD_MODEL, MILL__JSON_STRING},
    {"promptFeedback.blockReason", BLOCK_REASON, MILL__JSON_STRING},
    {"candidates[]", CANDIDATE, MILL__JSON_BEGIN | MILL__JSON_END},
    {"candidates[].index", CANDIDATE_INDEX, MILL__JSON_NUMBER},
    {"candidates[].finishReason", FINISH, MILL__JSON_STRING | MILL__JSON_NUMBER},
    {"candidates[].content.role", MILL__FIELD_ROLE, MILL__JSON_STRING},
    {PARTS, PART, MILL__JSON_BEGIN},
    {PARTS ".text", TEXT, MILL__JSON_STRING},
    {PARTS ".thought", THOUGHT, MILL__JSON_BOOL},
    {PARTS ".thoughtSignature", SIGNATURE, MILL__JSON_STRING},
    {PARTS ".functionCall", CALL, MILL__JSON_BEGIN | MILL__JSON_END},
    {PARTS ".functionCall.id", CALL_ID, MILL__JSON_STRING},
    {PARTS ".functionCall.name", CALL_NAME, MILL__JSON_STRING},
    {PARTS ".functionCall.args", CALL_ARGS, MILL__JSON_RAW},
    {PARTS ".functionCall.willContinue", CALL_CONTINUES, MILL__JSON_BOOL},
    {ARGS, ARG, MILL__JSON_BEGIN | MILL__JSON_END},
    {ARGS ".jsonPath", ARG_PATH, MILL__JSON_STRING},
    {ARGS ".stringValue", ARG_STRING, MILL__JSON_STRING},
    {ARGS ".numberValue", ARG_LITERAL, MILL__JSON_NUMBER},
    {ARGS ".boolValue", ARG_LITERAL, MILL__JSON_BOOL},
    {ARGS ".nullValue", ARG_NULL, MILL__JSON_STRING | MILL__JSON_NULL},
    MILL__USAGE_ROWS("usageMetadata", "promptTokenCount", "candidatesTokenCount",
                     "thoughtsTokenCount", "cachedContentTokenCount"),
    ERROR_ROWS("error"),
    ERROR_ROWS("[].error"), /* an error answer to a request without alt=sse */
};

static const struct mill__finish_word finish_words[] = {
    {"STOP", MILL_FINISH_STOP},
    {"MAX_TOKENS", MILL_FINISH_LENGTH},
    {"SAFETY", MILL_FINISH_CONTENT_FILTER},
    {"RECITATION", MILL_FINISH_CONTENT_FILTER},
    {"BLOCKLIST", MILL_FINISH_CONTENT_FILTER},
    {"PROHIBITED_CONTENT", MILL_FINISH_CONTENT_FILTER},
    {"SPII", MILL_FINISH_CONTENT_FILTER},
    {"IMAGE_SAFETY", MILL_FINISH_CONTENT_FILTER},
    {"IMAGE_PROHIBITED_CONTENT", MILL_FINISH_CONTENT_FILTER},
    {"IMAGE_RECITATION", MILL_FINISH_CONTENT_FILTER},
    {"MODEL_ARMOR", MILL_FINISH_CONTENT_FILTER},
    /* Vertex is seen to send the enumeration's numbers; these mean the same in both of the APIs. */
    {"1", MILL_FINISH_STOP},
    {"2", MILL_FINISH_LENGTH},
    {"3", MILL_FINISH_CONTENT_FILTER},
    {"4", MILL_FINISH_CONTENT_FILTER},
    {"7", MILL_FINISH_CONTENT_FILTER},
    {"8", MILL_FINISH_CONTENT_FILTER},
    {NULL, MILL_FINISH_NONE},
};

struct state {
  struct mill__span block_reason; /* of the event */

  /* the candidate that is open */
  int choice;
  struct mill__span finish; /* its word */

  /* its part that is open: the deltas of it */
  size_t text, signature, call;

  /* the call: its number in the stream, and what is known of its arguments */
  int64_t key;
  bool continues; /* its next piece will come */
  bool has_args;
  struct mill__gemini_args args;

  /* the value among them that is open */
  enum { NOTHING, STRING, LITERAL } kind;
  struct mill__span path, value;
};

/* ---- candidates ------------------------------------------------------------------------------ */

static int end_candidate(struct mill__assembly *assembly, struct state *state) {
  int error = mill__assembly_bind(assembly, state->choice);
  return error ? error : mill__finish(assembly, state->choice, state->finish, finish_words);
}

static int take_candidate(struct mill__assembly *assembly, struct state *state,
                          const struct mill__json_value *value) {
  switch ((enum field)value->field) {
  case CANDIDATE:
    if (value->is_array)
      return MILL_OK;
    if (value->kind == MILL__JSON_END)
      return end_candidate(assembly, state);
    state->choice = (int)value->index[0];
    state->finish.len = 0;
    return MILL_OK;
  case CANDIDATE_INDEX:
    mill__index_of(value->text, &state->choice);
    return MILL_OK;
  default:
    return mill__assembly_keep(assembly, value->text, &state->finish);
  }
}

static int begin_part(struct mill__assembly *assembly, struct state *state) {
  int error = mill__assembly_begin(assembly, MILL_CHUNK_TEXT, &state->text);
  return error ? error : mill__assembly_begin(assembly, MILL_CHUNK_REASONING, &state->signature);
}

/* Thoughts are told from text by a field that stands beside it. */
static int take_part(struct mill__assembly *assembly, struct state *state,
                     const struct mill__json_value *value) {
  if (value->field == PART)
    return value->is_array ? MILL_OK : begin_part(assembly, state);
  if (value->field == SIGNATURE)
    return mill__assembly_keep_piece(assembly, value->text,
                                     &mill__assembly_at(assembly, state->signature)->signature);
  struct mill__pending *delta = mill__assembly_at(assembly, state->text);
  if (value->field == TEXT)
    return mill__assembly_keep_piece(assembly, value->text, &delta->text);
  delta->type = value->boolean ? MILL_CHUNK_REASONING : MILL_CHUNK_TEXT;
  return MILL_OK;
}

/* ---- calls ----------------------------------------------------------------------------------- */

/* Calls have no number, and seldom an id: each one is another, unless the last is to be gone on. */
static int begin_call(struct mill__assembly *assembly, struct state *state) {
  int error = mill__assembly_begin(assembly, MILL_CHUNK_TOOL_CALL, &state->call);
  if (error)
    return error;
  if (!state->continues) {
    state->key++;
    state->has_args = false;
    state->args = (struct mill__gemini_args){0};
  }
  state->continues = false;
  mill__assembly_at(assembly, state->call)->tool_key = state->key;
  return MILL_OK;
}

/* What was written to the scratch buffer belongs to the call's arguments. */
static int add_args(struct mill__assembly *assembly, const struct state *state) {
  return mill__assembly_extend_piece(assembly, mill__buf_slice(&assembly->scratch),
                                     &mill__assembly_at(assembly, state->call)->text);
}

static int end_call(struct mill__assembly *assembly, struct state *state) {
  if (state->continues || state->has_args)
    return MILL_OK;
  mill__buf_clear(&assembly->scratch);
  int error = mill__gemini_args_end(&state->args, &assembly->scratch);
  return error ? error : add_args(assembly, state);
}

static int take_call(struct mill__assembly *assembly, struct state *state,
                     const struct mill__json_value *value) {
  if (value->field == CALL) {
    if (value->is_array)
      return MILL_OK;
    return value->kind == MILL__JSON_BEGIN ? begin_call(assembly, state)
                                           : end_call(assembly, state);
  }
  struct mill__pending *delta = mill__assembly_at(assembly, state->call);
  switch ((enum field)value->field) {
  case CALL_ID:
    return mill__assembly_keep(assembly, value->text, &delta->tool_id);
  case CALL_NAME:
    return mill__assembly_keep(assembly, value->text, &delta->tool_name);
  case CALL_CONTINUES:
    state->continues = value->boolean;
    return MILL_OK;
  default:
    if (value->is_array)
      return MILL_OK;
    state->has_args = true;
    return mill__assembly_keep(assembly, value->text, &delta->text);
  }
}

static int end_arg(struct mill__assembly *assembly, struct state *state) {
  mill_slice path = mill__assembly_slice(assembly, state->path),
             value = mill__assembly_slice(assembly, state->value);
  if (state->kind == NOTHING || state->has_args)
    return MILL_OK;
  mill__buf_clear(&assembly->scratch);
  int error = state->kind == STRING
                  ? mill__gemini_args_string(&state->args, path, value, &assembly->scratch)
                  : mill__gemini_args_literal(&state->args, path, value, &assembly->scratch);
  return error ? error : add_args(assembly, state);
}

static int keep_arg(struct mill__assembly *assembly, struct state *state, int kind,
                    mill_slice value) {
  state->kind = kind;
  return mill__assembly_keep_piece(assembly, value, &state->value);
}

static int take_arg(struct mill__assembly *assembly, struct state *state,
                    const struct mill__json_value *value) {
  switch ((enum field)value->field) {
  case ARG:
    if (value->is_array)
      return MILL_OK;
    if (value->kind == MILL__JSON_END)
      return end_arg(assembly, state);
    state->kind = NOTHING;
    state->path.len = 0;
    return MILL_OK;
  case ARG_PATH:
    return mill__assembly_keep_piece(assembly, value->text, &state->path);
  case ARG_STRING:
    return keep_arg(assembly, state, STRING, value->text);
  case ARG_LITERAL:
    if (value->kind == MILL__JSON_NUMBER)
      return keep_arg(assembly, state, LITERAL, value->text);
    return keep_arg(assembly, state, LITERAL,
                    value->boolean ? (mill_slice){"true", 4} : (mill_slice){"false", 5});
  default:
    return keep_arg(assembly, state, LITERAL, (mill_slice){"null", 4});
  }
}

/* ---- the vtable ------------------------------------------------------------------------------ */

static int take_value(struct mill__assembly *assembly, void *state,
                      const struct mill__json_value *value) {
  if (value->field < MILL__FIELD_OWN)
    return mill__field_take(assembly, value);
  if (value->field == BLOCK_REASON)
    return mill__assembly_keep(assembly, value->text, &((struct state *)state)->block_reason);
  if (value->field < PART)
    return take_candidate(assembly, state, value);
  if (value->field < CALL)
    return take_part(assembly, state, value);
  if (value->field < ARG)
    return take_call(assembly, state, value);
  return take_arg(assembly, state, value);
}

/*
 * A prompt that was not let through has no candidate: why, is the answer's finish reason. Of the
 * counts, those that are zero are left out (as protocol buffers do).
 */
static int take_event(struct mill__assembly *assembly, void *state, mill_slice type) {
  const struct mill__span word = ((const struct state *)state)->block_reason;
  (void)type;
  mill__assembly_usage_rest(assembly);
  if (!word.len)
    return MILL_OK;
  int error = mill__assembly_bind(assembly, 0);
  return error ? error : mill__assembly_finish(assembly, 0, MILL_FINISH_CONTENT_FILTER, word);
}

#define GEMINI(name_, ...)                                                                         \
  {                                                                                                \
    .name = name_, __VA_ARGS__, MILL__TABLE(paths), .state_size = sizeof(struct state),            \
    .event_size = sizeof(struct mill__span), .value = take_value, .event = take_event,             \
    .finish_ends = true,                                                                           \
  }

const struct mill__dialect mill__gemini = GEMINI("gemini", MILL__SSE);
/* The same without alt=sse. */
const struct mill__dialect mill__gemini_json_array =
    GEMINI("gemini-json-array", .framing = MILL__FRAMING_JSON_ARRAY,
           .content_types = (const char *const[]){"application/json", NULL});
