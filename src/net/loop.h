/*
 * The poller under the engine. One backend is built, loop_epoll.c; another needs these functions.
 *
 * A descriptor number may be closed and used again while an event for it is on its way: every use
 * has a generation, and an event of an older one is dropped (mill__loop_is_stale).
 * Owns: its own descriptors; knows the sockets opened for it. Thread: the loop's, but for _wake.
 * Errors: MILL_E_SYSTEM, MILL_E_NOMEM.
 */
#ifndef MILL_NET_LOOP_H
#define MILL_NET_LOOP_H

#include "millstream/millstream.h"

enum { MILL__LOOP_READ = 1, MILL__LOOP_WRITE = 2, MILL__LOOP_ERROR = 4 };

struct mill__loop_event {
  int fd;
  unsigned what; /* MILL__LOOP_*, or-ed */
  uint32_t generation;
};

struct mill__loop_slot {
  uint32_t generation;
  uint8_t watched;   /* MILL__LOOP_*, or-ed */
  bool open;         /* a socket that we opened */
  uint16_t port;     /* its own; 0: not known yet */
  uint64_t received; /* mill__loop_received of the last socket of ours that was closed */
};

struct mill__loop {
  int poll_fd, wake_fd;
  struct mill__loop_slot *slots; /* by descriptor */
  size_t n_slots;
};

int mill__loop_init(struct mill__loop *loop);
void mill__loop_fini(struct mill__loop *loop);
/* Make mill__loop_wait return. Any thread, async-signal-safe. */
void mill__loop_wake(struct mill__loop *loop);
/* Open a close-on-exec, non-blocking socket that is known to the loop; -1 with errno. */
int mill__loop_socket(struct mill__loop *loop, int domain, int type, int protocol);
/* Close a descriptor; no event of it is reported after this. */
void mill__loop_close(struct mill__loop *loop, int fd);
/*
 * The socket of ours with these ports; -1: none. It is looked at first where `likely` is not -1. Unix
 * sockets have none (0 or less): of them it is `likely`.
 */
int mill__loop_find(struct mill__loop *loop, int likely, int port, int peer_port);
/*
 * Bytes that came over a TCP or Unix socket since it was opened; 0 where the system does not tell.
 */
uint64_t mill__loop_received(int fd);
/* Report `what` of this descriptor; 0: nothing any more. */
int mill__loop_watch(struct mill__loop *loop, int fd, unsigned what);
/* Wait (-1: for ever) and write up to `n` events; wake-ups are swallowed. Returns how many. */
size_t mill__loop_wait(struct mill__loop *loop, int timeout_ms, struct mill__loop_event *events,
                       size_t n);
bool mill__loop_is_stale(const struct mill__loop *loop, const struct mill__loop_event *event);
/* In the child of a fork: close(2) everything, touch nothing that the parent sees. */
void mill__loop_after_fork_child(struct mill__loop *loop);

#endif
