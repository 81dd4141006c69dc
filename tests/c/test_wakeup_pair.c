/*
 * libcurl's wake-up pair is found whatever other threads open meanwhile, and nobody else's sockets
 * are taken for it.
 */
#include "net/wakeup_pair.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

#define ROUNDS 200

static bool is_inheritable_pair(int fd) {
  struct sockaddr_storage address = {0};
  socklen_t size = sizeof address;
  int flags = fcntl(fd, F_GETFD);
  return flags >= 0 && !(flags & FD_CLOEXEC) &&
         !getsockname(fd, (struct sockaddr *)&address, &size) && address.ss_family == AF_UNIX;
}

static int count_inheritable(void) {
  struct rlimit limit;
  CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  int count = 0;
  for (int fd = 0; fd < (int)limit.rlim_cur; fd++)
    count += is_inheritable_pair(fd);
  return count;
}

static void *open_and_close(void *user) {
  atomic_bool *is_over = user;
  while (!atomic_load(is_over)) {
    int fds[2];
    CHECK(pipe2(fds, O_CLOEXEC) == 0);
    close(fds[0]);
    close(fds[1]);
  }
  return NULL;
}

static void wake(void *multi) {
  CHECK(curl_multi_wakeup(multi) == CURLM_OK);
}

static int claimed(const int fds[2]) {
  return (fds[0] >= 0) + (fds[1] >= 0);
}

static void test_another_thread_opens(void) {
  atomic_bool is_over = false;
  pthread_t thread;
  int before = count_inheritable();
  CHECK(pthread_create(&thread, NULL, open_and_close, &is_over) == 0);
  for (int i = 0; i < ROUNDS; i++) {
    test_case("round %d", i);
    int fds[2];
    CURLM *multi = curl_multi_init();
    int left = count_inheritable() - before;
    mill__wakeup_pair_claim(wake, multi, fds);
    CHECK_INT(claimed(fds), left);
    CHECK_INT(count_inheritable(), before);
    curl_multi_cleanup(multi);
  }
  atomic_store(&is_over, true);
  pthread_join(thread, NULL);
}

/* Somebody's own pair, left to be inherited on purpose, with something under way in it. */
static void test_another_pair(void) {
  int pair[2], fds[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  CHECK_INT(write(pair[0], "x", 1), 1);
  CURLM *multi = curl_multi_init();
  mill__wakeup_pair_claim(wake, multi, fds);
  for (int i = 0; i < 2; i++) {
    CHECK(fds[0] != pair[i] && fds[1] != pair[i]);
    CHECK(is_inheritable_pair(pair[i]));
    close(pair[i]);
  }
  curl_multi_cleanup(multi);
}

int main(void) {
  struct rlimit limit = {256, 256}; /* all numbers are looked at, round after round */
  CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == 0);
  test_another_thread_opens();
  test_another_pair();
  curl_global_cleanup();
  return 0;
}
