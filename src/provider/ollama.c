/*
 * The dialects of Ollama's own API: /api/chat, and /api/generate, which says the same at other
 * paths. Lines of JSON; the last one has "done": true. Source: Ollama's API reference, and what its
 * servers were seen to send.
 */
#include "provider/dialect.h"
#include "provider/fields.h"

enum field {
  DOCUMENT = MILL__FIELD_OWN,
  THINKING,
  CONTENT,
  TOOL,
  TOOL_ID,
  TOOL_NAME,
  TOOL_ARGUMENTS,
  DONE,
  DONE_REASON
};

static const struct mill__json_path paths[] = {
    {"", DOCUMENT, MILL__JSON_RAW},
    {"model", MILL__FIELD_MODEL, MILL__JSON_STRING},
    {"message.role", MILL__FIELD_ROLE, MILL__JSON_STRING},
    {"message.thinking", THINKING, MILL__JSON_STRING},
    {"message.content", CONTENT, MILL__JSON_STRING},
    {"message.tool_calls[]", TOOL, MILL__JSON_BEGIN},
    {"message.tool_calls[].id", TOOL_ID, MILL__JSON_STRING},
    {"message.tool_calls[].function.name", TOOL_NAME, MILL__JSON_STRING},
    {"message.tool_calls[].function.arguments", TOOL_ARGUMENTS, MILL__JSON_RAW | MILL__JSON_STRING},
    {"thinking", THINKING, MILL__JSON_STRING},
    {"response", CONTENT, MILL__JSON_STRING},
    {"done", DONE, MILL__JSON_BOOL},
    {"done_reason", DONE_REASON, MILL__JSON_STRING},
    {"prompt_eval_count", MILL__FIELD_INPUT_TOKENS, MILL__JSON_NUMBER},
    {"eval_count", MILL__FIELD_OUTPUT_TOKENS, MILL__JSON_NUMBER},
    {"status_code", MILL__FIELD_ERROR_STATUS, MILL__JSON_NUMBER},
    {"status", MILL__FIELD_ERROR_STATUS, MILL__JSON_NUMBER},
    MILL__ERROR_ROWS("error"),
};

struct state {
  struct mill__event_fields line;
  size_t tool;     /* the call that is open */
  int64_t n_tools; /* in the stream */
};

static const struct mill__finish_word finish_words[] = {
    {"stop", MILL_FINISH_STOP}, {"length", MILL_FINISH_LENGTH}, {NULL, MILL_FINISH_NONE}};

/* Tell what the line says, once. */
static int tell_texts(struct mill__assembly *assembly, struct state *state) {
  int error = mill__event_delta(&state->line, assembly, THINKING, MILL_CHUNK_REASONING);
  if (!error)
    error = mill__event_delta(&state->line, assembly, CONTENT, MILL_CHUNK_TEXT);
  state->line.seen &= ~(UINT32_C(1) << THINKING | UINT32_C(1) << CONTENT);
  return error;
}

/* Calls come whole and most have no id: each is one of its own. */
static int begin_tool(struct mill__assembly *assembly, struct state *state) {
  int error = tell_texts(assembly, state);
  if (!error)
    error = mill__assembly_begin(assembly, MILL_CHUNK_TOOL_CALL, &state->tool);
  if (!error)
    mill__assembly_at(assembly, state->tool)->tool_key = state->n_tools++;
  return error;
}

static int tool_value(struct mill__assembly *assembly, struct state *state,
                      const struct mill__json_value *value) {
  if (value->field == TOOL)
    return begin_tool(assembly, state);
  struct mill__pending *tool = mill__assembly_at(assembly, state->tool);
  if (value->field == TOOL_ID)
    return mill__assembly_keep(assembly, value->text, &tool->tool_id);
  if (value->field == TOOL_NAME)
    return mill__assembly_keep(assembly, value->text, &tool->tool_name);
  return mill__assembly_keep_piece(assembly, value->text, &tool->text);
}

static int take_value(struct mill__assembly *assembly, void *at,
                      const struct mill__json_value *value) {
  struct state *state = at;
  if (value->field < MILL__FIELD_OWN)
    return mill__field_take(assembly, value);
  if (value->field >= TOOL && value->field <= TOOL_ARGUMENTS)
    return tool_value(assembly, state, value);
  if (value->field != DOCUMENT)
    return mill__event_keep(&state->line, assembly, value);
  /* The counts have no object of their own: they stand in the line itself, beside durations. */
  return assembly->has_usage ? mill__assembly_usage_raw(assembly, value->text) : MILL_OK;
}

static int end_line(struct mill__assembly *assembly, void *at, mill_slice type) {
  struct state *state = at;
  int error = tell_texts(assembly, state);
  if (!error)
    error = mill__assembly_bind(assembly, 0);
  if (error || !mill__event_number(&state->line, DONE, false))
    return error;
  error = mill__event_finish(&state->line, assembly, DONE_REASON, finish_words);
  return error ? error : mill__assembly_complete(assembly);
}

#define OLLAMA(name_)                                                                              \
  {                                                                                                \
    .name = name_, .framing = MILL__FRAMING_NDJSON,                                                \
    .content_types = (const char *const[]){"application/x-ndjson", "application/ndjson", NULL},    \
    MILL__TABLE(paths), .state_size = sizeof(struct state), .event_size = MILL__EVENT_FIELDS_SIZE, \
    .value = take_value, .event = end_line                                                         \
  }

const struct mill__dialect mill__ollama_chat = OLLAMA("ollama-chat");
const struct mill__dialect mill__ollama_generate = OLLAMA("ollama-generate");
