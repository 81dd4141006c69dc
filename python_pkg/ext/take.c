/*
 * Take: what is awaited in an event loop to take something of a stream. Where it is there already
 * the await ends at once; else it awaits an event of the loop, which Waiter.wake sets, and tries
 * again.
 *
 * _hub.py knows the loops: current() gives the running one's Waiter, which makes the events. An
 * event has done(), set_result() and __await__(); asyncio's are LoopEvents.
 * Thread: a take belongs to the thread of its loop; the takes that wait for a stream are listed in
 * it, guarded by the GIL or the stream's critical section.
 */
#include "core.h"

typedef struct take {
  PyObject_HEAD
  StreamObject *stream;
  take_poll poll;                   /* NULL: it only waits, once, and leaves the stream alone */
  bool head;                        /* waits for the answer's head */
  bool ends;                        /* None is the end of an async iterator */
  bool done;                        /* it has given something, or failed */
  bool listed;                      /* in stream->takes */
  enum { ASLEEP, DUE, WOKEN } wake; /* DUE: its event is about to be set */
  PyObject *waiter, *event, *inner; /* while it waits: the loop's, its event, the await of that */
  struct take *next;                /* in stream->takes */
} TakeObject;

PyObject *take_new(StreamObject *stream, take_poll poll, enum take_kind kind) {
  TakeObject *self = PyObject_GC_New(TakeObject, stream->state->take_type);
  if (!self)
    return NULL;
  self->stream = (StreamObject *)Py_NewRef(stream);
  self->poll = poll;
  self->head = kind == TAKE_HEAD;
  self->ends = kind == TAKE_ITEM;
  self->done = self->listed = false;
  self->wake = ASLEEP;
  self->waiter = self->event = self->inner = NULL;
  self->next = NULL;
  PyObject_GC_Track(self);
  return (PyObject *)self;
}

PyObject *take_new_wait(StreamObject *stream, PyObject *event) {
  TakeObject *self = (TakeObject *)take_new(stream, NULL, TAKE_VALUE);
  if (self)
    self->event = Py_NewRef(event);
  return (PyObject *)self;
}

/* ---- the takes of a stream -------------------------------------------------------------------- */

/* Whether one sleeps; with `head`, one that waits for the head, which a chunk ends too. */
static bool any_sleeps(const StreamObject *stream, bool head) {
  for (const TakeObject *take = stream->takes; take; take = take->next)
    if (take->wake == ASLEEP && (take->head || !head))
      return true;
  return false;
}

static void list(TakeObject *self) {
  self->next = self->stream->takes;
  self->stream->takes = self;
  self->listed = true;
  self->wake = ASLEEP;
}

/*
 * Ask for a notification and list it: 0 where there is something already, -1 with an exception.
 * Where others sleep, all are woken then, itself too: what is there may be a head that only they
 * wait for, and who looks again at once would not let them run.
 */
static int arm_and_list(TakeObject *self) {
  StreamObject *stream = self->stream;
  int armed;
  bool wakes;
  Py_BEGIN_CRITICAL_SECTION(stream);
  bool head = self->head || any_sleeps(stream, true);
  armed = waiter_arm(self->waiter, stream, head ? MILL_WAIT_RESPONSE : MILL_WAIT_CHUNK);
  wakes = armed == 0 && any_sleeps(stream, false);
  if (armed > 0 || wakes)
    list(self);
  Py_END_CRITICAL_SECTION();
  if (armed < 0)
    waiter_raise_foreign();
  if (!wakes)
    return armed;
  return take_wake(stream, self->waiter, false) ? -1 : 1;
}

static void unlist(TakeObject *self) {
  StreamObject *stream = self->stream;
  Py_BEGIN_CRITICAL_SECTION(stream);
  TakeObject **link = &stream->takes;
  while (*link != self)
    link = &(*link)->next;
  *link = self->next;
  self->listed = false;
  if (!stream->takes)
    waiter_disarm(self->waiter, stream);
  Py_END_CRITICAL_SECTION();
}

static void end_wait(TakeObject *self) {
  if (self->listed)
    unlist(self);
  Py_CLEAR(self->inner);
  Py_CLEAR(self->event);
  Py_CLEAR(self->waiter);
}

/* An event that is done was cancelled with its task, or set already. */
static int set_event(const core_state *state, PyObject *event, bool at_once) {
  if (loop_event_check(state, event))
    return loop_event_set(event, at_once);
  PyObject *done = PyObject_CallMethodNoArgs(event, state->done_name);
  int is_done = done ? PyObject_IsTrue(done) : -1;
  Py_XDECREF(done);
  if (is_done)
    return is_done < 0 ? -1 : 0;
  PyObject *result = PyObject_CallMethodOneArg(event, state->set_result_name, Py_None);
  Py_XDECREF(result);
  return result ? 0 : -1;
}

/* Those that sleep now: who is woken at once may list another before the next one is. */
static void make_due(StreamObject *stream, const PyObject *waiter) {
  Py_BEGIN_CRITICAL_SECTION(stream);
  for (TakeObject *take = stream->takes; take; take = take->next)
    if (take->waiter == waiter && take->wake == ASLEEP)
      take->wake = DUE;
  Py_END_CRITICAL_SECTION();
}

/* The event of one of them; NULL: there is none left. */
static PyObject *next_event(StreamObject *stream, const PyObject *waiter) {
  PyObject *event = NULL;
  Py_BEGIN_CRITICAL_SECTION(stream);
  for (TakeObject *take = stream->takes; take && !event; take = take->next)
    if (take->waiter == waiter && take->wake == DUE) {
      take->wake = WOKEN;
      event = Py_NewRef(take->event);
    }
  Py_END_CRITICAL_SECTION();
  return event;
}

int take_wake(StreamObject *stream, const PyObject *waiter, bool at_once) {
  PyObject *event, *type = NULL, *value = NULL, *traceback = NULL;
  make_due(stream, waiter);
  while ((event = next_event(stream, waiter))) {
    if (set_event(stream->state, event, at_once)) {
      if (type)
        PyErr_WriteUnraisable(event);
      else
        PyErr_Fetch(&type, &value, &traceback);
    }
    Py_DECREF(event);
  }
  if (!type)
    return 0;
  PyErr_Restore(type, value, traceback);
  return -1;
}

/* ---- a wait ----------------------------------------------------------------------------------- */

/* Not where trio may run, in asyncio's loop too: _hub.py knows. */
static PyObject *running_loop(core_state *state) {
  PyObject *trio = PyImport_GetModule(state->trio_name);
  if (!trio && !PyErr_Occurred())
    return PyObject_CallNoArgs(state->running_loop);
  Py_XDECREF(trio);
  return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

/* The waiter of the running loop: mostly that of the stream's last wait. A new reference. */
static PyObject *current_waiter(StreamObject *stream) {
  core_state *state = stream->state;
  PyObject *loop = running_loop(state);
  if (!loop)
    return NULL;
  PyObject *waiter;
  Py_BEGIN_CRITICAL_SECTION(stream);
  waiter = stream->last_waiter && waiter_is_of(stream->last_waiter, loop)
               ? Py_NewRef(stream->last_waiter)
               : NULL;
  Py_END_CRITICAL_SECTION();
  Py_DECREF(loop);
  if (waiter)
    return waiter;
  waiter = PyObject_CallNoArgs(state->current_waiter);
  if (!waiter || !waiter_check(state, waiter)) {
    Py_XDECREF(waiter);
    return NULL;
  }
  Py_BEGIN_CRITICAL_SECTION(stream);
  Py_XSETREF(stream->last_waiter, Py_NewRef(waiter));
  Py_END_CRITICAL_SECTION();
  return waiter;
}

/* Without an await to go on with where there is something already. */
static int begin_wait(TakeObject *self) {
  self->waiter = current_waiter(self->stream);
  if (self->waiter && !self->event)
    self->event = waiter_new_event(self->waiter);
  if (!self->waiter || !self->event)
    return -1;
  int armed = arm_and_list(self);
  if (armed < 0)
    return -1;
  if (!armed) {
    end_wait(self);
    return 0;
  }
  const PyAsyncMethods *methods = Py_TYPE(self->event)->tp_as_async;
  if (methods && methods->am_await)
    self->inner = methods->am_await(self->event);
  else
    PyErr_SetString(PyExc_TypeError, "the event of a waiter cannot be awaited");
  return self->inner ? 0 : -1;
}

static void cancel_stream(StreamObject *stream) {
  PyObject *cancelled = PyObject_CallMethod((PyObject *)stream, "cancel", NULL);
  if (!cancelled)
    PyErr_WriteUnraisable((PyObject *)stream);
  Py_XDECREF(cancelled);
}

/*
 * A task that is cancelled, or closed, while it waits cancels the transfer. After an Exception it
 * goes on: no wait was possible here, it may be elsewhere.
 */
static void give_up(TakeObject *self) {
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  end_wait(self);
  self->done = true;
  if (self->poll && !(type && PyErr_GivenExceptionMatches(type, PyExc_Exception)))
    cancel_stream(self->stream);
  PyErr_Restore(type, value, traceback);
}

/* What the await of the event did: it goes on, is over (0: look again), or failed. */
static PySendResult after_inner(TakeObject *self, PySendResult how, PyObject **result) {
  if (how == PYGEN_ERROR) {
    give_up(self);
  } else if (how == PYGEN_RETURN) {
    Py_CLEAR(*result);
    end_wait(self);
  }
  return how;
}

/* ---- the awaitable ---------------------------------------------------------------------------- */

static PySendResult taken(TakeObject *self, PyObject *item, PyObject **result) {
  self->done = true;
  if (item == Py_None && self->ends) {
    Py_DECREF(item);
    PyErr_SetNone(PyExc_StopAsyncIteration);
    item = NULL;
  }
  *result = item;
  return item ? PYGEN_RETURN : PYGEN_ERROR;
}

/* Who only waits has done so when its event is gone. */
static PyObject *look(TakeObject *self) {
  if (self->poll)
    return self->poll((PyObject *)self->stream, NULL);
  return Py_NewRef(self->event ? Py_NotImplemented : Py_None);
}

static PySendResult take_send(PyObject *op, PyObject *value, PyObject **result) {
  TakeObject *self = (TakeObject *)op;
  *result = NULL;
  if (self->done) {
    PyErr_SetString(PyExc_RuntimeError, "this was awaited already: ask the stream again");
    return PYGEN_ERROR;
  }
  for (;;) {
    if (self->inner) {
      PySendResult how = after_inner(self, PyIter_Send(self->inner, value, result), result);
      if (how != PYGEN_RETURN)
        return how;
      value = Py_None;
    }
    PyObject *item = look(self);
    if (item != Py_NotImplemented)
      return taken(self, item, result);
    Py_DECREF(item);
    if (begin_wait(self)) {
      give_up(self);
      return PYGEN_ERROR;
    }
  }
}

/* As generators do it: a result is the value of StopIteration. */
static PyObject *as_iteration(PySendResult how, PyObject *result) {
  if (how != PYGEN_RETURN)
    return result;
  PyObject *stop = PyObject_CallOneArg(PyExc_StopIteration, result); /* which a tuple may be */
  Py_DECREF(result);
  if (stop)
    PyErr_SetObject(PyExc_StopIteration, stop);
  Py_XDECREF(stop);
  return NULL;
}

static PyObject *take_send_method(PyObject *self, PyObject *value) {
  PyObject *result;
  PySendResult how = take_send(self, value, &result);
  return as_iteration(how, result);
}

static PyObject *take_iternext(PyObject *self) {
  return take_send_method(self, Py_None);
}

/* Raise what a throw() was given: a class, or an instance. */
static void raise_given(PyObject *args) {
  PyObject *type, *value = NULL, *traceback = NULL;
  if (!PyArg_UnpackTuple(args, "throw", 1, 3, &type, &value, &traceback))
    return;
  if (PyExceptionInstance_Check(type))
    PyErr_SetObject((PyObject *)Py_TYPE(type), type);
  else if (PyExceptionClass_Check(type))
    PyErr_SetObject(type, value && value != Py_None ? value : NULL);
  else
    PyErr_SetString(PyExc_TypeError, "throw: an exception is needed");
}

static PyObject *throw_into(PyObject *inner, PyObject *args) {
  if (!PyObject_HasAttrString(inner, "throw")) {
    raise_given(args);
    return NULL;
  }
  PyObject *method = PyObject_GetAttrString(inner, "throw");
  PyObject *result = method ? PyObject_CallObject(method, args) : NULL;
  Py_XDECREF(method);
  return result;
}

static PyObject *take_throw(PyObject *op, PyObject *args) {
  TakeObject *self = (TakeObject *)op;
  if (!self->inner) {
    raise_given(args);
    return NULL;
  }
  PyObject *result = throw_into(self->inner, args);
  if (result)
    return result; /* it goes on waiting */
  if (!PyErr_ExceptionMatches(PyExc_StopIteration)) {
    give_up(self);
    return NULL;
  }
  PyErr_Clear();
  end_wait(self);
  return take_iternext(op);
}

static PyObject *take_close(PyObject *op, PyObject *unused) {
  TakeObject *self = (TakeObject *)op;
  if (self->inner) {
    PyObject *closed = PyObject_HasAttrString(self->inner, "close")
                           ? PyObject_CallMethod(self->inner, "close", NULL)
                           : Py_NewRef(Py_None);
    give_up(self);
    if (!closed)
      return NULL;
    Py_DECREF(closed);
  }
  Py_RETURN_NONE;
}

/* ---- the type --------------------------------------------------------------------------------- */

static int take_traverse(PyObject *op, visitproc visit, void *arg) {
  TakeObject *self = (TakeObject *)op;
  Py_VISIT(Py_TYPE(op));
  Py_VISIT(self->stream);
  Py_VISIT(self->waiter);
  Py_VISIT(self->event);
  Py_VISIT(self->inner);
  return 0;
}

static int take_clear(PyObject *op) {
  end_wait((TakeObject *)op);
  return 0;
}

static void take_dealloc(PyObject *op) {
  TakeObject *self = (TakeObject *)op;
  PyTypeObject *type = Py_TYPE(op);
  PyObject_GC_UnTrack(op);
  end_wait(self);
  Py_DECREF(self->stream);
  PyObject_GC_Del(op);
  Py_DECREF(type);
}

/* With these a take is a coroutine to asyncio.create_task(). */
static PyMethodDef take_methods[] = {
    {"send", take_send_method, METH_O, "send($self, value, /)\n--\n\nAs of a coroutine."},
    {"throw", take_throw, METH_VARARGS,
     "throw($self, type, value=None, traceback=None, /)\n--\n\nAs of a coroutine."},
    {"close", take_close, METH_NOARGS, "close($self, /)\n--\n\nAs of a coroutine."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot take_slots[] = {
    {Py_tp_doc, "What is awaited to take something of a stream."},
    {Py_tp_dealloc, take_dealloc},
    {Py_tp_traverse, take_traverse},
    {Py_tp_clear, take_clear},
    {Py_tp_methods, take_methods},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, take_iternext},
    {Py_am_await, PyObject_SelfIter},
    {Py_am_send, take_send},
    {0, NULL},
};

PyType_Spec take_spec = {
    .name = "millstream._core.Take",
    .basicsize = sizeof(TakeObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = take_slots,
};
