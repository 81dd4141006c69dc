/*
 * The dialect of Amazon Bedrock's ConverseStream. An event's name stands in the frame's headers;
 * Nova, when it is invoked by itself, sends the same events as objects with one member of that
 * name. Source: the Bedrock API reference, and what its servers were seen to send.
 */
#include "provider/dialect.h"
#include "provider/fields.h"

enum field {
  BLOCK_INDEX = MILL__FIELD_OWN,
  TOOL, /* BEGIN */
  TOOL_ID,
  TOOL_NAME,
  TOOL_TYPE,
  TEXT,
  REASONING,
  SIGNATURE,
  TOOL_INPUT,
  BLOCK_STOP, /* BEGIN */
  STOP_REASON
};

#define BLOCK_ROWS(at)                                                                             \
  {at "contentBlockIndex", BLOCK_INDEX, MILL__JSON_NUMBER},                                        \
      {at "start.toolUse", TOOL, MILL__JSON_BEGIN},                                                \
      {at "start.toolUse.toolUseId", TOOL_ID, MILL__JSON_STRING},                                  \
      {at "start.toolUse.name", TOOL_NAME, MILL__JSON_STRING},                                     \
      {at "start.toolUse.type", TOOL_TYPE, MILL__JSON_STRING},                                     \
      {at "delta.text", TEXT, MILL__JSON_STRING},                                                  \
      {at "delta.reasoningContent.text", REASONING, MILL__JSON_STRING},                            \
      {at "delta.reasoningContent.signature", SIGNATURE, MILL__JSON_STRING},                       \
      {at "delta.reasoningContent.redactedContent", SIGNATURE, MILL__JSON_STRING}, {               \
    at "delta.toolUse.input", TOOL_INPUT, MILL__JSON_STRING | MILL__JSON_RAW                       \
  }
#define USAGE_ROWS(at)                                                                             \
  {at, MILL__FIELD_USAGE, MILL__JSON_RAW},                                                         \
      {at ".inputTokens", MILL__FIELD_INPUT_TOKENS, MILL__JSON_NUMBER},                            \
      {at ".outputTokens", MILL__FIELD_OUTPUT_TOKENS, MILL__JSON_NUMBER},                          \
      {at ".cacheReadInputTokens", MILL__FIELD_CACHED_TOKENS, MILL__JSON_NUMBER}, {                \
    at ".cacheReadInputTokenCount", MILL__FIELD_CACHED_TOKENS, MILL__JSON_NUMBER                   \
  }

static const struct mill__json_path paths[] = {
    {"role", MILL__FIELD_ROLE, MILL__JSON_STRING},
    {"messageStart.role", MILL__FIELD_ROLE, MILL__JSON_STRING},
    BLOCK_ROWS(""),
    BLOCK_ROWS("contentBlockStart."),
    BLOCK_ROWS("contentBlockDelta."),
    {"contentBlockStop", BLOCK_STOP, MILL__JSON_BEGIN},
    {"contentBlockStop.contentBlockIndex", BLOCK_INDEX, MILL__JSON_NUMBER},
    {"stopReason", STOP_REASON, MILL__JSON_STRING},
    {"messageStop.stopReason", STOP_REASON, MILL__JSON_STRING},
    USAGE_ROWS("usage"),
    USAGE_ROWS("metadata.usage"),
    {"message", MILL__FIELD_ERROR_MESSAGE, MILL__JSON_STRING},
};

static const struct mill__finish_word finish_words[] = {
    {"end_turn", MILL_FINISH_STOP},
    {"stop_sequence", MILL_FINISH_STOP},
    {"max_tokens", MILL_FINISH_LENGTH},
    {"model_context_window_exceeded", MILL_FINISH_LENGTH},
    {"tool_use", MILL_FINISH_TOOL_CALLS},
    {"guardrail_intervened", MILL_FINISH_CONTENT_FILTER},
    {"content_filtered", MILL_FINISH_CONTENT_FILTER},
    {NULL, MILL_FINISH_NONE},
};

/* A block begins a call, unless it is of a tool that the server runs itself. */
static int begin_call(struct mill__assembly *assembly, const struct mill__event_fields *fields) {
  if (mill__event_is(fields, assembly, TOOL_TYPE, "server_tool_use"))
    return MILL_OK;
  return mill__assembly_add(
      assembly, &(struct mill__pending){.type = MILL_CHUNK_TOOL_CALL,
                                        .tool_key = mill__event_number(fields, BLOCK_INDEX, -1),
                                        .tool_id = mill__event_text(fields, TOOL_ID),
                                        .tool_name = mill__event_text(fields, TOOL_NAME)});
}

static int add_deltas(struct mill__assembly *assembly, const struct mill__event_fields *fields,
                      mill_slice type) {
  int error = mill__event_delta(fields, assembly, REASONING, MILL_CHUNK_REASONING);
  if (!error)
    error = mill__event_signature(fields, assembly, SIGNATURE);
  if (!error)
    error = mill__event_delta(fields, assembly, TEXT, MILL_CHUNK_TEXT);
  if (!error && mill__event_has(fields, TOOL))
    error = begin_call(assembly, fields);
  if (!error && mill__event_has(fields, TOOL_INPUT))
    error =
        mill__event_arguments(fields, assembly, BLOCK_INDEX, mill__event_text(fields, TOOL_INPUT));
  if (!error && (mill__event_has(fields, BLOCK_STOP) || mill__is(type, "contentBlockStop")))
    error = mill__event_end_call(fields, assembly, BLOCK_INDEX);
  return error;
}

/* The counts come last, behind the reason to stop. */
static int end_event(struct mill__assembly *assembly, void *state, mill_slice type) {
  const struct mill__event_fields *fields = state;
  mill__take_error_body(assembly, type);
  int error = add_deltas(assembly, fields, type);
  if (!error)
    error = mill__event_finish(fields, assembly, STOP_REASON, finish_words);
  if (error || !assembly->has_usage || !mill__assembly_finished(assembly))
    return error;
  return mill__assembly_complete(assembly);
}

const struct mill__dialect mill__bedrock_converse = {
    .name = "bedrock-converse",
    MILL__AWS_EVENTS,
    MILL__EVENT_TABLE(paths),
    .value = mill__event_value,
    .event = end_event,
    .finish_ends = true,
};
