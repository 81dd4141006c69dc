/*
 * Chunk: one delta, immutable, one allocation: the strings lie behind the object and become str when
 * they are asked for. The event's bytes lie there too, unless several chunks share an event.
 */
#include "core.h"

#include <string.h>

enum {
  TEXT,
  SIGNATURE,
  TOOL_ID,
  TOOL_NAME,
  FINISH_RAW,
  USAGE_RAW,
  EVENT_TYPE,
  EVENT_ID,
  EVENT_DATA,
  N_PARTS
};

typedef struct {
  PyObject_VAR_HEAD
  PyObject *event; /* shared Event; NULL: the three EVENT parts are here */
  size_t len[N_PARTS];
  int64_t tokens[4]; /* usage: input, output, reasoning, cached */
  int choice, tool_index;
  uint8_t type, finish;
  char bytes[];
} ChunkObject;

static mill_slice part(const ChunkObject *self, int which) {
  const char *at = self->bytes;
  for (int i = 0; i < which; i++)
    at += self->len[i];
  return (mill_slice){at, self->len[which]};
}

PyObject *chunk_new(core_state *state, const mill_chunk *chunk, PyObject *event) {
  mill_slice parts[N_PARTS] = {
      [TEXT] = chunk->text,
      [SIGNATURE] = chunk->signature,
      [TOOL_ID] = chunk->tool_id,
      [TOOL_NAME] = chunk->tool_name,
      [FINISH_RAW] = chunk->finish_raw,
      [USAGE_RAW] = chunk->usage.raw,
  };
  if (!event) {
    parts[EVENT_TYPE] = chunk->event.type;
    parts[EVENT_ID] = chunk->event.id;
    parts[EVENT_DATA] = chunk->event.data;
  }
  size_t size = 0;
  for (int i = 0; i < N_PARTS; i++)
    size += parts[i].len;
  ChunkObject *self =
      (ChunkObject *)state->chunk_type->tp_alloc(state->chunk_type, (Py_ssize_t)size);
  if (!self)
    return NULL;
  self->event = Py_XNewRef(event);
  self->type = (uint8_t)chunk->type;
  self->finish = (uint8_t)chunk->finish;
  self->choice = chunk->choice;
  self->tool_index = chunk->tool_index;
  self->tokens[0] = chunk->usage.input_tokens;
  self->tokens[1] = chunk->usage.output_tokens;
  self->tokens[2] = chunk->usage.reasoning_tokens;
  self->tokens[3] = chunk->usage.cached_tokens;
  char *at = self->bytes;
  for (int i = 0; i < N_PARTS; i++) {
    self->len[i] = parts[i].len;
    if (parts[i].len)
      memcpy(at, parts[i].ptr, parts[i].len);
    at += parts[i].len;
  }
  return (PyObject *)self;
}

static PyObject *get_text(PyObject *self, void *unused);

mill_slice chunk_text(PyObject *chunk) {
  return part((ChunkObject *)chunk, TEXT);
}

PyObject *chunk_answer_text(PyObject *chunk) {
  bool is_text = ((ChunkObject *)chunk)->type == MILL_CHUNK_TEXT;
  return is_text ? get_text(chunk, NULL) : Py_NewRef(Py_None);
}

static void chunk_dealloc(PyObject *self) {
  PyTypeObject *type = Py_TYPE(self);
  Py_XDECREF(((ChunkObject *)self)->event);
  type->tp_free(self);
  Py_DECREF(type);
}

static core_state *state_of(PyObject *self) {
  return PyType_GetModuleState(Py_TYPE(self));
}

/* ---- attributes ------------------------------------------------------------------------------- */

static PyObject *get_type(PyObject *self, void *unused) {
  return Py_NewRef(state_of(self)->chunk_types[((ChunkObject *)self)->type]);
}

static PyObject *text_if(PyObject *self, enum mill_chunk_type type) {
  const ChunkObject *chunk = (ChunkObject *)self;
  if (chunk->type != type)
    return Py_NewRef(state_of(self)->empty);
  return slice_to_str(part(chunk, TEXT));
}

static PyObject *get_text(PyObject *self, void *unused) {
  return text_if(self, MILL_CHUNK_TEXT);
}

static PyObject *get_reasoning(PyObject *self, void *unused) {
  return text_if(self, MILL_CHUNK_REASONING);
}

static PyObject *get_signature(PyObject *self, void *unused) {
  return slice_to_str(part((ChunkObject *)self, SIGNATURE));
}

static PyObject *get_refusal(PyObject *self, void *unused) {
  return text_if(self, MILL_CHUNK_REFUSAL);
}

static PyObject *get_tool_call(PyObject *self, void *unused) {
  const ChunkObject *chunk = (ChunkObject *)self;
  if (chunk->type != MILL_CHUNK_TOOL_CALL)
    Py_RETURN_NONE;
  return records_tool_call(state_of(self), chunk->tool_index, part(chunk, TOOL_ID),
                           part(chunk, TOOL_NAME), part(chunk, TEXT));
}

static PyObject *get_choice(PyObject *self, void *unused) {
  return PyLong_FromLong(((ChunkObject *)self)->choice);
}

static PyObject *get_finish_reason(PyObject *self, void *unused) {
  return Py_NewRef(state_of(self)->finish_reasons[((ChunkObject *)self)->finish]);
}

static PyObject *get_finish_reason_raw(PyObject *self, void *unused) {
  const ChunkObject *chunk = (ChunkObject *)self;
  if (chunk->type != MILL_CHUNK_FINISH)
    Py_RETURN_NONE;
  return slice_to_str(part(chunk, FINISH_RAW));
}

static PyObject *get_usage(PyObject *self, void *unused) {
  const ChunkObject *chunk = (ChunkObject *)self;
  if (chunk->type != MILL_CHUNK_USAGE)
    Py_RETURN_NONE;
  mill_usage usage = {chunk->tokens[0], chunk->tokens[1], chunk->tokens[2], chunk->tokens[3],
                      part(chunk, USAGE_RAW)};
  return records_usage(state_of(self), &usage);
}

static PyObject *get_event(PyObject *self, void *unused) {
  const ChunkObject *chunk = (ChunkObject *)self;
  if (chunk->event)
    return Py_NewRef(chunk->event);
  mill_event event = {.type = part(chunk, EVENT_TYPE),
                      .id = part(chunk, EVENT_ID),
                      .data = part(chunk, EVENT_DATA)};
  return event_new(state_of(self), &event);
}

static PyObject *get_raw(PyObject *self, void *unused) {
  const ChunkObject *chunk = (ChunkObject *)self;
  if (chunk->event)
    return PyObject_GetAttrString(chunk->event, "raw");
  return slice_to_bytes(part(chunk, EVENT_DATA));
}

static PyObject *chunk_json(PyObject *self, PyObject *unused) {
  const ChunkObject *chunk = (ChunkObject *)self;
  if (chunk->event)
    return PyObject_CallMethod(chunk->event, "json", NULL);
  return slice_to_json(part(chunk, EVENT_DATA));
}

static PyObject *chunk_str(PyObject *self) {
  return get_text(self, NULL);
}

/* The attribute that has what the chunk says. */
static const char *telling(const ChunkObject *chunk) {
  static const char *const names[] = {"text",  "reasoning",         "refusal", "tool_call",
                                      "usage", "finish_reason_raw", "raw"};
  return chunk->len[SIGNATURE] && !chunk->len[TEXT] ? "signature" : names[chunk->type];
}

static PyObject *chunk_repr(PyObject *self) {
  const ChunkObject *chunk = (ChunkObject *)self;
  const char *name = telling(chunk);
  PyObject *value = PyObject_GetAttrString(self, name);
  if (!value)
    return NULL;
  PyObject *repr =
      PyUnicode_FromFormat("Chunk(type=%R, choice=%d, %s=%R)",
                           state_of(self)->chunk_types[chunk->type], chunk->choice, name, value);
  Py_DECREF(value);
  return repr;
}

static PyGetSetDef chunk_getset[] = {
    {"type", get_type, NULL,
     "What the delta is: 'text', 'reasoning', 'refusal', 'tool_call', 'usage', 'finish' or "
     "'other'.",
     NULL},
    {"text", get_text, NULL, "The piece of answer text; \"\" where the chunk is no text.", NULL},
    {"reasoning", get_reasoning, NULL, "The piece of reasoning; \"\" where it is none.", NULL},
    {"signature", get_signature, NULL,
     "What the provider wants back with its reasoning; \"\" where the chunk has none.", NULL},
    {"refusal", get_refusal, NULL, "The piece of a refusal; \"\" where it is none.", NULL},
    {"tool_call", get_tool_call, NULL,
     "A ToolCall whose arguments are the new fragment, id and name only in its first; or None.",
     NULL},
    {"choice", get_choice, NULL, "Index of the answer that the delta belongs to, from 0.", NULL},
    {"finish_reason", get_finish_reason, NULL,
     "'stop', 'length', 'tool_calls', 'content_filter' or 'other'; None where it is no finish.",
     NULL},
    {"finish_reason_raw", get_finish_reason_raw, NULL, "The provider's own word, or None.", NULL},
    {"usage", get_usage, NULL, "The Usage that the event told, or None.", NULL},
    {"event", get_event, NULL, "The Event that carried the delta.", NULL},
    {"raw", get_raw, NULL, "The event's data, bytes as they came.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef chunk_methods[] = {
    {"json", chunk_json, METH_NOARGS, "json($self, /)\n--\n\nThe event's data, parsed as JSON."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot chunk_slots[] = {
    {Py_tp_doc, "One delta of an answer. str(chunk) is its text. Immutable; made by Stream only."},
    {Py_tp_dealloc, chunk_dealloc},
    {Py_tp_repr, chunk_repr},
    {Py_tp_str, chunk_str},
    {Py_tp_getset, chunk_getset},
    {Py_tp_methods, chunk_methods},
    {0, NULL},
};

PyType_Spec chunk_spec = {
    .name = "millstream.Chunk",
    .basicsize = offsetof(ChunkObject, bytes),
    .itemsize = 1,
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = chunk_slots,
};
