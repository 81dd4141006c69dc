/* The poller on Linux: epoll, level-triggered, with an eventfd to wake it; see loop.h. */
#include <errno.h>
#include <limits.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "net/loop.h"

#define EVENTS_AT_ONCE 256
#define TCP_STATE_ESTABLISHED 1 /* in tcpi_state; the headers that name it exclude each other */

int mill__loop_init(struct mill__loop *loop) {
  *loop = (struct mill__loop){.poll_fd = -1, .wake_fd = -1};
  loop->poll_fd = epoll_create1(EPOLL_CLOEXEC);
  loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint32_t)loop->wake_fd};
  if (loop->poll_fd < 0 || loop->wake_fd < 0 ||
      epoll_ctl(loop->poll_fd, EPOLL_CTL_ADD, loop->wake_fd, &event) < 0) {
    mill__loop_fini(loop);
    return MILL_E_SYSTEM;
  }
  return MILL_OK;
}

void mill__loop_fini(struct mill__loop *loop) {
  if (loop->poll_fd >= 0)
    close(loop->poll_fd);
  if (loop->wake_fd >= 0)
    close(loop->wake_fd);
  mill__free(loop->slots);
  *loop = (struct mill__loop){.poll_fd = -1, .wake_fd = -1};
}

void mill__loop_wake(struct mill__loop *loop) {
  uint64_t one = 1;
  ssize_t written; /* EAGAIN: the counter is full, so the loop is awake already */
  do
    written = write(loop->wake_fd, &one, sizeof one);
  while (written < 0 && errno == EINTR);
}

static int ensure_slot(struct mill__loop *loop, int fd) {
  if ((size_t)fd < loop->n_slots)
    return MILL_OK;
  size_t count = loop->n_slots ? loop->n_slots : 64;
  while (count <= (size_t)fd)
    count *= 2;
  struct mill__loop_slot *slots = mill__realloc(loop->slots, count * sizeof *slots);
  if (!slots)
    return MILL_E_NOMEM;
  memset(slots + loop->n_slots, 0, (count - loop->n_slots) * sizeof *slots);
  loop->slots = slots;
  loop->n_slots = count;
  return MILL_OK;
}

/*
 * The kernel does not count what comes over a Unix socket, but where the next MSG_PEEK would look
 * (socket(7), SO_PEEK_OFF) moves down by what is read: from so far off it never gets to 0, and only
 * who peeks would notice.
 */
static void count_what_is_read(int fd) {
  int start = INT_MAX;
  setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &start, sizeof start);
}

static uint64_t received_locally(int fd) {
  int offset = -1, unread = 0;
  socklen_t size = sizeof offset;
  if (getsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, &size) || offset < 0 ||
      ioctl(fd, FIONREAD, &unread) || unread < 0)
    return 0;
  return (uint64_t)(INT_MAX - offset) + (uint64_t)unread;
}

int mill__loop_socket(struct mill__loop *loop, int domain, int type, int protocol) {
  int fd = socket(domain, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
  if (fd < 0)
    return -1;
  if (ensure_slot(loop, fd)) {
    close(fd);
    errno = ENOMEM;
    return -1;
  }
  loop->slots[fd].generation++;
  loop->slots[fd].watched = 0;
  loop->slots[fd].open = true;
  loop->slots[fd].port = 0;
  if (domain == AF_UNIX)
    count_what_is_read(fd);
  return fd;
}

static int port_in(const struct sockaddr_storage *address) {
  if (address->ss_family == AF_INET)
    return ntohs(((const struct sockaddr_in *)address)->sin_port);
  if (address->ss_family == AF_INET6)
    return ntohs(((const struct sockaddr_in6 *)address)->sin6_port);
  return 0;
}

static int port_of(int fd) {
  struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
  socklen_t size = sizeof address;
  getsockname(fd, (struct sockaddr *)&address, &size);
  return port_in(&address);
}

static int peer_port_of(int fd) {
  struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
  socklen_t size = sizeof address;
  getpeername(fd, (struct sockaddr *)&address, &size);
  return port_in(&address);
}

static bool has_ports(struct mill__loop_slot *slot, int fd, int port, int peer_port) {
  if (slot->open && !slot->port)
    slot->port = (uint16_t)port_of(fd);
  return slot->open && slot->port == port && peer_port_of(fd) == peer_port;
}

int mill__loop_find(struct mill__loop *loop, int likely, int port, int peer_port) {
  if (port <= 0)
    return likely;
  if (likely >= 0 && has_ports(&loop->slots[likely], likely, port, peer_port))
    return likely;
  for (int fd = 0; (size_t)fd < loop->n_slots; fd++)
    if (has_ports(&loop->slots[fd], fd, port, peer_port))
      return fd;
  return -1;
}

/*
 * The kernel counts a FIN as a byte. A connection that was reset does not tell whether one came
 * before, so that there a single byte counts as none.
 */
uint64_t mill__loop_received(int fd) {
  struct tcp_info info = {.tcpi_state = 0};
  socklen_t size = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size))
    return received_locally(fd);
  if (!info.tcpi_bytes_received)
    return 0;
  return info.tcpi_bytes_received - (info.tcpi_state != TCP_STATE_ESTABLISHED);
}

/* ENOENT and EBADF are normal here: libcurl may have closed the descriptor before. */
static void forget(struct mill__loop *loop, int fd) {
  if (loop->slots[fd].watched)
    epoll_ctl(loop->poll_fd, EPOLL_CTL_DEL, fd, NULL);
  loop->slots[fd].watched = 0;
  loop->slots[fd].generation++;
}

void mill__loop_close(struct mill__loop *loop, int fd) {
  if ((size_t)fd < loop->n_slots) {
    forget(loop, fd);
    if (loop->slots[fd].open)
      loop->slots[fd].received = mill__loop_received(fd);
    loop->slots[fd].open = false;
  }
  close(fd);
}

int mill__loop_watch(struct mill__loop *loop, int fd, unsigned what) {
  int result = ensure_slot(loop, fd);
  if (result)
    return result;
  struct mill__loop_slot *slot = &loop->slots[fd];
  if (!what) {
    forget(loop, fd);
    return MILL_OK;
  }
  struct epoll_event event = {
      .events = (what & MILL__LOOP_READ ? EPOLLIN : 0u) | (what & MILL__LOOP_WRITE ? EPOLLOUT : 0u),
      .data.u64 = (uint32_t)fd | (uint64_t)slot->generation << 32,
  };
  int op = slot->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  if (epoll_ctl(loop->poll_fd, op, fd, &event) < 0) {
    /* The number was closed and opened again behind our back: the other operation is right. */
    op = errno == ENOENT ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    if ((errno != ENOENT && errno != EEXIST) || epoll_ctl(loop->poll_fd, op, fd, &event) < 0)
      return MILL_E_SYSTEM;
  }
  slot->watched = (uint8_t)what;
  return MILL_OK;
}

static unsigned what_of(uint32_t events) {
  return (events & EPOLLIN ? MILL__LOOP_READ : 0u) | (events & EPOLLOUT ? MILL__LOOP_WRITE : 0u) |
         (events & (EPOLLERR | EPOLLHUP) ? MILL__LOOP_ERROR : 0u);
}

size_t mill__loop_wait(struct mill__loop *loop, int timeout_ms, struct mill__loop_event *events,
                       size_t n) {
  struct epoll_event found[EVENTS_AT_ONCE];
  int max = n < EVENTS_AT_ONCE ? (int)n : EVENTS_AT_ONCE;
  int n_found = epoll_wait(loop->poll_fd, found, max, timeout_ms);
  size_t n_events = 0;
  for (int i = 0; i < n_found; i++) {
    int fd = (int)(uint32_t)found[i].data.u64;
    if (fd == loop->wake_fd) {
      uint64_t count;
      ssize_t got = read(loop->wake_fd, &count, sizeof count);
      (void)got;
      continue;
    }
    events[n_events++] = (struct mill__loop_event){fd, what_of(found[i].events),
                                                   (uint32_t)(found[i].data.u64 >> 32)};
  }
  return n_events;
}

bool mill__loop_is_stale(const struct mill__loop *loop, const struct mill__loop_event *event) {
  return loop->slots[event->fd].generation != event->generation;
}

void mill__loop_after_fork_child(struct mill__loop *loop) {
  /* No EPOLL_CTL_DEL: the epoll instance is shared with the parent. */
  for (size_t fd = 0; fd < loop->n_slots; fd++)
    if (loop->slots[fd].open || loop->slots[fd].watched)
      close((int)fd);
  mill__loop_fini(loop);
}
