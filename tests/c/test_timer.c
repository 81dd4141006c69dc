/* The clock, and the timer heap against a plain search through all timers. */
#include "base/clock.h"
#include "base/timer.h"
#include "support.h"

#define N_TIMERS 200

static void test_clock(void) {
  int64_t before = mill__clock_ns();
  CHECK(before > 0);
  CHECK(mill__clock_ns() >= before);
}

static void test_order(void) {
  static const int64_t deadlines[] = {50, 10, 40, 10, 30, INT64_MAX, 20, INT64_MIN};
  enum { N = sizeof(deadlines) / sizeof(deadlines[0]) };
  struct mill__timer nodes[N];
  struct mill__timers timers;
  mill__timers_init(&timers);
  CHECK(mill__timers_first(&timers) == NULL);
  CHECK(mill__timers_pop_due(&timers, INT64_MAX) == NULL);
  for (size_t i = 0; i < N; i++) {
    mill__timer_init(&nodes[i]);
    CHECK_INT(mill__timer_set(&timers, &nodes[i], deadlines[i]), MILL_OK);
  }
  CHECK(mill__timers_first(&timers) == &nodes[7]);
  CHECK(mill__timers_pop_due(&timers, 9) == &nodes[7]);
  CHECK(mill__timers_pop_due(&timers, 9) == NULL);
  static const int64_t order[] = {10, 10, 20, 30, 40, 50, INT64_MAX};
  for (size_t i = 0; i < N - 1; i++) {
    struct mill__timer *timer = mill__timers_pop_due(&timers, INT64_MAX);
    CHECK(timer != NULL);
    CHECK_INT(timer->deadline_ns, order[i]);
    CHECK_INT(timer->slot, 0);
  }
  CHECK(mill__timers_pop_due(&timers, INT64_MAX) == NULL);
  mill__timers_fini(&timers);
}

static void test_clearing(void) {
  struct mill__timer timer;
  struct mill__timers timers;
  mill__timers_init(&timers);
  mill__timer_init(&timer);
  mill__timer_clear(&timers, &timer); /* not set: nothing happens */
  CHECK_INT(mill__timer_set(&timers, &timer, 5), MILL_OK);
  mill__timer_clear(&timers, &timer);
  mill__timer_clear(&timers, &timer);
  CHECK(mill__timers_first(&timers) == NULL);
  CHECK_INT(mill__timer_set(&timers, &timer, 6), MILL_OK); /* and set again */
  CHECK(mill__timers_first(&timers) == &timer);
  mill__timers_fini(&timers);
}

static int64_t earliest(const struct mill__timer *nodes) {
  int64_t found = INT64_MAX;
  for (size_t i = 0; i < N_TIMERS; i++) {
    if (nodes[i].slot != 0 && nodes[i].deadline_ns < found)
      found = nodes[i].deadline_ns;
  }
  return found;
}

static void check_heap(const struct mill__timers *timers, const struct mill__timer *nodes) {
  size_t n_set = 0;
  for (size_t i = 0; i < N_TIMERS; i++) {
    if (nodes[i].slot == 0)
      continue;
    n_set++;
    CHECK(timers->heap[nodes[i].slot - 1] == &nodes[i]);
  }
  CHECK_INT(timers->len, n_set);
  const struct mill__timer *first = mill__timers_first(timers);
  CHECK_INT(first != NULL ? first->deadline_ns : INT64_MAX, earliest(nodes));
}

static void test_random_steps(void) {
  static struct mill__timer nodes[N_TIMERS];
  struct mill__timers timers;
  uint64_t seed = 1;
  mill__timers_init(&timers);
  for (size_t step = 0; step < 50000; step++) {
    struct mill__timer *timer = &nodes[test_random(&seed) % N_TIMERS];
    uint64_t action = test_random(&seed) % 8;
    if (action == 0) {
      int64_t due = earliest(nodes);
      struct mill__timer *popped = mill__timers_pop_due(&timers, due);
      CHECK(due == INT64_MAX ? popped == NULL : popped != NULL && popped->deadline_ns == due);
    } else if (action <= 2) {
      mill__timer_clear(&timers, timer);
    } else {
      int64_t deadline = (int64_t)(test_random(&seed) % 1000);
      CHECK_INT(mill__timer_set(&timers, timer, deadline), MILL_OK);
    }
    check_heap(&timers, nodes);
  }
  mill__timers_fini(&timers);
}

static void test_out_of_memory(void) {
  static struct mill__timer nodes[N_TIMERS];
  struct mill__timers timers;
  mill__timers_init(&timers);
  size_t n_set = 0;
  CHECK_INT(mill__timer_set(&timers, &nodes[n_set++], 1), MILL_OK);
  test_alloc_fail(1, true);
  while (n_set < N_TIMERS && mill__timer_set(&timers, &nodes[n_set], 0) == MILL_OK)
    n_set++;
  CHECK(n_set < N_TIMERS);
  CHECK_INT(mill__timer_set(&timers, &nodes[n_set], 0), MILL_E_NOMEM);
  CHECK_INT(nodes[n_set].slot, 0);
  CHECK_INT(timers.len, n_set);
  CHECK_INT(mill__timer_set(&timers, &nodes[0], -1), MILL_OK); /* it is in: no memory is needed */
  CHECK(mill__timers_first(&timers) == &nodes[0]);
  test_alloc_fail(0, false);
  CHECK_INT(mill__timer_set(&timers, &nodes[n_set], -2), MILL_OK);
  CHECK(mill__timers_first(&timers) == &nodes[n_set]);
  mill__timers_fini(&timers);
}

int main(void) {
  test_alloc_install();
  test_clock();
  test_order();
  test_clearing();
  test_random_steps();
  test_out_of_memory();
  CHECK_INT(test_alloc_live(), 0);
  return 0;
}
