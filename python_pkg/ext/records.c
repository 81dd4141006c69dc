/* The plain records of the surface, as named tuples: ToolCall, Usage, Choice, Message, Timing. */
#include "core.h"

static PyStructSequence_Field tool_call_fields[] = {
    {"index", "Its number in the message, from 0."},
    {"id", "The provider's id; in a chunk only in the first fragment."},
    {"name", "The function's name; in a chunk only in the first fragment."},
    {"arguments", "JSON text; in a chunk the new fragment."},
    {NULL, NULL},
};
static PyStructSequence_Desc tool_call_desc = {
    "millstream.ToolCall", "A call that the model wants made, or a fragment of one.",
    tool_call_fields, 4};

static PyStructSequence_Field usage_fields[] = {
    {"input_tokens", "Tokens of the request as the provider counts them, or None."},
    {"output_tokens", "Tokens of the answer as the provider counts them, or None."},
    {"reasoning_tokens", "Tokens spent on reasoning, or None."},
    {"cached_tokens", "Tokens of the request that came from a cache, or None."},
    {"raw", "The provider's usage object, parsed."},
    {NULL, NULL},
};
static PyStructSequence_Desc usage_desc = {"millstream.Usage", "What the answer cost, in tokens.",
                                           usage_fields, 5};

static PyStructSequence_Field choice_fields[] = {
    {"index", "Its number, from 0."},
    {"text", "The answer's text."},
    {"reasoning", "The reasoning's text."},
    {"refusal", "The refusal's text."},
    {"tool_calls", "A tuple of ToolCall."},
    {"finish_reason", "'stop', 'length', 'tool_calls', 'content_filter', 'other', or None."},
    {"finish_reason_raw", "The provider's own word, or None."},
    {"signature", "What the provider wants back with the reasoning, the last that came; or None."},
    {NULL, NULL},
};
static PyStructSequence_Desc choice_desc = {"millstream.Choice", "One answer of several.",
                                            choice_fields, 8};

static PyStructSequence_Field message_fields[] = {
    {"id", "The provider's id of the answer, or None."},
    {"model", "The model that answered, or None."},
    {"role", "Whose message it is; 'assistant'."},
    {"text", "The answer's text."},
    {"reasoning", "The reasoning's text."},
    {"refusal", "The refusal's text."},
    {"tool_calls", "A tuple of ToolCall."},
    {"finish_reason", "'stop', 'length', 'tool_calls', 'content_filter', 'other', or None."},
    {"finish_reason_raw", "The provider's own word, or None."},
    {"usage", "A Usage, or None where none was sent."},
    {"choices", "A tuple of Choice; texts, calls, reasons and signature are those of the first."},
    {"signature", "What the provider wants back with the reasoning, the last that came; or None."},
    {"format", "The wire format that it came in, or None; not an item of the tuple."},
    {NULL, NULL},
};
static PyStructSequence_Desc message_desc = {
    "millstream.Message", "What the chunks taken so far add up to.", message_fields, 12};

static PyStructSequence_Field timing_fields[] = {
    {"connect", "Seconds until the request went out, or None."},
    {"first_byte", "Seconds until the first byte of an answer, or None."},
    {"first_chunk", "Seconds until the first chunk, or None."},
    {"total", "Seconds until the end, or None."},
    {"chunks", "How many chunks came."},
    {"retries", "How many attempts were made beyond the first."},
    {NULL, NULL},
};
static PyStructSequence_Desc timing_desc = {
    "millstream.Timing", "When things happened, in seconds since the start of the stream.",
    timing_fields, 6};

static int add_type(PyObject *module, PyStructSequence_Desc *desc, PyTypeObject **ret_type) {
  *ret_type = PyStructSequence_NewType(desc);
  return *ret_type ? PyModule_AddType(module, *ret_type) : -1;
}

int records_init(PyObject *module, core_state *state) {
  if (add_type(module, &tool_call_desc, &state->tool_call_type) ||
      add_type(module, &usage_desc, &state->usage_type) ||
      add_type(module, &choice_desc, &state->choice_type) ||
      add_type(module, &message_desc, &state->message_type) ||
      add_type(module, &timing_desc, &state->timing_type))
    return -1;
  return 0;
}

/* Fill a record with `n` new references, which it takes; one that is NULL makes the call fail. */
static PyObject *record(PyTypeObject *type, PyObject **values, Py_ssize_t n) {
  bool ok = true;
  for (Py_ssize_t i = 0; i < n; i++)
    ok = ok && values[i];
  PyObject *self = ok ? PyStructSequence_New(type) : NULL;
  for (Py_ssize_t i = 0; i < n; i++) {
    if (self)
      PyStructSequence_SetItem(self, i, values[i]);
    else
      Py_XDECREF(values[i]);
  }
  return self;
}

#define RECORD(type, values) record(type, values, (Py_ssize_t)(sizeof(values) / sizeof *(values)))

static PyObject *str_or_none(mill_slice slice) {
  if (!slice.len)
    Py_RETURN_NONE;
  return slice_to_str(slice);
}

static PyObject *tokens(int64_t count) {
  if (count < 0)
    Py_RETURN_NONE;
  return PyLong_FromLongLong(count);
}

static PyObject *seconds(int64_t ns) {
  if (ns < 0)
    Py_RETURN_NONE;
  return PyFloat_FromDouble((double)ns / 1e9);
}

PyObject *slice_to_json(mill_slice text) {
  PyObject *str =
      slice_to_str(text); /* first: an import lets other threads run, and take the next */
  /* Not imported before it is needed: it costs as much as this whole package. */
  PyObject *json = str ? PyImport_ImportModule("json") : NULL;
  PyObject *value = json ? PyObject_CallMethod(json, "loads", "O", str) : NULL;
  Py_XDECREF(json);
  Py_XDECREF(str);
  return value;
}

PyObject *records_tool_call(core_state *state, int index, mill_slice id, mill_slice name,
                            mill_slice arguments) {
  PyObject *values[] = {PyLong_FromLong(index), slice_to_str(id), slice_to_str(name),
                        slice_to_str(arguments)};
  return RECORD(state->tool_call_type, values);
}

PyObject *records_usage(core_state *state, const mill_usage *usage) {
  PyObject *values[] = {
      tokens(usage->input_tokens),
      tokens(usage->output_tokens),
      tokens(usage->reasoning_tokens),
      tokens(usage->cached_tokens),
      usage->raw.len ? slice_to_json(usage->raw) : PyDict_New(),
  };
  return RECORD(state->usage_type, values);
}

static PyObject *tool_calls(core_state *state, const mill_choice *choice) {
  PyObject *tuple = PyTuple_New((Py_ssize_t)choice->n_tool_calls);
  for (size_t i = 0; tuple && i < choice->n_tool_calls; i++) {
    const mill_tool_call *call = &choice->tool_calls[i];
    PyObject *item = records_tool_call(state, (int)i, call->id, call->name, call->arguments);
    if (item)
      PyTuple_SET_ITEM(tuple, (Py_ssize_t)i, item);
    else
      Py_CLEAR(tuple);
  }
  return tuple;
}

static PyObject *choice_record(core_state *state, const mill_choice *choice) {
  PyObject *values[] = {
      PyLong_FromLong(choice->index),  slice_to_str(choice->text),
      slice_to_str(choice->reasoning), slice_to_str(choice->refusal),
      tool_calls(state, choice),       Py_NewRef(state->finish_reasons[choice->finish]),
      str_or_none(choice->finish_raw), str_or_none(choice->signature),
  };
  return RECORD(state->choice_type, values);
}

static PyObject *choices(core_state *state, const mill_message *message) {
  PyObject *tuple = PyTuple_New((Py_ssize_t)message->n_choices);
  for (size_t i = 0; tuple && i < message->n_choices; i++) {
    PyObject *item = choice_record(state, &message->choices[i]);
    if (item)
      PyTuple_SET_ITEM(tuple, (Py_ssize_t)i, item);
    else
      Py_CLEAR(tuple);
  }
  return tuple;
}

/* A field of the first choice; `none` where there is no choice. */
static PyObject *of_first(PyObject *tuple, Py_ssize_t field, PyObject *none) {
  if (!tuple || !PyTuple_GET_SIZE(tuple))
    return Py_NewRef(none);
  return Py_NewRef(PyStructSequence_GetItem(PyTuple_GET_ITEM(tuple, 0), field));
}

PyObject *records_message(core_state *state, const mill_message *message) {
  PyObject *all = choices(state, message);
  PyObject *no_calls = PyTuple_New(0);
  PyObject *role =
      message->role.len ? slice_to_str(message->role) : PyUnicode_FromString("assistant");
  PyObject *values[] = {
      str_or_none(message->id),
      str_or_none(message->model),
      role,
      of_first(all, 1, state->empty),
      of_first(all, 2, state->empty),
      of_first(all, 3, state->empty),
      of_first(all, 4, no_calls ? no_calls : Py_None),
      of_first(all, 5, Py_None),
      of_first(all, 6, Py_None),
      message->has_usage ? records_usage(state, &message->usage) : Py_NewRef(Py_None),
      all,
      of_first(all, 7, Py_None),
      PyUnicode_FromString(message->format),
  };
  Py_XDECREF(no_calls);
  return RECORD(state->message_type, values);
}

PyObject *records_timing(core_state *state, const mill_timing *timing) {
  PyObject *values[] = {
      seconds(timing->connect_ns),
      seconds(timing->first_byte_ns),
      seconds(timing->first_chunk_ns),
      seconds(timing->total_ns),
      PyLong_FromUnsignedLongLong(timing->chunks),
      PyLong_FromUnsignedLong(timing->retries),
  };
  return RECORD(state->timing_type, values);
}
