/*
 * What the JSON dialects share: the fields that mean the same in each of them, a place for the
 * values of an event whose type may stand behind them, and words with a meaning.
 * Thread: the owner's. Errors: those of provider/assembly.h.
 */
#ifndef MILL_PROVIDER_FIELDS_H
#define MILL_PROVIDER_FIELDS_H

#include "parse/json.h"
#include "provider/assembly.h"
#include "provider/dialect.h"

/* ---- fields of the same meaning everywhere --------------------------------------------------- */

enum mill__field {
  MILL__FIELD_ID, /* of the message, its model and role: strings */
  MILL__FIELD_MODEL,
  MILL__FIELD_ROLE,
  MILL__FIELD_USAGE, /* RAW */
  MILL__FIELD_INPUT_TOKENS,
  MILL__FIELD_OUTPUT_TOKENS,
  MILL__FIELD_REASONING_TOKENS,
  MILL__FIELD_CACHED_TOKENS,
  MILL__FIELD_ERROR, /* BEGIN, RAW; STRING: its message */
  MILL__FIELD_ERROR_MESSAGE,
  MILL__FIELD_ERROR_TYPE,
  MILL__FIELD_ERROR_CODE,   /* a word or an HTTP status */
  MILL__FIELD_ERROR_STATUS, /* an HTTP status */
  MILL__FIELD_OWN           /* a dialect's own begin here */
};

/* Rows of a table. `at` is the path of the object, the others are paths within it. */
#define MILL__USAGE_ROWS(at, input, output, reasoning, cached)                                     \
  {at, MILL__FIELD_USAGE, MILL__JSON_RAW},                                                         \
      {at "." input, MILL__FIELD_INPUT_TOKENS, MILL__JSON_NUMBER},                                 \
      {at "." output, MILL__FIELD_OUTPUT_TOKENS, MILL__JSON_NUMBER},                               \
      {at "." reasoning, MILL__FIELD_REASONING_TOKENS, MILL__JSON_NUMBER}, {                       \
    at "." cached, MILL__FIELD_CACHED_TOKENS, MILL__JSON_NUMBER                                    \
  }
#define MILL__ERROR_ROWS(at)                                                                       \
  {at, MILL__FIELD_ERROR, MILL__JSON_STRING | MILL__JSON_BEGIN | MILL__JSON_RAW},                  \
      {at ".message", MILL__FIELD_ERROR_MESSAGE, MILL__JSON_STRING},                               \
      {at ".type", MILL__FIELD_ERROR_TYPE, MILL__JSON_STRING},                                     \
      {at ".code", MILL__FIELD_ERROR_CODE, MILL__JSON_STRING | MILL__JSON_NUMBER},                 \
      {at ".status_code", MILL__FIELD_ERROR_STATUS, MILL__JSON_STRING | MILL__JSON_NUMBER}, {      \
    at ".status", MILL__FIELD_ERROR_STATUS, MILL__JSON_STRING | MILL__JSON_NUMBER                  \
  }

/* An error whose fields stand at the top of the event. */
#define MILL__TOP_ERROR_ROWS                                                                       \
  {"message", MILL__FIELD_ERROR_MESSAGE, MILL__JSON_STRING}, {                                     \
    "code", MILL__FIELD_ERROR_CODE, MILL__JSON_STRING | MILL__JSON_NUMBER                          \
  }

/* Take the value of a field above. */
int mill__field_take(struct mill__assembly *assembly, const struct mill__json_value *value);

/* ---- the values of an event ------------------------------------------------------------------ */

#define MILL__EVENT_FIELDS 32

/*
 * The last value of each field, by field number. It is empty when `seen` is: a dialect puts it
 * first in its state, and has MILL__EVENT_FIELDS_SIZE as its event_size.
 */
struct mill__event_fields {
  uint32_t seen; /* bit per field */
  struct mill__span text[MILL__EVENT_FIELDS];
  int64_t number[MILL__EVENT_FIELDS];
};
#define MILL__EVENT_FIELDS_SIZE sizeof(uint32_t)
/* The table and the state of one that has no other state. */
#define MILL__EVENT_TABLE(paths_)                                                                  \
  MILL__TABLE(paths_), .state_size = sizeof(struct mill__event_fields),                            \
                       .event_size = MILL__EVENT_FIELDS_SIZE

/* Keep a value. Of a number: what is an index (not negative); of BEGIN: that it is there. */
int mill__event_keep(struct mill__event_fields *fields, struct mill__assembly *assembly,
                     const struct mill__json_value *value);
static inline bool mill__event_has(const struct mill__event_fields *fields, unsigned field) {
  return fields->seen >> field & 1;
}
/* The value() of a dialect whose state begins with them: own fields are kept, shared ones taken. */
int mill__event_value(struct mill__assembly *assembly, void *state,
                      const struct mill__json_value *value);
/* Empty where it is not there. */
struct mill__span mill__event_text(const struct mill__event_fields *fields, unsigned field);
bool mill__event_is(const struct mill__event_fields *fields, const struct mill__assembly *assembly,
                    unsigned field, const char *word);
int64_t mill__event_number(const struct mill__event_fields *fields, unsigned field,
                           int64_t otherwise);
/* Begin a delta of one of the three texts with what the field holds. */
int mill__event_delta(const struct mill__event_fields *fields, struct mill__assembly *assembly,
                      unsigned field, enum mill_chunk_type type);
/* Begin one of reasoning with the signature that the field holds. */
int mill__event_signature(const struct mill__event_fields *fields, struct mill__assembly *assembly,
                          unsigned field);
/* A tool call, or a piece of one, of what the fields hold. */
struct mill__pending mill__event_call(const struct mill__event_fields *fields, unsigned key_field,
                                      unsigned id_field, unsigned name_field,
                                      unsigned arguments_field);
/* A piece of the arguments of the call (of choice 0) whose key the field holds. Where no call has
 * that key, it is of one that the server makes itself: nothing is told. */
int mill__event_arguments(const struct mill__event_fields *fields, struct mill__assembly *assembly,
                          unsigned key_field, struct mill__span piece);
/* That call is whole; where it has no arguments, they are an empty object. */
int mill__event_end_call(const struct mill__event_fields *fields, struct mill__assembly *assembly,
                         unsigned key_field);

/* ---- events by their type -------------------------------------------------------------------- */

struct mill__event_rule {
  const char *type; /* NULL: the end of the list */
  /* `type` is the rule's own: it lasts, whatever becomes of the event's. */
  int (*act)(struct mill__assembly *assembly, const struct mill__event_fields *fields,
             mill_slice type);
};

/* What the event is: the word of the field, or else the name that the event came under. */
mill_slice mill__event_type(const struct mill__event_fields *fields,
                            const struct mill__assembly *assembly, unsigned field, mill_slice name);
/* Do what the list says for this type of events; of another type they say nothing. */
int mill__event_act(const struct mill__event_rule *rules, struct mill__assembly *assembly,
                    const struct mill__event_fields *fields, mill_slice type);
/* Acts: the event ends the answer; it is an error. */
int mill__event_ends(struct mill__assembly *assembly, const struct mill__event_fields *fields,
                     mill_slice type);
int mill__event_fails(struct mill__assembly *assembly, const struct mill__event_fields *fields,
                      mill_slice type);
/* No event (without a type), but a message: the body of an error answer. */
void mill__take_error_body(struct mill__assembly *assembly, mill_slice type);

/* ---- words and numbers ----------------------------------------------------------------------- */

/* A number that can be an index. */
bool mill__index_of(mill_slice literal, int *ret_index);

struct mill__finish_word {
  const char *word; /* NULL: the end of the list */
  enum mill_finish finish;
};
/* MILL_FINISH_OTHER for a word that is not in the list. */
enum mill_finish mill__finish_of(const struct mill__finish_word *words, mill_slice word);
/*
 * The choice is at its end, with a word that says why; without one, it is not. One that stopped
 * after calling tools waits for their results, whatever the word.
 */
int mill__finish(struct mill__assembly *assembly, int choice, struct mill__span word,
                 const struct mill__finish_word *words);
/* The answer (of choice 0) is at its end, with the word that the field holds; none: it is not. */
int mill__event_finish(const struct mill__event_fields *fields, struct mill__assembly *assembly,
                       unsigned field, const struct mill__finish_word *words);

/* The JSON text of an object without members. */
bool mill__is_empty_object(mill_slice json);

#endif
