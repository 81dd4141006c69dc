/*
 * Preloaded into a program under test: a resolver that hangs, a wall clock that jumps, threads that
 * cannot be made. Each works where its variable is in the environment.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define JUMP_S 100000 /* a day and more, to and fro */

/* HANG_FD: looking up a name that ends in ".hang" blocks until that descriptor's other end closes. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **res) {
  int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
      dlsym(RTLD_NEXT, "getaddrinfo");
  size_t len = node ? strlen(node) : 0;
  char byte;
  if (len > 5 && !strcmp(node + len - 5, ".hang")) {
    if (read(atoi(getenv("HANG_FD")), &byte, 1) < 0)
      return EAI_SYSTEM;
    return EAI_NONAME;
  }
  return real(node, service, hints, res);
}

/* JUMPS: the time of day is a day too early and a day too late, in turns. */
static time_t jump_s(void) {
  static atomic_uint calls;
  if (!getenv("JUMPS"))
    return 0;
  return atomic_fetch_add(&calls, 1) % 2 ? JUMP_S : -JUMP_S;
}

int clock_gettime(clockid_t clock, struct timespec *ret_time) {
  int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
  int result = real(clock, ret_time);
  if (!result && clock == CLOCK_REALTIME)
    ret_time->tv_sec += jump_s();
  return result;
}

int gettimeofday(struct timeval *restrict ret_time, void *restrict zone) {
  int (*real)(struct timeval *, void *) = dlsym(RTLD_NEXT, "gettimeofday");
  int result = real(ret_time, zone);
  if (!result && ret_time)
    ret_time->tv_sec += jump_s();
  return result;
}

time_t time(time_t *ret_time) {
  struct timespec now = {.tv_sec = 0};
  clock_gettime(CLOCK_REALTIME, &now);
  if (ret_time)
    *ret_time = now.tv_sec;
  return now.tv_sec;
}

/* FAIL_THREADS: so many times in the beginning no thread can be made. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                   void *argument) {
  static atomic_int failed;
  int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) =
      dlsym(RTLD_NEXT, "pthread_create");
  const char *count = getenv("FAIL_THREADS");
  if (count && atomic_fetch_add(&failed, 1) < atoi(count))
    return EAGAIN;
  return real(thread, attributes, start, argument);
}
