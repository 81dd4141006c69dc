/*
 * The dialect of Cohere's v2 chat: typed events around parts of the message.
 * Source: Cohere's API reference and recorded streams. Tool plans and citations are told as OTHER:
 * they stand in the event's data.
 */
#include "provider/dialect.h"
#include "provider/fields.h"

enum field {
  TYPE = MILL__FIELD_OWN,
  INDEX,
  TEXT,
  THINKING,
  CALL_ID,
  CALL_NAME,
  CALL_ARGUMENTS,
  FINISH,
  MESSAGE
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
    {"message", MESSAGE, MILL__JSON_STRING},
};

static const struct mill__finish_word finish_words[] = {
    {"COMPLETE", MILL_FINISH_STOP},
    {"STOP_SEQUENCE", MILL_FINISH_STOP},
    {"MAX_TOKENS", MILL_FINISH_LENGTH},
    {"TOOL_CALL", MILL_FINISH_TOOL_CALLS},
    {"ERROR_TOXIC", MILL_FINISH_CONTENT_FILTER},
    {NULL, MILL_FINISH_NONE},
};

static int take_content(struct mill__assembly *assembly, const struct mill__event_fields *fields) {
  int error = mill__event_delta(fields, assembly, THINKING, MILL_CHUNK_REASONING);
  return error ? error : mill__event_delta(fields, assembly, TEXT, MILL_CHUNK_TEXT);
}

static int take_call(struct mill__assembly *assembly, const struct mill__event_fields *fields) {
  const struct mill__pending call = {
      .type = MILL_CHUNK_TOOL_CALL,
      .tool_key = mill__event_number(fields, INDEX, -1),
      .tool_id = mill__event_text(fields, CALL_ID),
      .tool_name = mill__event_text(fields, CALL_NAME),
      .text = mill__event_text(fields, CALL_ARGUMENTS),
  };
  return mill__assembly_add(assembly, &call);
}

static int end_message(struct mill__assembly *assembly, const struct mill__event_fields *fields) {
  int error = mill__event_finish(fields, assembly, FINISH, finish_words);
  return error ? error : mill__assembly_complete(assembly);
}

static int take_event(struct mill__assembly *assembly, void *state, mill_slice type) {
  const struct mill__event_fields *fields = state;
  if (mill__event_has(fields, TYPE))
    type = mill__assembly_slice(assembly, mill__event_text(fields, TYPE));
  if (mill__is(type, "content-start") || mill__is(type, "content-delta"))
    return take_content(assembly, fields);
  if (mill__is(type, "tool-call-start") || mill__is(type, "tool-call-delta"))
    return take_call(assembly, fields);
  if (mill__is(type, "message-end"))
    return end_message(assembly, fields);
  if (!type.len && mill__event_has(fields, MESSAGE)) /* so its error answers look */
    mill__assembly_error(assembly);
  return MILL_OK;
}

/* Some of the reasons to finish are failures. */
static int take_failure(struct mill__assembly *assembly, mill_slice word) {
  bool timeout = mill__is(word, "TIMEOUT");
  if (!timeout && !mill__is(word, "ERROR"))
    return MILL_OK;
  mill__assembly_error(assembly);
  mill__assembly_error_status(assembly, (mill_slice){timeout ? "504" : "500", 3});
  return mill__assembly_error_text(assembly, MILL__ERROR_TYPE, word);
}

static int take_value(struct mill__assembly *assembly, void *state,
                      const struct mill__json_value *value) {
  int error = MILL_OK;
  if (value->field == FINISH)
    error = take_failure(assembly, value->text);
  if (value->field == MESSAGE)
    error = mill__assembly_error_text(assembly, MILL__ERROR_MESSAGE, value->text);
  return error ? error : mill__event_value(assembly, state, value);
}

const struct mill__dialect mill__cohere_v2_chat = {
    .name = "cohere-v2-chat",
    .framing = MILL__FRAMING_SSE,
    .content_types = (const char *const[]){"text/event-stream", NULL},
    .paths = paths,
    .n_paths = sizeof paths / sizeof *paths,
    .state_size = sizeof(struct mill__event_fields),
    .event_size = MILL__EVENT_FIELDS_SIZE,
    .value = take_value,
    .event = take_event,
    .terminator = "[DONE]",
    .finish_ends = true,
};
