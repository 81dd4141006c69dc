/* The module millstream._core: its state, its types, its functions. */
#include "core.h"

static const char *const CHUNK_TYPES[] = {"text",  "reasoning", "refusal", "tool_call",
                                          "usage", "finish",    "other"};
/* NULL: None */
static const char *const FINISH_REASONS[] = {NULL,         "stop",           "length",
                                             "tool_calls", "content_filter", "other"};

core_state *core_state_of_type(PyTypeObject *type) {
  for (; type; type = type->tp_base) {
    PyObject *module = type->tp_flags & Py_TPFLAGS_HEAPTYPE ? PyType_GetModule(type) : NULL;
    if (module && PyModule_GetDef(module) == &core_module)
      return PyModule_GetState(module);
    PyErr_Clear(); /* a subclass of Python's making has no module */
  }
  PyErr_SetString(PyExc_SystemError, "no type of millstream._core");
  return NULL;
}

/* ---- functions -------------------------------------------------------------------------------- */

static PyObject *metrics(PyObject *module, PyObject *unused) {
  return stats_to_dict(NULL);
}

static PyObject *memory_blocks(PyObject *module, PyObject *unused) {
  return PyLong_FromLong(engine_memory_blocks());
}

static PyObject *formats(PyObject *module, PyObject *unused) {
  PyObject *list = PyList_New(0);
  for (const char *const *name = mill_formats(); list && *name; name++) {
    PyObject *text = PyUnicode_FromString(*name);
    if (!text || PyList_Append(list, text))
      Py_CLEAR(list);
    Py_XDECREF(text);
  }
  if (list)
    Py_SETREF(list, PyList_AsTuple(list));
  return list;
}

static PyObject *set_error_factory(PyObject *module, PyObject *factory) {
  core_state *state = PyModule_GetState(module);
  Py_XSETREF(state->make_error, Py_NewRef(factory));
  Py_RETURN_NONE;
}

static PyObject *set_event_loops(PyObject *module, PyObject *args) {
  core_state *state = PyModule_GetState(module);
  PyObject *running_loop, *current_waiter;
  if (!PyArg_ParseTuple(args, "OO:set_event_loops", &running_loop, &current_waiter))
    return NULL;
  Py_XSETREF(state->running_loop, Py_NewRef(running_loop));
  Py_XSETREF(state->current_waiter, Py_NewRef(current_waiter));
  Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"metrics", metrics, METH_NOARGS,
     "metrics($module, /)\n--\n\nThe counters of the process as a dict."},
    {"memory_blocks", memory_blocks, METH_NOARGS,
     "memory_blocks($module, /)\n--\n\nBlocks of memory that are in use in the core, libcurl "
     "apart: "
     "none that are kept for the next stream."},
    {"formats", formats, METH_NOARGS, "formats($module, /)\n--\n\nThe names of the wire formats."},
    {"set_error_factory", set_error_factory, METH_O,
     "set_error_factory($module, factory, /)\n--\n\nThe function that builds an exception from its "
     "facts."},
    {"set_event_loops", set_event_loops, METH_VARARGS,
     "set_event_loops($module, running_loop, current_waiter, /)\n--\n\nThe functions that tell "
     "asyncio's running loop, or None, and the Waiter of the loop that runs."},
    {"wait", stream_wait_any, METH_VARARGS,
     "wait($module, streams, timeout, /)\n--\n\n"
     "Those of a tuple of different streams that are ready, when one is or `timeout` is over."},
    {"frame", (PyCFunction)(void (*)(void))frame_new, METH_FASTCALL,
     "frame($module, head, text, tail, number=-1, /)\n--\n\n"
     "head, the text of a str or Chunk escaped as inside of a JSON string, tail; a line \"id: \" "
     "before it where `number` is not negative."},
    {"shutdown", engine_shutdown, METH_NOARGS,
     "shutdown($module, /)\n--\n\nStop the engine; its streams end as cancelled."},
    {"before_fork", engine_before_fork, METH_NOARGS,
     "before_fork($module, /)\n--\n\nHold the engine still; one of the other two follows."},
    {"after_fork_parent", engine_after_fork_parent, METH_NOARGS,
     "after_fork_parent($module, /)\n--\n\nLet the engine go on."},
    {"after_fork_child", engine_after_fork_child, METH_NOARGS,
     "after_fork_child($module, /)\n--\n\nLeave the parent's engine alone."},
    {NULL, NULL, 0, NULL},
};

/* ---- the module ------------------------------------------------------------------------------- */

static int make_words(PyObject **to, const char *const *words, size_t n) {
  for (size_t i = 0; i < n; i++) {
    to[i] = words[i] ? PyUnicode_InternFromString(words[i]) : Py_NewRef(Py_None);
    if (!to[i])
      return -1;
  }
  return 0;
}

static int add_type(PyObject *module, PyType_Spec *spec, PyTypeObject *base,
                    PyTypeObject **ret_type) {
  *ret_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, (PyObject *)base);
  return *ret_type ? PyModule_AddType(module, *ret_type) : -1;
}

static int execute(PyObject *module) {
  core_state *state = PyModule_GetState(module);
  state->empty = PyUnicode_InternFromString("");
  state->gevent_monkey = PyUnicode_InternFromString("gevent.monkey");
  state->done_name = PyUnicode_InternFromString("done");
  state->set_result_name = PyUnicode_InternFromString("set_result");
  state->trio_name = PyUnicode_InternFromString("trio");
  if (!state->empty || !state->gevent_monkey || !state->done_name || !state->set_result_name ||
      !state->trio_name ||
      make_words(state->chunk_types, CHUNK_TYPES, sizeof CHUNK_TYPES / sizeof *CHUNK_TYPES) ||
      make_words(state->finish_reasons, FINISH_REASONS,
                 sizeof FINISH_REASONS / sizeof *FINISH_REASONS) ||
      add_type(module, &chunk_spec, NULL, &state->chunk_type) ||
      add_type(module, &event_spec, NULL, &state->event_type) ||
      add_type(module, &base_stream_spec, NULL, &state->base_stream_type) ||
      add_type(module, &stream_spec, state->base_stream_type, &state->stream_type) ||
      add_type(module, &comment_spec, NULL, &state->comment_type) ||
      add_type(module, &base_event_stream_spec, state->base_stream_type,
               &state->base_event_stream_type) ||
      add_type(module, &event_stream_spec, state->base_event_stream_type,
               &state->event_stream_type) ||
      add_type(module, &stats_spec, NULL, &state->stats_type) ||
      add_type(module, &waiter_spec, NULL, &state->waiter_type) ||
      add_type(module, &take_spec, NULL, &state->take_type) ||
      add_type(module, &loop_event_spec, NULL, &state->loop_event_type) ||
      records_init(module, state) || add_type(module, &partial_spec, NULL, &state->partial_type) ||
      partial_init(module, state) ||
      PyModule_AddStringConstant(module, "version", mill_version()) ||
      PyModule_AddStringConstant(module, "curl_version", mill_curl_version()))
    return -1;
  return 0;
}

/* Everything in the state that is an object, for traverse and clear. */
#define FOR_EACH_OBJECT(state, DO)                                                                 \
  do {                                                                                             \
    DO((state)->chunk_type);                                                                       \
    DO((state)->event_type);                                                                       \
    DO((state)->base_stream_type);                                                                 \
    DO((state)->stream_type);                                                                      \
    DO((state)->comment_type);                                                                     \
    DO((state)->base_event_stream_type);                                                           \
    DO((state)->event_stream_type);                                                                \
    DO((state)->waiter_type);                                                                      \
    DO((state)->take_type);                                                                        \
    DO((state)->loop_event_type);                                                                  \
    DO((state)->stats_type);                                                                       \
    DO((state)->partial_type);                                                                     \
    DO((state)->change_type);                                                                      \
    DO((state)->repair_type);                                                                      \
    DO((state)->tool_call_type);                                                                   \
    DO((state)->usage_type);                                                                       \
    DO((state)->choice_type);                                                                      \
    DO((state)->message_type);                                                                     \
    DO((state)->timing_type);                                                                      \
    DO((state)->empty);                                                                            \
    DO((state)->gevent_monkey);                                                                    \
    DO((state)->make_error);                                                                       \
    DO((state)->current_waiter);                                                                   \
    DO((state)->running_loop);                                                                     \
    DO((state)->done_name);                                                                        \
    DO((state)->set_result_name);                                                                  \
    DO((state)->trio_name);                                                                        \
    for (int i_ = 0; i_ <= MILL_CHUNK_OTHER; i_++)                                                 \
      DO((state)->chunk_types[i_]);                                                                \
    for (int i_ = 0; i_ <= MILL_FINISH_OTHER; i_++)                                                \
      DO((state)->finish_reasons[i_]);                                                             \
    for (int i_ = 0; i_ < PARTIAL_CHANGES; i_++)                                                   \
      DO((state)->change_kinds[i_]);                                                               \
    for (int i_ = 0; i_ < MILL_REPAIR_COUNT; i_++)                                                 \
      DO((state)->repair_kinds[i_]);                                                               \
  } while (0)

static int traverse(PyObject *module, visitproc visit, void *arg) {
  core_state *state = PyModule_GetState(module);
  FOR_EACH_OBJECT(state, Py_VISIT);
  return 0;
}

static int clear(PyObject *module) {
  core_state *state = PyModule_GetState(module);
  FOR_EACH_OBJECT(state, Py_CLEAR);
  return 0;
}

static void free_module(void *module) {
  clear(module);
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, execute},
#ifdef Py_MOD_PER_INTERPRETER_GIL_SUPPORTED
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#ifdef Py_MOD_GIL_NOT_USED
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

struct PyModuleDef core_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "millstream._core",
    .m_doc = "The C engine of millstream. Use the names of the package millstream.",
    .m_size = sizeof(core_state),
    .m_methods = functions,
    .m_slots = slots,
    .m_traverse = traverse,
    .m_clear = clear,
    .m_free = free_module,
};

PyMODINIT_FUNC PyInit__core(void);

PyMODINIT_FUNC PyInit__core(void) {
  return PyModuleDef_Init(&core_module);
}
