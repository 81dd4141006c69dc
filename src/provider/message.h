/*
 * Deltas -> the message they add up to. Pure.
 * Owns: all the text. Thread: the consumer's. Limits: MILL__MESSAGE_BYTES a text,
 * MILL__MESSAGE_PARTS choices, and tool calls of a choice. Errors: MILL_E_NOMEM, MILL_E_LIMIT.
 */
#ifndef MILL_PROVIDER_MESSAGE_H
#define MILL_PROVIDER_MESSAGE_H

#include "provider/decoder.h"

#define MILL__MESSAGE_BYTES ((size_t)1 << 30)
#define MILL__MESSAGE_PARTS 4096

struct mill__message_choice;

struct mill__message {
  struct mill__buf id, model, role, usage_raw;
  struct mill__message_choice *choices; /* in order of their index */
  size_t n_choices;
  bool has_usage;
  mill_usage usage;
  mill_choice *view; /* what mill__message_view handed out last */
};

void mill__message_init(struct mill__message *message);
void mill__message_fini(struct mill__message *message);
int mill__message_meta(struct mill__message *message, const struct mill__meta *meta);
int mill__message_add(struct mill__message *message, const mill_chunk *chunk);
/* Slices stay valid until the next call with this message. */
int mill__message_view(struct mill__message *message, mill_message *ret_message);

#endif
