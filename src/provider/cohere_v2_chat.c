/*
 * The dialect of Cohere's v2 chat: typed events around parts of the message.
 * Source: Cohere's API reference and recorded streams. Tool plans and citations are told as OTHER:
 * they stand in the event's data.
 */
#include "provider/cohere.h"

enum field {
  TYPE = MILL__FIELD_OWN,
  INDEX,
  TEXT,
  THINKING,
  CALL_ID,
  CALL_NAME,
  CALL_ARGUMENTS,
  FINISH
};

static const struct mill__json_path paths[] = {
    {"type", TYPE, MILL__JSON_STRING},
    {"index", INDEX, MILL__JSON_NUMBER},
    {"id", MILL__FIELD_ID, MILL__JSON_STRING},
    {"delta.message.role", MILL__FIELD_ROLE, MILL__JSON_STRING},
    {"delta.message.content.text", TEXT, MILL__JSON_STRING},
    {"delta.message.content.thinking", THINKING, MILL__JSON_STRING},
    {"delta.message.tool_calls.id", CALL_ID, MILL__JSON_STRING},
    {"delta.message.tool_calls.function.name", CALL_NAME, MILL__JSON_STRING},
    {"delta.message.tool_calls.function.arguments", CALL_ARGUMENTS, MILL__JSON_STRING},
    {"delta.finish_reason", FINISH, MILL__JSON_STRING},
    MILL__USAGE_ROWS("delta.usage", "tokens.input_tokens", "tokens.output_tokens",
                     "tokens.reasoning_tokens", "cached_tokens"),
    {"delta.error", MILL__FIELD_ERROR, MILL__JSON_STRING},
    MILL__ERROR_ROWS("error"),
    {"message", MILL__FIELD_ERROR_MESSAGE, MILL__JSON_STRING},
};

const struct mill__finish_word mill__cohere_finish_words[] = {
    {"COMPLETE", MILL_FINISH_STOP},
    {"STOP_SEQUENCE", MILL_FINISH_STOP},
    {"MAX_TOKENS", MILL_FINISH_LENGTH},
    {"ERROR_LIMIT", MILL_FINISH_LENGTH},
    {"TOOL_CALL", MILL_FINISH_TOOL_CALLS},
    {"ERROR_TOXIC", MILL_FINISH_CONTENT_FILTER},
    {NULL, MILL_FINISH_NONE},
};

int mill__cohere_failure(struct mill__assembly *assembly, mill_slice word) {
  bool timeout = mill__is(word, "TIMEOUT");
  if (!timeout && !mill__is(word, "ERROR"))
    return MILL_OK;
  mill__assembly_error(assembly);
  mill__assembly_error_status(assembly, (mill_slice){timeout ? "504" : "500", 3});
  return mill__assembly_error_text(assembly, MILL__ERROR_TYPE, word);
}

static int take_content(struct mill__assembly *assembly, const struct mill__event_fields *fields,
                        mill_slice type) {
  int error = mill__event_delta(fields, assembly, THINKING, MILL_CHUNK_REASONING);
  return error ? error : mill__event_delta(fields, assembly, TEXT, MILL_CHUNK_TEXT);
}

static int take_call(struct mill__assembly *assembly, const struct mill__event_fields *fields,
                     mill_slice type) {
  const struct mill__pending call =
      mill__event_call(fields, INDEX, CALL_ID, CALL_NAME, CALL_ARGUMENTS);
  return mill__assembly_add(assembly, &call);
}

static int end_message(struct mill__assembly *assembly, const struct mill__event_fields *fields,
                       mill_slice type) {
  int error = mill__event_finish(fields, assembly, FINISH, mill__cohere_finish_words);
  return error ? error : mill__assembly_complete(assembly);
}

static const struct mill__event_rule rules[] = {
    {"content-start", take_content}, {"content-delta", take_content},
    {"tool-call-start", take_call},  {"tool-call-delta", take_call},
    {"message-end", end_message},    {NULL, NULL},
};

static int take_event(struct mill__assembly *assembly, void *state, mill_slice name) {
  const mill_slice type = mill__event_type(state, assembly, TYPE, name);
  mill__take_error_body(assembly, type);
  return mill__event_act(rules, assembly, state, type);
}

static int take_value(struct mill__assembly *assembly, void *state,
                      const struct mill__json_value *value) {
  int error = value->field == FINISH ? mill__cohere_failure(assembly, value->text) : MILL_OK;
  return error ? error : mill__event_value(assembly, state, value);
}

const struct mill__dialect mill__cohere_v2_chat = {
    .name = "cohere-v2-chat",
    MILL__SSE,
    MILL__EVENT_TABLE(paths),
    .value = take_value,
    .event = take_event,
    .terminator = "[DONE]",
    .typed_end = true,
    .finish_ends = true,
};
