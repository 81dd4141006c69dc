/*
 * Waiters: streams that became ready, behind one eventfd for an event loop, behind one word of
 * memory (a futex) for a thread: that needs no descriptor, and one system call less a wait.
 * Locks: a stream's lock is taken before its waiter's. The eventfd is readable, and the word 1,
 * exactly while the ready list is not empty; all change under the waiter's lock. A thread is woken
 * when both locks are free again: it takes them first of all.
 */
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "net/stream.h"

struct mill_waiter {
  atomic_uint refs;    /* the owner's, and one for each attached stream */
  unsigned generation; /* of the process, see fork_generation */
  int fd;              /* -1: a thread's */
  atomic_uint word;
  pthread_mutex_t lock;
  struct mill__list ready; /* guarded by lock */
};

static atomic_uint fork_generation;

static mill_waiter *new_waiter(int fd) {
  mill_waiter *waiter = mill__calloc(1, sizeof *waiter);
  if (!waiter)
    return NULL;
  waiter->fd = fd;
  atomic_init(&waiter->word, 0);
  atomic_init(&waiter->refs, 1);
  waiter->generation = atomic_load(&fork_generation);
  pthread_mutex_init(&waiter->lock, NULL);
  mill__list_init(&waiter->ready);
  return waiter;
}

int mill_waiter_new(mill_waiter **ret_waiter) {
  int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0)
    return MILL_E_SYSTEM;
  mill_waiter *waiter = new_waiter(fd);
  if (!waiter) {
    close(fd);
    return MILL_E_NOMEM;
  }
  *ret_waiter = waiter;
  return MILL_OK;
}

/*
 * In the child of a fork: an eventfd is shared with the parent, whose wake-ups a read would take,
 * and a thread of the parent may have held the locks.
 */
static bool is_inherited(const mill_waiter *waiter) {
  return waiter->generation != atomic_load(&fork_generation);
}

static void unref(mill_waiter *waiter) {
  if (atomic_fetch_sub(&waiter->refs, 1) != 1)
    return;
  if (waiter->fd >= 0)
    close(waiter->fd);
  pthread_mutex_destroy(&waiter->lock);
  mill__free(waiter);
}

void mill_waiter_free(mill_waiter *waiter) {
  if (waiter)
    unref(waiter); /* streams still attached keep it until they leave */
}

int mill_waiter_fd(const mill_waiter *waiter) {
  return waiter->fd;
}

/* ---- the stream's side ----------------------------------------------------------------------- */

static void signal_locked(mill_waiter *waiter) {
  uint64_t one = 1;
  ssize_t written;
  if (waiter->fd < 0) {
    atomic_store(&waiter->word, 1); /* mill__waiter_wake does the rest */
    return;
  }
  do
    written = write(waiter->fd, &one, sizeof one);
  while (written < 0 && errno == EINTR);
}

mill_waiter *mill__waiter_notify_locked(mill_stream *stream) {
  mill_waiter *waiter = stream->waiter, *sleeper = NULL;
  if (!waiter)
    return NULL;
  pthread_mutex_lock(&waiter->lock);
  if (!stream->listed) {
    bool was_empty = mill__list_empty(&waiter->ready);
    mill__list_append(&waiter->ready, &stream->ready);
    stream->listed = true;
    if (was_empty) {
      signal_locked(waiter);
      sleeper = waiter->fd < 0 ? waiter : NULL;
    }
  }
  if (sleeper)
    atomic_fetch_add(&sleeper->refs, 1);
  pthread_mutex_unlock(&waiter->lock);
  return sleeper;
}

void mill__waiter_wake(mill_waiter *sleeper) {
  if (!sleeper)
    return;
  syscall(SYS_futex, &sleeper->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
  unref(sleeper);
}

static void clear_locked(mill_waiter *waiter) {
  uint64_t count;
  ssize_t got;
  if (waiter->fd < 0) {
    atomic_store(&waiter->word, 0);
    return;
  }
  do
    got = read(waiter->fd, &count, sizeof count);
  while (got < 0 && errno == EINTR);
}

/* Take a stream out of the ready list. waiter->lock is held. */
static void unlist_locked(mill_waiter *waiter, mill_stream *stream) {
  if (!stream->listed)
    return;
  mill__list_remove(&stream->ready);
  stream->listed = false;
  if (mill__list_empty(&waiter->ready))
    clear_locked(waiter);
}

/* stream->lock is held. */
static void detach_locked(mill_stream *stream) {
  mill_waiter *waiter = stream->waiter;
  if (!waiter)
    return;
  pthread_mutex_lock(&waiter->lock);
  unlist_locked(waiter, stream);
  pthread_mutex_unlock(&waiter->lock);
  stream->waiter = NULL;
  unref(waiter);
}

void mill__waiter_detach(mill_stream *stream) {
  pthread_mutex_lock(&stream->lock);
  detach_locked(stream);
  pthread_mutex_unlock(&stream->lock);
}

static void attach(mill_waiter *waiter, mill_stream *stream, void *tag) {
  pthread_mutex_lock(&stream->lock);
  if (stream->waiter != waiter) {
    detach_locked(stream);
    atomic_fetch_add(&waiter->refs, 1);
    stream->waiter = waiter;
  }
  pthread_mutex_lock(&waiter->lock);
  stream->tag = tag;
  pthread_mutex_unlock(&waiter->lock);
  pthread_mutex_unlock(&stream->lock);
}

/* ---- the public functions -------------------------------------------------------------------- */

int mill_waiter_arm(mill_waiter *waiter, mill_stream *stream, enum mill_wait what, void *tag) {
  if (what == MILL_WAIT_CHUNK && !stream->holds_record) /* the last look found nothing */
    mill__queue_rest(&stream->queue);
  if (mill__stream_has(stream, what))
    return MILL_END;
  attach(waiter, stream, tag);
  atomic_exchange(&stream->armed, (int)what); /* see mill__stream_notify */
  if (mill__stream_has(stream, what))
    mill__stream_notify(stream, MILL__ARMED_DATA); /* who armed it before sleeps already */
  return MILL_OK;
}

void mill_waiter_disarm(mill_waiter *waiter, mill_stream *stream) {
  if (is_inherited(waiter))
    return;
  atomic_exchange(&stream->armed, MILL__ARMED_NO);
  pthread_mutex_lock(&stream->lock); /* a notification on its way is over after this */
  if (stream->waiter == waiter) {
    pthread_mutex_lock(&waiter->lock);
    unlist_locked(waiter, stream);
    pthread_mutex_unlock(&waiter->lock);
  }
  pthread_mutex_unlock(&stream->lock);
}

void *mill_waiter_take(mill_waiter *waiter) {
  void *tag = NULL;
  if (is_inherited(waiter))
    return NULL;
  pthread_mutex_lock(&waiter->lock);
  if (!mill__list_empty(&waiter->ready)) {
    mill_stream *stream = MILL__CONTAINER(waiter->ready.next, mill_stream, ready);
    tag = stream->tag;
    unlist_locked(waiter, stream);
  }
  pthread_mutex_unlock(&waiter->lock);
  return tag;
}

static int wait_on_word(mill_waiter *waiter, int64_t timeout_ms) {
  struct timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000};
  if (!atomic_load(&waiter->word)) /* the kernel looks at it again */
    syscall(SYS_futex, &waiter->word, FUTEX_WAIT_PRIVATE, 0, timeout_ms < 0 ? NULL : &timeout, NULL,
            0);
  return atomic_load(&waiter->word) ? MILL_OK : MILL_AGAIN;
}

int mill_waiter_wait(mill_waiter *waiter, int64_t timeout_ms) {
  if (waiter->fd < 0)
    return wait_on_word(waiter, timeout_ms);
  struct pollfd pollfd = {.fd = waiter->fd, .events = POLLIN};
  int timeout = timeout_ms < 0 ? -1 : timeout_ms > 1000000000 ? 1000000000 : (int)timeout_ms;
  return poll(&pollfd, 1, timeout) == 1 ? MILL_OK : MILL_AGAIN;
}

/* ---- one a thread ---------------------------------------------------------------------------- */

static pthread_key_t thread_key;
static pthread_once_t thread_key_once = PTHREAD_ONCE_INIT;
static bool thread_key_made;

static void free_thread_waiter(void *waiter) {
  mill_waiter_free(waiter);
}

static void make_thread_key(void) {
  thread_key_made = pthread_key_create(&thread_key, free_thread_waiter) == 0;
}

int mill_waiter_of_thread(mill_waiter **ret_waiter) {
  pthread_once(&thread_key_once, make_thread_key);
  if (!thread_key_made)
    return MILL_E_SYSTEM;
  mill_waiter *waiter = pthread_getspecific(thread_key);
  if (!waiter || is_inherited(waiter)) {
    mill_waiter_free(waiter); /* the parent's: its lock may be held by a thread of the parent */
    pthread_setspecific(thread_key, NULL);
    waiter = new_waiter(-1);
    if (!waiter)
      return MILL_E_NOMEM;
    if (pthread_setspecific(thread_key, waiter)) {
      mill_waiter_free(waiter);
      return MILL_E_NOMEM;
    }
  }
  *ret_waiter = waiter;
  return MILL_OK;
}

void mill__waiter_after_fork_child(void) {
  atomic_fetch_add(&fork_generation, 1);
}
