/*
 * The socket pair by which libcurl wakes a multi handle. Older versions leave it to be inherited,
 * and tell nobody its numbers.
 */
#ifndef MILL_NET_WAKEUP_PAIR_H
#define MILL_NET_WAKEUP_PAIR_H

/*
 * Makes close-on-exec the pair into which `wake(multi)` writes. `ret_fds`: its numbers, for a forked
 * child to close; -1 where libcurl has seen to it itself.
 */
void mill__wakeup_pair_claim(void (*wake)(void *multi), void *multi, int ret_fds[2]);

#endif
