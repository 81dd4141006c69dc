/*
 * One name look-up a host at a time.
 *
 * libcurl runs a thread for each look-up; a hundred streams to one new host would make a hundred.
 * The first stream to a host leads; those that come while it looks up wait and go on together once
 * the name is known (libcurl's own cache answers them) or the look-up failed.
 * Owns: the table of hosts. Thread: the loop. Limits: MILL__RESOLVE_HOSTS remembered hosts that
 * nobody waits for. Errors: MILL_E_NOMEM.
 */
#ifndef MILL_NET_RESOLVE_H
#define MILL_NET_RESOLVE_H

#include "base/list.h"
#include "millstream/millstream.h"

#define MILL__RESOLVE_HOSTS 256
#define MILL__RESOLVE_TTL_S 50L /* http.c lets libcurl keep a name a little longer */

struct mill__resolve {
  struct mill__list hosts;
  size_t n_hosts;
};

/* Lives in the stream that asks. */
struct mill__resolve_node {
  struct mill__list link;          /* in the waiting list of its host */
  struct mill__resolve_host *host; /* the host it leads or waits for; NULL: none */
  bool leads;
};

void mill__resolve_init(struct mill__resolve *resolve);
void mill__resolve_fini(struct mill__resolve *resolve);
void mill__resolve_node_init(struct mill__resolve_node *node);
/*
 * MILL_OK: start now; MILL_AGAIN: wait, `node` is kept until mill__resolve_done or _leave. A node
 * that was handed the lead may always start.
 */
int mill__resolve_enter(struct mill__resolve *resolve, const char *key,
                        struct mill__resolve_node *node, int64_t now_ns);
/*
 * The leader's look-up ended. Those that waited are moved to `ret_waiting` (a list head of link
 * nodes). A no-op for a node that does not lead.
 */
void mill__resolve_done(struct mill__resolve_node *node, bool found, int64_t now_ns,
                        struct mill__list *ret_waiting);
/*
 * Give up. When a leader does, the first that waits leads in its place and is moved to
 * `ret_waiting`. Any node may leave at any time, one in such a list too.
 */
void mill__resolve_leave(struct mill__resolve_node *node, struct mill__list *ret_waiting);

#endif
