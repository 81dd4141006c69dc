/*
 * The poller by itself: events, descriptor numbers that are used again behind its back, sockets that
 * are found by their ports, and a system that refuses.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/loop.h"
#include "support.h"

static struct mill__loop loop;

/* ---- events ---------------------------------------------------------------------------------- */

static void check_event(int fd, unsigned what) {
  struct mill__loop_event events[300]; /* more than are taken at once */
  CHECK_INT(mill__loop_wait(&loop, -1, events, 300), 1);
  CHECK_INT(events[0].fd, fd);
  CHECK_INT(events[0].what, what);
  CHECK(!mill__loop_is_stale(&loop, &events[0]));
}

static void check_no_event(void) {
  struct mill__loop_event event;
  CHECK_INT(mill__loop_wait(&loop, 0, &event, 1), 0);
}

static void test_events(void) {
  int pair[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
  CHECK_INT(mill__loop_watch(&loop, pair[0], MILL__LOOP_READ), MILL_OK);
  check_no_event();
  mill__loop_wake(&loop);
  check_no_event(); /* what wakes is no event */
  CHECK_INT(mill__loop_watch(&loop, pair[0], MILL__LOOP_READ | MILL__LOOP_WRITE), MILL_OK);
  check_event(pair[0], MILL__LOOP_WRITE);
  CHECK(write(pair[1], "x", 1) == 1);
  check_event(pair[0], MILL__LOOP_READ | MILL__LOOP_WRITE);
  CHECK_INT(mill__loop_watch(&loop, pair[0], MILL__LOOP_READ), MILL_OK);
  close(pair[1]);
  check_event(pair[0], MILL__LOOP_READ | MILL__LOOP_ERROR);
  CHECK_INT(mill__loop_watch(&loop, pair[0], 0), MILL_OK);
  CHECK_INT(mill__loop_watch(&loop, pair[0], 0), MILL_OK); /* as it was */
  check_no_event();
  mill__loop_close(&loop, pair[0]);
}

/* An event that was on its way when its descriptor was closed belongs to nobody. */
static void test_stale_event(void) {
  int pair[2];
  struct mill__loop_event event;
  CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
  CHECK_INT(mill__loop_watch(&loop, pair[0], MILL__LOOP_WRITE), MILL_OK);
  CHECK_INT(mill__loop_wait(&loop, -1, &event, 1), 1);
  mill__loop_close(&loop, pair[0]);
  CHECK(mill__loop_is_stale(&loop, &event));
  close(pair[1]);
}

/* ---- numbers that are used again behind its back --------------------------------------------- */

static void test_number_closed_and_opened(void) {
  int pair[2], other[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
  CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, other) == 0);
  CHECK_INT(mill__loop_watch(&loop, pair[0], MILL__LOOP_READ), MILL_OK);
  CHECK(dup2(other[0], pair[0]) == pair[0]); /* takes what was there out of the set */
  CHECK_INT(mill__loop_watch(&loop, pair[0], MILL__LOOP_WRITE), MILL_OK);
  check_event(pair[0], MILL__LOOP_WRITE);
  mill__loop_close(&loop, pair[0]);
  close(pair[1]);
  close(other[0]);
  close(other[1]);
}

static void test_number_that_is_in_the_set(void) {
  int pair[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
  struct epoll_event event = {.events = EPOLLIN, .data.u64 = UINT32_MAX};
  CHECK(epoll_ctl(loop.poll_fd, EPOLL_CTL_ADD, pair[0], &event) == 0);
  CHECK_INT(mill__loop_watch(&loop, pair[0], MILL__LOOP_WRITE), MILL_OK);
  check_event(pair[0], MILL__LOOP_WRITE);
  mill__loop_close(&loop, pair[0]);
  close(pair[1]);
}

/* ---- sockets by their ports ------------------------------------------------------------------ */

union address {
  struct sockaddr any;
  struct sockaddr_in in;
  struct sockaddr_in6 in6;
};

/* A socket of the loop's that is connected to a listener of its own. */
struct connection {
  int listener, fd, peer, port, peer_port;
};

static int port_of(int fd) {
  union address address;
  socklen_t size = sizeof address;
  CHECK(getsockname(fd, &address.any, &size) == 0);
  return ntohs(address.any.sa_family == AF_INET6 ? address.in6.sin6_port : address.in.sin_port);
}

/* False where the machine has no such loopback. */
static bool open_connection(struct connection *connection, int family) {
  union address address = {.in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT}};
  socklen_t size = sizeof address;
  if (family == AF_INET)
    address.in =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  connection->listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connection->listener < 0 || bind(connection->listener, &address.any, size) < 0) {
    close(connection->listener);
    return false;
  }
  CHECK(listen(connection->listener, 1) == 0);
  CHECK(getsockname(connection->listener, &address.any, &size) == 0);
  connection->fd = mill__loop_socket(&loop, family, SOCK_STREAM, 0);
  CHECK(connection->fd >= 0);
  CHECK(fcntl(connection->fd, F_SETFL, 0) == 0); /* blocking */
  CHECK(connect(connection->fd, &address.any, size) == 0);
  connection->peer = accept(connection->listener, NULL, NULL);
  connection->port = port_of(connection->fd);
  connection->peer_port = port_of(connection->listener);
  return true;
}

static void close_connection(struct connection *connection) {
  mill__loop_close(&loop, connection->fd);
  close(connection->peer);
  close(connection->listener);
}

static void check_found(const struct connection *of, int likely, int expected) {
  CHECK_INT(mill__loop_find(&loop, likely, of->port, of->peer_port), expected);
}

static void test_find(int family) {
  struct connection one, other;
  test_case("family %d", family);
  if (!open_connection(&one, family)) {
    CHECK(family == AF_INET6);
    return;
  }
  CHECK(open_connection(&other, family));
  check_found(&one, one.fd, one.fd);
  check_found(&one, other.fd, one.fd);
  check_found(&one, -1, one.fd);
  check_found(&other, -1, other.fd);
  CHECK_INT(mill__loop_find(&loop, one.fd, one.port, other.peer_port), -1);
  CHECK_INT(mill__loop_find(&loop, one.fd, 0, 0), one.fd); /* a Unix socket */
  CHECK_INT(mill__loop_find(&loop, -1, 0, 0), -1);
  close_connection(&one);
  check_found(&one, one.fd, -1);
  check_found(&one, -1, -1);
  close_connection(&other);
}

static void test_received(void) {
  struct connection connection;
  CHECK(open_connection(&connection, AF_INET));
  CHECK_INT(mill__loop_received(connection.fd), 0);
  CHECK(send(connection.peer, "four", 4, MSG_NOSIGNAL) == 4);
  char bytes[4];
  CHECK(recv(connection.fd, bytes, 4, MSG_WAITALL) == 4);
  CHECK_INT(mill__loop_received(connection.fd), 4);
  shutdown(connection.peer, SHUT_WR);
  CHECK(recv(connection.fd, bytes, 4, 0) == 0);
  CHECK_INT(mill__loop_received(connection.fd), 4); /* the FIN is none */
  int fd = connection.fd;
  close_connection(&connection);
  CHECK_INT(loop.slots[fd].received, 4);
}

/* A Unix socket of the loop's and its other end. */
static void open_local(int *ret_fd, int *ret_peer) {
  union address address = {.any.sa_family = AF_UNIX}; /* the system gives it a name */
  socklen_t size = sizeof address.any.sa_family;
  int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(listener >= 0 && bind(listener, &address.any, size) == 0 && listen(listener, 1) == 0);
  size = sizeof address;
  CHECK(getsockname(listener, &address.any, &size) == 0);
  *ret_fd = mill__loop_socket(&loop, AF_UNIX, SOCK_STREAM, 0);
  CHECK(*ret_fd >= 0 && connect(*ret_fd, &address.any, size) == 0);
  *ret_peer = accept(listener, NULL, NULL);
  close(listener);
}

/* Also what libcurl reads before the poller had a word, and what nobody reads. */
static void test_received_locally(void) {
  int fd, peer, again;
  char bytes[4];
  open_local(&fd, &peer);
  CHECK_INT(mill__loop_received(fd), 0);
  CHECK(send(peer, "seven77", 7, MSG_NOSIGNAL) == 7);
  CHECK_INT(mill__loop_received(fd), 7);
  CHECK(recv(fd, bytes, 4, MSG_WAITALL) == 4);
  CHECK_INT(mill__loop_received(fd), 7);
  close(peer);
  mill__loop_close(&loop, fd);
  CHECK_INT(loop.slots[fd].received, 7);
  open_local(&again, &peer);
  CHECK_INT(again, fd);
  close(peer);
  mill__loop_close(&loop, again);
  CHECK_INT(loop.slots[again].received, 0);
}

/* ---- what is refused ------------------------------------------------------------------------- */

static void test_bad_descriptors(void) {
  CHECK_INT(mill__loop_socket(&loop, -1, SOCK_STREAM, 0), -1);
  int pair[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
  close(pair[0]);
  close(pair[1]);
  CHECK_INT(mill__loop_watch(&loop, pair[0], MILL__LOOP_READ), MILL_E_SYSTEM);
  int far = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, (int)loop.n_slots + 1);
  CHECK(far >= 0);
  mill__loop_close(&loop, far); /* one that it never knew */
  CHECK(fcntl(far, F_GETFD) < 0);
}

static void test_no_descriptor(void) {
  struct mill__loop other;
  struct rlimit limit, low;
  CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  int next = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
  close(next);
  for (rlim_t more = 0; more <= 2; more++) {
    low = (struct rlimit){(rlim_t)next + more, limit.rlim_max};
    CHECK(setrlimit(RLIMIT_NOFILE, &low) == 0);
    CHECK_INT(mill__loop_init(&other), more < 2 ? MILL_E_SYSTEM : MILL_OK);
    mill__loop_fini(&other); /* twice is right too */
  }
  CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

static void run_starved(void *ctx) {
  struct mill__loop starved;
  CHECK_INT(mill__loop_init(&starved), MILL_OK);
  int fd = mill__loop_socket(&starved, AF_INET, SOCK_STREAM, 0);
  CHECK(fd >= 0 || (errno == ENOMEM && test_alloc_failed()));
  int code = mill__loop_watch(&starved, starved.wake_fd, MILL__LOOP_READ);
  CHECK_INT(code, test_alloc_failed() && code ? MILL_E_NOMEM : MILL_OK);
  if (fd >= 0)
    mill__loop_close(&starved, fd);
  mill__loop_fini(&starved);
}

/* ---- fork ------------------------------------------------------------------------------------ */

/* What a child does: all that the loop opened or watched is closed, and nothing else. */
static void test_after_fork(void) {
  int pair[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
  CHECK_INT(mill__loop_watch(&loop, pair[0], MILL__LOOP_READ), MILL_OK);
  int fd = mill__loop_socket(&loop, AF_INET, SOCK_STREAM, 0);
  CHECK(fd >= 0);
  mill__loop_after_fork_child(&loop);
  CHECK(fcntl(fd, F_GETFD) < 0 && fcntl(pair[0], F_GETFD) < 0);
  CHECK(fcntl(pair[1], F_GETFD) >= 0);
  close(pair[1]);
}

int main(void) {
  test_alloc_install();
  CHECK_INT(mill__loop_init(&loop), MILL_OK);
  test_events();
  test_stale_event();
  test_number_closed_and_opened();
  test_number_that_is_in_the_set();
  test_find(AF_INET);
  test_find(AF_INET6);
  test_received();
  test_received_locally();
  test_bad_descriptors();
  test_no_descriptor();
  test_after_fork();
  CHECK_INT(test_alloc_live(), 0);
  test_each_failing_allocation(run_starved, NULL);
  return 0;
}
