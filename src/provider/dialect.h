/*
 * A dialect: how one wire format says things. A const vtable and its table of JSON paths; the
 * registry at the bottom is the list of all of them.
 */
#ifndef MILL_PROVIDER_DIALECT_H
#define MILL_PROVIDER_DIALECT_H

#include "parse/json.h"
#include "provider/decoder.h"

enum mill__framing {
  MILL__FRAMING_SSE,
  MILL__FRAMING_NDJSON,
  MILL__FRAMING_AWSEV,     /* AWS event streams */
  MILL__FRAMING_JSON_ARRAY /* an event is an element */
};

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
  size_t event_size;         /* how many of them, from the first, are zeroed for every event */
  void (*fini)(void *state); /* NULL: nothing to free */
  /* A value of the table stands in the event; also BEGIN and END of its containers. NULL: what the
   * events hold is not looked at, and a clean end of the body is a success. */
  int (*value)(struct mill__assembly *assembly, void *state, const struct mill__json_value *value);
  /*
   * Which dialect reads, for this one, what the document carries; NULL: none. `document` is the
   * document itself and may be replaced: by bytes of the state, good until the next value().
   * Called when the document is whole, before event(). NULL: no document carries another.
   */
  const struct mill__dialect *(*inner)(const void *state, mill_slice *document);
  /* The event is whole (its JSON was valid). `type` is the event's name, empty where it has none.
   * NULL: nothing to do. */
  int (*event)(struct mill__assembly *assembly, void *state, mill_slice type);
  /* Data that stands for the end of the stream, not JSON ("[DONE]"); NULL: none. */
  const char *terminator;
  /* An event of its own completes the answer: a terminator without it is a proxy's, whose back end
   * went away. */
  bool typed_end;
  /* True where a clean end of the body after every finish reason is a success. */
  bool finish_ends;
};

/* Parts of a vtable: the framing with its media type, the table. */
#define MILL__SSE                                                                                  \
  .framing = MILL__FRAMING_SSE, .content_types = (const char *const[]) {                           \
    "text/event-stream", NULL                                                                      \
  }
#define MILL__AWS_EVENTS                                                                           \
  .framing = MILL__FRAMING_AWSEV, .content_types = (const char *const[]) {                         \
    "application/vnd.amazon.eventstream", NULL                                                     \
  }
#define MILL__TABLE(paths_) .paths = (paths_), .n_paths = sizeof(paths_) / sizeof *(paths_)

/* X(symbol, name): all of them; a dialect's own file has the same name in its vtable. */
#define MILL__DIALECTS(X)                                                                          \
  X(openai_chat, "openai-chat")                                                                    \
  X(openai_completions, "openai-completions")                                                      \
  X(openai_responses, "openai-responses")                                                          \
  X(openai_assistants, "openai-assistants")                                                        \
  X(openai_transcription, "openai-transcription")                                                  \
  X(mistral_chat, "mistral-chat")                                                                  \
  X(anthropic_messages, "anthropic-messages")                                                      \
  X(gemini, "gemini")                                                                              \
  X(gemini_json_array, "gemini-json-array")                                                        \
  X(gemini_interactions, "gemini-interactions")                                                    \
  X(cohere_v2_chat, "cohere-v2-chat")                                                              \
  X(cohere_v1_chat, "cohere-v1-chat")                                                              \
  X(cohere_v1_generate, "cohere-v1-generate")                                                      \
  X(ollama_chat, "ollama-chat")                                                                    \
  X(ollama_generate, "ollama-generate")                                                            \
  X(bedrock_converse, "bedrock-converse")                                                          \
  X(bedrock_invoke, "bedrock-invoke")                                                              \
  X(events, "events")                                                                              \
  X(json_document, "json")

/* Those that only read what others carry. */
#define MILL__INNER_DIALECTS(X) X(bedrock_model, "")

#define MILL__DIALECT_EXTERN(symbol, name) extern const struct mill__dialect mill__##symbol;
MILL__DIALECTS(MILL__DIALECT_EXTERN)
MILL__INNER_DIALECTS(MILL__DIALECT_EXTERN)
#undef MILL__DIALECT_EXTERN

const struct mill__dialect *mill__dialect_find(const char *name); /* NULL: unknown */
/* The compiled paths of a dialect of the registry: made once, kept until the process ends. */
int mill__dialect_table(const struct mill__dialect *dialect,
                        const struct mill__json_table **ret_table);

#endif
