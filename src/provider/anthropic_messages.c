/*
 * The dialect of Anthropic's Messages API: typed events, an answer made of numbered blocks.
 * Source: Anthropic's API reference, and what compatible servers (llama.cpp, Ollama, LiteLLM) were
 * seen to send. Reasoning that is withheld is a signature without text. Citations are told as
 * OTHER: they stand in the event's data.
 */
#include "provider/dialect.h"
#include "provider/fields.h"

enum field {
  TYPE = MILL__FIELD_OWN,
  INDEX,
  BLOCK_TYPE,
  BLOCK_ID,
  BLOCK_NAME,
  BLOCK_TEXT,
  BLOCK_THINKING,
  BLOCK_SIGNATURE,
  BLOCK_INPUT,
  DELTA_TYPE,
  DELTA_TEXT,
  DELTA_THINKING,
  DELTA_SIGNATURE,
  DELTA_JSON,
  STOP_REASON
};

#define USAGE_ROWS(at)                                                                             \
  MILL__USAGE_ROWS(at, "input_tokens", "output_tokens", "output_tokens_details.thinking_tokens",   \
                   "cache_read_input_tokens")

static const struct mill__json_path paths[] = {
    {"type", TYPE, MILL__JSON_STRING},
    {"index", INDEX, MILL__JSON_NUMBER},
    {"message", MILL__FIELD_ERROR_MESSAGE, MILL__JSON_STRING},
    {"message.id", MILL__FIELD_ID, MILL__JSON_STRING},
    {"message.model", MILL__FIELD_MODEL, MILL__JSON_STRING},
    {"message.role", MILL__FIELD_ROLE, MILL__JSON_STRING},
    {"content_block.type", BLOCK_TYPE, MILL__JSON_STRING},
    {"content_block.id", BLOCK_ID, MILL__JSON_STRING},
    {"content_block.name", BLOCK_NAME, MILL__JSON_STRING},
    {"content_block.text", BLOCK_TEXT, MILL__JSON_STRING},
    {"content_block.thinking", BLOCK_THINKING, MILL__JSON_STRING},
    {"content_block.signature", BLOCK_SIGNATURE, MILL__JSON_STRING},
    {"content_block.data", BLOCK_SIGNATURE, MILL__JSON_STRING}, /* redacted_thinking */
    {"content_block.input", BLOCK_INPUT, MILL__JSON_RAW},
    {"delta.type", DELTA_TYPE, MILL__JSON_STRING},
    {"delta.text", DELTA_TEXT, MILL__JSON_STRING},
    {"delta.thinking", DELTA_THINKING, MILL__JSON_STRING},
    {"delta.signature", DELTA_SIGNATURE, MILL__JSON_STRING},
    {"delta.partial_json", DELTA_JSON, MILL__JSON_STRING},
    {"delta.stop_reason", STOP_REASON, MILL__JSON_STRING},
    USAGE_ROWS("message.usage"),
    USAGE_ROWS("usage"),
    MILL__ERROR_ROWS("error"),
};

static const struct mill__finish_word finish_words[] = {
    {"end_turn", MILL_FINISH_STOP},
    {"stop_sequence", MILL_FINISH_STOP},
    {"max_tokens", MILL_FINISH_LENGTH},
    {"model_context_window_exceeded", MILL_FINISH_LENGTH},
    {"tool_use", MILL_FINISH_TOOL_CALLS},
    {"refusal", MILL_FINISH_CONTENT_FILTER},
    {NULL, MILL_FINISH_NONE},
};

/* A call's input mostly comes in pieces; some servers send it whole where the block begins. */
static int begin_tool(struct mill__assembly *assembly, const struct mill__event_fields *fields) {
  struct mill__pending call = mill__event_call(fields, INDEX, BLOCK_ID, BLOCK_NAME, BLOCK_INPUT);
  call.tool_all = true;
  if (mill__is_empty_object(mill__assembly_slice(assembly, call.text)))
    call.text.len = 0;
  return mill__assembly_add(assembly, &call);
}

static int begin_thinking(struct mill__assembly *assembly,
                          const struct mill__event_fields *fields) {
  int error = mill__event_delta(fields, assembly, BLOCK_THINKING, MILL_CHUNK_REASONING);
  return error ? error : mill__event_signature(fields, assembly, BLOCK_SIGNATURE);
}

static int begin_block(struct mill__assembly *assembly, const struct mill__event_fields *fields,
                       mill_slice type) {
  if (mill__event_is(fields, assembly, BLOCK_TYPE, "tool_use"))
    return begin_tool(assembly, fields);
  if (mill__event_is(fields, assembly, BLOCK_TYPE, "thinking") ||
      mill__event_is(fields, assembly, BLOCK_TYPE, "redacted_thinking"))
    return begin_thinking(assembly, fields);
  if (mill__event_is(fields, assembly, BLOCK_TYPE, "text"))
    return mill__event_delta(fields, assembly, BLOCK_TEXT, MILL_CHUNK_TEXT);
  return MILL_OK;
}

static int add_delta(struct mill__assembly *assembly, const struct mill__event_fields *fields,
                     mill_slice type) {
  if (mill__event_is(fields, assembly, DELTA_TYPE, "text_delta"))
    return mill__event_delta(fields, assembly, DELTA_TEXT, MILL_CHUNK_TEXT);
  if (mill__event_is(fields, assembly, DELTA_TYPE, "thinking_delta"))
    return mill__event_delta(fields, assembly, DELTA_THINKING, MILL_CHUNK_REASONING);
  if (mill__event_is(fields, assembly, DELTA_TYPE, "signature_delta"))
    return mill__event_signature(fields, assembly, DELTA_SIGNATURE);
  if (mill__event_is(fields, assembly, DELTA_TYPE, "input_json_delta"))
    return mill__event_arguments(fields, assembly, INDEX, mill__event_text(fields, DELTA_JSON));
  return MILL_OK;
}

static int end_block(struct mill__assembly *assembly, const struct mill__event_fields *fields,
                     mill_slice type) {
  return mill__event_end_call(fields, assembly, INDEX);
}

static int finish(struct mill__assembly *assembly, const struct mill__event_fields *fields,
                  mill_slice type) {
  return mill__event_finish(fields, assembly, STOP_REASON, finish_words);
}

static const struct mill__event_rule rules[] = {
    {"content_block_start", begin_block},
    {"content_block_delta", add_delta},
    {"content_block_stop", end_block},
    {"message_delta", finish},
    {"message_stop", mill__event_ends},
    {"error", mill__event_fails},
    {NULL, NULL},
};

static int take_event(struct mill__assembly *assembly, void *state, mill_slice name) {
  return mill__event_act(rules, assembly, state, mill__event_type(state, assembly, TYPE, name));
}

const struct mill__dialect mill__anthropic_messages = {
    .name = "anthropic-messages",
    MILL__SSE,
    MILL__EVENT_TABLE(paths),
    .value = mill__event_value,
    .event = take_event,
    .finish_ends = true,
};
