/* Values at JSON paths -> the text of one JSON object; see gemini_args.h. */
#include "provider/gemini_args.h"

#include <string.h>

/* ---- paths ----------------------------------------------------------------------------------- */

/* A step of a path: a member of an object, or an element of an array. */
struct step {
  bool is_index;
  mill_slice name; /* as it stands in the path */
};

static bool is_quote(char c) {
  return c == '\'' || c == '"';
}

/* "['name']" or "[0]", behind the bracket. */
static bool take_bracket(mill_slice *path, struct step *ret_step) {
  const char *end = path->ptr + path->len, *at = path->ptr;
  char quote = at < end && is_quote(*at) ? *at++ : '\0';
  const char *name = at;
  while (at < end && *at != (quote ? quote : ']'))
    at += *at == '\\' && quote && at + 1 < end ? 2 : 1;
  *ret_step = (struct step){!quote, {name, (size_t)(at - name)}};
  at += quote != '\0';
  if (at >= end || *at != ']')
    return false;
  at++;
  *path = (mill_slice){at, (size_t)(end - at)};
  return true;
}

static bool take_name(mill_slice *path, struct step *ret_step) {
  size_t len = 0;
  while (len < path->len && path->ptr[len] != '.' && path->ptr[len] != '[')
    len++;
  *ret_step = (struct step){false, {path->ptr, len}};
  *path = (mill_slice){path->ptr + len, path->len - len};
  return len > 0;
}

/* Take the next step off the path, which has one. False: it is no path that we know. */
static bool take_step(mill_slice *path, struct step *ret_step) {
  char first = path->ptr[0];
  *path = (mill_slice){path->ptr + 1, path->len - 1};
  if (first == '[')
    return take_bracket(path, ret_step);
  return first == '.' && take_name(path, ret_step);
}

/* What stands behind "$": the steps, of which the first is a member of the object. */
static bool steps_of(mill_slice path, mill_slice *ret_steps) {
  if (path.len < 2 || path.len > MILL__GEMINI_PATH_BYTES || path.ptr[0] != '$')
    return false;
  *ret_steps = (mill_slice){path.ptr + 1, path.len - 1};
  mill_slice rest = *ret_steps;
  struct step step = {0};
  if (!take_step(&rest, &step) || step.is_index)
    return false;
  while (rest.len)
    if (!take_step(&rest, &step))
      return false;
  return true;
}

static bool same_step(const struct step *a, const struct step *b) {
  return a->is_index == b->is_index && a->name.len == b->name.len &&
         memcmp(a->name.ptr, b->name.ptr, a->name.len) == 0;
}

/* Take off both paths what they share; of each, at least one step is left. */
static void drop_shared(mill_slice *a, mill_slice *b) {
  for (;;) {
    mill_slice rest_a = *a, rest_b = *b;
    struct step step_a = {0}, step_b = {0};
    take_step(&rest_a, &step_a);
    take_step(&rest_b, &step_b);
    if (!rest_a.len || !rest_b.len || !same_step(&step_a, &step_b))
      return;
    *a = rest_a;
    *b = rest_b;
  }
}

/* ---- text ------------------------------------------------------------------------------------ */

static bool is_special(char c) {
  return c == '"' || c == '\\' || (unsigned char)c < 0x20;
}

static int put_special(struct mill__buf *out, char c) {
  static const char hex[] = "0123456789abcdef";
  if ((unsigned char)c >= 0x20)
    return mill__buf_append(out, (const char[]){'\\', c}, 2);
  return mill__buf_append(out, (const char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
}

/* The inside of a string. */
static int put_escaped(struct mill__buf *out, mill_slice chars) {
  const char *at = chars.ptr, *end = chars.ptr + chars.len;
  int error = MILL_OK;
  while (at < end && !error) {
    const char *plain = at;
    while (at < end && !is_special(*at))
      at++;
    error = mill__buf_append(out, plain, (size_t)(at - plain));
    if (!error && at < end)
      error = put_special(out, *at++);
  }
  return error;
}

/* A name as it stands in a path: what a backslash is before stands for itself. */
static int put_name(struct mill__buf *out, mill_slice name) {
  int error = mill__buf_append_byte(out, '"');
  for (size_t i = 0; i < name.len && !error; i++) {
    i += name.ptr[i] == '\\' && i + 1 < name.len;
    error = put_escaped(out, (mill_slice){name.ptr + i, 1});
  }
  return error ? error : mill__buf_append(out, "\":", 2);
}

/* Go down the steps; the container that the first one is in is open. */
static int open_steps(struct mill__buf *out, mill_slice steps) {
  int error = MILL_OK;
  for (bool first = true; steps.len && !error; first = false) {
    struct step step = {0};
    take_step(&steps, &step);
    if (!first)
      error = mill__buf_append_byte(out, step.is_index ? '[' : '{');
    if (!error && !step.is_index)
      error = put_name(out, step.name);
  }
  return error;
}

/* Go up again: close the container of each step but the first one. */
static int close_steps(struct mill__buf *out, mill_slice steps) {
  struct step step = {0};
  take_step(&steps, &step);
  if (!steps.len)
    return MILL_OK;
  mill_slice rest = steps;
  take_step(&rest, &step);
  int error = close_steps(out, steps);
  return error ? error : mill__buf_append_byte(out, step.is_index ? ']' : '}');
}

static mill_slice last_steps(const struct mill__gemini_args *args) {
  return (mill_slice){args->path + 1, args->path_len - 1};
}

/* Where the paths part, a member stands in an object and an element in an array, as before. */
static bool fits(const struct mill__gemini_args *args, mill_slice steps) {
  mill_slice last = last_steps(args);
  drop_shared(&last, &steps);
  struct step was, is;
  take_step(&last, &was);
  take_step(&steps, &is);
  return was.is_index == is.is_index;
}

static int end_string(struct mill__gemini_args *args, struct mill__buf *out) {
  int error = args->in_string ? mill__buf_append_byte(out, '"') : MILL_OK;
  args->in_string = false;
  return error;
}

/* Get from the last value to the place of the next one: up, and down again. */
static int go_on(struct mill__gemini_args *args, mill_slice steps, struct mill__buf *out) {
  mill_slice last = last_steps(args);
  drop_shared(&last, &steps);
  int error = end_string(args, out);
  if (!error)
    error = close_steps(out, last);
  if (!error)
    error = mill__buf_append_byte(out, ',');
  return error ? error : open_steps(out, steps);
}

static int begin(mill_slice steps, struct mill__buf *out) {
  int error = mill__buf_append_byte(out, '{');
  return error ? error : open_steps(out, steps);
}

/* MILL_END: there is no such place. */
static int go_to(struct mill__gemini_args *args, mill_slice path, struct mill__buf *out) {
  mill_slice steps;
  if (!steps_of(path, &steps) || (args->path_len && !fits(args, steps)))
    return MILL_END;
  int error = args->path_len ? go_on(args, steps, out) : begin(steps, out);
  memcpy(args->path, path.ptr, path.len);
  args->path_len = path.len;
  return error;
}

static bool is_last(const struct mill__gemini_args *args, mill_slice path) {
  return path.len == args->path_len && memcmp(path.ptr, args->path, path.len) == 0;
}

/* ---- the functions of gemini_args.h ---------------------------------------------------------- */

int mill__gemini_args_string(struct mill__gemini_args *args, mill_slice path, mill_slice piece,
                             struct mill__buf *out) {
  int rc = MILL_OK;
  if (!args->in_string || !is_last(args, path)) {
    rc = go_to(args, path, out);
    if (!rc)
      rc = mill__buf_append_byte(out, '"');
    args->in_string |= !rc;
  }
  if (!rc)
    rc = put_escaped(out, piece);
  return rc == MILL_END ? MILL_OK : rc;
}

int mill__gemini_args_literal(struct mill__gemini_args *args, mill_slice path, mill_slice literal,
                              struct mill__buf *out) {
  if (is_last(args, path))
    return MILL_OK;
  int rc = go_to(args, path, out);
  if (!rc)
    rc = mill__buf_append(out, literal.ptr, literal.len);
  return rc == MILL_END ? MILL_OK : rc;
}

int mill__gemini_args_end(struct mill__gemini_args *args, struct mill__buf *out) {
  if (!args->path_len)
    return mill__buf_append(out, "{}", 2);
  int error = end_string(args, out);
  if (!error)
    error = close_steps(out, last_steps(args));
  args->path_len = 0;
  return error ? error : mill__buf_append_byte(out, '}');
}
