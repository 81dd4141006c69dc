/*
 * The dialect of OpenAI's chat completions, which most servers speak in one way or another.
 * Source: OpenAI's API reference, and what compatible servers were seen to send. What has another
 * shape than the table says is passed over.
 */
#include <limits.h>
#include <string.h>

#include "provider/assembly.h"
#include "provider/dialect.h"

enum field {
  ID,
  MODEL,
  OBJECT,
  MESSAGE,
  TYPE,
  CODE,
  CHOICE,
  CHOICE_INDEX,
  FINISH,
  ROLE,
  REASONING,         /* the strings of a delta, in the order in which they are told */
  REASONING_CONTENT, /* the older name of the same */
  REASONING_DETAILS, /* and the list form */
  CONTENT,
  REFUSAL,
  TOOL,
  TOOL_INDEX,
  TOOL_ID,
  TOOL_NAME,
  TOOL_ARGUMENTS,
  USAGE,
  INPUT_TOKENS,
  OUTPUT_TOKENS,
  REASONING_TOKENS,
  CACHED_TOKENS,
  ERROR,
  ERROR_MESSAGE,
  ERROR_TYPE,
  ERROR_CODE,
  ERROR_STATUS
};

#define USAGE_ROWS(at)                                                                             \
  {at, USAGE, MILL__JSON_RAW}, {at ".prompt_tokens", INPUT_TOKENS, MILL__JSON_NUMBER},             \
      {at ".completion_tokens", OUTPUT_TOKENS, MILL__JSON_NUMBER},                                 \
      {at ".completion_tokens_details.reasoning_tokens", REASONING_TOKENS, MILL__JSON_NUMBER},     \
      {at ".prompt_tokens_details.cached_tokens", CACHED_TOKENS, MILL__JSON_NUMBER}, {             \
    at ".prompt_cache_hit_tokens", CACHED_TOKENS, MILL__JSON_NUMBER                                \
  }

static const struct mill__json_path paths[] = {
    {"id", ID, MILL__JSON_STRING},
    {"model", MODEL, MILL__JSON_STRING},
    /* old vLLM: {"object":"error","message":...} */
    {"object", OBJECT, MILL__JSON_STRING},
    {"message", MESSAGE, MILL__JSON_STRING},
    {"type", TYPE, MILL__JSON_STRING},
    {"code", CODE, MILL__JSON_STRING | MILL__JSON_NUMBER},

    {"choices[]", CHOICE, MILL__JSON_BEGIN | MILL__JSON_END},
    {"choices[].index", CHOICE_INDEX, MILL__JSON_NUMBER},
    {"choices[].finish_reason", FINISH, MILL__JSON_STRING},
    {"choices[].delta.role", ROLE, MILL__JSON_STRING},
    {"choices[].delta.reasoning", REASONING, MILL__JSON_STRING},
    {"choices[].delta.reasoning_content", REASONING_CONTENT, MILL__JSON_STRING},
    {"choices[].delta.reasoning_details[].text", REASONING_DETAILS, MILL__JSON_STRING},
    {"choices[].delta.reasoning_details[].summary", REASONING_DETAILS, MILL__JSON_STRING},
    {"choices[].delta.content", CONTENT, MILL__JSON_STRING},
    {"choices[].delta.refusal", REFUSAL, MILL__JSON_STRING},
    {"choices[].delta.tool_calls[]", TOOL, MILL__JSON_BEGIN},
    {"choices[].delta.tool_calls[].index", TOOL_INDEX, MILL__JSON_NUMBER},
    {"choices[].delta.tool_calls[].id", TOOL_ID, MILL__JSON_STRING},
    {"choices[].delta.tool_calls[].function.name", TOOL_NAME, MILL__JSON_STRING},
    {"choices[].delta.tool_calls[].function.arguments", TOOL_ARGUMENTS, MILL__JSON_STRING},

    USAGE_ROWS("usage"),
    USAGE_ROWS("x_groq.usage"),

    {"error", ERROR, MILL__JSON_STRING | MILL__JSON_BEGIN | MILL__JSON_RAW},
    {"error.message", ERROR_MESSAGE, MILL__JSON_STRING},
    {"error.type", ERROR_TYPE, MILL__JSON_STRING},
    {"error.code", ERROR_CODE, MILL__JSON_STRING | MILL__JSON_NUMBER},
    {"error.status_code", ERROR_STATUS, MILL__JSON_STRING | MILL__JSON_NUMBER},
    {"error.status", ERROR_STATUS, MILL__JSON_STRING | MILL__JSON_NUMBER},
};

enum { N_STRINGS = REFUSAL - REASONING + 1 };

struct state {
  int choice;                /* the index of the choice that is open */
  size_t strings[N_STRINGS]; /* its deltas, by field */
  struct mill__span finish;  /* its word */
  size_t tool;               /* the tool call fragment that is open */
};

static const enum mill_chunk_type string_types[N_STRINGS] = {
    MILL_CHUNK_REASONING, MILL_CHUNK_REASONING, MILL_CHUNK_REASONING, MILL_CHUNK_TEXT,
    MILL_CHUNK_REFUSAL};

/* A number that can be an index. */
static bool index_of(mill_slice literal, int *ret_index) {
  int64_t number;
  if (!mill__json_int64(literal, &number) || number < 0 || number > INT_MAX)
    return false;
  *ret_index = (int)number;
  return true;
}

/* ---- choices -------------------------------------------------------------------------------- */

/* The deltas of the strings are begun first: whatever the order of the keys, theirs is the same. */
static int begin_choice(struct mill__assembly *assembly, struct state *state, unsigned position) {
  state->choice = (int)position;
  state->finish = (struct mill__span){0};
  int error = MILL_OK;
  for (int i = 0; i < N_STRINGS && !error; i++)
    error = mill__assembly_begin(assembly, string_types[i], &state->strings[i]);
  return error;
}

static struct mill__pending *string_delta(struct mill__assembly *assembly,
                                          const struct state *state, enum field field) {
  return mill__assembly_at(assembly, state->strings[field - REASONING]);
}

/*
 * One delta's reasoning counts once: servers in the middle of the renaming send it under both
 * names, OpenRouter sends the list beside the string, Snowflake the list alone.
 */
static void drop_twins(struct mill__assembly *assembly, const struct state *state) {
  struct mill__span *newer = &string_delta(assembly, state, REASONING)->text;
  const struct mill__span older = string_delta(assembly, state, REASONING_CONTENT)->text;
  const mill_slice a = mill__assembly_slice(assembly, *newer),
                   b = mill__assembly_slice(assembly, older);
  if (a.len || b.len)
    string_delta(assembly, state, REASONING_DETAILS)->text.len = 0;
  if (a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0)
    newer->len = 0;
}

static bool is(mill_slice text, const char *word) {
  return text.len == strlen(word) && memcmp(text.ptr, word, text.len) == 0;
}

static enum mill_finish finish_of(mill_slice word) {
  static const struct {
    const char *word;
    enum mill_finish finish;
  } known[] = {
      {"stop", MILL_FINISH_STOP},
      {"length", MILL_FINISH_LENGTH},
      {"tool_calls", MILL_FINISH_TOOL_CALLS},
      {"function_call", MILL_FINISH_TOOL_CALLS},
      {"content_filter", MILL_FINISH_CONTENT_FILTER},
  };
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (is(word, known[i].word))
      return known[i].finish;
  return MILL_FINISH_OTHER;
}

static int end_choice(struct mill__assembly *assembly, struct state *state) {
  drop_twins(assembly, state);
  int error = mill__assembly_bind(assembly, state->choice);
  if (error || !state->finish.len)
    return error;
  enum mill_finish finish = finish_of(mill__assembly_slice(assembly, state->finish));
  return mill__assembly_finish(assembly, state->choice, finish, state->finish);
}

/* ---- values --------------------------------------------------------------------------------- */

static int choice_value(struct mill__assembly *assembly, struct state *state,
                        const struct mill__json_value *value) {
  switch ((enum field)value->field) {
  case CHOICE:
    if (value->is_array)
      return MILL_OK;
    return value->kind == MILL__JSON_BEGIN ? begin_choice(assembly, state, value->index[0])
                                           : end_choice(assembly, state);
  case CHOICE_INDEX:
    index_of(value->text, &state->choice);
    return MILL_OK;
  case FINISH:
    return mill__assembly_keep(assembly, value->text, &state->finish);
  case ROLE:
    return mill__assembly_meta(assembly, MILL__META_ROLE, value->text);
  case REASONING_DETAILS:
    return mill__assembly_extend_piece(assembly, value->text,
                                       &string_delta(assembly, state, REASONING_DETAILS)->text);
  default:
    return mill__assembly_keep_piece(assembly, value->text,
                                     &string_delta(assembly, state, value->field)->text);
  }
}

static int tool_value(struct mill__assembly *assembly, struct state *state,
                      const struct mill__json_value *value) {
  if (value->field == TOOL)
    return mill__assembly_begin(assembly, MILL_CHUNK_TOOL_CALL, &state->tool);
  struct mill__pending *delta = mill__assembly_at(assembly, state->tool);
  int index;
  switch ((enum field)value->field) {
  case TOOL_INDEX:
    if (index_of(value->text, &index))
      delta->tool_key = index;
    return MILL_OK;
  case TOOL_ID:
    return mill__assembly_keep(assembly, value->text, &delta->tool_id);
  case TOOL_NAME:
    return mill__assembly_keep(assembly, value->text, &delta->tool_name);
  default:
    return mill__assembly_keep_piece(assembly, value->text, &delta->text);
  }
}

static int usage_value(struct mill__assembly *assembly, const struct mill__json_value *value) {
  static const enum mill__usage_field fields[] = {
      [INPUT_TOKENS - INPUT_TOKENS] = MILL__USAGE_INPUT,
      [OUTPUT_TOKENS - INPUT_TOKENS] = MILL__USAGE_OUTPUT,
      [REASONING_TOKENS - INPUT_TOKENS] = MILL__USAGE_REASONING,
      [CACHED_TOKENS - INPUT_TOKENS] = MILL__USAGE_CACHED,
  };
  if (value->field == USAGE)
    return mill__assembly_usage_raw(assembly, value->text);
  mill__assembly_usage(assembly, fields[value->field - INPUT_TOKENS], value->text);
  return MILL_OK;
}

static int error_code(struct mill__assembly *assembly, const struct mill__json_value *value) {
  mill__assembly_error_status(assembly, value->text);
  return mill__assembly_error_text(assembly, MILL__ERROR_CODE, value->text);
}

/* "error" itself: an object, or a string that is the message. */
static int error_root(struct mill__assembly *assembly, const struct mill__json_value *value) {
  if (value->is_array || (value->kind == MILL__JSON_STRING && !value->text.len))
    return MILL_OK;
  mill__assembly_error(assembly);
  if (value->kind == MILL__JSON_BEGIN)
    return MILL_OK;
  enum mill__error_field field =
      value->kind == MILL__JSON_STRING ? MILL__ERROR_MESSAGE : MILL__ERROR_RAW;
  return mill__assembly_error_text(assembly, field, value->text);
}

static int error_value(struct mill__assembly *assembly, const struct mill__json_value *value) {
  switch ((enum field)value->field) {
  case ERROR_MESSAGE:
    return mill__assembly_error_text(assembly, MILL__ERROR_MESSAGE, value->text);
  case ERROR_TYPE:
    return mill__assembly_error_text(assembly, MILL__ERROR_TYPE, value->text);
  case ERROR_CODE:
    return error_code(assembly, value);
  case ERROR_STATUS:
    mill__assembly_error_status(assembly, value->text);
    return MILL_OK;
  default:
    return error_root(assembly, value);
  }
}

/* Fields of the document itself; message, type and code count where `object` says "error". */
static int document_value(struct mill__assembly *assembly, const struct mill__json_value *value) {
  switch ((enum field)value->field) {
  case ID:
    return mill__assembly_meta(assembly, MILL__META_ID, value->text);
  case MODEL:
    return mill__assembly_meta(assembly, MILL__META_MODEL, value->text);
  case MESSAGE:
    return mill__assembly_error_text(assembly, MILL__ERROR_MESSAGE, value->text);
  case TYPE:
    return mill__assembly_error_text(assembly, MILL__ERROR_TYPE, value->text);
  case CODE:
    return error_code(assembly, value);
  default:
    if (is(value->text, "error"))
      mill__assembly_error(assembly);
    return MILL_OK;
  }
}

static int take_value(struct mill__assembly *assembly, void *state,
                      const struct mill__json_value *value) {
  if (value->field < CHOICE)
    return document_value(assembly, value);
  if (value->field < TOOL)
    return choice_value(assembly, state, value);
  if (value->field < USAGE)
    return tool_value(assembly, state, value);
  if (value->field < ERROR)
    return usage_value(assembly, value);
  return error_value(assembly, value);
}

const struct mill__dialect mill__openai_chat = {
    .name = "openai-chat",
    .framing = MILL__FRAMING_SSE,
    .content_types = (const char *const[]){"text/event-stream", NULL},
    .paths = paths,
    .n_paths = sizeof paths / sizeof *paths,
    .state_size = sizeof(struct state),
    .value = take_value,
    .terminator = "[DONE]",
    .finish_ends = true,
};
