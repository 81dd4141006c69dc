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

#endif
