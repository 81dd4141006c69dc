/* What the JSON dialects share; see fields.h. */
#include "provider/fields.h"

#include <limits.h>
#include <string.h>

/* ---- fields of the same meaning everywhere --------------------------------------------------- */

/* "error" itself: an object, or a string that is the message. */
static int take_error(struct mill__assembly *assembly, const struct mill__json_value *value) {
  if (value->is_array || (value->kind == MILL__JSON_STRING && !value->text.len))
    return MILL_OK;
  mill__assembly_error(assembly);
  if (value->kind == MILL__JSON_BEGIN)
    return MILL_OK;
  enum mill__error_field field =
      value->kind == MILL__JSON_STRING ? MILL__ERROR_MESSAGE : MILL__ERROR_RAW;
  return mill__assembly_error_text(assembly, field, value->text);
}

static int take_error_code(struct mill__assembly *assembly, mill_slice code) {
  mill__assembly_error_status(assembly, code);
  return mill__assembly_error_text(assembly, MILL__ERROR_CODE, code);
}

static int take_count(struct mill__assembly *assembly, enum mill__usage_field field,
                      mill_slice literal) {
  mill__assembly_usage(assembly, field, literal);
  return MILL_OK;
}

int mill__field_take(struct mill__assembly *assembly, const struct mill__json_value *value) {
  const mill_slice text = value->text;
  switch ((enum mill__field)value->field) {
  case MILL__FIELD_ID:
    return mill__assembly_meta(assembly, MILL__META_ID, text);
  case MILL__FIELD_MODEL:
    return mill__assembly_meta(assembly, MILL__META_MODEL, text);
  case MILL__FIELD_ROLE:
    return mill__assembly_meta(assembly, MILL__META_ROLE, text);
  case MILL__FIELD_USAGE:
    return mill__assembly_usage_raw(assembly, text);
  case MILL__FIELD_INPUT_TOKENS:
    return take_count(assembly, MILL__USAGE_INPUT, text);
  case MILL__FIELD_OUTPUT_TOKENS:
    return take_count(assembly, MILL__USAGE_OUTPUT, text);
  case MILL__FIELD_REASONING_TOKENS:
    return take_count(assembly, MILL__USAGE_REASONING, text);
  case MILL__FIELD_CACHED_TOKENS:
    return take_count(assembly, MILL__USAGE_CACHED, text);
  case MILL__FIELD_ERROR:
    return take_error(assembly, value);
  case MILL__FIELD_ERROR_MESSAGE:
    return mill__assembly_error_text(assembly, MILL__ERROR_MESSAGE, text);
  case MILL__FIELD_ERROR_TYPE:
    return mill__assembly_error_text(assembly, MILL__ERROR_TYPE, text);
  case MILL__FIELD_ERROR_CODE:
    return take_error_code(assembly, text);
  case MILL__FIELD_ERROR_STATUS:
    mill__assembly_error_status(assembly, text);
    return MILL_OK;
  case MILL__FIELD_OWN:
    break;
  }
  return MILL_OK;
}

/* ---- the values of an event ------------------------------------------------------------------ */

int mill__event_keep(struct mill__event_fields *fields, struct mill__assembly *assembly,
                     const struct mill__json_value *value) {
  const unsigned field = value->field;
  const uint32_t bit = UINT32_C(1) << field;
  int64_t *number = &fields->number[field];
  fields->seen |= bit;
  *number = value->boolean;
  if (value->kind != MILL__JSON_NUMBER)
    return mill__assembly_keep_piece(assembly, value->text, &fields->text[field]);
  fields->text[field] = (struct mill__span){0};
  if (!mill__json_int64(value->text, number) || *number < 0)
    fields->seen &= ~bit;
  return MILL_OK;
}

int mill__event_value(struct mill__assembly *assembly, void *state,
                      const struct mill__json_value *value) {
  return value->field < MILL__FIELD_OWN ? mill__field_take(assembly, value)
                                        : mill__event_keep(state, assembly, value);
}

struct mill__span mill__event_text(const struct mill__event_fields *fields, unsigned field) {
  return mill__event_has(fields, field) ? fields->text[field] : (struct mill__span){0};
}

bool mill__event_is(const struct mill__event_fields *fields, const struct mill__assembly *assembly,
                    unsigned field, const char *word) {
  return mill__is(mill__assembly_slice(assembly, mill__event_text(fields, field)), word);
}

int64_t mill__event_number(const struct mill__event_fields *fields, unsigned field,
                           int64_t otherwise) {
  return mill__event_has(fields, field) ? fields->number[field] : otherwise;
}

int mill__event_delta(const struct mill__event_fields *fields, struct mill__assembly *assembly,
                      unsigned field, enum mill_chunk_type type) {
  const struct mill__pending delta = {.type = type, .text = mill__event_text(fields, field)};
  return mill__assembly_add(assembly, &delta);
}

int mill__event_signature(const struct mill__event_fields *fields, struct mill__assembly *assembly,
                          unsigned field) {
  const struct mill__pending delta = {.type = MILL_CHUNK_REASONING,
                                      .signature = mill__event_text(fields, field)};
  return mill__assembly_add(assembly, &delta);
}

struct mill__pending mill__event_call(const struct mill__event_fields *fields, unsigned key_field,
                                      unsigned id_field, unsigned name_field,
                                      unsigned arguments_field) {
  return (struct mill__pending){
      .type = MILL_CHUNK_TOOL_CALL,
      .tool_key = mill__event_number(fields, key_field, -1),
      .tool_id = mill__event_text(fields, id_field),
      .tool_name = mill__event_text(fields, name_field),
      .text = mill__event_text(fields, arguments_field),
  };
}

int mill__event_arguments(const struct mill__event_fields *fields, struct mill__assembly *assembly,
                          unsigned key_field, struct mill__span piece) {
  const struct mill__pending delta = {.type = MILL_CHUNK_TOOL_CALL,
                                      .tool_key = mill__event_number(fields, key_field, -1),
                                      .text = piece};
  if (!mill__assembly_tool(assembly, 0, delta.tool_key))
    return MILL_OK;
  return mill__assembly_add(assembly, &delta);
}

int mill__event_end_call(const struct mill__event_fields *fields, struct mill__assembly *assembly,
                         unsigned key_field) {
  const struct mill__tool_state *tool =
      mill__assembly_tool(assembly, 0, mill__event_number(fields, key_field, -1));
  if (!tool || tool->argued)
    return MILL_OK;
  struct mill__span nothing;
  int error = mill__assembly_keep(assembly, (mill_slice){"{}", 2}, &nothing);
  return error ? error : mill__event_arguments(fields, assembly, key_field, nothing);
}

/* ---- events by their type -------------------------------------------------------------------- */

mill_slice mill__event_type(const struct mill__event_fields *fields,
                            const struct mill__assembly *assembly, unsigned field,
                            mill_slice name) {
  if (!mill__event_has(fields, field))
    return name;
  return mill__assembly_slice(assembly, mill__event_text(fields, field));
}

int mill__event_act(const struct mill__event_rule *rules, struct mill__assembly *assembly,
                    const struct mill__event_fields *fields, mill_slice type) {
  for (; rules->type; rules++)
    if (mill__is(type, rules->type))
      return rules->act(assembly, fields, (mill_slice){rules->type, type.len});
  return MILL_OK;
}

int mill__event_ends(struct mill__assembly *assembly, const struct mill__event_fields *fields,
                     mill_slice type) {
  return mill__assembly_complete(assembly);
}

int mill__event_fails(struct mill__assembly *assembly, const struct mill__event_fields *fields,
                      mill_slice type) {
  mill__assembly_error(assembly);
  return MILL_OK;
}

void mill__take_error_body(struct mill__assembly *assembly, mill_slice type) {
  if (!type.len && assembly->error_text[MILL__ERROR_MESSAGE].len)
    mill__assembly_error(assembly);
}

/* ---- words and numbers ----------------------------------------------------------------------- */

bool mill__index_of(mill_slice literal, int *ret_index) {
  int64_t number;
  if (!mill__json_int64(literal, &number) || number < 0 || number > INT_MAX)
    return false;
  *ret_index = (int)number;
  return true;
}

enum mill_finish mill__finish_of(const struct mill__finish_word *words, mill_slice word) {
  for (; words->word; words++)
    if (mill__is(word, words->word))
      return words->finish;
  return MILL_FINISH_OTHER;
}

int mill__finish(struct mill__assembly *assembly, int choice, struct mill__span word,
                 const struct mill__finish_word *words) {
  if (!word.len)
    return MILL_OK;
  enum mill_finish finish = mill__finish_of(words, mill__assembly_slice(assembly, word));
  if (finish == MILL_FINISH_STOP && mill__assembly_calls(assembly, choice))
    finish = MILL_FINISH_TOOL_CALLS;
  return mill__assembly_finish(assembly, choice, finish, word);
}

int mill__event_finish(const struct mill__event_fields *fields, struct mill__assembly *assembly,
                       unsigned field, const struct mill__finish_word *words) {
  const struct mill__span word = mill__event_text(fields, field);
  int error = word.len ? mill__assembly_bind(assembly, 0) : MILL_OK;
  return error ? error : mill__finish(assembly, 0, word, words);
}

bool mill__is_empty_object(mill_slice json) {
  size_t n_other = 0;
  for (size_t i = 0; i < json.len; i++)
    n_other += !strchr(" \t\r\n", json.ptr[i]) || !json.ptr[i];
  return n_other == 2 && json.ptr[0] == '{';
}
