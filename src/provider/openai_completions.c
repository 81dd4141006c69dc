/*
 * The dialect of OpenAI's older completions: a chat without messages. Source: OpenAI's API
 * reference, and what compatible servers were seen to send. (Together's repeats the text in a
 * `delta`.)
 */
#include "provider/openai_chat.h"

static const struct mill__json_path paths[] = {
    MILL__CHAT_TOP_ROWS,
    {"choices[]", MILL__CHAT_CHOICE, MILL__JSON_BEGIN | MILL__JSON_END},
    {"choices[].index", MILL__CHAT_INDEX, MILL__JSON_NUMBER},
    {"choices[].text", MILL__CHAT_CONTENT, MILL__JSON_STRING},
    {"choices[].finish_reason", MILL__CHAT_FINISH, MILL__JSON_STRING},
    MILL__CHAT_USAGE_ROWS("usage"),
    MILL__ERROR_ROWS("error"),
};

const struct mill__dialect mill__openai_completions = {
    .name = "openai-completions",
    MILL__SSE,
    MILL__TABLE(paths),
    .state_size = sizeof(struct mill__chat_state),
    .value = mill__openai_chat_value,
    .terminator = "[DONE]",
    .finish_ends = true,
};
