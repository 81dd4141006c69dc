/*
 * The dialect of Amazon Bedrock's InvokeModelWithResponseStream: each event carries, in base64, one
 * of the model's own. What the models say in other dialects is read by these; here are the short
 * forms of Titan, Llama, Mistral, Cohere and the older Claudes, and the counts that Bedrock adds to
 * the last event of them all. Source: the Bedrock user guide, and what its servers were seen to
 * send.
 */
#include "base/base64.h"
#include "provider/dialect.h"
#include "provider/fields.h"

/* ---- the event ------------------------------------------------------------------------------ */

enum envelope_field { BYTES = MILL__FIELD_OWN };

static const struct mill__json_path envelope_paths[] = {
    {"bytes", BYTES, MILL__JSON_STRING},
    {"message", MILL__FIELD_ERROR_MESSAGE, MILL__JSON_STRING},
};

struct envelope {
  /* the event */
  bool carries;
  /* the stream */
  struct mill__buf document; /* what it carries */
};

static int envelope_value(struct mill__assembly *assembly, void *state,
                          const struct mill__json_value *value) {
  struct envelope *envelope = state;
  if (value->field < MILL__FIELD_OWN)
    return mill__field_take(assembly, value);
  envelope->carries = true;
  envelope->document.cap = SIZE_MAX; /* an event is longer than what it carries, and has a limit */
  mill__buf_clear(&envelope->document);
  return mill__base64_append(&envelope->document, value->text);
}

static const struct mill__dialect *envelope_inner(const void *state, mill_slice *document) {
  const struct envelope *envelope = state;
  *document = mill__buf_slice(&envelope->document);
  return envelope->carries ? &mill__bedrock_model : NULL;
}

static int end_envelope(struct mill__assembly *assembly, void *state, mill_slice type) {
  mill__take_error_body(assembly, type);
  return MILL_OK;
}

static void envelope_fini(void *state) {
  struct envelope *envelope = state;
  mill__buf_fini(&envelope->document);
}

const struct mill__dialect mill__bedrock_invoke = {
    .name = "bedrock-invoke",
    MILL__AWS_EVENTS,
    MILL__TABLE(envelope_paths),
    .state_size = sizeof(struct envelope),
    .event_size = offsetof(struct envelope, document),
    .fini = envelope_fini,
    .value = envelope_value,
    .inner = envelope_inner,
    .event = end_envelope,
    .finish_ends = true,
};

/* ---- the document that it carries ----------------------------------------------------------- */

enum field {
  TYPE = MILL__FIELD_OWN, /* marks of the other dialects */
  CHOICES,
  CONVERSE,
  TEXT,
  FINISH,
  METRICS /* Bedrock's own counts: they mark the last event */
};

static const struct mill__json_path paths[] = {
    {"type", TYPE, MILL__JSON_STRING},
    {"choices", CHOICES, MILL__JSON_BEGIN},
    {"messageStart", CONVERSE, MILL__JSON_BEGIN},
    {"contentBlockStart", CONVERSE, MILL__JSON_BEGIN},
    {"contentBlockDelta", CONVERSE, MILL__JSON_BEGIN},
    {"contentBlockStop", CONVERSE, MILL__JSON_BEGIN},
    {"messageStop", CONVERSE, MILL__JSON_BEGIN},
    {"metadata", CONVERSE, MILL__JSON_BEGIN},

    {"outputText", TEXT, MILL__JSON_STRING}, /* Titan */
    {"completionReason", FINISH, MILL__JSON_STRING},
    {"generation", TEXT, MILL__JSON_STRING}, /* Llama */
    {"stop_reason", FINISH, MILL__JSON_STRING},
    {"completion", TEXT, MILL__JSON_STRING},     /* Claude 2, with Llama's reason */
    {"outputs[].text", TEXT, MILL__JSON_STRING}, /* Mistral */
    {"outputs[].stop_reason", FINISH, MILL__JSON_STRING},
    {"text", TEXT, MILL__JSON_STRING}, /* Cohere: its generations all count as one text */
    {"finish_reason", FINISH, MILL__JSON_STRING},

    {"amazon-bedrock-invocationMetrics", METRICS, MILL__JSON_RAW},
    {"amazon-bedrock-invocationMetrics.inputTokenCount", MILL__FIELD_INPUT_TOKENS,
     MILL__JSON_NUMBER},
    {"amazon-bedrock-invocationMetrics.outputTokenCount", MILL__FIELD_OUTPUT_TOKENS,
     MILL__JSON_NUMBER},
    {"amazon-bedrock-invocationMetrics.cacheReadInputTokenCount", MILL__FIELD_CACHED_TOKENS,
     MILL__JSON_NUMBER},
};

static const struct mill__finish_word finish_words[] = {
    {"FINISH", MILL_FINISH_STOP}, /* Titan */
    {"STOP_CRITERIA_MET", MILL_FINISH_STOP},
    {"LENGTH", MILL_FINISH_LENGTH},
    {"CONTENT_FILTERED", MILL_FINISH_CONTENT_FILTER},
    {"stop", MILL_FINISH_STOP}, /* Llama, Mistral */
    {"length", MILL_FINISH_LENGTH},
    {"tool_calls", MILL_FINISH_TOOL_CALLS},
    {"stop_sequence", MILL_FINISH_STOP}, /* Claude 2 */
    {"max_tokens", MILL_FINISH_LENGTH},
    {"COMPLETE", MILL_FINISH_STOP}, /* Cohere */
    {"MAX_TOKENS", MILL_FINISH_LENGTH},
    {"ERROR_LIMIT", MILL_FINISH_LENGTH},
    {"ERROR_TOXIC", MILL_FINISH_CONTENT_FILTER},
    {NULL, MILL_FINISH_NONE},
};

static int take_value(struct mill__assembly *assembly, void *state,
                      const struct mill__json_value *value) {
  int error = MILL_OK;
  if (value->field == METRICS)
    error = mill__assembly_usage_raw(assembly, value->text);
  return error ? error : mill__event_value(assembly, state, value);
}

/* The document is another dialect's: each of them has a member that the others do not. */
static const struct mill__dialect *inner(const void *state, mill_slice *document) {
  const struct mill__event_fields *event = state;
  if (mill__event_has(event, CONVERSE))
    return &mill__bedrock_converse;
  if (mill__event_has(event, CHOICES))
    return &mill__openai_chat;
  return mill__event_has(event, TYPE) ? &mill__anthropic_messages : NULL;
}

static int end_event(struct mill__assembly *assembly, void *state, mill_slice type) {
  const struct mill__event_fields *event = state;
  int error = mill__event_delta(event, assembly, TEXT, MILL_CHUNK_TEXT);
  if (!error)
    error = mill__event_finish(event, assembly, FINISH, finish_words);
  if (error || !mill__event_has(event, METRICS))
    return error;
  error = mill__assembly_bind(assembly, 0);
  return error ? error : mill__assembly_complete(assembly);
}

const struct mill__dialect mill__bedrock_model = {
    .name = "",
    MILL__EVENT_TABLE(paths),
    .value = take_value,
    .inner = inner,
    .event = end_event,
};
