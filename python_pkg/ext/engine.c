/*
 * The process's one engine: started by the first stream, shared by all interpreters, stopped at the
 * exit of the main one. It never touches Python.
 *
 * At exit it stops before threads are waited for; `_stop` in __init__.py says what they see.
 */
#include "core.h"

#include <pthread.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* never held across a call into Python */
static _Atomic(mill_engine *) engine;
static atomic_int owner; /* the process that started it */
static atomic_bool exiting, hooked;

mill_engine *engine_peek(void) {
  return atomic_load(&engine);
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
  PyErr_Clear(); /* no such hook, or the exit has begun: atexit's is left */
  Py_XDECREF(done);
  Py_XDECREF(threading);
  Py_XDECREF(stop);
  Py_XDECREF(package);
}

static int start(mill_engine **ret_engine) {
  int result = MILL_OK;
  pthread_mutex_lock(&lock);
  *ret_engine = atomic_load(&engine);
  if (!*ret_engine && atomic_load(&exiting)) {
    result = MILL_E_CANCELLED;
  } else if (!*ret_engine) {
    result = mill_engine_new(ret_engine);
    if (!result) {
      atomic_store(&owner, getpid());
      atomic_store(&engine, *ret_engine);
    }
  }
  pthread_mutex_unlock(&lock);
  return result;
}

static void leave_parents_engine(void) {
  pthread_mutex_init(&lock, NULL); /* another thread of the parent may have held it */
  mill_engine *inherited = atomic_exchange(&engine, NULL);
  if (inherited)
    mill_engine_after_fork_child(inherited);
}

mill_engine *engine_get(core_state *state) {
  /* An interpreter that had not imported the package when it forked had no hook for it. */
  if (atomic_load(&engine) && atomic_load(&owner) != getpid())
    leave_parents_engine();
  hook_exit();
  mill_engine *running = atomic_load(&engine);
  int result = running ? MILL_OK : start(&running);
  if (!result)
    return running;
  engine_hold_daemon();
  error_raise_code(state, result,
                   result == MILL_E_CANCELLED
                       ? "Python is exiting: no stream can be started any more"
                       : "the engine's thread or its descriptors could not be had; raise the "
                         "process's limits (ulimit -n, ulimit -u) and try again");
  return NULL;
}

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

/* Cancelled there would be a traceback of a thread that has no part in the exit. */
void engine_hold_daemon(void) {
  if (atomic_load(&exiting) && on_daemon_thread())
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
  mill_engine *stopped = atomic_exchange(&engine, NULL);
  pthread_mutex_unlock(&lock);
  if (stopped)
    wait_detached(stop, stopped);
  Py_RETURN_NONE;
}

PyObject *engine_after_fork_child(PyObject *module, PyObject *unused) {
  leave_parents_engine();
  Py_RETURN_NONE;
}
