/*
 * The dialect of server-sent events whose content is not known: every event is told as it is, and
 * the stream is whole where its body is.
 */
#include "provider/dialect.h"

const struct mill__dialect mill__events = {
    .name = "events",
    MILL__SSE,
};
