/*
 * The dialect of Gemini's Interactions API: typed events, an answer made of numbered steps.
 * Source: Google's API reference and recorded streams. Before there were steps, the same stood in
 * content.* events. All but text and thoughts is told as OTHER and stands in the event's data:
 * function calls, annotations, what the server's own tools do.
 */
#include "provider/dialect.h"
#include "provider/fields.h"

enum field {
  TYPE = MILL__FIELD_OWN,
  STATUS,
  STEP_SIGNATURE,
  DELTA_TYPE,
  DELTA_TEXT,
  DELTA_THOUGHT,
  DELTA_SIGNATURE
};

static const struct mill__json_path paths[] = {
    {"event_type", TYPE, MILL__JSON_STRING},
    {"interaction.id", MILL__FIELD_ID, MILL__JSON_STRING},
    {"interaction.model", MILL__FIELD_MODEL, MILL__JSON_STRING},
    {"interaction.role", MILL__FIELD_ROLE, MILL__JSON_STRING},
    {"interaction.status", STATUS, MILL__JSON_STRING},
    {"step.signature", STEP_SIGNATURE, MILL__JSON_STRING},
    {"delta.type", DELTA_TYPE, MILL__JSON_STRING},
    {"delta.text", DELTA_TEXT, MILL__JSON_STRING},
    {"delta.content.text", DELTA_THOUGHT, MILL__JSON_STRING},
    {"delta.signature", DELTA_SIGNATURE, MILL__JSON_STRING},
    MILL__USAGE_ROWS("interaction.usage", "total_input_tokens", "total_output_tokens",
                     "total_thought_tokens", "total_cached_tokens"),
    MILL__ERROR_ROWS("interaction.error"),
    MILL__ERROR_ROWS("error"),
};

static const struct mill__finish_word finish_words[] = {
    {"completed", MILL_FINISH_STOP},
    {"incomplete", MILL_FINISH_LENGTH},
    {"requires_action", MILL_FINISH_TOOL_CALLS},
    {NULL, MILL_FINISH_NONE},
};

static int begin_step(struct mill__assembly *assembly, const struct mill__event_fields *fields,
                      mill_slice type) {
  return mill__event_signature(fields, assembly, STEP_SIGNATURE);
}

static int add_delta(struct mill__assembly *assembly, const struct mill__event_fields *fields,
                     mill_slice type) {
  if (mill__event_is(fields, assembly, DELTA_TYPE, "text"))
    return mill__event_delta(fields, assembly, DELTA_TEXT, MILL_CHUNK_TEXT);
  if (mill__event_is(fields, assembly, DELTA_TYPE, "thought_summary"))
    return mill__event_delta(fields, assembly, DELTA_THOUGHT, MILL_CHUNK_REASONING);
  if (mill__event_is(fields, assembly, DELTA_TYPE, "thought_signature"))
    return mill__event_signature(fields, assembly, DELTA_SIGNATURE);
  return MILL_OK;
}

static int end_interaction(struct mill__assembly *assembly, const struct mill__event_fields *fields,
                           mill_slice type) {
  if (mill__event_is(fields, assembly, STATUS, "failed"))
    mill__assembly_error(assembly);
  int error = mill__event_finish(fields, assembly, STATUS, finish_words);
  return error ? error : mill__assembly_complete(assembly);
}

static const struct mill__event_rule rules[] = {
    {"step.start", begin_step},
    {"step.delta", add_delta},
    {"content.delta", add_delta},
    {"interaction.completed", end_interaction},
    {"interaction.complete", end_interaction},
    {"error", mill__event_fails},
    {NULL, NULL},
};

static int take_event(struct mill__assembly *assembly, void *state, mill_slice name) {
  return mill__event_act(rules, assembly, state, mill__event_type(state, assembly, TYPE, name));
}

const struct mill__dialect mill__gemini_interactions = {
    .name = "gemini-interactions",
    MILL__SSE,
    MILL__EVENT_TABLE(paths),
    .value = mill__event_value,
    .event = take_event,
    .terminator = "[DONE]",
    .typed_end = true,
};
