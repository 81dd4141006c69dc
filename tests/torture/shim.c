/* System calls that fail on purpose; see shim.h. */
#include "shim.h"

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

#define MOST_ERRORS 4

struct call {
  const char *name;
  int errors[MOST_ERRORS + 1]; /* what a program has to reckon with; 0 behind the last */
};

static const struct call CALLS[] = {
    [SHIM_epoll_create1] = {"epoll_create1", {EMFILE, ENFILE, ENOMEM}},
    [SHIM_epoll_ctl] = {"epoll_ctl", {ENOMEM, ENOSPC}},
    [SHIM_epoll_wait] = {"epoll_wait", {EINTR}},
    [SHIM_eventfd] = {"eventfd", {EMFILE, ENFILE, ENOMEM}},
    [SHIM_socket] = {"socket", {EMFILE, ENFILE, ENOBUFS, ENOMEM}},
    [SHIM_socketpair] = {"socketpair", {EMFILE, ENFILE}},
    [SHIM_connect] = {"connect", {ECONNREFUSED, ENETUNREACH, EADDRNOTAVAIL, ENOMEM}},
    [SHIM_pthread_create] = {"pthread_create", {EAGAIN}},
    [SHIM_read] = {"read", {EINTR, EAGAIN}},
    [SHIM_write] = {"write", {EINTR}},
    [SHIM_recv] = {"recv", {EINTR, EAGAIN, ECONNRESET, ENOMEM}},
    [SHIM_send] = {"send", {EINTR, EAGAIN, ECONNRESET, EPIPE}},
    [SHIM_poll] = {"poll", {EINTR, ENOMEM}},
};

const char *shim_name(enum shim_call call) {
  return CALLS[call].name;
}

int shim_error(enum shim_call call, size_t i) {
  return CALLS[call].errors[i];
}

/* ---- who is struck --------------------------------------------------------------------------- */

static _Thread_local bool is_struck;
static struct test_fault fault;
static atomic_int struck_call, struck_error;

void shim_begin(void) {
  is_struck = true;
}

void shim_fail(enum shim_call call, int error, size_t n, bool for_ever) {
  test_fault_set(&fault, 0, false);
  atomic_store(&struck_call, (int)call);
  atomic_store(&struck_error, error);
  test_fault_set(&fault, n, for_ever);
}

bool shim_failed(void) {
  return atomic_load(&fault.struck);
}

/* The call's error, or 0. */
static int strike(enum shim_call call) {
  bool strikes = is_struck && atomic_load(&struck_call) == (int)call && test_fault_strikes(&fault);
  return strikes ? atomic_load(&struck_error) : 0;
}

/* ---- the calls ------------------------------------------------------------------------------- */

/* The function that stands behind this program's own. */
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define DEFINE(type, name, parameters, arguments)                                                  \
  __attribute__((visibility("default"))) type name parameters {                                    \
    int error = strike(SHIM_##name);                                                               \
    if (!error)                                                                                    \
      return REAL(name) arguments;                                                                 \
    errno = error;                                                                                 \
    return -1;                                                                                     \
  }

DEFINE(int, epoll_create1, (int flags), (flags))
DEFINE(int, epoll_ctl, (int poll_fd, int op, int fd, struct epoll_event *event),
       (poll_fd, op, fd, event))
DEFINE(int, epoll_wait, (int poll_fd, struct epoll_event *events, int n, int timeout_ms),
       (poll_fd, events, n, timeout_ms))
DEFINE(int, eventfd, (unsigned count, int flags), (count, flags))
DEFINE(int, socket, (int domain, int type, int protocol), (domain, type, protocol))
DEFINE(int, socketpair, (int domain, int type, int protocol, int fds[2]),
       (domain, type, protocol, fds))
DEFINE(int, connect, (int fd, const struct sockaddr *address, socklen_t size), (fd, address, size))
DEFINE(ssize_t, read, (int fd, void *bytes, size_t len), (fd, bytes, len))
DEFINE(ssize_t, write, (int fd, const void *bytes, size_t len), (fd, bytes, len))
DEFINE(ssize_t, recv, (int fd, void *bytes, size_t len, int flags), (fd, bytes, len, flags))
DEFINE(ssize_t, send, (int fd, const void *bytes, size_t len, int flags), (fd, bytes, len, flags))
DEFINE(int, poll, (struct pollfd * fds, nfds_t n, int timeout_ms), (fds, n, timeout_ms))

struct birth {
  void *(*main)(void *);
  void *user;
  bool is_struck;
};

static void *thread_main(void *user) {
  struct birth birth = *(struct birth *)user;
  free(user);
  is_struck = birth.is_struck;
  return birth.main(birth.user);
}

__attribute__((visibility("default"))) int pthread_create(pthread_t *ret_thread,
                                                          const pthread_attr_t *attributes,
                                                          void *(*main_)(void *), void *user) {
  int error = strike(SHIM_pthread_create);
  if (error)
    return error;
  struct birth *birth = malloc(sizeof(*birth));
  CHECK(birth != NULL);
  *birth = (struct birth){main_, user, is_struck};
  error = REAL(pthread_create)(ret_thread, attributes, thread_main, birth);
  if (error)
    free(birth);
  return error;
}
