/* One name look-up a host at a time; see resolve.h. */
#include "net/resolve.h"

#include <string.h>

#include "base/alloc.h"

struct mill__resolve_host {
  struct mill__list link; /* in mill__resolve.hosts, least recently used first */
  struct mill__list waiting;
  bool busy; /* somebody looks the name up */
  int64_t known_until_ns;
  char key[];
};

void mill__resolve_init(struct mill__resolve *resolve) {
  mill__list_init(&resolve->hosts);
  resolve->n_hosts = 0;
}

static void forget(struct mill__resolve *resolve, struct mill__resolve_host *host) {
  mill__list_remove(&host->link);
  resolve->n_hosts--;
  mill__free(host);
}

void mill__resolve_fini(struct mill__resolve *resolve) {
  while (!mill__list_empty(&resolve->hosts))
    forget(resolve, MILL__CONTAINER(resolve->hosts.next, struct mill__resolve_host, link));
}

void mill__resolve_node_init(struct mill__resolve_node *node) {
  mill__list_init(&node->link);
  node->host = NULL;
  node->leads = false;
}

static struct mill__resolve_host *find(struct mill__resolve *resolve, const char *key) {
  for (struct mill__list *at = resolve->hosts.prev; at != &resolve->hosts; at = at->prev) {
    struct mill__resolve_host *host = MILL__CONTAINER(at, struct mill__resolve_host, link);
    if (!strcmp(host->key, key))
      return host;
  }
  return NULL;
}

static void evict(struct mill__resolve *resolve) {
  struct mill__list *at = resolve->hosts.next;
  while (resolve->n_hosts >= MILL__RESOLVE_HOSTS && at != &resolve->hosts) {
    struct mill__resolve_host *host = MILL__CONTAINER(at, struct mill__resolve_host, link);
    at = at->next;
    if (!host->busy && mill__list_empty(&host->waiting))
      forget(resolve, host);
  }
}

static struct mill__resolve_host *find_or_add(struct mill__resolve *resolve, const char *key) {
  struct mill__resolve_host *host = find(resolve, key);
  if (host) {
    mill__list_remove(&host->link);
  } else {
    evict(resolve);
    size_t size = strlen(key) + 1;
    host = mill__calloc(1, sizeof *host + size);
    if (!host)
      return NULL;
    mill__list_init(&host->link);
    mill__list_init(&host->waiting);
    memcpy(host->key, key, size);
    resolve->n_hosts++;
  }
  mill__list_append(&resolve->hosts, &host->link);
  return host;
}

int mill__resolve_enter(struct mill__resolve *resolve, const char *key,
                        struct mill__resolve_node *node, int64_t now_ns) {
  if (node->leads)
    return MILL_OK;
  struct mill__resolve_host *host = find_or_add(resolve, key);
  if (!host)
    return MILL_E_NOMEM;
  if (host->busy) {
    node->host = host;
    mill__list_append(&host->waiting, &node->link);
    return MILL_AGAIN;
  }
  if (host->known_until_ns > now_ns)
    return MILL_OK;
  host->busy = true;
  node->host = host;
  node->leads = true;
  return MILL_OK;
}

/* The node goes out of whatever list it is in. Returns the host that it led, or NULL. */
static struct mill__resolve_host *detach(struct mill__resolve_node *node) {
  struct mill__resolve_host *led = node->leads ? node->host : NULL;
  mill__list_remove(&node->link);
  mill__resolve_node_init(node);
  return led;
}

void mill__resolve_done(struct mill__resolve_node *node, bool found, int64_t now_ns,
                        struct mill__list *ret_waiting) {
  struct mill__list *link;
  if (!node->leads)
    return;
  struct mill__resolve_host *host = detach(node);
  host->busy = false;
  host->known_until_ns = found ? now_ns + MILL__RESOLVE_TTL_S * INT64_C(1000000000) : 0;
  while ((link = mill__list_pop(&host->waiting))) {
    MILL__CONTAINER(link, struct mill__resolve_node, link)->host = NULL;
    mill__list_append(ret_waiting, link);
  }
}

void mill__resolve_leave(struct mill__resolve_node *node, struct mill__list *ret_waiting) {
  struct mill__resolve_host *led = detach(node);
  if (!led)
    return;
  struct mill__list *link = mill__list_pop(&led->waiting);
  led->busy = link != NULL;
  if (link) { /* it leads from now on: should it leave before it starts, the next one will */
    MILL__CONTAINER(link, struct mill__resolve_node, link)->leads = true;
    mill__list_append(ret_waiting, link);
  }
}
