/*
 * The dialect of an answer that is no stream: one JSON document. An object is told as one event,
 * of an array each element; what they hold is not looked at, and the stream is whole where its
 * body is.
 */
#include "provider/dialect.h"

const struct mill__dialect mill__json_document = {
    .name = "json",
    .framing = MILL__FRAMING_JSON_ARRAY,
    .content_types = (const char *const[]){"application/json", NULL},
};
