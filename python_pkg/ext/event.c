/* Event: one record of the response as it came, immutable, its strings inline and decoded lazily. */
#include "core.h"

#include <string.h>

typedef struct {
  PyObject_VAR_HEAD
  size_t type_len, id_len, data_len;
  char bytes[]; /* type, id, data */
} EventObject;

static mill_slice type_of(const EventObject *self) {
  return (mill_slice){self->bytes, self->type_len};
}

static mill_slice id_of(const EventObject *self) {
  return (mill_slice){self->bytes + self->type_len, self->id_len};
}

static mill_slice data_of(const EventObject *self) {
  return (mill_slice){self->bytes + self->type_len + self->id_len, self->data_len};
}

static PyObject *make(PyTypeObject *type, mill_slice event_type, mill_slice id, mill_slice data) {
  size_t size = event_type.len + id.len + data.len;
  EventObject *self = (EventObject *)type->tp_alloc(type, (Py_ssize_t)size);
  if (!self)
    return NULL;
  self->type_len = event_type.len;
  self->id_len = id.len;
  self->data_len = data.len;
  char *at = self->bytes;
  memcpy(at, event_type.ptr, event_type.len);
  at += event_type.len;
  if (id.len)
    memcpy(at, id.ptr, id.len);
  at += id.len;
  if (data.len)
    memcpy(at, data.ptr, data.len);
  return (PyObject *)self;
}

PyObject *event_new(core_state *state, const mill_event *event) {
  return make(state->event_type, event->type, event->id, event->data);
}

static PyObject *event_tp_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  static char *names[] = {"type", "data", "id", NULL};
  mill_slice event_type = {"message", 7}, data = {"", 0}, id = {"", 0};
  Py_ssize_t type_len = 7, data_len = 0, id_len = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|s#s#s#:Event", names, &event_type.ptr, &type_len,
                                   &data.ptr, &data_len, &id.ptr, &id_len))
    return NULL;
  event_type.len = (size_t)type_len;
  data.len = (size_t)data_len;
  id.len = (size_t)id_len;
  return make(type, event_type, id, data);
}

static void event_dealloc(PyObject *self) {
  PyTypeObject *type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

static PyObject *get_type(PyObject *self, void *unused) {
  return slice_to_str(type_of((EventObject *)self));
}

static PyObject *get_data(PyObject *self, void *unused) {
  return slice_to_str(data_of((EventObject *)self));
}

static PyObject *get_raw(PyObject *self, void *unused) {
  return slice_to_bytes(data_of((EventObject *)self));
}

static PyObject *get_id(PyObject *self, void *unused) {
  return slice_to_str(id_of((EventObject *)self));
}

static PyObject *event_json(PyObject *self, PyObject *unused) {
  return slice_to_json(data_of((EventObject *)self));
}

static PyObject *event_repr(PyObject *self) {
  PyObject *type = get_type(self, NULL), *data = get_data(self, NULL), *id = get_id(self, NULL);
  PyObject *repr = NULL;
  if (type && data && id)
    repr = PyUnicode_FromFormat("Event(type=%R, data=%R, id=%R)", type, data, id);
  Py_XDECREF(type);
  Py_XDECREF(data);
  Py_XDECREF(id);
  return repr;
}

static bool equal(mill_slice a, mill_slice b) {
  return a.len == b.len && !memcmp(a.ptr, b.ptr, a.len);
}

static PyObject *event_richcompare(PyObject *left, PyObject *right, int op) {
  if (Py_TYPE(left) != Py_TYPE(right) || (op != Py_EQ && op != Py_NE))
    Py_RETURN_NOTIMPLEMENTED;
  const EventObject *a = (EventObject *)left, *b = (EventObject *)right;
  bool same =
      equal(type_of(a), type_of(b)) && equal(id_of(a), id_of(b)) && equal(data_of(a), data_of(b));
  return PyBool_FromLong(same == (op == Py_EQ));
}

static Py_hash_t event_hash(PyObject *self) {
  PyObject *raw = get_raw(self, NULL);
  Py_hash_t hash = raw ? PyObject_Hash(raw) : -1;
  Py_XDECREF(raw);
  return hash;
}

static PyGetSetDef event_getset[] = {
    {"type", get_type, NULL, "The event's type; \"message\" where it names none.", NULL},
    {"data", get_data, NULL, "The data as str; invalid UTF-8 is U+FFFD.", NULL},
    {"raw", get_raw, NULL, "The data's bytes as they came.", NULL},
    {"id", get_id, NULL, "The last event id, \"\" where none was sent.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef event_methods[] = {
    {"json", event_json, METH_NOARGS, "json($self, /)\n--\n\nThe data, parsed as JSON."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot event_slots[] = {
    {Py_tp_doc,
     "Event(type='message', data='', id='')\n--\n\n"
     "One server-sent event (WHATWG HTML, section 9.2), or one record of another framing.\n"
     "Immutable."},
    {Py_tp_new, event_tp_new},
    {Py_tp_dealloc, event_dealloc},
    {Py_tp_repr, event_repr},
    {Py_tp_richcompare, event_richcompare},
    {Py_tp_hash, event_hash},
    {Py_tp_getset, event_getset},
    {Py_tp_methods, event_methods},
    {0, NULL},
};

PyType_Spec event_spec = {
    .name = "millstream.Event",
    .basicsize = offsetof(EventObject, bytes),
    .itemsize = 1,
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = event_slots,
};
