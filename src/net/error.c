/* Building and moving a mill_error; see error.h. */
#include "net/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"

void mill__error_init(mill_error *error) {
  *error = (mill_error){.code = MILL_OK, .retry_after_ms = -1, .byte_offset = -1};
}

void mill__error_fini(mill_error *error) {
  mill__free(error->text);
  mill__free(error->kind);
  mill__free(error->request_id);
  mill__free(error->body);
  mill__error_init(error);
}

/* Texts may quote a server: make them valid UTF-8 without control characters. */
static char *printable(const char *text, size_t len) {
  struct mill__buf out;
  mill__buf_init(&out, 3 * MILL__ERROR_TEXT_BYTES + 16);
  struct mill__utf8 utf8;
  mill__utf8_init(&utf8);
  char *copy = NULL;
  if (mill__utf8_repair(&utf8, text, len, &out) == MILL_OK &&
      mill__utf8_repair_end(&utf8, &out) == MILL_OK)
    copy = mill__strndup(out.ptr ? out.ptr : "", out.len);
  mill__buf_fini(&out);
  for (char *p = copy; p && *p; p++)
    if ((unsigned char)*p < 0x20)
      *p = ' ';
  return copy;
}

void mill__error_set(mill_error *error, int code, const char *format, ...) {
  char text[MILL__ERROR_TEXT_BYTES];
  va_list args;
  va_start(args, format);
  int len = vsnprintf(text, sizeof text, format, args);
  va_end(args);
  size_t used = len < 0 ? 0 : (size_t)len < sizeof text ? (size_t)len : sizeof text - 1;
  mill__free(error->text);
  error->text = printable(text, used);
  error->code = code;
}

void mill__error_set_kind(mill_error *error, const char *kind, size_t len) {
  mill__free(error->kind);
  error->kind = len ? printable(kind, len < MILL__ERROR_TEXT_BYTES ? len : 64) : NULL;
}

void mill__error_set_request_id(mill_error *error, mill_slice id) {
  mill__free(error->request_id);
  error->request_id =
      id.len ? printable(id.ptr, id.len < MILL__ERROR_TEXT_BYTES ? id.len : 64) : NULL;
}

void mill__error_set_body(mill_error *error, mill_slice body) {
  mill__free(error->body);
  error->body_len = body.len < MILL__ERROR_BODY_BYTES ? body.len : MILL__ERROR_BODY_BYTES;
  error->body = body.len ? mill__strndup(body.ptr, error->body_len) : NULL;
  if (!error->body)
    error->body_len = 0;
}

void mill__error_move(mill_error *to, mill_error *from) {
  mill__error_fini(to);
  *to = *from;
  mill__error_init(from);
}

/* ---- names ----------------------------------------------------------------------------------- */

struct name {
  int code;
  const char *name, *class_, *text;
};

static const struct name NAMES[] = {
#define MILL_ERROR_NAME(number, name, class_, retriable, text)                                     \
  {number, "MILL_" #name, class_, text},
    MILL_ERRORS(MILL_ERROR_NAME)
#undef MILL_ERROR_NAME
};

static const struct name *find_name(int code) {
  static const struct name unknown = {0, "MILL_E_UNKNOWN", "Error", "unknown error"};
  for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
    if (NAMES[i].code == code)
      return &NAMES[i];
  return &unknown;
}

const char *mill_error_name(int code) {
  return find_name(code)->name;
}

const char *mill_error_text(int code) {
  return find_name(code)->text;
}

const char *mill_error_class(int code) {
  return find_name(code)->class_;
}

const char *mill_phase_name(enum mill_phase phase) {
  static const char *const names[] = {"", "connect", "first_chunk", "idle", "total"};
  return (size_t)phase < sizeof names / sizeof *names ? names[phase] : "";
}
