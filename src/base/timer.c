/* The timer heap: heap[0] is the earliest; a node knows its slot, so that clearing is O(log n). */
#include "base/timer.h"

#include "base/alloc.h"
#include "millstream/error.h"

#define FIRST_CAPACITY 16

void mill__timers_init(struct mill__timers *timers) {
  *timers = (struct mill__timers){0};
}

void mill__timers_fini(struct mill__timers *timers) {
  mill__free(timers->heap);
  mill__timers_init(timers);
}

void mill__timer_init(struct mill__timer *timer) {
  *timer = (struct mill__timer){0};
}

static void put(struct mill__timers *timers, size_t at, struct mill__timer *timer) {
  timers->heap[at] = timer;
  timer->slot = at + 1;
}

/* Find `timer` its place at or above the hole `at`. */
static void sift_up(struct mill__timers *timers, size_t at, struct mill__timer *timer) {
  while (at > 0) {
    struct mill__timer *parent = timers->heap[(at - 1) / 2];
    if (parent->deadline_ns <= timer->deadline_ns)
      break;
    put(timers, at, parent);
    at = (at - 1) / 2;
  }
  put(timers, at, timer);
}

/* Find `timer` its place at or below the hole `at`. */
static void sift_down(struct mill__timers *timers, size_t at, struct mill__timer *timer) {
  for (;;) {
    size_t child = 2 * at + 1;
    if (child >= timers->len)
      break;
    if (child + 1 < timers->len &&
        timers->heap[child + 1]->deadline_ns < timers->heap[child]->deadline_ns)
      child++;
    if (timer->deadline_ns <= timers->heap[child]->deadline_ns)
      break;
    put(timers, at, timers->heap[child]);
    at = child;
  }
  put(timers, at, timer);
}

/* Put `timer` into the hole `at`, then where it belongs: one of the two does nothing. */
static void settle(struct mill__timers *timers, size_t at, struct mill__timer *timer) {
  sift_up(timers, at, timer);
  sift_down(timers, timer->slot - 1, timer);
}

static int make_room(struct mill__timers *timers) {
  if (timers->len < timers->capacity)
    return MILL_OK;
  size_t capacity = timers->capacity > 0 ? timers->capacity * 2 : FIRST_CAPACITY;
  struct mill__timer **heap = mill__realloc(timers->heap, capacity * sizeof(*heap));
  if (heap == NULL)
    return MILL_E_NOMEM;
  timers->heap = heap;
  timers->capacity = capacity;
  return MILL_OK;
}

int mill__timer_set(struct mill__timers *timers, struct mill__timer *timer, int64_t deadline_ns) {
  if (timer->slot == 0) {
    int rc = make_room(timers);
    if (rc != MILL_OK)
      return rc;
    timer->slot = ++timers->len;
  }
  timer->deadline_ns = deadline_ns;
  settle(timers, timer->slot - 1, timer);
  return MILL_OK;
}

void mill__timer_clear(struct mill__timers *timers, struct mill__timer *timer) {
  if (timer->slot == 0)
    return;
  size_t hole = timer->slot - 1;
  timer->slot = 0;
  struct mill__timer *last = timers->heap[--timers->len];
  if (last != timer)
    settle(timers, hole, last);
}

struct mill__timer *mill__timers_first(const struct mill__timers *timers) {
  return timers->len > 0 ? timers->heap[0] : NULL;
}

struct mill__timer *mill__timers_pop_due(struct mill__timers *timers, int64_t now_ns) {
  struct mill__timer *first = mill__timers_first(timers);
  if (first == NULL || first->deadline_ns > now_ns)
    return NULL;
  mill__timer_clear(timers, first);
  return first;
}
