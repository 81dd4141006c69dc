/*
 * The dialect of OpenAI's chat completions, for those that are like it: their tables name these
 * fields, and mill__openai_chat_value takes their values.
 */
#ifndef MILL_PROVIDER_OPENAI_CHAT_H
#define MILL_PROVIDER_OPENAI_CHAT_H

#include "provider/dialect.h"
#include "provider/fields.h"

enum mill__chat_field {
  MILL__CHAT_OBJECT = MILL__FIELD_OWN, /* "error": the document is an error object itself */
  MILL__CHAT_CHOICE,                   /* BEGIN, END */
  MILL__CHAT_INDEX,
  MILL__CHAT_FINISH,
  MILL__CHAT_REASONING,
  MILL__CHAT_REASONING_CONTENT, /* the older name of the same */
  MILL__CHAT_REASONING_PART,    /* an element of a list form */
  MILL__CHAT_SIGNATURE,         /* of the reasoning, in an element of a list form */
  MILL__CHAT_CONTENT,
  MILL__CHAT_CONTENT_PART,
  MILL__CHAT_REFUSAL,
  MILL__CHAT_TOOL, /* BEGIN */
  MILL__CHAT_TOOL_INDEX,
  MILL__CHAT_TOOL_ID,
  MILL__CHAT_TOOL_NAME,
  MILL__CHAT_TOOL_ARGUMENTS
};

/* Of old vLLM, and Mistral: {"object":"error","message":...}, beside what they have else. */
#define MILL__CHAT_TOP_ROWS                                                                        \
  {"id", MILL__FIELD_ID, MILL__JSON_STRING}, {"model", MILL__FIELD_MODEL, MILL__JSON_STRING},      \
      {"object", MILL__CHAT_OBJECT, MILL__JSON_STRING},                                            \
      {"type", MILL__FIELD_ERROR_TYPE, MILL__JSON_STRING}, MILL__TOP_ERROR_ROWS

#define MILL__CHAT_USAGE_ROWS(at)                                                                  \
  MILL__USAGE_ROWS(at, "prompt_tokens", "completion_tokens",                                       \
                   "completion_tokens_details.reasoning_tokens",                                   \
                   "prompt_tokens_details.cached_tokens"),                                         \
  {                                                                                                \
    at ".prompt_cache_hit_tokens", MILL__FIELD_CACHED_TOKENS, MILL__JSON_NUMBER                    \
  }

/* The strings of a delta, in the order in which they are told. */
enum mill__chat_string {
  MILL__CHAT_STRING_REASONING,
  MILL__CHAT_STRING_REASONING_CONTENT,
  MILL__CHAT_STRING_REASONING_PARTS,
  MILL__CHAT_STRING_CONTENT,
  MILL__CHAT_STRING_REFUSAL,
  MILL__CHAT_STRINGS
};

struct mill__chat_state {
  int choice;                         /* the index of the choice that is open */
  size_t strings[MILL__CHAT_STRINGS]; /* its deltas */
  struct mill__span finish;           /* its word */
  size_t tool;                        /* the tool call fragment that is open */
};

int mill__openai_chat_value(struct mill__assembly *assembly, void *state,
                            const struct mill__json_value *value);

#endif
