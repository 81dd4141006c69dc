/*
 * A binary heap of deadlines. The nodes live in their owners; the heap holds pointers.
 * Owns: the pointer array. Thread: the owner's. Errors: mill__timer_set gives MILL_E_NOMEM when the
 * array cannot grow; re-setting a timer that is in the heap never fails.
 */
#ifndef MILL_BASE_TIMER_H
#define MILL_BASE_TIMER_H

#include <stddef.h>
#include <stdint.h>

struct mill__timer {
  int64_t deadline_ns;
  size_t slot; /* position in the heap + 1; 0: not set */
};

struct mill__timers {
  struct mill__timer **heap;
  size_t len, capacity;
};

void mill__timers_init(struct mill__timers *timers);
void mill__timers_fini(struct mill__timers *timers);
void mill__timer_init(struct mill__timer *timer);
int mill__timer_set(struct mill__timers *timers, struct mill__timer *timer, int64_t deadline_ns);
void mill__timer_clear(struct mill__timers *timers, struct mill__timer *timer);
/* The earliest timer, or NULL. */
struct mill__timer *mill__timers_first(const struct mill__timers *timers);
/* Take the earliest timer out if it is due at `now_ns`; NULL where none is. */
struct mill__timer *mill__timers_pop_due(struct mill__timers *timers, int64_t now_ns);

#endif
