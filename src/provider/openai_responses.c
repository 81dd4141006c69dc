/*
 * The dialect of OpenAI's Responses API: typed events, an answer made of output items.
 * Source: OpenAI's API reference, and what compatible servers were seen to send: llama.cpp leaves
 * the indexes out (items go by their id then), LiteLLM the event names, some the argument deltas.
 */
#include <string.h>

#include "provider/dialect.h"
#include "provider/fields.h"

enum field {
  TYPE = MILL__FIELD_OWN,
  DELTA,
  OUTPUT_INDEX,
  ITEM_ID, /* of the item that a delta belongs to */
  ARGUMENTS,
  INPUT,
  OWN_ID, /* the item itself */
  ITEM_TYPE,
  CALL_ID,
  NAME,
  ITEM_ARGUMENTS,
  ITEM_INPUT,
  STATUS,
  REASON
};

static const struct mill__json_path paths[] = {
    {"type", TYPE, MILL__JSON_STRING},
    {"delta", DELTA, MILL__JSON_STRING},
    {"output_index", OUTPUT_INDEX, MILL__JSON_NUMBER},
    {"item_id", ITEM_ID, MILL__JSON_STRING},
    {"arguments", ARGUMENTS, MILL__JSON_STRING},
    {"input", INPUT, MILL__JSON_STRING},
    {"item.id", OWN_ID, MILL__JSON_STRING},
    {"item.type", ITEM_TYPE, MILL__JSON_STRING},
    {"item.role", MILL__FIELD_ROLE, MILL__JSON_STRING},
    {"item.call_id", CALL_ID, MILL__JSON_STRING},
    {"item.name", NAME, MILL__JSON_STRING},
    {"item.arguments", ITEM_ARGUMENTS, MILL__JSON_STRING},
    {"item.input", ITEM_INPUT, MILL__JSON_STRING},
    {"response.id", MILL__FIELD_ID, MILL__JSON_STRING},
    {"response.model", MILL__FIELD_MODEL, MILL__JSON_STRING},
    {"response.status", STATUS, MILL__JSON_STRING},
    {"response.incomplete_details.reason", REASON, MILL__JSON_STRING},
    MILL__USAGE_ROWS("response.usage", "input_tokens", "output_tokens",
                     "output_tokens_details.reasoning_tokens",
                     "input_tokens_details.cached_tokens"),
    MILL__ERROR_ROWS("response.error"),
    MILL__ERROR_ROWS("error"),
    {"message", MILL__FIELD_ERROR_MESSAGE, MILL__JSON_STRING},
    {"code", MILL__FIELD_ERROR_CODE, MILL__JSON_STRING | MILL__JSON_NUMBER},
    {"status", MILL__FIELD_ERROR_STATUS, MILL__JSON_NUMBER},
};

static const struct mill__finish_word finish_words[] = {
    {"completed", MILL_FINISH_STOP},
    {"max_output_tokens", MILL_FINISH_LENGTH},
    {"content_filter", MILL_FINISH_CONTENT_FILTER},
    {NULL, MILL_FINISH_NONE},
};

/* ---- tool calls ------------------------------------------------------------------------------ */

static int add_call(struct mill__assembly *assembly, const struct mill__event_fields *fields,
                    struct mill__pending call) {
  call.type = MILL_CHUNK_TOOL_CALL;
  call.tool_key = mill__event_number(fields, OUTPUT_INDEX, -1);
  return mill__assembly_add(assembly, &call);
}

static int add_arguments(struct mill__assembly *assembly, const struct mill__event_fields *fields) {
  return add_call(assembly, fields,
                  (struct mill__pending){.tool_item = mill__event_text(fields, ITEM_ID),
                                         .text = mill__event_text(fields, DELTA)});
}

static int end_arguments(struct mill__assembly *assembly, const struct mill__event_fields *fields,
                         enum field arguments) {
  return add_call(assembly, fields,
                  (struct mill__pending){.tool_item = mill__event_text(fields, ITEM_ID),
                                         .text = mill__event_text(fields, arguments),
                                         .tool_all = true});
}

/* An item as it begins, or as it has become: a call is told where nothing of it was told before. */
static int take_item(struct mill__assembly *assembly, const struct mill__event_fields *fields) {
  enum field arguments = ITEM_ARGUMENTS;
  if (mill__event_is(fields, assembly, ITEM_TYPE, "custom_tool_call"))
    arguments = ITEM_INPUT;
  else if (!mill__event_is(fields, assembly, ITEM_TYPE, "function_call"))
    return MILL_OK;
  return add_call(assembly, fields,
                  (struct mill__pending){.tool_item = mill__event_text(fields, OWN_ID),
                                         .tool_id = mill__event_text(fields, CALL_ID),
                                         .tool_name = mill__event_text(fields, NAME),
                                         .text = mill__event_text(fields, arguments),
                                         .tool_all = true});
}

/* ---- the end --------------------------------------------------------------------------------- */

#define PREFIX "response."

/*
 * The status is the word (it is the event's name, too); why an answer is incomplete says what that
 * means.
 */
static int end_response(struct mill__assembly *assembly, const struct mill__event_fields *fields,
                        const char *type) {
  struct mill__span word = mill__event_text(fields, STATUS),
                    reason = mill__event_text(fields, REASON);
  const char *status = type + sizeof PREFIX - 1;
  int error = mill__assembly_bind(assembly, 0);
  if (!error && !word.len)
    error = mill__assembly_keep(assembly, (mill_slice){status, strlen(status)}, &word);
  if (error)
    return error;
  enum mill_finish finish =
      mill__finish_of(finish_words, mill__assembly_slice(assembly, reason.len ? reason : word));
  if (finish == MILL_FINISH_STOP && mill__assembly_calls(assembly, 0))
    finish = MILL_FINISH_TOOL_CALLS;
  error = mill__assembly_finish(assembly, 0, finish, word);
  return error ? error : mill__assembly_complete(assembly);
}

/* ---- events ---------------------------------------------------------------------------------- */

enum action {
  TEXT,
  REASONING,
  REFUSAL,
  CALL_PIECE,
  CALL_ARGUMENTS,
  CALL_INPUT,
  ITEM,
  END,
  FAILED,
  BROKEN
};

struct rule {
  const char *type;
  enum action action;
};

static const struct rule rules[] = {
    {PREFIX "output_text.delta", TEXT},
    {PREFIX "reasoning_text.delta", REASONING},
    {PREFIX "reasoning_summary_text.delta", REASONING},
    {PREFIX "refusal.delta", REFUSAL},
    {PREFIX "function_call_arguments.delta", CALL_PIECE},
    {PREFIX "function_call_arguments.done", CALL_ARGUMENTS},
    {PREFIX "custom_tool_call_input.delta", CALL_PIECE},
    {PREFIX "custom_tool_call_input.done", CALL_INPUT},
    {PREFIX "output_item.added", ITEM},
    {PREFIX "output_item.done", ITEM},
    {PREFIX "completed", END},
    {PREFIX "incomplete", END},
    {PREFIX "cancelled", END},
    {PREFIX "failed", FAILED},
    {"error", BROKEN},
};

static int act(struct mill__assembly *assembly, const struct mill__event_fields *fields,
               const struct rule *rule) {
  switch (rule->action) {
  case TEXT:
    return mill__event_delta(fields, assembly, DELTA, MILL_CHUNK_TEXT);
  case REASONING:
    return mill__event_delta(fields, assembly, DELTA, MILL_CHUNK_REASONING);
  case REFUSAL:
    return mill__event_delta(fields, assembly, DELTA, MILL_CHUNK_REFUSAL);
  case CALL_PIECE:
    return add_arguments(assembly, fields);
  case CALL_ARGUMENTS:
    return end_arguments(assembly, fields, ARGUMENTS);
  case CALL_INPUT:
    return end_arguments(assembly, fields, INPUT);
  case ITEM:
    return take_item(assembly, fields);
  case FAILED:
    mill__assembly_error(assembly);
    break;
  case BROKEN:
    mill__assembly_error(assembly);
    return MILL_OK;
  case END:
    break;
  }
  return end_response(assembly, fields, rule->type);
}

static int take_event(struct mill__assembly *assembly, void *state, mill_slice type) {
  const struct mill__event_fields *fields = state;
  if (mill__event_has(fields, TYPE))
    type = mill__assembly_slice(assembly, mill__event_text(fields, TYPE));
  for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
    if (mill__is(type, rules[i].type))
      return act(assembly, fields, &rules[i]);
  return MILL_OK;
}

const struct mill__dialect mill__openai_responses = {
    .name = "openai-responses",
    .framing = MILL__FRAMING_SSE,
    .content_types = (const char *const[]){"text/event-stream", NULL},
    .paths = paths,
    .n_paths = sizeof paths / sizeof *paths,
    .state_size = sizeof(struct mill__event_fields),
    .event_size = MILL__EVENT_FIELDS_SIZE,
    .value = mill__event_value,
    .event = take_event,
    .terminator = "[DONE]",
    .finish_ends = true,
};
