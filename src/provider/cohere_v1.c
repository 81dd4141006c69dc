/*
 * The dialects of Cohere's first API: chat, and generate, whose events are some of those of chat.
 * Lines of JSON with an "event_type"; the last one is "stream-end". Source: Cohere's API reference
 * (v1), and what its servers were seen to send.
 */
#include <limits.h>

#include "provider/cohere.h"

enum field {
  EVENT_TYPE = MILL__FIELD_OWN,
  INDEX,
  TEXT,
  TOOL_INDEX, /* a fragment of a call */
  TOOL_NAME,
  TOOL_PARAMETERS,
  CALL, /* a whole call */
  CALL_NAME,
  CALL_PARAMETERS,
  FINISHED,
  FINISH,
  BILLED_INPUT,
  BILLED_OUTPUT
};

static const struct mill__json_path paths[] = {
    {"event_type", EVENT_TYPE, MILL__JSON_STRING},
    {"generation_id", MILL__FIELD_ID, MILL__JSON_STRING},
    {"index", INDEX, MILL__JSON_NUMBER},
    {"text", TEXT, MILL__JSON_STRING},
    {"tool_call_delta.index", TOOL_INDEX, MILL__JSON_NUMBER},
    {"tool_call_delta.name", TOOL_NAME, MILL__JSON_STRING},
    {"tool_call_delta.parameters", TOOL_PARAMETERS, MILL__JSON_STRING},
    {"tool_calls[]", CALL, MILL__JSON_BEGIN},
    {"tool_calls[].name", CALL_NAME, MILL__JSON_STRING},
    {"tool_calls[].parameters", CALL_PARAMETERS, MILL__JSON_RAW | MILL__JSON_STRING},
    {"is_finished", FINISHED, MILL__JSON_BOOL},
    {"finish_reason", FINISH, MILL__JSON_STRING},
    {"response.generation_id", MILL__FIELD_ID, MILL__JSON_STRING},
    {"response.id", MILL__FIELD_ID, MILL__JSON_STRING},
    {"response.meta", MILL__FIELD_USAGE, MILL__JSON_RAW},
    {"response.meta.tokens.input_tokens", MILL__FIELD_INPUT_TOKENS, MILL__JSON_NUMBER},
    {"response.meta.tokens.output_tokens", MILL__FIELD_OUTPUT_TOKENS, MILL__JSON_NUMBER},
    {"response.meta.billed_units.input_tokens", BILLED_INPUT, MILL__JSON_NUMBER},
    {"response.meta.billed_units.output_tokens", BILLED_OUTPUT, MILL__JSON_NUMBER},
    {"message", MILL__FIELD_ERROR_MESSAGE, MILL__JSON_STRING},
    {"err", MILL__FIELD_ERROR_MESSAGE, MILL__JSON_STRING}, /* of a generation that failed */
    MILL__ERROR_ROWS("error"),
};

struct state {
  struct mill__event_fields line;
  size_t call;     /* the whole call that is open */
  int64_t n_calls; /* whole ones of the stream */
  bool in_pieces;  /* the calls came in fragments: the whole ones repeat them */
};

/* ---- values --------------------------------------------------------------------------------- */

static int call_value(struct mill__assembly *assembly, struct state *state,
                      const struct mill__json_value *value) {
  if (state->in_pieces)
    return MILL_OK;
  if (value->field == CALL) {
    int error = mill__assembly_begin(assembly, MILL_CHUNK_TOOL_CALL, &state->call);
    if (!error)
      mill__assembly_at(assembly, state->call)->tool_key = state->n_calls++;
    return error;
  }
  struct mill__pending *call = mill__assembly_at(assembly, state->call);
  if (value->field == CALL_NAME)
    return mill__assembly_keep(assembly, value->text, &call->tool_name);
  return mill__assembly_keep_piece(assembly, value->text, &call->text);
}

/* What is billed counts where the model's own tokens are not told, which older models do not. */
static void billed_value(struct mill__assembly *assembly, const struct mill__json_value *value) {
  enum mill__usage_field field =
      value->field == BILLED_INPUT ? MILL__USAGE_INPUT : MILL__USAGE_OUTPUT;
  if (assembly->usage[field] < 0)
    mill__assembly_usage(assembly, field, value->text);
}

static int take_value(struct mill__assembly *assembly, void *at,
                      const struct mill__json_value *value) {
  struct state *state = at;
  switch (value->field) {
  case CALL:
  case CALL_NAME:
  case CALL_PARAMETERS:
    return call_value(assembly, state, value);
  case BILLED_INPUT:
  case BILLED_OUTPUT:
    billed_value(assembly, value);
    return MILL_OK;
  default:
    break;
  }
  int error = value->field == FINISH ? mill__cohere_failure(assembly, value->text) : MILL_OK;
  return error ? error : mill__event_value(assembly, &state->line, value);
}

/* ---- lines ---------------------------------------------------------------------------------- */

static int choice_of(const struct state *state) {
  int64_t index = mill__event_number(&state->line, INDEX, 0);
  return index <= INT_MAX ? (int)index : 0;
}

/* A fragment of a call, or of what the model says about its plan before it. */
static int add_fragment(struct mill__assembly *assembly, struct state *state) {
  int error = mill__event_delta(&state->line, assembly, TEXT, MILL_CHUNK_REASONING);
  const struct mill__pending fragment = {
      .type = MILL_CHUNK_TOOL_CALL,
      .text = mill__event_text(&state->line, TOOL_PARAMETERS),
      .tool_key = mill__event_number(&state->line, TOOL_INDEX, 0),
      .tool_name = mill__event_text(&state->line, TOOL_NAME),
  };
  if (error || (!fragment.text.len && !fragment.tool_name.len))
    return error;
  state->in_pieces = true;
  return mill__assembly_add(assembly, &fragment);
}

static int add_deltas(struct mill__assembly *assembly, struct state *state, mill_slice type) {
  if (mill__is(type, "text-generation"))
    return mill__event_delta(&state->line, assembly, TEXT, MILL_CHUNK_TEXT);
  return mill__is(type, "tool-calls-chunk") ? add_fragment(assembly, state) : MILL_OK;
}

static int end_line(struct mill__assembly *assembly, void *at, mill_slice name) {
  struct state *state = at;
  const mill_slice type =
      mill__assembly_slice(assembly, mill__event_text(&state->line, EVENT_TYPE));
  const bool last =
      mill__is(type, "stream-end") || mill__event_number(&state->line, FINISHED, false);
  mill__take_error_body(assembly, type);
  if (mill__is(type, "stream-error"))
    mill__assembly_error(assembly);
  int error = add_deltas(assembly, state, type);
  if (!error)
    error = mill__assembly_bind(assembly, choice_of(state));
  if (!error && last)
    error = mill__finish(assembly, choice_of(state), mill__event_text(&state->line, FINISH),
                         mill__cohere_finish_words);
  return error || !last ? error : mill__assembly_complete(assembly);
}

#define COHERE_V1(name_)                                                                           \
  {                                                                                                \
    .name = name_, .framing = MILL__FRAMING_NDJSON,                                                \
    .content_types =                                                                               \
        (const char *const[]){"application/stream+json", "application/x-ndjson", NULL},            \
    MILL__TABLE(paths), .state_size = sizeof(struct state), .event_size = MILL__EVENT_FIELDS_SIZE, \
    .value = take_value, .event = end_line                                                         \
  }

const struct mill__dialect mill__cohere_v1_chat = COHERE_V1("cohere-v1-chat");
const struct mill__dialect mill__cohere_v1_generate = COHERE_V1("cohere-v1-generate");
