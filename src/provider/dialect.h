/*
 * A dialect: how one wire format says things. A const vtable and its table of JSON paths; the
 * registry at the bottom is the list of all of them.
 */
#ifndef MILL_PROVIDER_DIALECT_H
#define MILL_PROVIDER_DIALECT_H

#include "parse/json.h"
#include "provider/decoder.h"

enum mill__framing { MILL__FRAMING_SSE };

/*
 * What a dialect's functions work on (provider/assembly.h has the verbs for it): deltas of the
 * event under construction, and what must be known from event to event.
 */
struct mill__assembly;

struct mill__dialect {
  const char *name; /* the `format` of a request */
  enum mill__framing framing;
  const char *const *content_types; /* accepted media types, NULL-terminated */
  const struct mill__json_path *paths;
  size_t n_paths;
  size_t state_size;         /* bytes of the dialect's own state, zeroed at the start of a stream */
  void (*fini)(void *state); /* NULL: nothing to free */
  /* A value of the table stands in the event; also BEGIN and END of its containers. */
  int (*value)(struct mill__assembly *assembly, void *state, const struct mill__json_value *value);
  /* The event is whole (its JSON was valid). `type` is the event's. NULL: nothing to do. */
  int (*event)(struct mill__assembly *assembly, void *state, mill_slice type);
  /* Data that stands for the end of the stream, not JSON ("[DONE]"); NULL: none. */
  const char *terminator;
  /* True where a clean end of the body after every finish reason is a success. */
  bool finish_ends;
};

extern const struct mill__dialect mill__openai_chat;

const struct mill__dialect *mill__dialect_find(const char *name); /* NULL: unknown */
/* The compiled paths of a dialect of the registry: made once, kept until the process ends. */
int mill__dialect_table(const struct mill__dialect *dialect,
                        const struct mill__json_table **ret_table);

#endif
