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

/*
 * Puts a new reference, which it takes, into a record. A record is filled by a chain of && of these,
 * so that nothing is made with an exception set.
 */
static bool put(PyObject *self, Py_ssize_t i, PyObject *value) {
  if (value)
    PyStructSequence_SetItem(self, i, value);
  return value;
}

/* The record, or NULL where it could not be made or filled. */
static PyObject *filled(PyObject *self, bool is_whole) {
  if (!is_whole)
    Py_CLEAR(self);
  return self;
}

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
  PyObject *self = PyStructSequence_New(state->tool_call_type);
  return filled(self, self && put(self, 0, PyLong_FromLong(index)) &&
                          put(self, 1, slice_to_str(id)) && put(self, 2, slice_to_str(name)) &&
                          put(self, 3, slice_to_str(arguments)));
}

PyObject *records_usage(core_state *state, const mill_usage *usage) {
  PyObject *self = PyStructSequence_New(state->usage_type);
  return filled(self, self && put(self, 0, tokens(usage->input_tokens)) &&
                          put(self, 1, tokens(usage->output_tokens)) &&
                          put(self, 2, tokens(usage->reasoning_tokens)) &&
                          put(self, 3, tokens(usage->cached_tokens)) &&
                          put(self, 4, usage->raw.len ? slice_to_json(usage->raw) : PyDict_New()));
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
  PyObject *self = PyStructSequence_New(state->choice_type);
  return filled(self, self && put(self, 0, PyLong_FromLong(choice->index)) &&
                          put(self, 1, slice_to_str(choice->text)) &&
                          put(self, 2, slice_to_str(choice->reasoning)) &&
                          put(self, 3, slice_to_str(choice->refusal)) &&
                          put(self, 4, tool_calls(state, choice)) &&
                          put(self, 5, Py_NewRef(state->finish_reasons[choice->finish])) &&
                          put(self, 6, str_or_none(choice->finish_raw)) &&
                          put(self, 7, str_or_none(choice->signature)));
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

/* A field of a choice, or what stands for it where there is none. */
static PyObject *of_choice(core_state *state, PyObject *choice, Py_ssize_t field) {
  const Py_ssize_t tool_calls_field = 4; /* those before it are texts */
  if (choice)
    return Py_NewRef(PyStructSequence_GetItem(choice, field));
  if (field == tool_calls_field)
    return PyTuple_New(0);
  return Py_NewRef(field < tool_calls_field ? state->empty : Py_None);
}

/* All choices, and what the message itself has of the first. */
static bool put_choices(core_state *state, PyObject *self, const mill_message *message) {
  static const struct {
    Py_ssize_t in_message, in_choice;
  } fields[] = {{3, 1}, {4, 2}, {5, 3}, {6, 4}, {7, 5}, {8, 6}, {11, 7}};
  PyObject *all = choices(state, message);
  bool ok = put(self, 10, all);
  PyObject *first = ok && PyTuple_GET_SIZE(all) ? PyTuple_GET_ITEM(all, 0) : NULL;
  for (size_t i = 0; ok && i < sizeof fields / sizeof *fields; i++)
    ok = put(self, fields[i].in_message, of_choice(state, first, fields[i].in_choice));
  return ok;
}

/* The usage last: its import lets other threads run, which may take what the message is made of. */
PyObject *records_message(core_state *state, const mill_message *message) {
  const mill_slice assistant = {"assistant", 9};
  PyObject *self = PyStructSequence_New(state->message_type);
  return filled(
      self,
      self && put(self, 0, str_or_none(message->id)) && put(self, 1, str_or_none(message->model)) &&
          put(self, 2, slice_to_str(message->role.len ? message->role : assistant)) &&
          put_choices(state, self, message) &&
          put(self, 12, PyUnicode_FromString(message->format)) &&
          put(self, 9,
              message->has_usage ? records_usage(state, &message->usage) : Py_NewRef(Py_None)));
}

PyObject *records_timing(core_state *state, const mill_timing *timing) {
  PyObject *self = PyStructSequence_New(state->timing_type);
  return filled(self, self && put(self, 0, seconds(timing->connect_ns)) &&
                          put(self, 1, seconds(timing->first_byte_ns)) &&
                          put(self, 2, seconds(timing->first_chunk_ns)) &&
                          put(self, 3, seconds(timing->total_ns)) &&
                          put(self, 4, PyLong_FromUnsignedLongLong(timing->chunks)) &&
                          put(self, 5, PyLong_FromUnsignedLong(timing->retries)));
}
