/*
 * Waiting, the only place that releases the GIL.
 *
 *   GIL held:      is something there? -> no: arm the thread's waiter, look again
 *   GIL released:  poll the waiter's eventfd
 *   GIL taken:     once; disarm; run signal handlers; hand over
 *
 * What is consumed of a stream, and what is armed, changes only with the GIL held (or inside the
 * stream's critical section); the released part touches the waiter alone.
 */
#include "core.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/*
 * Signal handlers run on the main thread. A signal interrupts its poll; one that arrives between
 * the look and the poll would be missed, so the main thread does not sleep longer than this.
 */
#define MAIN_THREAD_SLICE_MS 100

int64_t wait_clock_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static bool on_main_thread(void) {
#ifdef SYS_gettid
  return syscall(SYS_gettid) == getpid();
#else
  return true;
#endif
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
  int64_t slice = on_main_thread() ? MAIN_THREAD_SLICE_MS : -1;
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

/* One thread waits on a stream at a time; the others wait for their turn here. */
static int take_turn(StreamObject *self, int64_t deadline_ns) {
  if (PyThread_acquire_lock(self->wait_lock, NOWAIT_LOCK))
    return 0;
  for (;;) {
    PyLockStatus status;
    int64_t ms = slice_ms(deadline_ns);
    Py_BEGIN_ALLOW_THREADS
    status = PyThread_acquire_lock_timed(self->wait_lock, ms < 0 ? -1 : ms * 1000, 1);
    Py_END_ALLOW_THREADS
    COUNT(self, takes, 1);
    if (status == PY_LOCK_ACQUIRED)
      return 0;
    if (PyErr_CheckSignals())
      return -1;
    if (deadline_ns >= 0 && wait_clock_ns() >= deadline_ns)
      return 1;
  }
}

/* MILL_END: it is there already. */
static int arm(StreamObject *self, mill_waiter *waiter, enum mill_wait what) {
  int result;
  Py_BEGIN_CRITICAL_SECTION(self);
  result = mill_waiter_arm(waiter, self->stream, what, self);
  Py_END_CRITICAL_SECTION();
  return result;
}

static int wait_in_turn(StreamObject *self, mill_waiter *waiter, enum mill_wait what,
                        int64_t deadline_ns) {
  while (arm(self, waiter, what) != MILL_END) {
    sleep_on(self, waiter, slice_ms(deadline_ns));
    mill_waiter_disarm(waiter, self->stream);
    if (PyErr_CheckSignals())
      return -1;
    if (deadline_ns >= 0 && wait_clock_ns() >= deadline_ns)
      return arm(self, waiter, what) == MILL_END ? 0
                                                 : (mill_waiter_disarm(waiter, self->stream), 1);
  }
  return 0;
}

int wait_for_stream(StreamObject *self, enum mill_wait what, double timeout_s) {
  mill_waiter *waiter;
  int result = mill_waiter_of_thread(&waiter);
  if (result) {
    error_raise_code(self->state, result,
                     "no file descriptor is left to wait with; raise the limit (ulimit -n)");
    return -1;
  }
  int64_t deadline_ns = -1;
  if (timeout_s >= 0)
    deadline_ns = wait_clock_ns() + (int64_t)(timeout_s < 1e9 ? timeout_s * 1e9 : 1e18);
  result = take_turn(self, deadline_ns);
  if (result)
    return result;
  result = wait_in_turn(self, waiter, what, deadline_ns);
  PyThread_release_lock(self->wait_lock);
  return result;
}

void wait_detached(void (*function)(void *), void *argument) {
  Py_BEGIN_ALLOW_THREADS
  function(argument);
  Py_END_ALLOW_THREADS
}
