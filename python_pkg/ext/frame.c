/*
 * frame(): one server-sent event that carries a JSON string, as a browser is sent it.
 *
 * Text is escaped as RFC 8259 section 7 demands, and beyond that "<", U+2028 and U+2029, so that what
 * a model says can end no script element and no line of JavaScript wherever a frame is put. A lone
 * surrogate of a str is an escape, as JSON.stringify makes it.
 */
#include "core.h"

#include <string.h>

enum {
  ESCAPE = 6,            /* bytes of \u0000 */
  NUMBER = 32,           /* bytes that \"id: \", any number, a line feed and NUL fit into */
  LONG_TEXT = 64 * 1024, /* from here on the work is longer than taking the GIL again */
  LINE_LEAD = 0xE2,      /* of U+2028 and U+2029 among others */
  SURROGATE_LEAD = 0xED, /* of U+D800 to U+DFFF among others */
};

/* The letter behind the backslash; 'u': by number; 0: stands for itself. */
static const char LETTER[256] = {
    [0x00] = 'u',      [0x01] = 'u',           [0x02] = 'u', [0x03] = 'u',  [0x04] = 'u',
    [0x05] = 'u',      [0x06] = 'u',           [0x07] = 'u', ['\b'] = 'b',  ['\t'] = 't',
    ['\n'] = 'n',      [0x0b] = 'u',           ['\f'] = 'f', ['\r'] = 'r',  [0x0e] = 'u',
    [0x0f] = 'u',      [0x10] = 'u',           [0x11] = 'u', [0x12] = 'u',  [0x13] = 'u',
    [0x14] = 'u',      [0x15] = 'u',           [0x16] = 'u', [0x17] = 'u',  [0x18] = 'u',
    [0x19] = 'u',      [0x1a] = 'u',           [0x1b] = 'u', [0x1c] = 'u',  [0x1d] = 'u',
    [0x1e] = 'u',      [0x1f] = 'u',           ['"'] = '"',  ['\\'] = '\\', ['<'] = 'u',
    [LINE_LEAD] = 'w', [SURROGATE_LEAD] = 'w',
};

/* The code point of three bytes where it must be escaped; 0 where it stands for itself. */
static unsigned wide_escape(const unsigned char *at, size_t left) {
  if (left < 3)
    return 0;
  unsigned point = (at[0] & 0x0fu) << 12 | (at[1] & 0x3fu) << 6 | (at[2] & 0x3fu);
  return point == 0x2028 || point == 0x2029 || (point >= 0xD800 && point <= 0xDFFF) ? point : 0;
}

static size_t escaped_size(mill_slice text) {
  const unsigned char *at = (const unsigned char *)text.ptr;
  size_t size = text.len;
  for (size_t i = 0; i < text.len; i++) {
    char letter = LETTER[at[i]];
    if (!letter)
      continue;
    if (letter == 'w')
      size += wide_escape(at + i, text.len - i) ? ESCAPE - 3 : 0;
    else
      size += letter == 'u' ? ESCAPE - 1 : 1;
  }
  return size;
}

static char *put(char *to, const void *from, size_t len) {
  if (len)
    memcpy(to, from, len);
  return to + len;
}

static char *put_point(char *to, unsigned point) {
  static const char digits[] = "0123456789abcdef";
  *to++ = '\\';
  *to++ = 'u';
  for (int shift = 12; shift >= 0; shift -= 4)
    *to++ = digits[point >> shift & 15];
  return to;
}

static char *put_escaped(char *to, mill_slice text) {
  const unsigned char *at = (const unsigned char *)text.ptr;
  size_t plain = 0; /* from here on nothing was written yet */
  for (size_t i = 0; i < text.len; i++) {
    char letter = LETTER[at[i]];
    if (!letter)
      continue;
    unsigned wide = letter == 'w' ? wide_escape(at + i, text.len - i) : 0;
    if (letter == 'w' && !wide)
      continue;
    to = put(to, at + plain, i - plain);
    if (wide) {
      to = put_point(to, wide);
      i += 2;
    } else if (letter == 'u') {
      to = put_point(to, at[i]);
    } else {
      *to++ = '\\';
      *to++ = letter;
    }
    plain = i + 1;
  }
  return put(to, at + plain, text.len - plain);
}

/* ---- a frame ---------------------------------------------------------------------------------- */

struct frame {
  char number[NUMBER];
  mill_slice head, text, tail;
  size_t size;
  char *to;
};

static void measure(void *argument) {
  struct frame *frame = argument;
  frame->size =
      strlen(frame->number) + frame->head.len + escaped_size(frame->text) + frame->tail.len;
}

static void write_frame(void *argument) {
  struct frame *frame = argument;
  char *to = put(frame->to, frame->number, strlen(frame->number));
  to = put(to, frame->head.ptr, frame->head.len);
  to = put_escaped(to, frame->text);
  put(to, frame->tail.ptr, frame->tail.len);
}

static void work(struct frame *frame, void (*function)(void *)) {
  if (frame->text.len < LONG_TEXT)
    function(frame);
  else
    wait_detached(function, frame);
}

static PyObject *make(struct frame *frame) {
  work(frame, measure);
  PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)frame->size);
  if (!bytes)
    return NULL;
  frame->to = PyBytes_AS_STRING(bytes);
  work(frame, write_frame);
  return bytes;
}

static bool is_ascii(mill_slice text) {
  unsigned char all = 0;
  for (size_t i = 0; i < text.len; i++)
    all |= (unsigned char)text.ptr[i];
  return all < 0x80;
}

/* UTF-8 of a str; `ret_keep` holds it, a new reference. */
static int utf8_of(PyObject *str, mill_slice *ret_text, PyObject **ret_keep) {
  Py_ssize_t len;
  const char *utf8 = PyUnicode_AsUTF8AndSize(str, &len);
  *ret_keep = NULL;
  if (utf8) {
    *ret_keep = Py_NewRef(str);
  } else if (PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) {
    PyErr_Clear();
    *ret_keep = PyUnicode_AsEncodedString(str, "utf-8", "surrogatepass");
    if (*ret_keep) {
      utf8 = PyBytes_AS_STRING(*ret_keep);
      len = PyBytes_GET_SIZE(*ret_keep);
    }
  }
  *ret_text = (mill_slice){utf8, *ret_keep ? (size_t)len : 0};
  return *ret_keep ? 0 : -1;
}

/* The text of a str or a chunk, as `utf8_of`. A chunk's bytes are taken as they are where it can. */
static int text_of(core_state *state, PyObject *object, mill_slice *ret_text, PyObject **ret_keep) {
  if (PyUnicode_Check(object))
    return utf8_of(object, ret_text, ret_keep);
  if (!Py_IS_TYPE(object, state->chunk_type)) {
    PyErr_Format(PyExc_TypeError, "frame: a str or a Chunk, not %s", Py_TYPE(object)->tp_name);
    return -1;
  }
  *ret_text = chunk_text(object);
  *ret_keep = Py_NewRef(object);
  if (is_ascii(*ret_text))
    return 0;
  PyObject *str = slice_to_str(*ret_text);
  Py_DECREF(object);
  int result = str ? utf8_of(str, ret_text, ret_keep) : -1;
  Py_XDECREF(str);
  return result;
}

/* A bytes object that stays the caller's; -1 with an exception. */
static int bytes_of(PyObject *object, mill_slice *ret_slice) {
  if (!PyBytes_Check(object)) {
    PyErr_Format(PyExc_TypeError, "frame: bytes are needed, not %s", Py_TYPE(object)->tp_name);
    return -1;
  }
  *ret_slice = (mill_slice){PyBytes_AS_STRING(object), (size_t)PyBytes_GET_SIZE(object)};
  return 0;
}

static int put_number(struct frame *frame, PyObject *object) {
  long long number = PyLong_AsLongLong(object);
  if (number == -1 && PyErr_Occurred())
    return -1;
  if (number >= 0)
    PyOS_snprintf(frame->number, sizeof frame->number, "id: %lld\n", number);
  return 0;
}

PyObject *frame_new(PyObject *module, PyObject *const *args, Py_ssize_t n) {
  struct frame frame = {.size = 0};
  PyObject *keep, *bytes;
  if (n < 3 || n > 4) {
    PyErr_Format(PyExc_TypeError, "frame: 3 or 4 arguments are needed, not %zd", n);
    return NULL;
  }
  if (bytes_of(args[0], &frame.head) || bytes_of(args[2], &frame.tail) ||
      (n == 4 && put_number(&frame, args[3])) ||
      text_of(PyModule_GetState(module), args[1], &frame.text, &keep))
    return NULL;
  bytes = make(&frame);
  Py_DECREF(keep);
  return bytes;
}
