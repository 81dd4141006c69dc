/*
 * LoopEvent: what a task of asyncio's awaits. It is as much of a Future as a Task asks of what it
 * is given, and differs in one thing: Waiter.wake, which the loop calls, goes on with the task at
 * once. A Future has the loop do that in its next turn, after another look at its descriptors.
 *
 * Thread: that of its loop.
 */
#include "core.h"

typedef struct {
  PyObject_HEAD
  PyObject *loop;
  PyObject *callback, *context; /* a task's, while it waits; NULL */
  PyObject *message;            /* of the cancellation; NULL */
  bool blocking;                /* it was handed out, and the task has not taken note of it yet */
  bool done, cancelled;
} LoopEventObject;

PyObject *loop_event_new(core_state *state, PyObject *loop) {
  LoopEventObject *self = PyObject_GC_New(LoopEventObject, state->loop_event_type);
  if (!self)
    return NULL;
  self->loop = Py_NewRef(loop);
  self->callback = self->context = self->message = NULL;
  self->blocking = self->done = self->cancelled = false;
  PyObject_GC_Track(self);
  return (PyObject *)self;
}

bool loop_event_check(const core_state *state, const PyObject *object) {
  return Py_IS_TYPE(object, state->loop_event_type);
}

/* ---- it is done ------------------------------------------------------------------------------- */

static int call_soon(LoopEventObject *self, PyObject *callback, PyObject *context) {
  PyObject *method = PyObject_GetAttrString(self->loop, "call_soon");
  PyObject *args = method ? PyTuple_Pack(2, callback, self) : NULL;
  PyObject *kwargs = args ? Py_BuildValue("{sO}", "context", context) : NULL;
  PyObject *handle = kwargs ? PyObject_Call(method, args, kwargs) : NULL;
  Py_XDECREF(method);
  Py_XDECREF(args);
  Py_XDECREF(kwargs);
  Py_XDECREF(handle);
  return handle ? 0 : -1;
}

static int call_now(LoopEventObject *self, PyObject *callback, PyObject *context) {
  if (PyContext_Enter(context))
    return -1;
  PyObject *result = PyObject_CallOneArg(callback, (PyObject *)self);
  Py_XDECREF(result);
  if (PyContext_Exit(context))
    return -1;
  return result ? 0 : -1;
}

static int finish(LoopEventObject *self, bool at_once) {
  self->done = true;
  PyObject *callback = self->callback, *context = self->context;
  self->callback = self->context = NULL;
  if (!callback)
    return 0;
  int result = (at_once ? call_now : call_soon)(self, callback, context);
  Py_DECREF(callback);
  Py_DECREF(context);
  return result;
}

int loop_event_set(PyObject *op, bool at_once) {
  LoopEventObject *self = (LoopEventObject *)op;
  return self->done ? 0 : finish(self, at_once);
}

/* ---- what a task asks of a future -------------------------------------------------------------- */

static PyObject *event_get_loop(PyObject *self, PyObject *unused) {
  return Py_NewRef(((LoopEventObject *)self)->loop);
}

static PyObject *event_get_blocking(PyObject *self, void *unused) {
  return PyBool_FromLong(((LoopEventObject *)self)->blocking);
}

static int event_set_blocking(PyObject *self, PyObject *value, void *unused) {
  int blocking = value ? PyObject_IsTrue(value) : 0;
  ((LoopEventObject *)self)->blocking = blocking > 0;
  return blocking < 0 ? -1 : 0;
}

static PyObject *event_add_done_callback(PyObject *op, PyObject *args, PyObject *kwargs) {
  static char *names[] = {"", "context", NULL};
  LoopEventObject *self = (LoopEventObject *)op;
  PyObject *callback, *context;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO:add_done_callback", names, &callback,
                                   &context))
    return NULL;
  if (self->done) {
    if (call_soon(self, callback, context))
      return NULL;
    Py_RETURN_NONE;
  }
  if (self->callback) {
    PyErr_SetString(PyExc_RuntimeError, "another task awaits this already");
    return NULL;
  }
  self->callback = Py_NewRef(callback);
  self->context = Py_NewRef(context);
  Py_RETURN_NONE;
}

static PyObject *event_cancel(PyObject *op, PyObject *args, PyObject *kwargs) {
  static char *names[] = {"msg", NULL};
  LoopEventObject *self = (LoopEventObject *)op;
  PyObject *message = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:cancel", names, &message))
    return NULL;
  if (self->done)
    Py_RETURN_FALSE;
  self->cancelled = true;
  Py_XSETREF(self->message, message == Py_None ? NULL : Py_NewRef(message));
  if (finish(self, false))
    return NULL;
  Py_RETURN_TRUE;
}

static void raise_cancelled(LoopEventObject *self) {
  PyObject *asyncio = PyImport_ImportModule("asyncio");
  PyObject *type = asyncio ? PyObject_GetAttrString(asyncio, "CancelledError") : NULL;
  if (type)
    PyErr_SetObject(type, self->message);
  Py_XDECREF(type);
  Py_XDECREF(asyncio);
}

static PyObject *event_result(PyObject *op, PyObject *unused) {
  LoopEventObject *self = (LoopEventObject *)op;
  if (self->done && !self->cancelled)
    Py_RETURN_NONE;
  if (self->cancelled)
    raise_cancelled(self);
  else
    PyErr_SetString(PyExc_RuntimeError, "the event is not set yet");
  return NULL;
}

static PyObject *event_done(PyObject *self, PyObject *unused) {
  return PyBool_FromLong(((LoopEventObject *)self)->done);
}

static PyObject *event_set_result(PyObject *self, PyObject *unused) {
  if (loop_event_set(self, false))
    return NULL;
  Py_RETURN_NONE;
}

/* ---- the awaitable ---------------------------------------------------------------------------- */

static PySendResult event_send(PyObject *op, PyObject *unused, PyObject **result) {
  LoopEventObject *self = (LoopEventObject *)op;
  if (!self->done && !self->blocking) {
    self->blocking = true;
    *result = Py_NewRef(op);
    return PYGEN_NEXT;
  }
  *result = event_result(op, NULL);
  return *result ? PYGEN_RETURN : PYGEN_ERROR;
}

static PyObject *event_iternext(PyObject *self) {
  PyObject *result;
  PySendResult how = event_send(self, Py_None, &result);
  if (how == PYGEN_RETURN)
    Py_CLEAR(result); /* the end of an iterator is None */
  return result;
}

/* ---- the type --------------------------------------------------------------------------------- */

static int event_traverse(PyObject *op, visitproc visit, void *arg) {
  LoopEventObject *self = (LoopEventObject *)op;
  Py_VISIT(Py_TYPE(op));
  Py_VISIT(self->loop);
  Py_VISIT(self->callback);
  Py_VISIT(self->context);
  Py_VISIT(self->message);
  return 0;
}

static int event_clear(PyObject *op) {
  LoopEventObject *self = (LoopEventObject *)op;
  Py_CLEAR(self->loop);
  Py_CLEAR(self->callback);
  Py_CLEAR(self->context);
  Py_CLEAR(self->message);
  return 0;
}

static void event_dealloc(PyObject *op) {
  PyTypeObject *type = Py_TYPE(op);
  PyObject_GC_UnTrack(op);
  event_clear(op);
  PyObject_GC_Del(op);
  Py_DECREF(type);
}

#define KEYWORDS(function) ((PyCFunction)(void (*)(void))(function))

static PyMethodDef event_methods[] = {
    {"get_loop", event_get_loop, METH_NOARGS, NULL},
    {"add_done_callback", KEYWORDS(event_add_done_callback), METH_VARARGS | METH_KEYWORDS, NULL},
    {"cancel", KEYWORDS(event_cancel), METH_VARARGS | METH_KEYWORDS, NULL},
    {"result", event_result, METH_NOARGS, NULL},
    {"done", event_done, METH_NOARGS, NULL},
    {"set_result", event_set_result, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef event_fields[] = {
    {"_asyncio_future_blocking", event_get_blocking, event_set_blocking, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot event_slots[] = {
    {Py_tp_doc, "What a task of asyncio's awaits: a future that is set."},
    {Py_tp_dealloc, event_dealloc},
    {Py_tp_traverse, event_traverse},
    {Py_tp_clear, event_clear},
    {Py_tp_methods, event_methods},
    {Py_tp_getset, event_fields},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, event_iternext},
    {Py_am_await, PyObject_SelfIter},
    {Py_am_send, event_send},
    {0, NULL},
};

PyType_Spec loop_event_spec = {
    .name = "millstream._core.LoopEvent",
    .basicsize = sizeof(LoopEventObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = event_slots,
};
