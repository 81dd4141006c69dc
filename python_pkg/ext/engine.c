/*
 * The process's one engine: started by the first stream, shared by all interpreters, stopped at the
 * exit of the main one. It never touches Python.
 */
#include "core.h"

#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* never held across a call into Python */
static _Atomic(mill_engine *) engine;

mill_engine *engine_peek(void) {
  return atomic_load(&engine);
}

mill_engine *engine_get(core_state *state) {
  mill_engine *running = atomic_load(&engine);
  if (running)
    return running;
  int result = MILL_OK;
  pthread_mutex_lock(&lock);
  running = atomic_load(&engine);
  if (!running) {
    result = mill_engine_new(&running);
    if (!result)
      atomic_store(&engine, running);
  }
  pthread_mutex_unlock(&lock);
  if (!result)
    return running;
  error_raise_code(state, result,
                   "the engine's thread or its descriptors could not be had; raise the process's "
                   "limits (ulimit -n, ulimit -u) and try again");
  return NULL;
}

static void stop(void *stopped) {
  mill_engine_free(stopped);
}

PyObject *engine_shutdown(PyObject *module, PyObject *unused) {
  mill_engine *stopped = atomic_exchange(&engine, NULL);
  if (stopped)
    wait_detached(stop, stopped);
  Py_RETURN_NONE;
}

PyObject *engine_after_fork_child(PyObject *module, PyObject *unused) {
  pthread_mutex_init(&lock, NULL); /* another thread of the parent may have held it */
  mill_engine *inherited = atomic_exchange(&engine, NULL);
  if (inherited)
    mill_engine_after_fork_child(inherited);
  Py_RETURN_NONE;
}
