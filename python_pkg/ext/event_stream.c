/*
 * EventStream: the iterator over an event source, and the Comment that it may give beside Events.
 * What the core tells of its connections goes to `on_state`, in order with the items.
 */
#include "core.h"

#include <structmember.h>

typedef struct {
  StreamObject stream;
  PyObject *on_state; /* a callable, or None; NULL before it is set */
  atomic_bool told;   /* it heard of the end */
} EventStreamObject;

/* ---- Comment ---------------------------------------------------------------------------------- */

typedef struct {
  PyObject_HEAD
  PyObject *text; /* a str */
} CommentObject;

static PyObject *comment_of(PyTypeObject *type, PyObject *text) {
  CommentObject *self = text ? (CommentObject *)type->tp_alloc(type, 0) : NULL;
  if (self)
    self->text = text;
  else
    Py_XDECREF(text);
  return (PyObject *)self;
}

static PyObject *comment_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  static char *names[] = {"text", NULL};
  PyObject *text;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "U:Comment", names, &text))
    return NULL;
  return comment_of(type, Py_NewRef(text));
}

static void comment_dealloc(PyObject *self) {
  PyTypeObject *type = Py_TYPE(self);
  Py_XDECREF(((CommentObject *)self)->text);
  type->tp_free(self);
  Py_DECREF(type);
}

static PyObject *comment_repr(PyObject *self) {
  return PyUnicode_FromFormat("Comment(%R)", ((CommentObject *)self)->text);
}

static PyObject *comment_richcompare(PyObject *left, PyObject *right, int op) {
  if (Py_TYPE(left) != Py_TYPE(right) || (op != Py_EQ && op != Py_NE))
    Py_RETURN_NOTIMPLEMENTED;
  return PyObject_RichCompare(((CommentObject *)left)->text, ((CommentObject *)right)->text, op);
}

static Py_hash_t comment_hash(PyObject *self) {
  return PyObject_Hash(((CommentObject *)self)->text);
}

static PyMemberDef comment_members[] = {
    {"text", T_OBJECT_EX, offsetof(CommentObject, text), READONLY,
     "What stands behind the colon, nothing stripped; invalid UTF-8 is U+FFFD."},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot comment_slots[] = {
    {Py_tp_doc, "Comment(text)\n--\n\nA comment of an event stream. Immutable."},
    {Py_tp_new, comment_new},
    {Py_tp_dealloc, comment_dealloc},
    {Py_tp_repr, comment_repr},
    {Py_tp_richcompare, comment_richcompare},
    {Py_tp_hash, comment_hash},
    {Py_tp_members, comment_members},
    {0, NULL},
};

PyType_Spec comment_spec = {
    .name = "millstream.Comment",
    .basicsize = sizeof(CommentObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = comment_slots,
};

/* ---- life ------------------------------------------------------------------------------------- */

static int event_stream_traverse(PyObject *op, visitproc visit, void *arg) {
  Py_VISIT(Py_TYPE(op));
  Py_VISIT(((EventStreamObject *)op)->on_state); /* it often knows the stream */
  return 0;
}

static int event_stream_clear(PyObject *op) {
  Py_CLEAR(((EventStreamObject *)op)->on_state);
  return 0;
}

static void event_stream_dealloc(PyObject *op) {
  PyObject_GC_UnTrack(op);
  event_stream_clear(op);
  stream_dealloc(op);
}

/* ---- taking ----------------------------------------------------------------------------------- */

static bool listens(const EventStreamObject *self) {
  return self->on_state && self->on_state != Py_None;
}

/* Call on_state, where there is one, with the exception (or None); 0, or -1 with what it raised. */
static int tell(EventStreamObject *self, const char *state, PyObject *error) {
  if (!listens(self))
    return 0;
  PyObject *on_state = Py_NewRef(self->on_state);
  PyObject *result = PyObject_CallFunction(on_state, "sO", state, error);
  Py_DECREF(on_state);
  Py_XDECREF(result);
  return result ? 0 : -1;
}

/* The end, with an exception where it is an error. Always NULL. */
static PyObject *take_end(EventStreamObject *self, int code) {
  bool closed = code == MILL_E_CANCELLED && atomic_load(&self->stream.closed);
  bool failed = code != MILL_END && !closed;
  if (failed)
    engine_hold_daemon();
  PyObject *error = failed ? error_new(&self->stream, mill_stream_error(self->stream.stream))
                           : Py_NewRef(Py_None);
  if (!error)
    return NULL;
  int result = atomic_exchange(&self->told, true) ? 0 : tell(self, "closed", error);
  if (!result && error != Py_None)
    PyErr_SetObject((PyObject *)Py_TYPE(error), error);
  Py_DECREF(error);
  return NULL;
}

/* What stands for an item in Python; of a change of state what on_state is told with it. */
static PyObject *wrap_item(EventStreamObject *self, const mill_item *item) {
  core_state *state = self->stream.state;
  switch (item->type) {
  case MILL_ITEM_EVENT:
    return event_new(state, &item->event);
  case MILL_ITEM_COMMENT:
    return comment_of(state->comment_type, slice_to_str(item->comment));
  case MILL_ITEM_OPENED:
    break;
  case MILL_ITEM_LOST:
    if (listens(self) && item->error->code)
      return error_new(&self->stream, item->error);
  }
  return Py_NewRef(Py_None);
}

/* The next Event or Comment without waiting; NotImplemented where none is there, NULL at the end. */
static PyObject *take_item(EventStreamObject *self) {
  for (;;) {
    mill_item item;
    PyObject *object = NULL;
    int code;
    Py_BEGIN_CRITICAL_SECTION(self);
    code = mill_stream_next_item(self->stream.stream, &item);
    if (code == MILL_OK)
      object = wrap_item(self, &item);
    Py_END_CRITICAL_SECTION();
    if (code == MILL_AGAIN)
      return Py_NewRef(Py_NotImplemented);
    if (code != MILL_OK)
      return take_end(self, code);
    if (!object || item.type == MILL_ITEM_EVENT || item.type == MILL_ITEM_COMMENT)
      return object;
    int result = tell(self, item.type == MILL_ITEM_OPENED ? "open" : "connecting", object);
    Py_DECREF(object);
    if (result)
      return NULL;
  }
}

static PyObject *event_stream_iternext(PyObject *op) {
  EventStreamObject *self = (EventStreamObject *)op;
  int64_t taken_ns = 0;
  PyObject *object;
  while ((object = take_item(self)) == Py_NotImplemented) {
    Py_DECREF(object);
    if (wait_for_stream(&self->stream, MILL_WAIT_CHUNK, -1))
      return NULL;
    taken_ns = wait_clock_ns();
  }
  if (taken_ns)
    wait_handed_over(&self->stream, taken_ns);
  return object;
}

static PyObject *poll_item(PyObject *op, PyObject *unused) {
  PyObject *object = take_item((EventStreamObject *)op);
  return object || PyErr_Occurred() ? object : Py_NewRef(Py_None);
}

static PyObject *event_stream_take_item(PyObject *self, PyObject *unused) {
  return take_new((StreamObject *)self, poll_item, TAKE_ITEM);
}

/* ---- facts ------------------------------------------------------------------------------------ */

static PyObject *event_stream_restart(PyObject *self, PyObject *unused) {
  mill_stream_restart(((StreamObject *)self)->stream);
  Py_RETURN_NONE;
}

static PyObject *get_last_event_id(PyObject *self, void *unused) {
  mill_source_status status;
  PyObject *id;
  Py_BEGIN_CRITICAL_SECTION(self);
  mill_stream_source_status(((StreamObject *)self)->stream, &status);
  id = slice_to_str(status.last_event_id);
  Py_END_CRITICAL_SECTION();
  return id;
}

static PyObject *get_retry(PyObject *self, void *unused) {
  mill_source_status status;
  Py_BEGIN_CRITICAL_SECTION(self);
  mill_stream_source_status(((StreamObject *)self)->stream, &status);
  Py_END_CRITICAL_SECTION();
  return PyFloat_FromDouble((double)status.retry_ms / 1000);
}

static PyObject *get_state(PyObject *self, void *unused) {
  static const char *const names[] = {
      [MILL_SOURCE_CONNECTING] = "connecting",
      [MILL_SOURCE_OPEN] = "open",
      [MILL_SOURCE_CLOSED] = "closed",
  };
  mill_source_status status;
  Py_BEGIN_CRITICAL_SECTION(self);
  mill_stream_source_status(((StreamObject *)self)->stream, &status);
  Py_END_CRITICAL_SECTION();
  return PyUnicode_InternFromString(names[status.state]);
}

/* ---- the two types ---------------------------------------------------------------------------- */

static PyMethodDef base_methods[] = {
    {"restart", event_stream_restart, METH_NOARGS,
     "restart($self, /)\n--\n\n"
     "Drop the connection and reconnect at once, without an error; from any thread."},
    {"_take_item", event_stream_take_item, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef base_getset[] = {
    {"last_event_id", get_last_event_id, NULL,
     "The id to go on from, as the items taken so far left it; \"\" where there is none.", NULL},
    {"retry", get_retry, NULL,
     "Seconds before it reconnects: initial_retry, or what the server said last.", NULL},
    {"state", get_state, NULL,
     "\"connecting\", \"open\" or \"closed\", in step with the items taken so far.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef base_members[] = {
    {"_on_state", T_OBJECT, offsetof(EventStreamObject, on_state), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot base_slots[] = {
    {Py_tp_doc, "An event source: what EventStream and AsyncEventStream share. Made by clients."},
    {Py_tp_dealloc, event_stream_dealloc},
    {Py_tp_traverse, event_stream_traverse},
    {Py_tp_clear, event_stream_clear},
    {Py_tp_methods, base_methods},
    {Py_tp_getset, base_getset},
    {Py_tp_members, base_members},
    {0, NULL},
};

PyType_Spec base_event_stream_spec = {
    .name = "millstream._core.BaseEventStream",
    .basicsize = sizeof(EventStreamObject),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = base_slots,
};

static PyMethodDef event_stream_methods[] = {
    {"_head", stream_head, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot event_stream_slots[] = {
    {Py_tp_doc, "The iterator over a source's events that blocks. Made by Client."},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, event_stream_iternext},
    {Py_tp_methods, event_stream_methods},
    {0, NULL},
};

PyType_Spec event_stream_spec = {
    .name = "millstream._core.EventStream",
    .basicsize = sizeof(EventStreamObject),
    /* It takes part in garbage collection as its base does. */
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = event_stream_slots,
};
