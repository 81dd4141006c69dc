/*
 * The process's one engine: started by the first stream, shared by all interpreters, stopped at the
 * exit of the main one. It never touches Python.
 *
 * At exit it stops before threads are waited for; `_stop` in __init__.py says what they see.
 */
#include "core.h"

#include <pthread.h>
#include <unistd.h>

/* Guards `engine`; never held across a call into Python, but across a fork. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static mill_engine *engine;
static atomic_int owner; /* the process that started it */
static atomic_bool exiting, hooked;

void engine_metrics(mill_metrics *ret_metrics) {
  pthread_mutex_lock(&lock);
  if (engine)
    mill_engine_metrics(engine, ret_metrics);
  pthread_mutex_unlock(&lock);
}

long engine_memory_blocks(void) {
  pthread_mutex_lock(&lock);
  long blocks = mill_memory_blocks() - (engine ? mill_engine_spare_blocks(engine) : 0);
  pthread_mutex_unlock(&lock);
  return blocks;
}

static bool in_main_interpreter(void) {
  return PyInterpreterState_Get() == PyInterpreterState_Main();
}

/* threading's own hook comes before it waits for threads; atexit's, of __init__.py, after that. */
static void hook_exit(void) {
  if (atomic_load(&hooked) || !in_main_interpreter() || atomic_exchange(&hooked, true))
    return;
  PyObject *package = PyImport_ImportModule("millstream");
  PyObject *stop = package ? PyObject_GetAttrString(package, "_stop") : NULL;
  PyObject *threading = stop ? PyImport_ImportModule("threading") : NULL;
  PyObject *done = threading ? PyObject_CallMethod(threading, "_register_atexit", "O", stop) : NULL;
  if (!done && PyErr_ExceptionMatches(PyExc_MemoryError))
    atomic_store(&hooked, false); /* the next stream's */
  PyErr_Clear();                  /* no such hook, or the exit has begun: atexit's is left */
  Py_XDECREF(done);
  Py_XDECREF(threading);
  Py_XDECREF(stop);
  Py_XDECREF(package);
}

/* ---- starting --------------------------------------------------------------------------------- */

static void leave_parents_engine(void) {
  pthread_mutex_init(&lock, NULL); /* the thread that holds it may be the parent's */
  atomic_store(&exiting, false);
  wait_after_fork_child();
  if (engine)
    mill_engine_after_fork_child(engine);
  engine = NULL;
}

static int start_engine_locked(void) {
  if (engine)
    return MILL_OK;
  if (atomic_load(&exiting))
    return MILL_E_CANCELLED;
  atomic_store(&owner, getpid());
  return mill_engine_new(&engine);
}

static void raise_no_engine(core_state *state, int result) {
  engine_hold_daemon();
  error_raise_code(state, result,
                   result == MILL_E_CANCELLED
                       ? "Python is exiting: no stream can be started any more"
                       : "the engine's thread or its descriptors could not be had; raise the "
                         "process's limits (ulimit -n, ulimit -u) and try again");
}

int engine_start_stream(core_state *state, const mill_request *request, mill_stream **ret_stream) {
  /* A fork that no hook saw: of C code, or of an interpreter without this package. */
  if (atomic_load(&owner) && atomic_load(&owner) != getpid())
    leave_parents_engine();
  hook_exit();
  const char *why = NULL;
  int stream_result = MILL_OK;
  pthread_mutex_lock(&lock);
  int result = start_engine_locked();
  if (!result)
    stream_result = mill_stream_start(engine, request, ret_stream, &why);
  pthread_mutex_unlock(&lock);
  if (result)
    raise_no_engine(state, result);
  else if (stream_result == MILL_E_ARG)
    PyErr_SetString(PyExc_ValueError, why);
  else if (stream_result)
    error_raise_code(state, stream_result, "the stream could not be started");
  return result || stream_result ? -1 : 0;
}

/* ---- the exit --------------------------------------------------------------------------------- */

static bool on_daemon_thread(void) {
  PyObject *threading = PyImport_ImportModule("threading");
  PyObject *thread = threading ? PyObject_CallMethod(threading, "current_thread", NULL) : NULL;
  PyObject *daemon = thread ? PyObject_GetAttrString(thread, "daemon") : NULL;
  bool is_daemon = daemon == Py_True;
  PyErr_Clear();
  Py_XDECREF(daemon);
  Py_XDECREF(thread);
  Py_XDECREF(threading);
  return is_daemon;
}

static void stand_still(void *unused) {
  for (;;)
    pause();
}

/*
 * Cancelled there would be a traceback of a thread that has no part in the exit. Greenlets call
 * themselves daemons too, on the main thread.
 */
void engine_hold_daemon(void) {
  if (atomic_load(&exiting) && !wait_on_main_thread() && on_daemon_thread())
    wait_detached(stand_still, NULL);
}

static void stop(void *stopped) {
  mill_engine_free(stopped);
}

PyObject *engine_shutdown(PyObject *module, PyObject *unused) {
  if (!in_main_interpreter())
    Py_RETURN_NONE;
  pthread_mutex_lock(&lock);
  atomic_store(&exiting, true);
  mill_engine *stopped = engine;
  engine = NULL;
  pthread_mutex_unlock(&lock);
  if (stopped)
    wait_detached(stop, stopped);
  Py_RETURN_NONE;
}

/* ---- fork ------------------------------------------------------------------------------------- */

PyObject *engine_before_fork(PyObject *module, PyObject *unused) {
  pthread_mutex_lock(&lock);
  if (engine)
    mill_engine_before_fork(engine);
  Py_RETURN_NONE;
}

PyObject *engine_after_fork_parent(PyObject *module, PyObject *unused) {
  if (engine)
    mill_engine_after_fork_parent(engine);
  pthread_mutex_unlock(&lock);
  Py_RETURN_NONE;
}

PyObject *engine_after_fork_child(PyObject *module, PyObject *unused) {
  leave_parents_engine();
  Py_RETURN_NONE;
}
