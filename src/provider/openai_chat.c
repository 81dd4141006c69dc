/*
 * The dialect of OpenAI's chat completions, which most servers speak in one way or another.
 * Source: OpenAI's API reference, and what compatible servers were seen to send. What has another
 * shape than the table says is passed over.
 */
#include "provider/openai_chat.h"

#include <string.h>

static const struct mill__json_path paths[] = {
    MILL__CHAT_TOP_ROWS,
    {"choices[]", MILL__CHAT_CHOICE, MILL__JSON_BEGIN | MILL__JSON_END},
    {"choices[].index", MILL__CHAT_INDEX, MILL__JSON_NUMBER},
    {"choices[].finish_reason", MILL__CHAT_FINISH, MILL__JSON_STRING},
    {"choices[].delta.role", MILL__FIELD_ROLE, MILL__JSON_STRING},
    {"choices[].delta.reasoning", MILL__CHAT_REASONING, MILL__JSON_STRING},
    {"choices[].delta.reasoning_content", MILL__CHAT_REASONING_CONTENT, MILL__JSON_STRING},
    {"choices[].delta.reasoning_details[].text", MILL__CHAT_REASONING_PART, MILL__JSON_STRING},
    {"choices[].delta.reasoning_details[].summary", MILL__CHAT_REASONING_PART, MILL__JSON_STRING},
    {"choices[].delta.reasoning_details[].signature", MILL__CHAT_SIGNATURE, MILL__JSON_STRING},
    {"choices[].delta.reasoning_details[].data", MILL__CHAT_SIGNATURE, MILL__JSON_STRING},
    {"choices[].delta.content", MILL__CHAT_CONTENT, MILL__JSON_STRING},
    {"choices[].delta.content[].text", MILL__CHAT_CONTENT_PART, MILL__JSON_STRING},
    {"choices[].delta.content[].thinking[].text", MILL__CHAT_REASONING_PART, MILL__JSON_STRING},
    {"choices[].delta.refusal", MILL__CHAT_REFUSAL, MILL__JSON_STRING},
    {"choices[].delta.tool_calls[]", MILL__CHAT_TOOL, MILL__JSON_BEGIN},
    {"choices[].delta.tool_calls[].index", MILL__CHAT_TOOL_INDEX, MILL__JSON_NUMBER},
    {"choices[].delta.tool_calls[].id", MILL__CHAT_TOOL_ID, MILL__JSON_STRING},
    {"choices[].delta.tool_calls[].function.name", MILL__CHAT_TOOL_NAME, MILL__JSON_STRING},
    {"choices[].delta.tool_calls[].function.arguments", MILL__CHAT_TOOL_ARGUMENTS,
     MILL__JSON_STRING},

    MILL__CHAT_USAGE_ROWS("usage"),
    MILL__CHAT_USAGE_ROWS("x_groq.usage"),
    MILL__ERROR_ROWS("error"),
};

/* ---- choices --------------------------------------------------------------------------------- */

/* The deltas of the strings are begun first: whatever the order of the keys, theirs is the same. */
static int begin_choice(struct mill__assembly *assembly, struct mill__chat_state *state,
                        unsigned position) {
  static const enum mill_chunk_type types[MILL__CHAT_STRINGS] = {
      MILL_CHUNK_REASONING, MILL_CHUNK_REASONING, MILL_CHUNK_REASONING, MILL_CHUNK_TEXT,
      MILL_CHUNK_REFUSAL};
  state->choice = (int)position;
  state->finish = (struct mill__span){0};
  int error = MILL_OK;
  for (int i = 0; i < MILL__CHAT_STRINGS && !error; i++)
    error = mill__assembly_begin(assembly, types[i], &state->strings[i]);
  return error;
}

static struct mill__span *string_of(struct mill__assembly *assembly,
                                    const struct mill__chat_state *state,
                                    enum mill__chat_string string) {
  return &mill__assembly_at(assembly, state->strings[string])->text;
}

/*
 * One delta's reasoning counts once: servers in the middle of the renaming send it under both
 * names, OpenRouter sends the list beside the string, Snowflake the list alone.
 */
static void drop_twins(struct mill__assembly *assembly, const struct mill__chat_state *state) {
  struct mill__span *newer = string_of(assembly, state, MILL__CHAT_STRING_REASONING);
  const struct mill__span older = *string_of(assembly, state, MILL__CHAT_STRING_REASONING_CONTENT);
  const mill_slice a = mill__assembly_slice(assembly, *newer),
                   b = mill__assembly_slice(assembly, older);
  if (a.len || b.len)
    string_of(assembly, state, MILL__CHAT_STRING_REASONING_PARTS)->len = 0;
  if (a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0)
    newer->len = 0;
}

static int end_choice(struct mill__assembly *assembly, struct mill__chat_state *state) {
  static const struct mill__finish_word words[] = {
      {"stop", MILL_FINISH_STOP},
      {"length", MILL_FINISH_LENGTH},
      {"tool_calls", MILL_FINISH_TOOL_CALLS},
      {"function_call", MILL_FINISH_TOOL_CALLS},
      {"content_filter", MILL_FINISH_CONTENT_FILTER},
      {NULL, MILL_FINISH_NONE},
  };
  drop_twins(assembly, state);
  int error = mill__assembly_bind(assembly, state->choice);
  if (error || !state->finish.len)
    return error;
  enum mill_finish finish = mill__finish_of(words, mill__assembly_slice(assembly, state->finish));
  return mill__assembly_finish(assembly, state->choice, finish, state->finish);
}

/* ---- values ---------------------------------------------------------------------------------- */

static int string_value(struct mill__assembly *assembly, struct mill__chat_state *state,
                        enum mill__chat_string string, mill_slice text) {
  return mill__assembly_keep_piece(assembly, text, string_of(assembly, state, string));
}

/* An element of a list, whose texts are one string. */
static int part_value(struct mill__assembly *assembly, struct mill__chat_state *state,
                      enum mill__chat_string string, mill_slice text) {
  return mill__assembly_extend_piece(assembly, text, string_of(assembly, state, string));
}

/* Each is one of its own, also where several stand in the list. */
static int signature_value(struct mill__assembly *assembly, mill_slice text) {
  struct mill__pending delta = {.type = MILL_CHUNK_REASONING};
  int error = mill__assembly_keep_piece(assembly, text, &delta.signature);
  return error ? error : mill__assembly_add(assembly, &delta);
}

static int choice_value(struct mill__assembly *assembly, struct mill__chat_state *state,
                        const struct mill__json_value *value) {
  switch ((enum mill__chat_field)value->field) {
  case MILL__CHAT_CHOICE:
    if (value->is_array)
      return MILL_OK;
    return value->kind == MILL__JSON_BEGIN ? begin_choice(assembly, state, value->index[0])
                                           : end_choice(assembly, state);
  case MILL__CHAT_INDEX:
    mill__index_of(value->text, &state->choice);
    return MILL_OK;
  case MILL__CHAT_FINISH:
    return mill__assembly_keep(assembly, value->text, &state->finish);
  case MILL__CHAT_REASONING:
    return string_value(assembly, state, MILL__CHAT_STRING_REASONING, value->text);
  case MILL__CHAT_REASONING_CONTENT:
    return string_value(assembly, state, MILL__CHAT_STRING_REASONING_CONTENT, value->text);
  case MILL__CHAT_REASONING_PART:
    return part_value(assembly, state, MILL__CHAT_STRING_REASONING_PARTS, value->text);
  case MILL__CHAT_SIGNATURE:
    return signature_value(assembly, value->text);
  case MILL__CHAT_CONTENT:
    return string_value(assembly, state, MILL__CHAT_STRING_CONTENT, value->text);
  case MILL__CHAT_CONTENT_PART:
    return part_value(assembly, state, MILL__CHAT_STRING_CONTENT, value->text);
  default:
    return string_value(assembly, state, MILL__CHAT_STRING_REFUSAL, value->text);
  }
}

static int tool_value(struct mill__assembly *assembly, struct mill__chat_state *state,
                      const struct mill__json_value *value) {
  if (value->field == MILL__CHAT_TOOL)
    return mill__assembly_begin(assembly, MILL_CHUNK_TOOL_CALL, &state->tool);
  struct mill__pending *delta = mill__assembly_at(assembly, state->tool);
  int index;
  switch ((enum mill__chat_field)value->field) {
  case MILL__CHAT_TOOL_INDEX:
    if (mill__index_of(value->text, &index))
      delta->tool_key = index;
    return MILL_OK;
  case MILL__CHAT_TOOL_ID:
    return mill__assembly_keep(assembly, value->text, &delta->tool_id);
  case MILL__CHAT_TOOL_NAME:
    return mill__assembly_keep(assembly, value->text, &delta->tool_name);
  default:
    return mill__assembly_keep_piece(assembly, value->text, &delta->text);
  }
}

int mill__openai_chat_value(struct mill__assembly *assembly, void *state,
                            const struct mill__json_value *value) {
  if (value->field < MILL__FIELD_OWN)
    return mill__field_take(assembly, value);
  if (value->field >= MILL__CHAT_TOOL)
    return tool_value(assembly, state, value);
  if (value->field != MILL__CHAT_OBJECT)
    return choice_value(assembly, state, value);
  if (mill__is(value->text, "error"))
    mill__assembly_error(assembly);
  return MILL_OK;
}

#define DIALECT(name_)                                                                             \
  {                                                                                                \
    .name = name_, MILL__SSE, MILL__TABLE(paths), .state_size = sizeof(struct mill__chat_state),   \
    .value = mill__openai_chat_value, .terminator = "[DONE]", .finish_ends = true,                 \
  }

const struct mill__dialect mill__openai_chat = DIALECT("openai-chat");
/* Mistral's differs in nothing that others would not send too: content as a list of parts. */
const struct mill__dialect mill__mistral_chat = DIALECT("mistral-chat");
