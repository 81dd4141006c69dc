/*
 * Waiting, the only place that releases the GIL.
 *
 *   GIL held:      is something there? -> no: arm the thread's waiter, look again
 *   GIL released:  sleep on the thread's waiter
 *   GIL taken:     once; disarm; run signal handlers; hand over
 *
 * What is consumed of a stream, and what is armed, changes only with the GIL held (or inside the
 * stream's critical section); the released part touches the waiter alone. Where gevent has patched
 * the process, the wait is that of _gevent.py.
 */
#include "core.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/*
 * Signal handlers run on the main thread. A signal interrupts its sleep; one that arrives between
 * the look and the sleep would be missed, so the main thread does not sleep longer than this.
 */
#define MAIN_THREAD_SLICE_MS 100
/* One of many streams is another thread's to wait for: its turn is tried again after this. */
#define OTHERS_TURN_SLICE_MS 100

int64_t wait_clock_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t wait_deadline_ns(double timeout_s) {
  if (timeout_s < 0)
    return -1;
  return wait_clock_ns() + (int64_t)(timeout_s < 1e9 ? timeout_s * 1e9 : 1e18);
}

static bool is_over(int64_t deadline_ns) {
  return deadline_ns >= 0 && wait_clock_ns() >= deadline_ns;
}

/* Asked for at every wait: two system calls the first time only. */
static _Thread_local enum { NOT_ASKED, MAIN_THREAD, OTHER_THREAD } thread_kind;

bool wait_on_main_thread(void) {
#ifdef SYS_gettid
  if (thread_kind == NOT_ASKED)
    thread_kind = syscall(SYS_gettid) == getpid() ? MAIN_THREAD : OTHER_THREAD;
  return thread_kind == MAIN_THREAD;
#else
  return true;
#endif
}

void wait_after_fork_child(void) {
  thread_kind = NOT_ASKED;
}

static void count(StreamObject *self, size_t offset, uint64_t n) {
  atomic_fetch_add_explicit((atomic_uint_fast64_t *)((char *)&process_gil_stats + offset), n,
                            memory_order_relaxed);
  if (self->stats)
    atomic_fetch_add_explicit((atomic_uint_fast64_t *)((char *)&self->stats->gil + offset), n,
                              memory_order_relaxed);
}

#define COUNT(self, field, n) count(self, offsetof(struct gil_stats, field), n)

void wait_handed_over(StreamObject *self, int64_t taken_ns) {
  uint64_t held = (uint64_t)(wait_clock_ns() - taken_ns);
  int bucket = held ? 64 - __builtin_clzll(held) : 0;
  if (bucket >= MILL_HISTOGRAM_BUCKETS)
    bucket = MILL_HISTOGRAM_BUCKETS - 1;
  COUNT(self, hold_ns, held);
  COUNT(self, hold_ns_histogram[bucket], 1);
}

/* Milliseconds to sleep at most; -1: no limit. */
static int64_t slice_ms(int64_t deadline_ns) {
  int64_t slice = wait_on_main_thread() ? MAIN_THREAD_SLICE_MS : -1;
  if (deadline_ns < 0)
    return slice;
  int64_t left_ms = (deadline_ns - wait_clock_ns() + 999999) / 1000000;
  if (left_ms < 0)
    left_ms = 0;
  return slice < 0 || left_ms < slice ? left_ms : slice;
}

/* The wait proper. The GIL is released exactly here. */
static void sleep_on(StreamObject *self, mill_waiter *waiter, int64_t ms) {
  int64_t woken_ns;
  Py_BEGIN_ALLOW_THREADS
  mill_waiter_wait(waiter, ms);
  woken_ns = wait_clock_ns();
  Py_END_ALLOW_THREADS
  COUNT(self, takes, 1);
  COUNT(self, wait_ns, (uint64_t)(wait_clock_ns() - woken_ns));
}

/* ---- turns: one thread waits on a stream at a time ------------------------------------------- */

static PyLockStatus sleep_on_lock(PyThread_type_lock lock, int64_t ms) {
  PyLockStatus status;
  Py_BEGIN_ALLOW_THREADS
  status = PyThread_acquire_lock_timed(lock, ms < 0 ? -1 : ms * 1000, 1);
  Py_END_ALLOW_THREADS
  return status;
}

static int take_turn(StreamObject *self, int64_t deadline_ns) {
  if (PyThread_acquire_lock(self->wait_lock, NOWAIT_LOCK))
    return 0;
  for (;;) {
    PyLockStatus status = sleep_on_lock(self->wait_lock, slice_ms(deadline_ns));
    COUNT(self, takes, 1);
    if (status == PY_LOCK_ACQUIRED)
      return 0;
    if (PyErr_CheckSignals())
      return -1;
    if (is_over(deadline_ns))
      return 1;
  }
}

/* Of one stream the turn is waited for; of many, what can be had is taken: no order, no deadlock. */
static int take_turns(struct wait_entry *entries, Py_ssize_t n, int64_t deadline_ns) {
  if (n == 1) {
    int result = take_turn(entries->stream, deadline_ns);
    entries->mine = !result;
    return result;
  }
  for (Py_ssize_t i = 0; i < n; i++)
    entries[i].mine = PyThread_acquire_lock(entries[i].stream->wait_lock, NOWAIT_LOCK);
  return 0;
}

static void leave(struct wait_entry *entries, Py_ssize_t n, mill_waiter *waiter) {
  for (Py_ssize_t i = 0; i < n; i++) {
    if (entries[i].armed)
      mill_waiter_disarm(waiter, entries[i].stream->stream);
    if (entries[i].mine)
      PyThread_release_lock(entries[i].stream->wait_lock);
    entries[i].armed = entries[i].mine = false;
  }
}

/* ---- the wait -------------------------------------------------------------------------------- */

/* Whether it is there; armed where it is not and the turn is ours. */
static bool look(struct wait_entry *entry, mill_waiter *waiter, enum mill_wait what) {
  StreamObject *self = entry->stream;
  bool ready;
  Py_BEGIN_CRITICAL_SECTION(self);
  if (entry->mine)
    ready = mill_waiter_arm(waiter, self->stream, what, self) == MILL_END;
  else
    ready = mill_stream_ready(self->stream);
  Py_END_CRITICAL_SECTION();
  entry->armed = entry->mine && !ready;
  return ready;
}

/* Whether one is there, after a sleep where none was. */
static bool look_or_sleep(struct wait_entry *entries, Py_ssize_t n, mill_waiter *waiter,
                          enum mill_wait what, int64_t deadline_ns) {
  bool all_mine = true;
  for (Py_ssize_t i = 0; i < n; i++) {
    if (look(&entries[i], waiter, what))
      return true;
    all_mine &= entries[i].mine;
  }
  int64_t ms = slice_ms(deadline_ns);
  if (!all_mine && (ms < 0 || ms > OTHERS_TURN_SLICE_MS))
    ms = OTHERS_TURN_SLICE_MS;
  if (ms)
    sleep_on(entries->stream, waiter, ms);
  return false;
}

/* A fork, in a signal handler too, leaves the locks of another process's threads behind. */
static bool is_forked(const struct wait_entry *entries, Py_ssize_t n) {
  for (Py_ssize_t i = 0; i < n; i++)
    if (mill_stream_error(entries[i].stream->stream)->code == MILL_E_FORKED)
      return true;
  return false;
}

static int wait_in_thread(struct wait_entry *entries, Py_ssize_t n, enum mill_wait what,
                          int64_t deadline_ns) {
  mill_waiter *waiter;
  int result = mill_waiter_of_thread(&waiter);
  if (result) {
    error_raise_code(entries->stream->state, result,
                     "out of memory while a thread began to wait for a stream");
    return -1;
  }
  while (!is_forked(entries, n)) {
    result = take_turns(entries, n, deadline_ns);
    if (result)
      return result;
    bool over = is_over(deadline_ns); /* before the look: what came in time is found */
    bool ready = look_or_sleep(entries, n, waiter, what, deadline_ns);
    leave(entries, n, waiter); /* a signal handler may use the streams */
    if (ready || over)
      return !ready;
    if (PyErr_CheckSignals())
      return -1;
  }
  return 0;
}

/* ---- gevent ---------------------------------------------------------------------------------- */

/* Whether greenlets share this thread, which must not sleep then; -1 with an exception. */
static int is_gevents(core_state *state) {
  PyObject *monkey = PyImport_GetModule(state->gevent_monkey);
  if (!monkey)
    return PyErr_Occurred() ? -1 : 0;
  PyObject *patched = PyObject_CallMethod(monkey, "is_module_patched", "s", "select");
  int result = patched ? PyObject_IsTrue(patched) : -1;
  Py_XDECREF(patched);
  Py_DECREF(monkey);
  return result;
}

static PyObject *streams_of(const struct wait_entry *entries, Py_ssize_t n) {
  PyObject *streams = PyTuple_New(n);
  for (Py_ssize_t i = 0; streams && i < n; i++)
    PyTuple_SET_ITEM(streams, i, Py_NewRef(entries[i].stream));
  return streams;
}

static PyObject *seconds_until(int64_t deadline_ns) {
  if (deadline_ns < 0)
    Py_RETURN_NONE;
  int64_t left_ns = deadline_ns - wait_clock_ns();
  return PyFloat_FromDouble(left_ns > 0 ? (double)left_ns / 1e9 : 0);
}

static int wait_in_hub(const struct wait_entry *entries, Py_ssize_t n, enum mill_wait what,
                       int64_t deadline_ns) {
  PyObject *gevent = PyImport_ImportModule("millstream._gevent");
  PyObject *ready =
      gevent ? PyObject_CallMethod(gevent, "wait", "NiN", streams_of(entries, n),
                                   what == MILL_WAIT_RESPONSE, seconds_until(deadline_ns))
             : NULL;
  int result = ready ? !PyObject_IsTrue(ready) : -1;
  Py_XDECREF(ready);
  Py_XDECREF(gevent);
  return result;
}

/* ---- for the other files --------------------------------------------------------------------- */

int wait_for_any(struct wait_entry *entries, Py_ssize_t n, enum mill_wait what,
                 int64_t deadline_ns) {
  int gevents = is_gevents(entries->stream->state);
  if (gevents)
    return gevents < 0 ? -1 : wait_in_hub(entries, n, what, deadline_ns);
  return wait_in_thread(entries, n, what, deadline_ns);
}

int wait_for_stream(StreamObject *self, enum mill_wait what, int64_t deadline_ns) {
  struct wait_entry entry = {.stream = self};
  return wait_for_any(&entry, 1, what, deadline_ns);
}

void wait_detached(void (*function)(void *), void *argument) {
  Py_BEGIN_ALLOW_THREADS
  function(argument);
  Py_END_ALLOW_THREADS
}

int wait_for_lock(PyThread_type_lock lock) {
  if (PyThread_acquire_lock(lock, NOWAIT_LOCK))
    return 0;
  while (sleep_on_lock(lock, slice_ms(-1)) != PY_LOCK_ACQUIRED)
    if (PyErr_CheckSignals())
      return -1;
  return 0;
}
