/*
 * The dialect of OpenAI's Assistants: events are objects (runs, steps, messages, their deltas), and
 * `object` says of what kind. The answer is what the run's messages say; the run's status ends it.
 * Source: OpenAI's API reference and a recorded stream. Tools that the server runs are OTHER.
 */
#include "provider/dialect.h"
#include "provider/fields.h"

enum field {
  OBJECT = MILL__FIELD_OWN,
  ID,
  STATUS,
  REASON,
  PART_TEXT,
  PART_REFUSAL,
  CALL, /* BEGIN, END */
  CALL_INDEX,
  CALL_ID,
  CALL_NAME,
  CALL_ARGUMENTS
};

static const struct mill__json_path paths[] = {
    {"object", OBJECT, MILL__JSON_STRING},
    {"id", ID, MILL__JSON_STRING},
    {"model", MILL__FIELD_MODEL, MILL__JSON_STRING},
    {"role", MILL__FIELD_ROLE, MILL__JSON_STRING},
    {"status", STATUS, MILL__JSON_STRING},
    {"incomplete_details.reason", REASON, MILL__JSON_STRING},
    {"delta.content[].text.value", PART_TEXT, MILL__JSON_STRING},
    {"delta.content[].refusal", PART_REFUSAL, MILL__JSON_STRING},
    {"delta.step_details.tool_calls[]", CALL, MILL__JSON_BEGIN | MILL__JSON_END},
    {"delta.step_details.tool_calls[].index", CALL_INDEX, MILL__JSON_NUMBER},
    {"delta.step_details.tool_calls[].id", CALL_ID, MILL__JSON_STRING},
    {"delta.step_details.tool_calls[].function.name", CALL_NAME, MILL__JSON_STRING},
    {"delta.step_details.tool_calls[].function.arguments", CALL_ARGUMENTS, MILL__JSON_STRING},
    MILL__USAGE_ROWS("usage", "prompt_tokens", "completion_tokens",
                     "completion_tokens_details.reasoning_tokens",
                     "prompt_token_details.cached_tokens"),
    {"last_error.message", MILL__FIELD_ERROR_MESSAGE, MILL__JSON_STRING},
    {"last_error.code", MILL__FIELD_ERROR_CODE, MILL__JSON_STRING},
    MILL__ERROR_ROWS("error"),
    MILL__TOP_ERROR_ROWS,
};

/* Words of a run's status, and of the reason why it is incomplete. */
static const struct mill__finish_word finish_words[] = {
    {"completed", MILL_FINISH_STOP},
    {"requires_action", MILL_FINISH_TOOL_CALLS},
    {"max_completion_tokens", MILL_FINISH_LENGTH},
    {"max_prompt_tokens", MILL_FINISH_LENGTH},
    {"content_filter", MILL_FINISH_CONTENT_FILTER},
    {NULL, MILL_FINISH_NONE},
};

/* A call (or the next piece of one) that is the client's to make: one with a function. */
static int take_call(struct mill__assembly *assembly, struct mill__event_fields *fields,
                     const struct mill__json_value *value) {
  const unsigned mine = 1u << CALL_INDEX | 1u << CALL_ID | 1u << CALL_NAME | 1u << CALL_ARGUMENTS;
  if (value->kind == MILL__JSON_BEGIN) {
    fields->seen &= ~mine;
    return MILL_OK;
  }
  if (!mill__event_has(fields, CALL_NAME) && !mill__event_has(fields, CALL_ARGUMENTS))
    return MILL_OK;
  const struct mill__pending call =
      mill__event_call(fields, CALL_INDEX, CALL_ID, CALL_NAME, CALL_ARGUMENTS);
  return mill__assembly_add(assembly, &call);
}

static int take_value(struct mill__assembly *assembly, void *state,
                      const struct mill__json_value *value) {
  struct mill__event_fields *fields = state;
  if (value->field == CALL)
    return take_call(assembly, fields, value);
  int error = mill__event_value(assembly, fields, value);
  if (!error && value->field == PART_TEXT)
    error = mill__event_delta(fields, assembly, PART_TEXT, MILL_CHUNK_TEXT);
  if (!error && value->field == PART_REFUSAL)
    error = mill__event_delta(fields, assembly, PART_REFUSAL, MILL_CHUNK_REFUSAL);
  return error;
}

/* The statuses in which a run stays. */
static bool is_over(const struct mill__event_fields *fields,
                    const struct mill__assembly *assembly) {
  static const char *const words[] = {"completed", "requires_action", "incomplete",
                                      "failed",    "cancelled",       "expired"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (mill__event_is(fields, assembly, STATUS, words[i]))
      return true;
  return false;
}

static int end_run(struct mill__assembly *assembly, const struct mill__event_fields *fields) {
  struct mill__span word = mill__event_text(fields, STATUS),
                    reason = mill__event_text(fields, REASON);
  enum mill_finish finish =
      mill__finish_of(finish_words, mill__assembly_slice(assembly, reason.len ? reason : word));
  if (mill__event_is(fields, assembly, STATUS, "failed"))
    mill__assembly_error(assembly);
  int error = mill__assembly_bind(assembly, 0);
  if (!error)
    error = mill__assembly_finish(assembly, 0, finish, word);
  return error ? error : mill__assembly_complete(assembly);
}

static int take_run(struct mill__assembly *assembly, const struct mill__event_fields *fields) {
  int error = mill__assembly_meta(assembly, MILL__META_ID,
                                  mill__assembly_slice(assembly, mill__event_text(fields, ID)));
  if (error || !is_over(fields, assembly))
    return error;
  return end_run(assembly, fields);
}

static int take_event(struct mill__assembly *assembly, void *state, mill_slice type) {
  const struct mill__event_fields *fields = state;
  if (mill__event_is(fields, assembly, OBJECT, "thread.run"))
    return take_run(assembly, fields);
  mill__assembly_no_usage(assembly); /* a step's: the run counts all of them */
  if (mill__is(type, "error"))
    mill__assembly_error(assembly);
  return MILL_OK;
}

const struct mill__dialect mill__openai_assistants = {
    .name = "openai-assistants",
    MILL__SSE,
    MILL__EVENT_TABLE(paths),
    .value = take_value,
    .event = take_event,
    .terminator = "[DONE]",
    .typed_end = true,
};
