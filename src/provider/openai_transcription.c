/*
 * The dialect of OpenAI's streamed transcriptions. Source: OpenAI's API reference and a recorded
 * stream. Segments with speakers, and the whole text at the end, are told as they are: the text of
 * the answer is what came as its deltas.
 */
#include "provider/dialect.h"
#include "provider/fields.h"

enum field { TYPE = MILL__FIELD_OWN, DELTA };

static const struct mill__json_path paths[] = {
    {"type", TYPE, MILL__JSON_STRING},
    {"delta", DELTA, MILL__JSON_STRING},
    MILL__USAGE_ROWS("usage", "input_tokens", "output_tokens",
                     "output_tokens_details.reasoning_tokens",
                     "input_tokens_details.cached_tokens"),
    MILL__ERROR_ROWS("error"),
    MILL__TOP_ERROR_ROWS,
};

static int add_text(struct mill__assembly *assembly, const struct mill__event_fields *fields,
                    mill_slice type) {
  return mill__event_delta(fields, assembly, DELTA, MILL_CHUNK_TEXT);
}

static const struct mill__event_rule rules[] = {
    {"transcript.text.delta", add_text},
    {"transcript.text.done", mill__event_ends},
    {"error", mill__event_fails},
    {NULL, NULL},
};

static int take_event(struct mill__assembly *assembly, void *state, mill_slice name) {
  return mill__event_act(rules, assembly, state, mill__event_type(state, assembly, TYPE, name));
}

const struct mill__dialect mill__openai_transcription = {
    .name = "openai-transcription",
    MILL__SSE,
    MILL__EVENT_TABLE(paths),
    .value = mill__event_value,
    .event = take_event,
    .terminator = "[DONE]",
    .typed_end = true,
};
