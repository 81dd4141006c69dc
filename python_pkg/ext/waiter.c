/*
 * Waiter: the streams that an event loop waits for, behind one descriptor that the loop polls.
 *
 * A stream is armed only while a task of the loop waits for it and so holds a reference to it; the
 * tag that the core keeps is the borrowed StreamObject. It is reported to one loop: from the first
 * arm of a wait to its disarm no other gets it, or the first would never wake. Event loops use
 * wake(), with take.c; the methods arm, disarm and take are for who has no takes: gevent, and
 * threads that poll the descriptor beside another.
 */
#include "core.h"

typedef struct {
  PyObject_HEAD
  mill_waiter *waiter;
  PyObject *new_event; /* makes what a take awaits; None: asyncio's are made here */
  PyObject *loop;      /* a weak reference to the loop of asyncio's whose it is, or None */
} WaiterObject;

static PyObject *waiter_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  static char *names[] = {"new_event", "loop", NULL};
  core_state *state = core_state_of_type(type);
  PyObject *new_event = Py_None, *loop = Py_None;
  if (!state || !PyArg_ParseTupleAndKeywords(args, kwargs, "|OO:Waiter", names, &new_event, &loop))
    return NULL;
  WaiterObject *self = (WaiterObject *)type->tp_alloc(type, 0);
  if (!self)
    return NULL;
  self->new_event = Py_NewRef(new_event);
  self->loop = loop == Py_None ? Py_NewRef(loop) : PyWeakref_NewRef(loop, NULL);
  if (!self->loop) {
    Py_DECREF(self);
    return NULL;
  }
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
  Py_XDECREF(((WaiterObject *)self)->new_event);
  Py_XDECREF(((WaiterObject *)self)->loop);
  type->tp_free(self);
  Py_DECREF(type);
}

static PyObject *waiter_fileno(PyObject *self, PyObject *unused) {
  return PyLong_FromLong(mill_waiter_fd(((WaiterObject *)self)->waiter));
}

bool waiter_check(core_state *state, PyObject *object) {
  if (PyObject_TypeCheck(object, state->waiter_type))
    return true;
  PyErr_Format(PyExc_TypeError, "a Waiter is needed, not %s", Py_TYPE(object)->tp_name);
  return false;
}

/* The loop of asyncio's whose it is, a new reference; NULL: it is gone, or there was none. */
static PyObject *loop_of(PyObject *waiter) {
  PyObject *loop = NULL, *reference = ((WaiterObject *)waiter)->loop;
  if (reference == Py_None)
    return NULL;
#if PY_VERSION_HEX >= 0x030d0000
  (void)PyWeakref_GetRef(reference, &loop);
#else
  loop = PyWeakref_GET_OBJECT(reference);
  loop = loop == Py_None ? NULL : Py_NewRef(loop);
#endif
  return loop;
}

PyObject *waiter_new_event(PyObject *waiter) {
  PyObject *loop = loop_of(waiter);
  if (!loop)
    return PyObject_CallNoArgs(((WaiterObject *)waiter)->new_event);
  PyObject *event = loop_event_new(core_state_of_type(Py_TYPE(waiter)), loop);
  Py_DECREF(loop);
  return event;
}

static PyObject *new_event(PyObject *self, PyObject *unused) {
  return waiter_new_event(self);
}

bool waiter_is_of(PyObject *waiter, PyObject *loop) {
  PyObject *mine = loop_of(waiter);
  Py_XDECREF(mine);
  return mine && mine == loop;
}

int waiter_arm(PyObject *waiter, StreamObject *stream, enum mill_wait what) {
  if (stream->loop && stream->loop != waiter)
    return -1;
  int result = mill_waiter_arm(((WaiterObject *)waiter)->waiter, stream->stream, what, stream);
  if (result != MILL_OK)
    return 0;
  stream->loop = waiter;
  stream->armed_in_loop = true;
  return 1;
}

void waiter_raise_foreign(void) {
  PyErr_SetString(PyExc_RuntimeError,
                  "another event loop waits for this stream: read a stream in one loop, and hand "
                  "its chunks on from there (asyncio.Queue, loop.call_soon_threadsafe)");
}

void waiter_disarm(PyObject *waiter, StreamObject *stream) {
  if (stream->loop != waiter)
    return;
  if (stream->armed_in_loop)
    mill_waiter_disarm(((WaiterObject *)waiter)->waiter, stream->stream);
  stream->armed_in_loop = false;
  stream->loop = NULL;
}

/* A stream that became ready, which is not armed any more; borrowed, NULL: there is none. */
static StreamObject *next_ready(PyObject *waiter) {
  StreamObject *stream = mill_waiter_take(((WaiterObject *)waiter)->waiter);
  if (!stream)
    return NULL;
  Py_BEGIN_CRITICAL_SECTION(stream);
  if (stream->loop == waiter)
    stream->armed_in_loop = false;
  Py_END_CRITICAL_SECTION();
  return stream;
}

static PyObject *waiter_wake(PyObject *op, PyObject *unused) {
  StreamObject *stream;
  while ((stream = next_ready(op))) {
    Py_INCREF(stream);
    int result = take_wake(stream, op, true);
    Py_DECREF(stream);
    if (result)
      return NULL; /* the descriptor is readable until the others are taken */
  }
  Py_RETURN_NONE;
}

static StreamObject *as_stream(PyObject *self, PyObject *object) {
  core_state *state = core_state_of_type(Py_TYPE(self));
  if (state && !PyObject_TypeCheck(object, state->base_stream_type))
    PyErr_Format(PyExc_TypeError, "a stream is needed, not %s", Py_TYPE(object)->tp_name);
  return PyErr_Occurred() ? NULL : (StreamObject *)object;
}

static PyObject *arm(PyObject *self, PyObject *args) {
  PyObject *object;
  int response, half = 0;
  if (!PyArg_ParseTuple(args, "Op|p:arm", &object, &response, &half))
    return NULL;
  StreamObject *stream = as_stream(self, object);
  if (!stream)
    return NULL;
  int armed;
  Py_BEGIN_CRITICAL_SECTION(stream);
  armed = waiter_arm(self, stream,
                     half       ? MILL_WAIT_HALF
                     : response ? MILL_WAIT_RESPONSE
                                : MILL_WAIT_CHUNK);
  Py_END_CRITICAL_SECTION();
  if (armed < 0) {
    waiter_raise_foreign();
    return NULL;
  }
  return PyBool_FromLong(armed);
}

static PyObject *disarm(PyObject *self, PyObject *object) {
  StreamObject *stream = as_stream(self, object);
  if (!stream)
    return NULL;
  Py_BEGIN_CRITICAL_SECTION(stream);
  waiter_disarm(self, stream);
  Py_END_CRITICAL_SECTION();
  Py_RETURN_NONE;
}

static PyObject *take(PyObject *self, PyObject *unused) {
  PyObject *list = PyList_New(0);
  StreamObject *stream;
  while (list && (stream = next_ready(self)))
    if (PyList_Append(list, (PyObject *)stream))
      Py_CLEAR(list);
  return list;
}

static PyMethodDef waiter_methods[] = {
    {"fileno", waiter_fileno, METH_NOARGS,
     "fileno($self, /)\n--\n\nThe descriptor; readable while take() would give something."},
    {"arm", arm, METH_VARARGS,
     "arm($self, stream, response, half=False, /)\n--\n\n"
     "Report the stream once, when it has something to take (or its response's head is there, or\n"
     "half of what it may hold, or its end).\n"
     "False where that is so already: then nothing is armed. RuntimeError where another Waiter\n"
     "reports it: until that disarms it, it is that one's."},
    {"disarm", disarm, METH_O,
     "disarm($self, stream, /)\n--\n\nDo not report the stream any more."},
    {"take", take, METH_NOARGS,
     "take($self, /)\n--\n\nThe streams that became ready since the last call."},
    {"new_event", new_event, METH_NOARGS,
     "new_event($self, /)\n--\n\nAn event of the loop: it has done(), set_result(None), and can be "
     "awaited."},
    {"wake", waiter_wake, METH_NOARGS,
     "wake($self, /)\n--\n\nThe same, for an event loop: set the events that their takes await."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot waiter_slots[] = {
    {Py_tp_doc, "Waiter(new_event=None, loop=None)\n--\n\nThe streams that an event loop waits "
                "for, behind one descriptor."},
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
