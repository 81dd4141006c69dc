/*
 * Counters of a client or of an engine. Every field is an atomic that is added to, never locked;
 * a reader sees each one exact, but not all of one instant.
 * Thread: any.
 */
#ifndef MILL_NET_STATS_H
#define MILL_NET_STATS_H

#include <stdatomic.h>

#include "millstream/millstream.h"

/* The plain counters. */
#define MILL__COUNTERS(X)                                                                          \
  X(streams_started)                                                                               \
  X(streams_open)                                                                                  \
  X(streams_ok)                                                                                    \
  X(streams_failed)                                                                                \
  X(streams_cancelled)                                                                             \
  X(retries)                                                                                       \
  X(chunks)                                                                                        \
  X(events)                                                                                        \
  X(bytes_in)                                                                                      \
  X(bytes_out)                                                                                     \
  X(wakeups)                                                                                       \
  X(pauses)                                                                                        \
  X(connections)                                                                                   \
  X(first_chunk_total_ns)                                                                          \
  X(inter_chunk_total_ns)

struct mill_stats {
#define MILL__COUNTER_FIELD(name) atomic_uint_fast64_t name;
  MILL__COUNTERS(MILL__COUNTER_FIELD)
#undef MILL__COUNTER_FIELD
  atomic_uint_fast64_t first_chunk_us[MILL_HISTOGRAM_BUCKETS];
  atomic_uint_fast64_t inter_chunk_us[MILL_HISTOGRAM_BUCKETS];
  atomic_uint refs;
};

static inline void mill__stats_add(atomic_uint_fast64_t *counter, uint64_t n) {
  atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* Count a duration in its bucket, and add it to the total. */
void mill__stats_observe(atomic_uint_fast64_t *histogram, atomic_uint_fast64_t *total_ns,
                         int64_t duration_ns);

#endif
