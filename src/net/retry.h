/*
 * Whether and when to try again. Pure: no clock, no randomness of its own.
 * Source: RFC 9110 section 10.2.3 (Retry-After); full jitter as in "Exponential Backoff And Jitter"
 * (AWS Architecture Blog, 2015).
 */
#ifndef MILL_NET_RETRY_H
#define MILL_NET_RETRY_H

#include "millstream/millstream.h"

#define MILL__RETRY_BASE_MS 500           /* the first wait is between 0 and this */
#define MILL__RETRY_MAX_MS 8000           /* no wait of ours is longer */
#define MILL__RETRY_AFTER_MAX_MS 60000    /* a server that asks for more gets no retry */
#define MILL__RETRY_AFTER_CAP_MS 86400000 /* what is reported of a Retry-After at most: a day */

/*
 * A Retry-After value, seconds or an HTTP date, as milliseconds from `now` (seconds since the
 * epoch); -1 where it is neither. Capped at MILL__RETRY_AFTER_CAP_MS.
 */
int64_t mill__retry_after_ms(mill_slice value, int64_t now);
/* A retry-after-ms value (a decimal number of milliseconds); -1 where it is none. */
int64_t mill__retry_after_ms_field(mill_slice value);

/* The status may go away by itself: 408, 409, 429, 5xx. */
bool mill__retry_status(int status);

/*
 * Milliseconds to wait before attempt number `attempt` + 2, or -1 for no retry. `random` is uniform
 * over all 64 bits. `left_ms` is what the total clock leaves (-1: no such limit).
 */
int64_t mill__retry_delay_ms(unsigned attempt, unsigned max_retries, const mill_error *error,
                             int64_t left_ms, uint64_t random);

/* ---- event sources: reconnecting --------------------------------------------------------------- */

#define MILL__RECONNECT_MAX_MS 86400000 /* nobody makes us wait longer: a day */
/* Where the time to wait is 0, it becomes this for the second reconnect in a row: a server that is
 * down must not keep a CPU busy. */
#define MILL__RECONNECT_BASE_MS 100

/*
 * Whether another connection may do better than the one that ended with `error` (MILL_OK: its body
 * ended). `opened`: it was an event stream.
 */
bool mill__reconnect_helps(const mill_error *error, bool opened);

struct mill__reconnect {
  int64_t initial_ms, max_ms; /* of mill_event_source */
  int64_t asked_ms;           /* the server's `retry`; -1: it sent none */
  int64_t retry_after_ms;     /* its Retry-After; -1: it sent none */
  unsigned attempts;          /* to reconnect, since the last event */
};

/*
 * Milliseconds to wait: full jitter below a time that doubles with each attempt, and never less
 * than the server asked for. `random` is uniform over all 64 bits.
 */
int64_t mill__reconnect_delay_ms(const struct mill__reconnect *reconnect, uint64_t random);

#endif
