/*
 * PartialJSON: the value of a JSON text that is still being written, growing in place.
 *
 * Owns: the parser, the value, and what is open in it. Thread: any, one call at a time; the others
 * wait for their turn. Blocks: only for that. The GIL: a large piece is parsed without it, and what
 * that found becomes Python objects with it; a small one takes less time than a release.
 * The open string must not be copied for each piece: it is taken out of its place for a moment, so
 * that the only reference to it is here, which lets CPython lengthen it where it is.
 */
#include "core.h"

#include <string.h>

/*
 * Pieces from this size on are parsed without the GIL, this much at a time. Less is not worth it: to
 * take the GIL back may cost the 5 ms of a switch interval where another thread computes.
 */
#define DETACHED_BYTES 65536
#define FIRST_LEVELS 8
#define FIRST_BYTES 256
#define MAX_SHARED_KEYS 1024 /* keys that come again are one str, as json.loads has it */

/* Bytes that are gathered for a str. */
struct growth {
  char *ptr;
  size_t len, capacity;
};

/* An open container, and the place in it that the last value went to. */
struct level {
  PyObject *container; /* a dict or list */
  PyObject *key;       /* in a dict; NULL in a list */
  Py_ssize_t index;    /* in a list */
};

typedef struct {
  PyObject_HEAD
  core_state *state;
  mill_partial *partial;
  PyThread_type_lock turn; /* one call at a time */
  unsigned long owner;     /* the thread whose turn it is; 0: none. With the GIL, or in the object's
                              critical section, as all the rest but the parser */
  struct tape *tape;       /* what is parsed goes here: there is no GIL. Else NULL */
  bool done;               /* as the parser was when it was last looked at */
  bool failed;             /* a call could not be brought to its end */

  PyObject *root;       /* NULL before it begins */
  struct level *levels; /* outermost first */
  size_t depth, capacity;
  PyObject *text;        /* the open string, which is also in its place; NULL: none is open */
  struct growth pending; /* of it, not in `text` yet */

  PyObject *log;        /* changes since the last look; NULL before the first one */
  struct growth logged; /* of the open string, not in the log yet */
  bool begins;          /* its beginning is not there yet either */
  bool replaces;        /* ... and takes the place of another value */

  PyObject *repairs;
  PyObject *snapshot; /* the last one, until something changes */
  PyObject *keys;     /* shared ones, by themselves */
} PartialObject;

/* ---- bytes ------------------------------------------------------------------------------------ */

static int append(struct growth *growth, mill_slice bytes) {
  if (bytes.len > growth->capacity - growth->len) {
    size_t capacity = 2 * (growth->len + bytes.len);
    capacity = capacity < FIRST_BYTES ? FIRST_BYTES : capacity;
    char *ptr = PyMem_Realloc(growth->ptr, capacity);
    if (!ptr) {
      PyErr_NoMemory();
      return -1;
    }
    growth->ptr = ptr;
    growth->capacity = capacity;
  }
  memcpy(growth->ptr + growth->len, bytes.ptr, bytes.len);
  growth->len += bytes.len;
  return 0;
}

static PyObject *take(struct growth *growth) {
  PyObject *text = PyUnicode_DecodeUTF8(growth->ptr, (Py_ssize_t)growth->len, NULL);
  growth->len = 0;
  return text;
}

/* ---- the log ---------------------------------------------------------------------------------- */

static PyObject *slot_of(const struct level *level) {
  return level->key ? Py_NewRef(level->key) : PyLong_FromSsize_t(level->index);
}

/* Where the last value in the outermost `depth` containers went to. */
static PyObject *make_path(PartialObject *self, size_t depth) {
  PyObject *path = PyTuple_New((Py_ssize_t)depth);
  for (size_t i = 0; path && i < depth; i++) {
    PyObject *slot = slot_of(&self->levels[i]);
    if (slot)
      PyTuple_SET_ITEM(path, (Py_ssize_t)i, slot);
    else
      Py_CLEAR(path);
  }
  return path;
}

/* Takes `value` over, which may be NULL with an exception. */
static int record(PartialObject *self, enum partial_change kind, size_t depth, PyObject *value,
                  bool complete) {
  PyObject *path = value ? make_path(self, depth) : NULL;
  PyObject *change = path ? PyStructSequence_New(self->state->change_type) : NULL;
  if (!change) {
    Py_XDECREF(path);
    Py_XDECREF(value);
    return -1;
  }
  PyStructSequence_SetItem(change, 0, path);
  PyStructSequence_SetItem(change, 1, Py_NewRef(self->state->change_kinds[kind]));
  PyStructSequence_SetItem(change, 2, value);
  PyStructSequence_SetItem(change, 3, PyBool_FromLong(complete));
  int result = PyList_Append(self->log, change);
  Py_DECREF(change);
  return result;
}

/* What the open string has become since it was last recorded. */
static int record_text(PartialObject *self, bool complete) {
  if (!self->log || (!self->begins && !self->logged.len && !complete))
    return 0;
  enum partial_change kind = !self->begins    ? PARTIAL_GROW
                             : self->replaces ? PARTIAL_REPLACE
                                              : PARTIAL_SET;
  self->begins = false;
  return record(self, kind, self->depth, take(&self->logged), complete);
}

static int record_value(PartialObject *self, PyObject *value, bool replaces, bool complete) {
  if (!self->log)
    return 0;
  return record(self, replaces ? PARTIAL_REPLACE : PARTIAL_SET, self->depth, Py_XNewRef(value),
                complete);
}

/* ---- the value -------------------------------------------------------------------------------- */

static struct level *innermost(PartialObject *self) {
  return self->depth ? &self->levels[self->depth - 1] : NULL;
}

static PyObject *make_key(PartialObject *self, mill_slice text) {
  PyObject *key = slice_to_str(text);
  if (!key || PyDict_GET_SIZE(self->keys) >= MAX_SHARED_KEYS)
    return key;
  PyObject *shared = PyDict_SetDefault(self->keys, key, key);
  Py_XINCREF(shared);
  Py_DECREF(key);
  return shared;
}

/* A value in the place of the last one. */
static int set_again(PartialObject *self, PyObject *value) {
  struct level *level = innermost(self);
  if (!level)
    Py_XSETREF(self->root, Py_NewRef(value));
  else if (level->key)
    return PyDict_SetItem(level->container, level->key, value);
  else
    return PyList_SetItem(level->container, level->index, Py_NewRef(value));
  return 0;
}

static int is_there(PartialObject *self, const struct level *level) {
  return self->log ? PyDict_Contains(level->container, level->key) : 0;
}

/* A new value. 1 where it replaces another one and that is of interest, 0, or -1. */
static int place(PartialObject *self, const mill_partial_change *change, PyObject *value) {
  struct level *level = innermost(self);
  int replaces = 0;
  if (level && !change->key.ptr) {
    level->index = PyList_GET_SIZE(level->container);
    return PyList_Append(level->container, value);
  }
  if (level) {
    Py_XSETREF(level->key, make_key(self, change->key));
    replaces = level->key ? is_there(self, level) : -1;
  }
  return replaces < 0 || set_again(self, value) ? -1 : replaces;
}

static int open_level(PartialObject *self, PyObject *container) {
  if (self->depth == self->capacity) {
    size_t capacity = self->capacity ? 2 * self->capacity : FIRST_LEVELS;
    void *levels = PyMem_Realloc(self->levels, capacity * sizeof *self->levels);
    if (!levels) {
      PyErr_NoMemory();
      return -1;
    }
    self->levels = levels;
    self->capacity = capacity;
  }
  self->levels[self->depth++] = (struct level){.container = Py_NewRef(container)};
  return 0;
}

static void close_level(PartialObject *self) {
  struct level level = self->levels[--self->depth];
  Py_XDECREF(level.key);
  Py_DECREF(level.container);
}

/* The open string becomes as long as what came. */
static int flush(PartialObject *self) {
  if (!self->pending.len)
    return 0;
  PyObject *piece = take(&self->pending);
  if (!piece)
    return -1;
  if (PyUnicode_GET_LENGTH(self->text) == 0) {
    Py_SETREF(self->text, piece);
    return set_again(self, piece);
  }
  if (set_again(self, Py_None)) {
    Py_DECREF(piece);
    return -1;
  }
  PyUnicode_Append(&self->text, piece);
  Py_DECREF(piece);
  return self->text ? set_again(self, self->text) : -1;
}

/* ---- one function a change -------------------------------------------------------------------- */

/* Takes `container` over. */
static int begin_container(PartialObject *self, const mill_partial_change *change,
                           PyObject *container) {
  const bool object = change->kind == MILL_PARTIAL_OBJECT;
  int replaces = container ? place(self, change, container) : -1;
  if (replaces >= 0 && self->log) { /* the log's is the reader's own */
    PyObject *empty = object ? PyDict_New() : PyList_New(0);
    replaces = record_value(self, empty, replaces, false) ? -1 : 0;
    Py_XDECREF(empty);
  }
  int result = replaces < 0 ? -1 : open_level(self, container);
  Py_XDECREF(container);
  return result;
}

static int begin_text(PartialObject *self, const mill_partial_change *change) {
  int replaces = place(self, change, self->state->empty);
  if (replaces < 0)
    return -1;
  Py_XSETREF(self->text, Py_NewRef(self->state->empty));
  self->begins = true;
  self->replaces = replaces;
  return 0;
}

static int grow_text(PartialObject *self, const mill_partial_change *change) {
  if (self->log && append(&self->logged, change->text))
    return -1;
  return append(&self->pending, change->text);
}

/* Takes `value` over. */
static int take_scalar(PartialObject *self, const mill_partial_change *change, PyObject *value) {
  int replaces = value ? place(self, change, value) : -1;
  int result = replaces < 0 ? -1 : record_value(self, value, replaces, true);
  Py_XDECREF(value);
  return result;
}

static PyObject *make_number(mill_slice text) {
  char literal[MILL_PARTIAL_TOKEN_BYTES + 1];
  memcpy(literal, text.ptr, text.len);
  literal[text.len] = '\0';
  if (!strpbrk(literal, ".eENI")) /* the last two: NaN, Infinity */
    return PyLong_FromString(literal, NULL, 10);
  double number = PyOS_string_to_double(literal, NULL, NULL);
  return number == -1.0 && PyErr_Occurred() ? NULL : PyFloat_FromDouble(number);
}

static int end_value(PartialObject *self) {
  if (self->text) {
    int result = flush(self) || record_text(self, true) ? -1 : 0;
    Py_CLEAR(self->text);
    return result;
  }
  close_level(self);
  return self->log ? record(self, PARTIAL_END, self->depth, Py_NewRef(Py_None), true) : 0;
}

static int take_repair(PartialObject *self, const mill_partial_change *change) {
  PyObject *repair = PyStructSequence_New(self->state->repair_type);
  PyObject *offset = repair ? PyLong_FromUnsignedLongLong(change->offset) : NULL;
  if (!offset) {
    Py_XDECREF(repair);
    return -1;
  }
  PyStructSequence_SetItem(repair, 0, offset);
  PyStructSequence_SetItem(repair, 1, Py_NewRef(self->state->repair_kinds[change->repair]));
  int result = PyList_Append(self->repairs, repair);
  Py_DECREF(repair);
  return result;
}

static int take_change(PartialObject *self, const mill_partial_change *change) {
  switch (change->kind) {
  case MILL_PARTIAL_OBJECT:
    return begin_container(self, change, PyDict_New());
  case MILL_PARTIAL_ARRAY:
    return begin_container(self, change, PyList_New(0));
  case MILL_PARTIAL_STRING:
    return begin_text(self, change);
  case MILL_PARTIAL_TEXT:
    return grow_text(self, change);
  case MILL_PARTIAL_NUMBER:
    return take_scalar(self, change, make_number(change->text));
  case MILL_PARTIAL_TRUE:
    return take_scalar(self, change, Py_NewRef(Py_True));
  case MILL_PARTIAL_FALSE:
    return take_scalar(self, change, Py_NewRef(Py_False));
  case MILL_PARTIAL_NULL:
    return take_scalar(self, change, Py_NewRef(Py_None));
  case MILL_PARTIAL_END:
    return end_value(self);
  case MILL_PARTIAL_REPAIR:
    break;
  }
  return take_repair(self, change);
}

static int apply(void *ctx, const mill_partial_change *change) {
  PartialObject *self = ctx;
  self->failed = take_change(self, change) != 0;
  return self->failed ? MILL_E_CANCELLED : MILL_OK;
}

static int on_change(void *ctx, const mill_partial_change *change) {
  PartialObject *self = ctx;
  return self->tape ? tape_record(self->tape, change) : apply(self, change);
}

/* ---- calls ------------------------------------------------------------------------------------ */

/* Waits for other threads' calls; one that a finalizer, say, begins inside of another is refused. */
static int begin_call(PartialObject *self) {
  unsigned long thread = PyThread_get_thread_ident();
  if (self->owner == thread) {
    PyErr_SetString(PyExc_RuntimeError, "another call of this PartialJSON is under way");
    return -1;
  }
  if (wait_for_lock(self->turn))
    return -1;
  if (self->failed) {
    PyThread_release_lock(self->turn);
    PyErr_SetString(PyExc_RuntimeError, "an earlier call failed, and the value is not whole");
    return -1;
  }
  self->owner = thread;
  return 0;
}

static void end_call(PartialObject *self) {
  self->owner = 0;
  PyThread_release_lock(self->turn);
}

/* Always NULL. */
static PyObject *raise_error(PartialObject *self, int code) {
  uint64_t offset = 0;
  char text[200];
  if (PyErr_Occurred())
    return NULL;
  const char *why = mill_partial_error(self->partial, &offset);
  if (!why) {
    PyErr_SetString(PyExc_ValueError, "the text was ended by finish()");
    return NULL;
  }
  snprintf(text, sizeof text, "%s (at byte %llu)", why, (unsigned long long)offset);
  return error_raise_at(self->state, code, text, (int64_t)offset);
}

struct parse {
  mill_partial *partial;
  mill_slice bytes;
  int code;
};

static void parse(void *argument) {
  struct parse *work = argument;
  work->code = mill_partial_feed(work->partial, work->bytes.ptr, work->bytes.len);
}

/* What came before a fault is in the value. */
static int feed_detached(PartialObject *self, struct tape *tape, mill_slice bytes) {
  struct parse work = {.partial = self->partial, .bytes = bytes};
  self->tape = tape;
  wait_detached(parse, &work);
  self->tape = NULL;
  return tape_play(tape, apply, self) ? MILL_E_CANCELLED : work.code;
}

static int feed_bytes(PartialObject *self, const char *bytes, size_t len) {
  struct tape tape = {0};
  int code = MILL_OK;
  for (; len >= DETACHED_BYTES && code == MILL_OK; bytes += DETACHED_BYTES, len -= DETACHED_BYTES)
    code = feed_detached(self, &tape, (mill_slice){bytes, DETACHED_BYTES});
  if (code == MILL_OK)
    code = mill_partial_feed(self->partial, bytes, len);
  tape_free(&tape);
  self->failed = self->failed || flush(self);
  self->done = mill_partial_done(self->partial);
  return self->failed ? MILL_E_CANCELLED : code;
}

static int feed_text(PartialObject *self, const char *bytes, Py_ssize_t len) {
  if (begin_call(self))
    return MILL_E_CANCELLED;
  Py_CLEAR(self->snapshot);
  int code = feed_bytes(self, bytes, (size_t)len);
  end_call(self);
  return code;
}

static PyObject *partial_feed(PyObject *object, PyObject *text) {
  PartialObject *self = (PartialObject *)object;
  Py_buffer view = {.buf = NULL};
  const char *bytes;
  Py_ssize_t len;
  int code;
  if (PyUnicode_Check(text)) {
    bytes = PyUnicode_AsUTF8AndSize(text, &len);
    if (!bytes)
      return NULL;
  } else if (!PyObject_GetBuffer(text, &view, PyBUF_SIMPLE)) {
    bytes = view.buf;
    len = view.len;
  } else {
    return NULL;
  }
  Py_BEGIN_CRITICAL_SECTION(self);
  code = feed_text(self, bytes, len);
  Py_END_CRITICAL_SECTION();
  PyBuffer_Release(&view);
  if (code != MILL_OK)
    return raise_error(self, code);
  Py_RETURN_NONE;
}

static PyObject *get_value(PyObject *object, void *unused) {
  PartialObject *self = (PartialObject *)object;
  PyObject *value;
  Py_BEGIN_CRITICAL_SECTION(self);
  value = Py_NewRef(self->root ? self->root : Py_None);
  Py_END_CRITICAL_SECTION();
  return value;
}

static int finish_text(PartialObject *self) {
  if (begin_call(self))
    return MILL_E_CANCELLED;
  Py_CLEAR(self->snapshot);
  int code = mill_partial_finish(self->partial);
  self->done = mill_partial_done(self->partial);
  end_call(self);
  return code;
}

static PyObject *partial_finish(PyObject *object, PyObject *unused) {
  PartialObject *self = (PartialObject *)object;
  int code;
  Py_BEGIN_CRITICAL_SECTION(self);
  code = finish_text(self);
  Py_END_CRITICAL_SECTION();
  return code == MILL_OK ? get_value(object, NULL) : raise_error(self, code);
}

/* ---- copies ----------------------------------------------------------------------------------- */

/* `copy` in its parent's place, where that still has one. */
static int put_copy(const struct level *level, PyObject *parent, PyObject *copy) {
  if (level->key)
    return PyDict_SetItem(parent, level->key, copy);
  return PyList_SetItem(parent, level->index, Py_NewRef(copy));
}

static PyObject *copy_container(PyObject *container) {
  if (PyDict_CheckExact(container))
    return PyDict_Copy(container);
  return PyList_GetSlice(container, 0, PY_SSIZE_T_MAX);
}

/* The open containers are copied, what is complete is shared. */
static PyObject *copy_value(PartialObject *self) {
  PyObject *inner = NULL;
  for (size_t i = self->depth; i-- > 0;) {
    PyObject *copy = copy_container(self->levels[i].container);
    if (copy && inner && put_copy(&self->levels[i], copy, inner))
      Py_CLEAR(copy);
    Py_XSETREF(inner, copy);
    if (!copy)
      return NULL;
  }
  return inner ? inner : Py_NewRef(self->root ? self->root : Py_None);
}

static PyObject *make_snapshot(PartialObject *self) {
  if (begin_call(self))
    return NULL;
  if (!self->snapshot)
    self->snapshot = copy_value(self);
  end_call(self);
  return Py_XNewRef(self->snapshot);
}

static PyObject *partial_snapshot(PyObject *object, PyObject *unused) {
  PyObject *snapshot;
  Py_BEGIN_CRITICAL_SECTION(object);
  snapshot = make_snapshot((PartialObject *)object);
  Py_END_CRITICAL_SECTION();
  return snapshot;
}

/* The first look: all that came before is one change. */
static int begin_log(PartialObject *self) {
  self->log = PyList_New(0);
  self->begins = false;
  if (!self->log || !self->root)
    return self->log ? 0 : -1;
  return record(self, PARTIAL_SET, 0, copy_value(self), self->done);
}

static PyObject *take_changes(PartialObject *self) {
  PyObject *next = PyList_New(0), *changes = NULL;
  if (!next || begin_call(self)) {
    Py_XDECREF(next);
    return NULL;
  }
  int result = self->log ? (self->text ? record_text(self, false) : 0) : begin_log(self);
  if (result == 0) {
    changes = self->log;
    self->log = next;
  } else {
    Py_DECREF(next);
  }
  end_call(self);
  return changes;
}

static PyObject *partial_changes(PyObject *object, PyObject *unused) {
  PyObject *changes;
  Py_BEGIN_CRITICAL_SECTION(object);
  changes = take_changes((PartialObject *)object);
  Py_END_CRITICAL_SECTION();
  return changes;
}

static PyObject *get_done(PyObject *object, void *unused) {
  bool done;
  Py_BEGIN_CRITICAL_SECTION(object);
  done = ((PartialObject *)object)->done;
  Py_END_CRITICAL_SECTION();
  return PyBool_FromLong(done);
}

static PyObject *get_repairs(PyObject *object, void *unused) {
  return PyList_AsTuple(((PartialObject *)object)->repairs);
}

/* ---- the type --------------------------------------------------------------------------------- */

static int make_parser(PartialObject *self, const mill_partial_options *options) {
  self->repairs = PyList_New(0);
  self->keys = PyDict_New();
  if (!self->repairs || !self->keys)
    return -1;
  self->turn = PyThread_allocate_lock();
  if (!self->turn) {
    PyErr_NoMemory();
    return -1;
  }
  int code = mill_partial_new(options, on_change, self, &self->partial);
  if (code == MILL_E_ARG)
    PyErr_SetString(PyExc_ValueError, "PartialJSON: an option is out of its range");
  else if (code != MILL_OK)
    PyErr_NoMemory();
  return code == MILL_OK ? 0 : -1;
}

static PyObject *partial_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  static char *names[] = {"lenient", "roots", "max_depth", "text_bytes", NULL};
  mill_partial_options options;
  mill_partial_options_init(&options);
  int lenient = 0, max_depth = (int)options.max_depth;
  Py_ssize_t text_bytes = (Py_ssize_t)options.text_bytes;
  core_state *state = core_state_of_type(type);
  if (!state || !PyArg_ParseTupleAndKeywords(args, kwargs, "|$pIin:PartialJSON", names, &lenient,
                                             &options.roots, &max_depth, &text_bytes))
    return NULL;
  options.lenient = lenient;
  options.max_depth = max_depth > 0 ? (unsigned)max_depth : 0;
  options.text_bytes = text_bytes > 0 ? (size_t)text_bytes : 0;
  PartialObject *self = (PartialObject *)type->tp_alloc(type, 0);
  if (!self)
    return NULL;
  self->state = state;
  if (make_parser(self, &options)) {
    Py_DECREF(self);
    return NULL;
  }
  return (PyObject *)self;
}

static int partial_traverse(PyObject *object, visitproc visit, void *arg) {
  PartialObject *self = (PartialObject *)object;
  Py_VISIT(Py_TYPE(object));
  Py_VISIT(self->root);
  Py_VISIT(self->text);
  Py_VISIT(self->log);
  Py_VISIT(self->repairs);
  Py_VISIT(self->snapshot);
  Py_VISIT(self->keys);
  for (size_t i = 0; i < self->depth; i++)
    Py_VISIT(self->levels[i].container);
  return 0;
}

/* From here on every call raises. */
static int partial_clear(PyObject *object) {
  PartialObject *self = (PartialObject *)object;
  self->failed = true;
  while (self->depth > 0)
    close_level(self);
  Py_CLEAR(self->root);
  Py_CLEAR(self->text);
  Py_CLEAR(self->log);
  Py_CLEAR(self->snapshot);
  return 0;
}

static void partial_dealloc(PyObject *object) {
  PartialObject *self = (PartialObject *)object;
  PyTypeObject *type = Py_TYPE(object);
  PyObject_GC_UnTrack(object);
  partial_clear(object);
  Py_CLEAR(self->repairs);
  Py_CLEAR(self->keys);
  mill_partial_free(self->partial);
  if (self->turn)
    PyThread_free_lock(self->turn);
  PyMem_Free(self->levels);
  PyMem_Free(self->pending.ptr);
  PyMem_Free(self->logged.ptr);
  type->tp_free(object);
  Py_DECREF(type);
}

static PyGetSetDef partial_getset[] = {
    {"value", get_value, NULL,
     "The value as far as it has come; None before it begins. It grows in place: the same dict or\n"
     "list each time, with what has come since. Strings grow; a number, true, false or null is\n"
     "there when the byte behind it has come; an object in a list, with its first member.",
     NULL},
    {"done", get_done, NULL,
     "True when the value is complete. One that is a number, true, false or null as a whole is\n"
     "known to be so only by finish().",
     NULL},
    {"repairs", get_repairs, NULL,
     "The Repairs made so far, in order; always () where `lenient` is not set.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef partial_methods[] = {
    {"feed", partial_feed, METH_O,
     "feed($self, text, /)\n--\n\n"
     "Take the next piece of the text: str, or UTF-8 bytes, cut anywhere. Raises ProtocolError\n"
     "where it is no JSON (byte_offset says where), LimitExceeded where it is too long or too\n"
     "deep; the value then is what came before."},
    {"finish", partial_finish, METH_NOARGS,
     "finish($self, /)\n--\n\n"
     "Say that the text has ended, and return the value. Raises ProtocolError where there is\n"
     "none, or, unless lenient, where it is cut."},
    {"changes", partial_changes, METH_NOARGS,
     "changes($self, /)\n--\n\n"
     "The Changes since the last call, in order. They are kept from the first call on, which\n"
     "gives the value so far as one change."},
    {"snapshot", partial_snapshot, METH_NOARGS,
     "snapshot($self, /)\n--\n\n"
     "The value as it is now, which later pieces do not change. Only containers that are still\n"
     "open are copied; what is complete is shared with the value and other snapshots."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot partial_slots[] = {
    {Py_tp_doc, "PartialJSON(*, lenient=False, roots=7, max_depth=512, text_bytes=67108864)\n--\n\n"
                "A JSON text that is still being written, and its value so far."},
    {Py_tp_new, partial_new},
    {Py_tp_dealloc, partial_dealloc},
    {Py_tp_traverse, partial_traverse},
    {Py_tp_clear, partial_clear},
    {Py_tp_methods, partial_methods},
    {Py_tp_getset, partial_getset},
    {0, NULL},
};

PyType_Spec partial_spec = {
    .name = "millstream._core.PartialJSON",
    .basicsize = sizeof(PartialObject),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = partial_slots,
};

/* ---- records ---------------------------------------------------------------------------------- */

static PyStructSequence_Field change_fields[] = {
    {"path", "the keys and indexes that lead to the value, outermost first; () is the root"},
    {"kind", "\"set\": `value` is there now; \"replace\": in place of the one that its key had; "
             "\"grow\": the string has grown by `value`; \"end\": the dict or list is complete"},
    {"value", "a dict or list is empty when it is set; None for \"end\""},
    {"complete", "nothing of the value at `path` is still to come"},
    {NULL, NULL},
};

static PyStructSequence_Desc change_desc = {
    "millstream.Change", "One change of a PartialJSON's value.", change_fields, 4};

static PyStructSequence_Field repair_fields[] = {
    {"offset", "in the text, in bytes of its UTF-8"},
    {"kind", "what was put right, such as \"trailing_comma\""},
    {NULL, NULL},
};

static PyStructSequence_Desc repair_desc = {
    "millstream.Repair", "Something that is no JSON, put right in lenient mode.", repair_fields, 2};

static int make_words(core_state *state) {
  static const char *const kinds[] = {"set", "replace", "grow", "end"};
  for (int i = 0; i < PARTIAL_CHANGES; i++)
    if (!(state->change_kinds[i] = PyUnicode_InternFromString(kinds[i])))
      return -1;
  for (int i = 0; i < MILL_REPAIR_COUNT; i++)
    if (!(state->repair_kinds[i] = PyUnicode_InternFromString(mill_repair_name(i))))
      return -1;
  return 0;
}

int partial_init(PyObject *module, core_state *state) {
  if (make_words(state))
    return -1;
  state->change_type = PyStructSequence_NewType(&change_desc);
  state->repair_type = PyStructSequence_NewType(&repair_desc);
  if (!state->change_type || !state->repair_type || PyModule_AddType(module, state->change_type))
    return -1;
  return PyModule_AddType(module, state->repair_type);
}
