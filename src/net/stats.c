/* Counters; see stats.h. */
#include "net/stats.h"

#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"

mill_stats *mill_stats_new(void) {
  mill_stats *stats = mill__calloc(1, sizeof *stats);
  if (stats)
    atomic_init(&stats->refs, 1);
  return stats;
}

mill_stats *mill_stats_ref(mill_stats *stats) {
  if (stats)
    atomic_fetch_add_explicit(&stats->refs, 1, memory_order_relaxed);
  return stats;
}

void mill_stats_unref(mill_stats *stats) {
  if (stats && atomic_fetch_sub_explicit(&stats->refs, 1, memory_order_acq_rel) == 1)
    mill__free(stats);
}

void mill__stats_observe(atomic_uint_fast64_t *histogram, atomic_uint_fast64_t *total_ns,
                         int64_t duration_ns) {
  uint64_t ns = duration_ns > 0 ? (uint64_t)duration_ns : 0;
  uint64_t us = ns / (uint64_t)MILL_NS_PER_US;
  int bucket = us ? 64 - __builtin_clzll(us) : 0; /* us < 2^bucket */
  if (bucket >= MILL_HISTOGRAM_BUCKETS)
    bucket = MILL_HISTOGRAM_BUCKETS - 1;
  mill__stats_add(&histogram[bucket], 1);
  mill__stats_add(total_ns, ns);
}

static uint64_t get(const atomic_uint_fast64_t *counter) {
  return atomic_load_explicit(counter, memory_order_relaxed);
}

void mill_stats_read(const mill_stats *stats, mill_metrics *ret_metrics) {
#define MILL__COUNTER_READ(name) ret_metrics->name = get(&stats->name);
  MILL__COUNTERS(MILL__COUNTER_READ)
#undef MILL__COUNTER_READ
  ret_metrics->cpu_ns = 0;
  for (int i = 0; i < MILL_HISTOGRAM_BUCKETS; i++) {
    ret_metrics->first_chunk_us[i] = get(&stats->first_chunk_us[i]);
    ret_metrics->inter_chunk_us[i] = get(&stats->inter_chunk_us[i]);
  }
}
