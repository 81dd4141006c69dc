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
    {"message", MILL__FIELD_ERROR_MESSAGE, MILL__JSON_STRING},
    {"code", MILL__FIELD_ERROR_CODE, MILL__JSON_STRING | MILL__JSON_NUMBER},
};

static int take_event(struct mill__assembly *assembly, void *state, mill_slice type) {
  const struct mill__event_fields *fields = state;
  if (mill__event_has(fields, TYPE))
    type = mill__assembly_slice(assembly, mill__event_text(fields, TYPE));
  if (mill__is(type, "transcript.text.delta"))
    return mill__event_delta(fields, assembly, DELTA, MILL_CHUNK_TEXT);
  if (mill__is(type, "transcript.text.done"))
    return mill__assembly_complete(assembly);
  if (mill__is(type, "error"))
    mill__assembly_error(assembly);
  return MILL_OK;
}

const struct mill__dialect mill__openai_transcription = {
    .name = "openai-transcription",
    .framing = MILL__FRAMING_SSE,
    .content_types = (const char *const[]){"text/event-stream", NULL},
    .paths = paths,
    .n_paths = sizeof paths / sizeof *paths,
    .state_size = sizeof(struct mill__event_fields),
    .event_size = MILL__EVENT_FIELDS_SIZE,
    .value = mill__event_value,
    .event = take_event,
    .terminator = "[DONE]",
};
