/*
 * System calls that fail on purpose: the program's own definitions stand before the C library's, for
 * libcurl too.
 *
 * Only threads that were told to are struck, and those that they start; a test's server is not.
 * Thread: any.
 */
#ifndef MILL_TESTS_SHIM_H
#define MILL_TESTS_SHIM_H

#include <stdbool.h>
#include <stddef.h>

/* X(name): the calls, each with its errors in shim.c */
#define SHIM_CALLS(X)                                                                              \
  X(epoll_create1)                                                                                 \
  X(epoll_ctl)                                                                                     \
  X(epoll_wait)                                                                                    \
  X(eventfd)                                                                                       \
  X(socket)                                                                                        \
  X(socketpair)                                                                                    \
  X(connect)                                                                                       \
  X(pthread_create)                                                                                \
  X(read)                                                                                          \
  X(write)                                                                                         \
  X(recv)                                                                                          \
  X(send)                                                                                          \
  X(poll)

enum shim_call {
#define SHIM_ENUM(name) SHIM_##name,
  SHIM_CALLS(SHIM_ENUM)
#undef SHIM_ENUM
      SHIM_N_CALLS
};

const char *shim_name(enum shim_call call);
/* The errors that a call can be made to fail with: 0 behind the last. */
int shim_error(enum shim_call call, size_t i);
/* From here on the calling thread, and those that it starts, are struck. */
void shim_begin(void);
/* The `n`th call from now (1: the next) fails, and all after it if `for_ever`; 0: none. */
void shim_fail(enum shim_call call, int error, size_t n, bool for_ever);
bool shim_failed(void); /* one failed since the last shim_fail */

#endif
