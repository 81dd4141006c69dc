/* The gate before name look-ups: one that leads, those that follow, and all the ways to give up. */
#include <stdio.h>
#include <string.h>

#include "net/resolve.h"
#include "support.h"

#define SECOND INT64_C(1000000000)
#define TTL (MILL__RESOLVE_TTL_S * SECOND)

static struct mill__resolve resolve;

static void init_nodes(struct mill__resolve_node *nodes, size_t n) {
  for (size_t i = 0; i < n; i++)
    mill__resolve_node_init(&nodes[i]);
}

static int enter(const char *key, struct mill__resolve_node *node, int64_t now_ns) {
  return mill__resolve_enter(&resolve, key, node, now_ns);
}

/* Takes the first of the list; checks that it is `expected` (NULL: the list is empty). */
static void check_released(struct mill__list *list, struct mill__resolve_node *expected) {
  struct mill__list *link = mill__list_pop(list);
  CHECK(link == (expected ? &expected->link : NULL));
  if (expected)
    CHECK(expected->host == NULL && !expected->leads);
}

static void test_leader_and_followers(void) {
  struct mill__resolve_node nodes[4];
  struct mill__list released;
  init_nodes(nodes, 4);
  mill__list_init(&released);
  CHECK_INT(enter("a", &nodes[0], 0), MILL_OK);
  CHECK_INT(enter("a", &nodes[1], 0), MILL_AGAIN);
  CHECK_INT(enter("a", &nodes[2], 0), MILL_AGAIN);
  CHECK_INT(enter("b", &nodes[3], 0), MILL_OK);      /* another host does not wait */
  mill__resolve_done(&nodes[1], true, 0, &released); /* it does not lead: nothing happens */
  check_released(&released, NULL);
  mill__resolve_done(&nodes[0], true, 5 * SECOND, &released);
  check_released(&released, &nodes[1]);
  check_released(&released, &nodes[2]);
  check_released(&released, NULL);
  mill__resolve_done(&nodes[0], false, 5 * SECOND, &released); /* a second time: no more */
  /* The name is known for a while: nobody leads, nobody waits. */
  for (size_t i = 0; i < 3; i++) {
    CHECK_INT(enter("a", &nodes[i], 5 * SECOND + TTL - 1), MILL_OK);
    CHECK(!nodes[i].leads && nodes[i].host == NULL);
  }
  CHECK_INT(enter("a", &nodes[0], 5 * SECOND + TTL), MILL_OK);
  CHECK(nodes[0].leads);
  CHECK_INT(enter("a", &nodes[1], 5 * SECOND + TTL), MILL_AGAIN);
  mill__resolve_leave(&nodes[1], &released);
  mill__resolve_leave(&nodes[0], &released);
  mill__resolve_leave(&nodes[3], &released);
  check_released(&released, NULL);
  mill__resolve_fini(&resolve);
}

/* A name that was not found is asked for again. */
static void test_not_found(void) {
  struct mill__resolve_node nodes[2];
  struct mill__list released;
  init_nodes(nodes, 2);
  mill__list_init(&released);
  CHECK_INT(enter("a", &nodes[0], 0), MILL_OK);
  CHECK_INT(enter("a", &nodes[1], 0), MILL_AGAIN);
  mill__resolve_done(&nodes[0], false, 1, &released);
  check_released(&released, &nodes[1]);
  CHECK_INT(enter("a", &nodes[1], 1), MILL_OK);
  CHECK(nodes[1].leads);
  mill__resolve_done(&nodes[1], true, 1, &released);
  CHECK_INT(enter("a", &nodes[0], 2), MILL_OK);
  CHECK(!nodes[0].leads);
  mill__resolve_fini(&resolve);
}

/* A leader that gives up hands its place to the first that waits, to nobody else. */
static void test_leaving(void) {
  struct mill__resolve_node nodes[4];
  struct mill__list released;
  init_nodes(nodes, 4);
  mill__list_init(&released);
  mill__resolve_leave(&nodes[0], &released); /* in no host */
  CHECK_INT(enter("a", &nodes[0], 0), MILL_OK);
  for (size_t i = 1; i < 4; i++)
    CHECK_INT(enter("a", &nodes[i], 0), MILL_AGAIN);
  mill__resolve_leave(&nodes[1], &released); /* a follower: the others stay where they are */
  check_released(&released, NULL);
  mill__resolve_leave(&nodes[0], &released);
  CHECK(released.next == &nodes[2].link && nodes[2].leads);
  CHECK_INT(enter("a", &nodes[1], 0), MILL_AGAIN); /* it has not begun, but it leads */
  mill__resolve_leave(&nodes[2], &released);       /* gone before it could begin: the next one */
  CHECK(mill__list_pop(&released) == &nodes[3].link);
  check_released(&released, NULL);
  CHECK_INT(enter("a", &nodes[3], 0), MILL_OK);
  mill__resolve_done(&nodes[3], true, 0, &released);
  check_released(&released, &nodes[1]);
  mill__resolve_leave(&nodes[1], &released);
  check_released(&released, NULL);
  /* The last one leaves: the host is free, and its name is asked for again. */
  mill__resolve_node_init(&nodes[0]);
  CHECK_INT(enter("a", &nodes[0], TTL), MILL_OK);
  mill__resolve_leave(&nodes[0], &released);
  CHECK_INT(enter("a", &nodes[1], TTL), MILL_OK);
  CHECK(nodes[1].leads);
  mill__resolve_leave(&nodes[1], &released);
  check_released(&released, NULL);
  mill__resolve_fini(&resolve);
}

static void test_eviction(void) {
  struct mill__resolve_node node, leader, follower;
  struct mill__list released;
  char key[16];
  mill__list_init(&released);
  init_nodes(&leader, 1);
  init_nodes(&follower, 1);
  CHECK_INT(enter("busy", &leader, 0), MILL_OK);
  CHECK_INT(enter("busy", &follower, 0), MILL_AGAIN);
  for (int i = 0; i < 10 * MILL__RESOLVE_HOSTS; i++) {
    snprintf(key, sizeof(key), "host%d", i);
    mill__resolve_node_init(&node);
    CHECK_INT(enter(key, &node, 0), MILL_OK);
    CHECK(node.leads);
    mill__resolve_done(&node, true, 0, &released);
    CHECK(resolve.n_hosts <= MILL__RESOLVE_HOSTS);
    CHECK_INT(enter("host0", &node, 0), MILL_OK); /* in use: stays known */
    CHECK(!node.leads);
  }
  CHECK_INT(resolve.n_hosts, MILL__RESOLVE_HOSTS);
  mill__resolve_node_init(&node);
  CHECK_INT(enter("host1", &node, 0), MILL_OK); /* long not used: forgotten */
  CHECK(node.leads);
  mill__resolve_leave(&node, &released);
  mill__resolve_done(&leader, true, 0, &released); /* who is busy is not forgotten */
  check_released(&released, &follower);
  mill__resolve_fini(&resolve);
  CHECK_INT(resolve.n_hosts, 0);
}

/* Hosts that are all busy are all kept, whatever their number. */
static void test_all_busy(void) {
  static struct mill__resolve_node nodes[2 * MILL__RESOLVE_HOSTS];
  struct mill__list released;
  char key[16];
  mill__list_init(&released);
  init_nodes(nodes, 2 * MILL__RESOLVE_HOSTS);
  for (int i = 0; i < 2 * MILL__RESOLVE_HOSTS; i++) {
    snprintf(key, sizeof(key), "host%d", i);
    CHECK_INT(enter(key, &nodes[i], 0), MILL_OK);
  }
  CHECK_INT(resolve.n_hosts, 2 * MILL__RESOLVE_HOSTS);
  for (int i = 0; i < 2 * MILL__RESOLVE_HOSTS; i++)
    mill__resolve_done(&nodes[i], true, 0, &released);
  CHECK_INT(enter("one more", &nodes[0], 0), MILL_OK);
  CHECK_INT(resolve.n_hosts, MILL__RESOLVE_HOSTS);
  mill__resolve_fini(&resolve);
}

static void run_starved(void *ctx) {
  (void)ctx;
  struct mill__resolve_node nodes[2];
  struct mill__list released;
  init_nodes(nodes, 2);
  mill__list_init(&released);
  int code = enter("a", &nodes[0], 0);
  CHECK_INT(code, test_alloc_failed() ? MILL_E_NOMEM : MILL_OK);
  if (code == MILL_OK) {
    CHECK_INT(enter("a", &nodes[1], 0), MILL_AGAIN);
    mill__resolve_leave(&nodes[1], &released);
  }
  mill__resolve_leave(&nodes[0], &released); /* right after a failure too */
  mill__resolve_fini(&resolve);
}

int main(void) {
  test_alloc_install();
  mill__resolve_init(&resolve);
  test_leader_and_followers();
  test_not_found();
  test_leaving();
  test_eviction();
  test_all_busy();
  test_each_failing_allocation(run_starved, NULL);
  CHECK_INT(test_alloc_live(), 0);
  return 0;
}
