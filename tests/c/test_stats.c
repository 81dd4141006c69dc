/* Counters: what is added is read, and a duration is counted in the bucket that it is below. */
#include "net/stats.h"
#include "support.h"

static void check_bucket(int64_t duration_ns, size_t bucket) {
  test_case("%lld ns", (long long)duration_ns);
  mill_stats *stats = mill_stats_new();
  mill__stats_observe(stats->first_chunk_us, &stats->first_chunk_total_ns, duration_ns);
  mill__stats_observe(stats->inter_chunk_us, &stats->inter_chunk_total_ns, duration_ns);
  mill__stats_observe(stats->inter_chunk_us, &stats->inter_chunk_total_ns, duration_ns);
  mill_metrics metrics;
  mill_stats_read(stats, &metrics);
  for (size_t i = 0; i < MILL_HISTOGRAM_BUCKETS; i++) {
    CHECK_INT(metrics.first_chunk_us[i], i == bucket ? 1 : 0);
    CHECK_INT(metrics.inter_chunk_us[i], i == bucket ? 2 : 0);
  }
  int64_t counted_ns = duration_ns > 0 ? duration_ns : 0;
  CHECK(metrics.first_chunk_total_ns == (uint64_t)counted_ns);
  CHECK(metrics.inter_chunk_total_ns == 2 * (uint64_t)counted_ns);
  mill_stats_unref(stats);
}

static void test_buckets(void) {
  check_bucket(-1, 0);
  check_bucket(0, 0);
  check_bucket(999, 0);
  check_bucket(1000, 1);
  check_bucket(1999, 1);
  check_bucket(2000, 2);
  check_bucket(3999, 2);
  check_bucket(4000, 3);
  check_bucket(1000000000, 20); /* a second: below 2^20 us */
  check_bucket(INT64_MAX, MILL_HISTOGRAM_BUCKETS - 1);
}

static void test_references(void) {
  mill_stats *stats = mill_stats_new();
  CHECK(mill_stats_ref(stats) == stats);
  mill_stats_unref(stats);
  mill__stats_add(&stats->chunks, 3);
  mill__stats_add(&stats->chunks, 4);
  mill_metrics metrics;
  mill_stats_read(stats, &metrics);
  CHECK_INT(metrics.chunks, 7);
  CHECK_INT(metrics.events, 0);
  CHECK_INT(metrics.cpu_ns, 0);
  mill_stats_unref(stats);
  CHECK(mill_stats_ref(NULL) == NULL);
  mill_stats_unref(NULL);
}

static void run_starved(void *ctx) {
  mill_stats *stats = mill_stats_new();
  CHECK(stats != NULL || test_alloc_failed());
  mill_stats_unref(stats);
}

int main(void) {
  test_alloc_install();
  test_buckets();
  test_references();
  CHECK_INT(test_alloc_live(), 0);
  test_each_failing_allocation(run_starved, NULL);
  return 0;
}
