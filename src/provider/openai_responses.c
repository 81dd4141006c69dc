/*
 * The dialect of OpenAI's Responses API: typed events, an answer made of output items.
 * Source: OpenAI's API reference, and what compatible servers were seen to send: llama.cpp leaves
 * the indexes out (items go by their id then), LiteLLM the event names, some the argument deltas.
 */
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
  ITEM_SIGNATURE,
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
    {"item.encrypted_content", ITEM_SIGNATURE, MILL__JSON_STRING},
    {"response.id", MILL__FIELD_ID, MILL__JSON_STRING},
    {"response.model", MILL__FIELD_MODEL, MILL__JSON_STRING},
    {"response.status", STATUS, MILL__JSON_STRING},
    {"response.incomplete_details.reason", REASON, MILL__JSON_STRING},
    MILL__USAGE_ROWS("response.usage", "input_tokens", "output_tokens",
                     "output_tokens_details.reasoning_tokens",
                     "input_tokens_details.cached_tokens"),
    MILL__ERROR_ROWS("response.error"),
    MILL__ERROR_ROWS("error"),
    MILL__TOP_ERROR_ROWS,
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

static int add_arguments(struct mill__assembly *assembly, const struct mill__event_fields *fields,
                         mill_slice type) {
  return add_call(assembly, fields,
                  (struct mill__pending){.tool_item = mill__event_text(fields, ITEM_ID),
                                         .text = mill__event_text(fields, DELTA)});
}

static int end_with(struct mill__assembly *assembly, const struct mill__event_fields *fields,
                    enum field arguments) {
  return add_call(assembly, fields,
                  (struct mill__pending){.tool_item = mill__event_text(fields, ITEM_ID),
                                         .text = mill__event_text(fields, arguments),
                                         .tool_all = true});
}

static int end_arguments(struct mill__assembly *assembly, const struct mill__event_fields *fields,
                         mill_slice type) {
  return end_with(assembly, fields, ARGUMENTS);
}

static int end_input(struct mill__assembly *assembly, const struct mill__event_fields *fields,
                     mill_slice type) {
  return end_with(assembly, fields, INPUT);
}

/* ---- items ----------------------------------------------------------------------------------- */

/* An item as it begins, or as it has become: a call is told where nothing of it was told before. */
static int begin_item(struct mill__assembly *assembly, const struct mill__event_fields *fields,
                      mill_slice type) {
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

/* Reasoning is signed by all of it, encrypted; what an item begins with is not the last word. */
static int end_item(struct mill__assembly *assembly, const struct mill__event_fields *fields,
                    mill_slice type) {
  if (mill__event_is(fields, assembly, ITEM_TYPE, "reasoning"))
    return mill__event_signature(fields, assembly, ITEM_SIGNATURE);
  return begin_item(assembly, fields, type);
}

/* ---- the end --------------------------------------------------------------------------------- */

#define PREFIX "response."

/*
 * The status is the word (it is the event's name, too); why an answer is incomplete says what that
 * means.
 */
static int end_response(struct mill__assembly *assembly, const struct mill__event_fields *fields,
                        mill_slice type) {
  struct mill__span word = mill__event_text(fields, STATUS),
                    reason = mill__event_text(fields, REASON);
  const size_t prefix = sizeof PREFIX - 1;
  int error = mill__assembly_bind(assembly, 0);
  if (!error && !word.len)
    error =
        mill__assembly_keep(assembly, (mill_slice){type.ptr + prefix, type.len - prefix}, &word);
  if (error)
    return error;
  enum mill_finish finish =
      mill__finish_of(finish_words, mill__assembly_slice(assembly, reason.len ? reason : word));
  if (finish == MILL_FINISH_STOP && mill__assembly_calls(assembly, 0))
    finish = MILL_FINISH_TOOL_CALLS;
  error = mill__assembly_finish(assembly, 0, finish, word);
  return error ? error : mill__assembly_complete(assembly);
}

static int fail_response(struct mill__assembly *assembly, const struct mill__event_fields *fields,
                         mill_slice type) {
  mill__assembly_error(assembly);
  return end_response(assembly, fields, type);
}

/* ---- events ---------------------------------------------------------------------------------- */

static int add_text(struct mill__assembly *assembly, const struct mill__event_fields *fields,
                    mill_slice type) {
  return mill__event_delta(fields, assembly, DELTA, MILL_CHUNK_TEXT);
}

static int add_reasoning(struct mill__assembly *assembly, const struct mill__event_fields *fields,
                         mill_slice type) {
  return mill__event_delta(fields, assembly, DELTA, MILL_CHUNK_REASONING);
}

static int add_refusal(struct mill__assembly *assembly, const struct mill__event_fields *fields,
                       mill_slice type) {
  return mill__event_delta(fields, assembly, DELTA, MILL_CHUNK_REFUSAL);
}

static const struct mill__event_rule rules[] = {
    {PREFIX "output_text.delta", add_text},
    {PREFIX "reasoning_text.delta", add_reasoning},
    {PREFIX "reasoning_summary_text.delta", add_reasoning},
    {PREFIX "refusal.delta", add_refusal},
    {PREFIX "function_call_arguments.delta", add_arguments},
    {PREFIX "function_call_arguments.done", end_arguments},
    {PREFIX "custom_tool_call_input.delta", add_arguments},
    {PREFIX "custom_tool_call_input.done", end_input},
    {PREFIX "output_item.added", begin_item},
    {PREFIX "output_item.done", end_item},
    {PREFIX "completed", end_response},
    {PREFIX "incomplete", end_response},
    {PREFIX "cancelled", end_response},
    {PREFIX "failed", fail_response},
    {"error", mill__event_fails},
    {NULL, NULL},
};

static int take_event(struct mill__assembly *assembly, void *state, mill_slice name) {
  return mill__event_act(rules, assembly, state, mill__event_type(state, assembly, TYPE, name));
}

const struct mill__dialect mill__openai_responses = {
    .name = "openai-responses",
    MILL__SSE,
    MILL__EVENT_TABLE(paths),
    .value = mill__event_value,
    .event = take_event,
    .terminator = "[DONE]",
    .typed_end = true,
    .finish_ends = true,
};
