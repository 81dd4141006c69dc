/*
 * Stream: the iterator over a transfer. The package's Stream adds the Python-level conveniences.
 *
 * Everything that consumes runs with the GIL held, or inside the object's critical section where
 * there is none; blocking is wait.c's.
 */
#include "core.h"

/* ---- life ------------------------------------------------------------------------------------- */

/* What __init__ was given, and the arrays that the request borrows from it. */
struct arguments {
  mill_request request;
  PyObject *headers; /* a sequence of (name, value) pairs of str */
  Py_buffer body;
  mill_header *pairs;
  PyObject *stats;
  mill_event_source source;
};

static int read_headers(struct arguments *arguments) {
  Py_ssize_t n = PyTuple_GET_SIZE(arguments->headers);
  arguments->pairs = PyMem_New(mill_header, n ? n : 1);
  if (!arguments->pairs) {
    PyErr_NoMemory();
    return -1;
  }
  for (Py_ssize_t i = 0; i < n; i++)
    if (!PyArg_ParseTuple(PyTuple_GET_ITEM(arguments->headers, i), "ss;a header is (name, value)",
                          &arguments->pairs[i].name, &arguments->pairs[i].value))
      return -1;
  arguments->request.headers = arguments->pairs;
  arguments->request.n_headers = (size_t)n;
  return 0;
}

static int read_source(PyObject *tuple, struct arguments *arguments) {
  mill_event_source *source = &arguments->source;
  int reconnect, comments;
  long long initial_retry_ms, max_retry_ms;
  if (!PyArg_ParseTuple(tuple, "pLLIpz", &reconnect, &initial_retry_ms, &max_retry_ms,
                        &source->max_redirects, &comments, &source->last_event_id))
    return -1;
  source->reconnect = reconnect;
  source->initial_retry_ms = initial_retry_ms;
  source->max_retry_ms = max_retry_ms;
  source->comments = comments;
  arguments->request.events = source;
  return 0;
}

static int read_arguments(core_state *state, PyObject *args, PyObject *kwargs,
                          struct arguments *arguments) {
  static char *names[] = {
      "url",         "method",   "headers",  "body",        "format",  "timeouts", "limits",
      "max_retries", "proxy",    "no_proxy", "unix_socket", "ca_file", "ca_dir",   "insecure",
      "cert_file",   "key_file", "http2",    "compression", "stats",   "source",   NULL};
  mill_request *request = &arguments->request;
  mill_request_init(request);
  int insecure = 0, comments = 0, http2 = 0, compression = 0;
  long long connect, first_chunk, idle, total;
  PyObject *source;
  Py_ssize_t event_bytes, buffered_bytes, header_bytes;
  if (!PyArg_ParseTupleAndKeywords(
          args, kwargs, "$ssO!z*s(LLLLp)(nnnI)IzzzzzpzzipO!O:Stream", names, &request->url,
          &request->method, &PyTuple_Type, &arguments->headers, &arguments->body, &request->format,
          &connect, &first_chunk, &idle, &total, &comments, &event_bytes, &buffered_bytes,
          &header_bytes, &request->limits.json_depth, &request->max_retries, &request->proxy,
          &request->no_proxy, &request->unix_socket, &request->ca_file, &request->ca_dir, &insecure,
          &request->cert_file, &request->key_file, &http2, &compression, state->stats_type,
          &arguments->stats, &source))
    return -1;
  if (source != Py_None && read_source(source, arguments))
    return -1;
  request->timeouts = (mill_timeouts){connect, first_chunk, idle, total, comments};
  request->limits.event_bytes = (size_t)event_bytes;
  request->limits.buffered_bytes = (size_t)buffered_bytes;
  request->limits.header_bytes = (size_t)header_bytes;
  request->body = arguments->body.buf;
  request->body_len = (size_t)arguments->body.len;
  request->insecure = insecure;
  request->http2 = (enum mill_http2)http2;
  request->compression = compression;
  request->stats = ((StatsObject *)arguments->stats)->stats;
  return read_headers(arguments);
}

static PyObject *stream_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  core_state *state = core_state_of_type(type);
  StreamObject *self = state ? (StreamObject *)type->tp_alloc(type, 0) : NULL;
  if (!self)
    return NULL;
  self->state = state;
  atomic_init(&self->closed, false);
  self->wait_lock = PyThread_allocate_lock();
  if (!self->wait_lock) {
    Py_DECREF(self);
    return PyErr_NoMemory();
  }
  struct arguments arguments = {.pairs = NULL};
  int result = read_arguments(state, args, kwargs, &arguments);
  if (!result) {
    self->stats = (StatsObject *)Py_NewRef(arguments.stats);
    result = engine_start_stream(state, &arguments.request, &self->stream);
  }
  PyMem_Free(arguments.pairs);
  if (arguments.body.obj)
    PyBuffer_Release(&arguments.body);
  if (result)
    Py_CLEAR(self);
  return (PyObject *)self;
}

void stream_dealloc(PyObject *op) {
  StreamObject *self = (StreamObject *)op;
  PyTypeObject *type = Py_TYPE(op);
  mill_stream_free(self->stream);
  if (self->wait_lock)
    PyThread_free_lock(self->wait_lock);
  Py_XDECREF(self->event);
  Py_XDECREF(self->stats);
  Py_XDECREF(self->last_waiter);
  type->tp_free(op);
  Py_DECREF(type);
}

/* ---- taking ----------------------------------------------------------------------------------- */

/* The Event that the chunks of one event share; borrowed, NULL with an exception. */
static PyObject *shared_event(StreamObject *self, const mill_event *event) {
  if (!self->event || self->event_number != event->number) {
    Py_XSETREF(self->event, event_new(self->state, event));
    self->event_number = event->number;
  }
  return self->event;
}

static PyObject *wrap_chunk(StreamObject *self, const mill_chunk *chunk) {
  PyObject *event = NULL;
  if (chunk->event.n_chunks > 1) {
    event = shared_event(self, &chunk->event);
    if (!event)
      return NULL;
  }
  return chunk_new(self->state, chunk, event);
}

/* Take one object without waiting; NULL with `ret_code` saying why. */
typedef PyObject *(*take_function)(StreamObject *self, int *ret_code);
typedef PyObject *(*gather_function)(StreamObject *self, PyObject *taken);

static PyObject *take_chunk(StreamObject *self, int *ret_code) {
  mill_chunk chunk;
  PyObject *object = NULL;
  Py_BEGIN_CRITICAL_SECTION(self);
  *ret_code = mill_stream_next(self->stream, &chunk);
  if (*ret_code == MILL_OK)
    object = wrap_chunk(self, &chunk);
  Py_END_CRITICAL_SECTION();
  return object;
}

static PyObject *take_event(StreamObject *self, int *ret_code) {
  mill_event event;
  PyObject *object = NULL;
  Py_BEGIN_CRITICAL_SECTION(self);
  *ret_code = mill_stream_next_event(self->stream, &event);
  if (*ret_code == MILL_OK)
    object = event_new(self->state, &event);
  Py_END_CRITICAL_SECTION();
  return object;
}

static PyObject *raise_end(StreamObject *self) {
  engine_hold_daemon();
  return error_raise(self, mill_stream_error(self->stream));
}

/* NULL without an exception is the end of an iterator. */
static PyObject *end_or_error(StreamObject *self, int code) {
  if (code == MILL_END || (code == MILL_E_CANCELLED && atomic_load(&self->closed)))
    return NULL;
  return raise_end(self);
}

static PyObject *take_or_wait(StreamObject *self, take_function take) {
  int64_t taken_ns = 0;
  for (;;) {
    int code;
    PyObject *object = take(self, &code);
    if (code == MILL_AGAIN) {
      if (wait_for_stream(self, MILL_WAIT_CHUNK, -1))
        return NULL;
      taken_ns = wait_clock_ns();
      continue;
    }
    if (code != MILL_OK)
      object = end_or_error(self, code);
    if (taken_ns)
      wait_handed_over(self, taken_ns);
    return object;
  }
}

static PyObject *stream_iternext(PyObject *self) {
  return take_or_wait((StreamObject *)self, take_chunk);
}

/* The iterators behind events() and batches() call these until they give None. */
static PyObject *none_at_end(PyObject *object) {
  return object || PyErr_Occurred() ? object : Py_NewRef(Py_None);
}

static PyObject *stream_next_event(PyObject *self, PyObject *unused) {
  return none_at_end(take_or_wait((StreamObject *)self, take_event));
}

/* The next chunk if one is ready. What ends the stream stays: it is told only once. */
static PyObject *take_ready_chunk(StreamObject *self) {
  mill_chunk chunk;
  int code = MILL_AGAIN;
  PyObject *object = NULL;
  Py_BEGIN_CRITICAL_SECTION(self);
  if (mill_stream_has_chunk(self->stream))
    code = mill_stream_next(self->stream, &chunk);
  if (code == MILL_OK)
    object = wrap_chunk(self, &chunk);
  Py_END_CRITICAL_SECTION();
  return code < 0 ? end_or_error(self, code) : object;
}

/* `chunk` (taken over) and all that are ready behind it, as a list. */
static PyObject *batch_of(StreamObject *self, PyObject *chunk) {
  PyObject *list = PyList_New(0);
  while (chunk) {
    if (list && PyList_Append(list, chunk))
      Py_CLEAR(list);
    Py_DECREF(chunk);
    chunk = list ? take_ready_chunk(self) : NULL;
  }
  if (PyErr_Occurred())
    Py_CLEAR(list);
  return list;
}

static PyObject *stream_next_batch(PyObject *op, PyObject *unused) {
  StreamObject *self = (StreamObject *)op;
  PyObject *chunk = take_or_wait(self, take_chunk);
  return chunk ? batch_of(self, chunk) : none_at_end(NULL);
}

/*
 * The same without waiting, for event loops: None at the end, NotImplemented when nothing is there
 * yet. `gather` makes more of what was taken, or is NULL.
 */
static PyObject *take_now(StreamObject *self, take_function take, gather_function gather) {
  int64_t taken_ns = wait_clock_ns(); /* the loop has the GIL: from here on it is held for this */
  int code;
  PyObject *object = take(self, &code);
  if (code == MILL_AGAIN)
    return Py_NewRef(Py_NotImplemented);
  if (code != MILL_OK)
    object = end_or_error(self, code);
  else if (object && gather)
    object = gather(self, object);
  wait_handed_over(self, taken_ns);
  return none_at_end(object);
}

static PyObject *stream_poll(PyObject *self, PyObject *unused) {
  return take_now((StreamObject *)self, take_chunk, NULL);
}

/* The next piece of answer text, past all that is none. */
static PyObject *stream_poll_text(PyObject *self, PyObject *unused) {
  core_state *state = ((StreamObject *)self)->state;
  for (;;) {
    PyObject *chunk = stream_poll(self, NULL);
    if (!chunk || !Py_IS_TYPE(chunk, state->chunk_type))
      return chunk;
    PyObject *text = chunk_answer_text(chunk);
    Py_DECREF(chunk);
    if (text != Py_None)
      return text;
    Py_DECREF(text);
  }
}

static PyObject *stream_poll_event(PyObject *self, PyObject *unused) {
  return take_now((StreamObject *)self, take_event, NULL);
}

static PyObject *stream_poll_batch(PyObject *self, PyObject *unused) {
  return take_now((StreamObject *)self, take_chunk, batch_of);
}

/* Take everything that is there: MILL_AGAIN or MILL_END, or -1 with the stream's error raised. */
static int drain(StreamObject *self) {
  mill_chunk chunk;
  int code;
  Py_BEGIN_CRITICAL_SECTION(self);
  do
    code = mill_stream_next(self->stream, &chunk);
  while (code == MILL_OK);
  Py_END_CRITICAL_SECTION();
  if (code == MILL_AGAIN)
    return code;
  if (!mill_stream_error(self->stream)->code)
    return MILL_END;
  raise_end(self);
  return -1;
}

static PyObject *stream_drain(PyObject *op, PyObject *unused) {
  StreamObject *self = (StreamObject *)op;
  int code;
  while ((code = drain(self)) == MILL_AGAIN)
    if (wait_for_stream(self, MILL_WAIT_CHUNK, -1))
      return NULL;
  return code == MILL_END ? Py_NewRef(Py_None) : NULL;
}

static PyObject *stream_poll_drain(PyObject *self, PyObject *unused) {
  int code = drain((StreamObject *)self);
  if (code == MILL_AGAIN)
    return Py_NewRef(Py_NotImplemented);
  return code == MILL_END ? Py_NewRef(Py_None) : NULL;
}

/* ---- ending ----------------------------------------------------------------------------------- */

static PyObject *stream_cancel(PyObject *self, PyObject *unused) {
  mill_stream_cancel(((StreamObject *)self)->stream);
  Py_RETURN_NONE;
}

static PyObject *stream_close(PyObject *self, PyObject *unused) {
  atomic_store(&((StreamObject *)self)->closed, true);
  mill_stream_cancel(((StreamObject *)self)->stream);
  Py_RETURN_NONE;
}

static PyObject *stream_enter(PyObject *self, PyObject *unused) {
  return Py_NewRef(self);
}

static PyObject *stream_exit(PyObject *self, PyObject *unused) {
  return stream_close(self, NULL);
}

/* ---- facts ------------------------------------------------------------------------------------ */

static PyObject *get_message(PyObject *op, void *unused) {
  StreamObject *self = (StreamObject *)op;
  mill_message message;
  PyObject *object = NULL;
  Py_BEGIN_CRITICAL_SECTION(self);
  if (mill_stream_message(self->stream, &message) == MILL_OK)
    object = records_message(self->state, &message);
  else
    PyErr_NoMemory();
  Py_END_CRITICAL_SECTION();
  return object;
}

static PyObject *get_timing(PyObject *op, void *unused) {
  StreamObject *self = (StreamObject *)op;
  mill_timing timing;
  mill_stream_timing(self->stream, &timing);
  return records_timing(self->state, &timing);
}

/*
 * (seconds, the error's class, status, seconds until the next attempt) of each retry; its error is
 * None where that is not known.
 */
static PyObject *stream_retries(PyObject *op, PyObject *unused) {
  StreamObject *self = (StreamObject *)op;
  mill_timing timing;
  mill_stream_timing(self->stream, &timing);
  PyObject *list = PyList_New(timing.retries);
  for (unsigned i = 0; list && i < timing.retries; i++) {
    mill_retry retry = {.at_ns = 0};
    bool known = mill_stream_retry(self->stream, i, &retry) == MILL_OK;
    PyObject *entry = Py_BuildValue("dzid", (double)retry.at_ns / 1e9,
                                    known ? mill_error_class(retry.code) : NULL, retry.status,
                                    (double)retry.delay_ms / 1e3);
    if (entry)
      PyList_SET_ITEM(list, i, entry);
    else
      Py_CLEAR(list);
  }
  return list;
}

/* (status, HTTP version, header lines); NotImplemented while there is no head. */
static PyObject *head(StreamObject *self) {
  mill_response response;
  const mill_error *error = mill_stream_error(self->stream); /* before the look at the head */
  mill_stream_response(self->stream, &response);
  if (response.status && error->code != MILL_E_FORKED)
    return Py_BuildValue("iiN", response.status, response.http_version,
                         slice_to_bytes(response.headers));
  return error->code ? raise_end(self) : Py_NewRef(Py_NotImplemented);
}

static PyObject *stream_poll_head(PyObject *self, PyObject *unused) {
  return head((StreamObject *)self);
}

PyObject *stream_head(PyObject *op, PyObject *unused) {
  StreamObject *self = (StreamObject *)op;
  PyObject *tuple;
  while ((tuple = head(self)) == Py_NotImplemented) {
    Py_DECREF(tuple);
    if (wait_for_stream(self, MILL_WAIT_RESPONSE, -1))
      return NULL;
  }
  return tuple;
}

/* ---- the same, awaited in an event loop ------------------------------------------------------- */

static PyObject *stream_take_chunk(PyObject *self, PyObject *unused) {
  return take_new((StreamObject *)self, stream_poll, TAKE_ITEM);
}

static PyObject *stream_take_text(PyObject *self, PyObject *unused) {
  return take_new((StreamObject *)self, stream_poll_text, TAKE_ITEM);
}

static PyObject *stream_take_event(PyObject *self, PyObject *unused) {
  return take_new((StreamObject *)self, stream_poll_event, TAKE_VALUE);
}

static PyObject *stream_take_batch(PyObject *self, PyObject *unused) {
  return take_new((StreamObject *)self, stream_poll_batch, TAKE_VALUE);
}

static PyObject *stream_take_end(PyObject *self, PyObject *unused) {
  return take_new((StreamObject *)self, stream_poll_drain, TAKE_VALUE);
}

static PyObject *stream_take_head(PyObject *self, PyObject *unused) {
  return take_new((StreamObject *)self, stream_poll_head, TAKE_HEAD);
}

static PyObject *stream_take_nothing(PyObject *self, PyObject *event) {
  return take_new_wait((StreamObject *)self, event);
}

/* ---- waiting --------------------------------------------------------------------------------- */

/* An argument in seconds or None as a deadline; -2 with an exception. */
static int64_t deadline_of(PyObject *timeout) {
  if (timeout == Py_None)
    return -1;
  double timeout_s = PyFloat_AsDouble(timeout);
  if (PyErr_Occurred())
    return -2;
  if (timeout_s >= 0)
    return wait_deadline_ns(timeout_s);
  PyErr_SetString(PyExc_ValueError, "timeout: must be None or not negative, in seconds");
  return -2;
}

static PyObject *stream_wait(PyObject *op, PyObject *args, PyObject *kwargs) {
  static char *names[] = {"timeout", NULL};
  StreamObject *self = (StreamObject *)op;
  PyObject *timeout = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:wait", names, &timeout))
    return NULL;
  int64_t deadline_ns = deadline_of(timeout);
  if (deadline_ns == -2)
    return NULL;
  if (mill_stream_error(self->stream)->code == MILL_E_FORKED)
    return raise_end(self);
  int result = wait_for_stream(self, MILL_WAIT_CHUNK, deadline_ns);
  return result < 0 ? NULL : PyBool_FromLong(result == 0);
}

static struct wait_entry *entries_of(core_state *state, PyObject *streams, Py_ssize_t n) {
  struct wait_entry *entries = PyMem_Calloc((size_t)n, sizeof *entries);
  if (!entries)
    PyErr_NoMemory();
  for (Py_ssize_t i = 0; entries && i < n; i++) {
    PyObject *stream = PyTuple_GET_ITEM(streams, i);
    entries[i].stream = (StreamObject *)stream;
    if (PyObject_TypeCheck(stream, state->stream_type))
      continue;
    PyErr_Format(PyExc_TypeError, "streams: must be of Stream, not %s", Py_TYPE(stream)->tp_name);
    PyMem_Free(entries);
    entries = NULL;
  }
  return entries;
}

static PyObject *list_ready(const struct wait_entry *entries, Py_ssize_t n) {
  PyObject *list = PyList_New(0);
  for (Py_ssize_t i = 0; list && i < n; i++) {
    StreamObject *stream = entries[i].stream;
    bool ready, forked;
    Py_BEGIN_CRITICAL_SECTION(stream);
    ready = mill_stream_ready(stream->stream);
    forked = mill_stream_error(stream->stream)->code == MILL_E_FORKED;
    Py_END_CRITICAL_SECTION();
    if (forked || (ready && PyList_Append(list, (PyObject *)stream)))
      Py_CLEAR(list);
    if (forked)
      raise_end(stream);
  }
  return list;
}

/* Another thread may take what was there before it is listed: then the wait goes on. */
static PyObject *wait_and_list(struct wait_entry *entries, Py_ssize_t n, int64_t deadline_ns) {
  for (int result = 0;;) {
    PyObject *list = list_ready(entries, n);
    if (!list || PyList_GET_SIZE(list) || result)
      return list;
    Py_DECREF(list);
    result = wait_for_any(entries, n, MILL_WAIT_CHUNK, deadline_ns);
    if (result < 0)
      return NULL;
  }
}

PyObject *stream_wait_any(PyObject *module, PyObject *args) {
  PyObject *streams, *timeout;
  if (!PyArg_ParseTuple(args, "O!O:wait", &PyTuple_Type, &streams, &timeout))
    return NULL;
  Py_ssize_t n = PyTuple_GET_SIZE(streams);
  int64_t deadline_ns = deadline_of(timeout);
  if (deadline_ns == -2)
    return NULL;
  if (!n)
    return PyList_New(0);
  struct wait_entry *entries = entries_of(PyModule_GetState(module), streams, n);
  PyObject *list = entries ? wait_and_list(entries, n, deadline_ns) : NULL;
  PyMem_Free(entries);
  return list;
}

/* ---- the two types ---------------------------------------------------------------------------- */

static PyMethodDef base_methods[] = {
    {"_retries", stream_retries, METH_NOARGS, NULL},
    {"cancel", stream_cancel, METH_NOARGS,
     "cancel($self, /)\n--\n\n"
     "End the stream now, from any thread, any number of times. What was not taken yet is\n"
     "dropped; a thread or task that waits for a chunk raises Cancelled."},
    {"close", stream_close, METH_NOARGS,
     "close($self, /)\n--\n\n"
     "As cancel(), but iteration just stops. Leaving a with block does this."},
    {"_poll_batch", stream_poll_batch, METH_NOARGS, NULL},
    {"_poll_drain", stream_poll_drain, METH_NOARGS, NULL},
    {"_poll_head", stream_poll_head, METH_NOARGS, NULL},
    {"_take_chunk", stream_take_chunk, METH_NOARGS, NULL},
    {"_take_text", stream_take_text, METH_NOARGS, NULL},
    {"_take_event", stream_take_event, METH_NOARGS, NULL},
    {"_take_batch", stream_take_batch, METH_NOARGS, NULL},
    {"_take_end", stream_take_end, METH_NOARGS, NULL},
    {"_take_head", stream_take_head, METH_NOARGS, NULL},
    {"_take_nothing", stream_take_nothing, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef base_getset[] = {
    {"message", get_message, NULL, "The Message that the chunks taken so far add up to.", NULL},
    {"timing", get_timing, NULL, "When things happened: a Timing, in seconds since the start.",
     NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot base_slots[] = {
    {Py_tp_doc, "An answer on its way: what Stream and AsyncStream share. Made by clients."},
    {Py_tp_new, stream_new},
    {Py_tp_dealloc, stream_dealloc},
    {Py_tp_methods, base_methods},
    {Py_tp_getset, base_getset},
    {0, NULL},
};

PyType_Spec base_stream_spec = {
    .name = "millstream._core.BaseStream",
    .basicsize = sizeof(StreamObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = base_slots,
};

static PyMethodDef stream_methods[] = {
    {"wait", (PyCFunction)(void (*)(void))stream_wait, METH_VARARGS | METH_KEYWORDS,
     "wait($self, /, timeout=None)\n--\n\n"
     "Wait until next() would not block: for a chunk, the end or an error. False when `timeout`\n"
     "seconds are over before."},
    {"_next_event", stream_next_event, METH_NOARGS, NULL},
    {"_next_batch", stream_next_batch, METH_NOARGS, NULL},
    {"_drain", stream_drain, METH_NOARGS, NULL},
    {"_head", stream_head, METH_NOARGS, NULL},
    {"__enter__", stream_enter, METH_NOARGS, NULL},
    {"__exit__", stream_exit, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot stream_slots[] = {
    {Py_tp_doc, "The iterator over an answer's chunks that blocks. Made by Client."},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, stream_iternext},
    {Py_tp_methods, stream_methods},
    {0, NULL},
};

PyType_Spec stream_spec = {
    .name = "millstream._core.Stream",
    .basicsize = sizeof(StreamObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = stream_slots,
};
