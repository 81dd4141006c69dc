/*
 * Waiter: the streams that an event loop waits for, behind one descriptor that the loop polls.
 *
 * A stream is armed only while a task of the loop waits for it and so holds a reference to it; the
 * tag that the core keeps is the borrowed StreamObject. It is reported to one loop: from the first
 * arm() of a wait to its disarm() no other gets it, or the first would never wake.
 */
#include "core.h"

typedef struct {
  PyObject_HEAD
  mill_waiter *waiter;
} WaiterObject;

static PyObject *waiter_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  static char *names[] = {NULL};
  core_state *state = core_state_of_type(type);
  if (!state || !PyArg_ParseTupleAndKeywords(args, kwargs, ":Waiter", names))
    return NULL;
  WaiterObject *self = (WaiterObject *)type->tp_alloc(type, 0);
  if (!self)
    return NULL;
  int result = mill_waiter_new(&self->waiter);
  if (result) {
    Py_DECREF(self);
    return error_raise_code(state, result, "no file descriptor is left for the event loop");
  }
  return (PyObject *)self;
}

static void waiter_dealloc(PyObject *self) {
  PyTypeObject *type = Py_TYPE(self);
  mill_waiter_free(((WaiterObject *)self)->waiter);
  type->tp_free(self);
  Py_DECREF(type);
}

static PyObject *waiter_fileno(PyObject *self, PyObject *unused) {
  return PyLong_FromLong(mill_waiter_fd(((WaiterObject *)self)->waiter));
}

static StreamObject *as_stream(PyObject *self, PyObject *object) {
  core_state *state = core_state_of_type(Py_TYPE(self));
  if (state && !PyObject_TypeCheck(object, state->base_stream_type))
    PyErr_Format(PyExc_TypeError, "a stream is needed, not %s", Py_TYPE(object)->tp_name);
  return PyErr_Occurred() ? NULL : (StreamObject *)object;
}

static PyObject *waiter_arm(PyObject *self, PyObject *args) {
  PyObject *object;
  int response;
  if (!PyArg_ParseTuple(args, "Op:arm", &object, &response))
    return NULL;
  StreamObject *stream = as_stream(self, object);
  if (!stream)
    return NULL;
  int result = MILL_END;
  bool is_mine;
  Py_BEGIN_CRITICAL_SECTION(stream);
  is_mine = !stream->loop || stream->loop == self;
  if (is_mine)
    result = mill_waiter_arm(((WaiterObject *)self)->waiter, stream->stream,
                             response ? MILL_WAIT_RESPONSE : MILL_WAIT_CHUNK, stream);
  if (result == MILL_OK)
    stream->loop = self;
  Py_END_CRITICAL_SECTION();
  if (!is_mine) {
    PyErr_SetString(PyExc_RuntimeError,
                    "another event loop waits for this stream: read a stream in one loop, and hand "
                    "its chunks on from there (asyncio.Queue, loop.call_soon_threadsafe)");
    return NULL;
  }
  return PyBool_FromLong(result == MILL_OK);
}

static PyObject *waiter_disarm(PyObject *self, PyObject *object) {
  StreamObject *stream = as_stream(self, object);
  if (!stream)
    return NULL;
  Py_BEGIN_CRITICAL_SECTION(stream);
  if (stream->loop == self) {
    mill_waiter_disarm(((WaiterObject *)self)->waiter, stream->stream);
    stream->loop = NULL;
  }
  Py_END_CRITICAL_SECTION();
  Py_RETURN_NONE;
}

static PyObject *waiter_take(PyObject *self, PyObject *unused) {
  PyObject *list = PyList_New(0), *stream;
  while (list && (stream = mill_waiter_take(((WaiterObject *)self)->waiter)))
    if (PyList_Append(list, stream))
      Py_CLEAR(list);
  return list;
}

static PyMethodDef waiter_methods[] = {
    {"fileno", waiter_fileno, METH_NOARGS,
     "fileno($self, /)\n--\n\nThe descriptor; readable while take() would give something."},
    {"arm", waiter_arm, METH_VARARGS,
     "arm($self, stream, response, /)\n--\n\n"
     "Report the stream once, when it has something to take (or its response's head is there).\n"
     "False where that is so already: then nothing is armed. RuntimeError where another Waiter\n"
     "reports it: until that disarms it, it is that one's."},
    {"disarm", waiter_disarm, METH_O,
     "disarm($self, stream, /)\n--\n\nDo not report the stream any more."},
    {"take", waiter_take, METH_NOARGS,
     "take($self, /)\n--\n\nThe streams that became ready since the last call."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot waiter_slots[] = {
    {Py_tp_doc, "Waiter()\n--\n\nThe streams that an event loop waits for, behind one descriptor."},
    {Py_tp_new, waiter_new},
    {Py_tp_dealloc, waiter_dealloc},
    {Py_tp_methods, waiter_methods},
    {0, NULL},
};

PyType_Spec waiter_spec = {
    .name = "millstream._core.Waiter",
    .basicsize = sizeof(WaiterObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = waiter_slots,
};
