/*
 * A mill_error becomes an exception. The classes are the package's: it hands the module a function
 * (core_state.make_error) that picks the class and builds the instance.
 */
#include "core.h"

static PyObject *text_or_none(const char *text) {
  if (!text)
    Py_RETURN_NONE;
  return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
}

static PyObject *message_of(StreamObject *self) {
  mill_message message;
  PyObject *object = NULL;
  if (!self || PyObject_TypeCheck(self, self->state->base_event_stream_type))
    Py_RETURN_NONE;
  Py_BEGIN_CRITICAL_SECTION(self);
  if (mill_stream_message(self->stream, &message) == MILL_OK)
    object = records_message(self->state, &message);
  else
    object = Py_NewRef(Py_None); /* without memory the error alone tells what happened */
  Py_END_CRITICAL_SECTION();
  return object;
}

static PyObject *make(core_state *state, StreamObject *self, const mill_error *error) {
  if (error->code == MILL_E_NOMEM)
    return PyErr_NoMemory();
  if (!state->make_error) {
    PyErr_SetString(PyExc_RuntimeError, error->text ? error->text : mill_error_text(error->code));
    return NULL;
  }
  PyObject *message = message_of(self);
  if (!message)
    return NULL;
  PyObject *body = error->body ? PyBytes_FromStringAndSize(error->body, (Py_ssize_t)error->body_len)
                               : Py_NewRef(Py_None);
  return PyObject_CallFunction(
      state->make_error, "sNiNsNLLNN", mill_error_class(error->code),
      text_or_none(error->text ? error->text : mill_error_text(error->code)), error->status,
      text_or_none(error->kind), mill_phase_name(error->phase), text_or_none(error->request_id),
      (long long)error->retry_after_ms, (long long)error->byte_offset, body, message);
}

PyObject *error_new(StreamObject *self, const mill_error *error) {
  return make(self->state, self, error);
}

/* Takes the reference. Always NULL. */
static PyObject *raise_object(PyObject *exception) {
  if (exception) {
    PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
    Py_DECREF(exception);
  }
  return NULL;
}

PyObject *error_raise(StreamObject *self, const mill_error *error) {
  return raise_object(error_new(self, error));
}

PyObject *error_raise_at(core_state *state, int code, const char *text, int64_t byte_offset) {
  mill_error error = {
      .code = code, .retry_after_ms = -1, .byte_offset = byte_offset, .text = (char *)text};
  return raise_object(make(state, NULL, &error));
}

PyObject *error_raise_code(core_state *state, int code, const char *text) {
  return error_raise_at(state, code, text, -1);
}
