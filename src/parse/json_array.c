/* The array parser: one switch over the places where a piece can be cut. */
#include "parse/json_array.h"

#include <assert.h>

enum place {
  AT_START,     /* before the array */
  AT_FIRST,     /* behind "[": an element, or the end */
  AT_ELEMENT,   /* behind a comma: an element */
  IN_CONTAINER, /* in an element, outside of its strings */
  IN_STRING,
  IN_ESCAPE,      /* behind a backslash in a string */
  IN_WORD,        /* in an element that is a number, true, false or null */
  BEHIND_ELEMENT, /* a comma, or the end */
  AT_END          /* behind the array */
};

static bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Hand out data up to the limit: whatever the pieces, the reader sees the same bytes before it. */
static int give_data(struct mill__json_array *array, const char *bytes, size_t len) {
  size_t room = array->event_bytes - array->data_bytes;
  size_t n = len < room ? len : room;
  array->data_bytes += n;
  int rc = n > 0 ? array->callbacks->data(array->ctx, bytes, n) : MILL_OK;
  assert(rc <= MILL_OK); /* only event() may pause */
  if (rc != MILL_OK)
    return rc;
  return n < len ? MILL_E_LIMIT : MILL_OK;
}

static int dispatch(struct mill__json_array *array) {
  array->place = array->alone ? AT_END : BEHIND_ELEMENT;
  array->data_bytes = 0;
  int rc = array->callbacks->event(array->ctx);
  assert(rc <= MILL_AGAIN);
  return rc;
}

/* ---- in an element: move on by a byte; true behind its last one ------------------------------- */

static bool is_whole(const struct mill__json_array *array) {
  return array->depth == 0;
}

static bool in_container(struct mill__json_array *array, char c) {
  switch (c) {
  case '"':
    array->place = IN_STRING;
    return false;
  case '{':
  case '[':
    array->depth++;
    return false;
  case '}':
  case ']':
    array->depth--;
    return is_whole(array);
  default:
    return false;
  }
}

static bool in_string(struct mill__json_array *array, char c) {
  if (c == '\\')
    array->place = IN_ESCAPE;
  if (c != '"')
    return false;
  array->place = IN_CONTAINER;
  return is_whole(array);
}

/* The bytes of an element, up to its end or the piece's. */
static const char *in_element(struct mill__json_array *array, const char *p, const char *end) {
  const char *start = p;
  bool whole = false;
  while (p < end && !whole) {
    char c = *p++;
    if (array->place == IN_CONTAINER)
      whole = in_container(array, c);
    else if (array->place == IN_STRING)
      whole = in_string(array, c);
    else
      array->place = IN_STRING;
  }
  array->status = give_data(array, start, (size_t)(p - start));
  if (whole && array->status == MILL_OK)
    array->status = dispatch(array);
  return p;
}

static const char *in_word(struct mill__json_array *array, const char *p, const char *end) {
  const char *start = p;
  while (p < end && *p != ',' && *p != ']' && !is_space(*p))
    p++;
  array->status = give_data(array, start, (size_t)(p - start));
  if (p < end && array->status == MILL_OK)
    array->status = dispatch(array);
  return p;
}

/* ---- between elements: take the byte that is no white space ----------------------------------- */

static const char *begin_element(struct mill__json_array *array, const char *p) {
  bool is_word = *p != '{' && *p != '[' && *p != '"';
  array->place = is_word ? IN_WORD : IN_CONTAINER;
  return p;
}

static const char *refuse(struct mill__json_array *array, const char *p) {
  array->status = MILL_E_PROTOCOL;
  return p;
}

static const char *at_start(struct mill__json_array *array, const char *p) {
  if (*p == '[') {
    array->place = AT_FIRST;
    return p + 1;
  }
  array->alone = *p == '{';
  return array->alone ? begin_element(array, p) : refuse(array, p);
}

static const char *at_element(struct mill__json_array *array, const char *p) {
  if (*p == ']' && array->place == AT_FIRST) {
    array->place = AT_END;
    return p + 1;
  }
  return *p == ',' || *p == ']' ? refuse(array, p) : begin_element(array, p);
}

static const char *behind_element(struct mill__json_array *array, const char *p) {
  if (*p != ',' && *p != ']')
    return refuse(array, p);
  array->place = *p == ',' ? AT_ELEMENT : AT_END;
  return p + 1;
}

static const char *step(struct mill__json_array *array, const char *p, const char *end) {
  switch ((enum place)array->place) {
  case IN_CONTAINER:
  case IN_STRING:
  case IN_ESCAPE:
    return in_element(array, p, end);
  case IN_WORD:
    return in_word(array, p, end);
  case AT_START:
    return is_space(*p) ? p + 1 : at_start(array, p);
  case AT_FIRST:
  case AT_ELEMENT:
    return is_space(*p) ? p + 1 : at_element(array, p);
  case BEHIND_ELEMENT:
    return is_space(*p) ? p + 1 : behind_element(array, p);
  case AT_END:
    break;
  }
  return is_space(*p) ? p + 1 : refuse(array, p);
}

/* ---- the interface --------------------------------------------------------------------------- */

void mill__json_array_init(struct mill__json_array *array, size_t event_bytes,
                           const struct mill__json_array_callbacks *callbacks, void *ctx) {
  *array =
      (struct mill__json_array){.callbacks = callbacks, .ctx = ctx, .event_bytes = event_bytes};
}

void mill__json_array_reset(struct mill__json_array *array) {
  mill__json_array_init(array, array->event_bytes, array->callbacks, array->ctx);
}

int mill__json_array_feed(struct mill__json_array *array, const char *bytes, size_t len,
                          size_t *ret_consumed) {
  const char *p = bytes, *end = len > 0 ? bytes + len : bytes;
  while (p < end && array->status == MILL_OK)
    p = step(array, p, end);
  *ret_consumed = (size_t)(p - bytes);
  int rc = array->status;
  if (rc == MILL_AGAIN)
    array->status = MILL_OK;
  return rc;
}

bool mill__json_array_finish(const struct mill__json_array *array) {
  return array->place != AT_END;
}
