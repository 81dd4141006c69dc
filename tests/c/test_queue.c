/* The queue: what goes in comes out, between two threads and without memory of its own to find. */
#include <pthread.h>
#include <sched.h>
#include <stdalign.h>
#include <string.h>

#include "base/queue.h"
#include "support.h"

#define N_RECORDS 200000
#define HIGH_WATER 20000 /* the producer stops here, the consumer lets it go on at a quarter */

static struct mill__queue_store store;

static void open_queue(struct mill__queue *queue) {
  mill__queue_store_init(&store);
  mill__queue_init(queue, &store);
}

static void close_queue(struct mill__queue *queue) {
  mill__queue_fini(queue);
  mill__queue_store_fini(&store);
}

/* Most records are small; some fill a block, and a few are larger than one. */
static size_t size_of(uint64_t *seed) {
  uint64_t random = test_random(seed);
  switch (random % 64) {
  case 0:
    return MILL__QUEUE_BLOCK_BYTES + random % 9000;
  case 1:
    return MILL__QUEUE_BLOCK_BYTES - 64 + random % 64;
  case 2:
    return 0;
  case 3:
    return random % 300 + 3800; /* the next one needs a new block */
  default:
    return random % 300;
  }
}

static bool put(struct mill__queue *queue, size_t size, unsigned char fill) {
  unsigned char *record = mill__queue_reserve(queue, size);
  if (record == NULL)
    return false;
  CHECK_INT((uintptr_t)record % alignof(max_align_t), 0);
  memset(record, fill, size);
  mill__queue_commit(queue);
  return true;
}

static void check(const unsigned char *record, size_t size, unsigned char fill) {
  /* All bytes are the same where each is that of its neighbour. */
  CHECK(size == 0 || (record[0] == fill && !memcmp(record, record + 1, size - 1)));
}

/* ---- one thread ------------------------------------------------------------------------------ */

static void test_empty(void) {
  struct mill__queue queue;
  open_queue(&queue);
  CHECK(mill__queue_peek(&queue) == NULL);
  CHECK_INT(mill__queue_bytes(&queue), 0);
  CHECK(mill__queue_reserve(&queue, SIZE_MAX) == NULL);
  CHECK(put(&queue, 10, 'a'));
  CHECK(mill__queue_peek(&queue) != NULL);
  CHECK(mill__queue_peek(&queue) == mill__queue_peek(&queue));
  CHECK_INT(mill__queue_pop(&queue), 0);
  CHECK(mill__queue_peek(&queue) == NULL);
  mill__queue_fini(&queue);
  close_queue(&queue);
}

/* A reserved record is not there before it is committed. */
static void test_commit(void) {
  struct mill__queue queue;
  open_queue(&queue);
  char *record = mill__queue_reserve(&queue, 5);
  CHECK(record != NULL);
  CHECK(mill__queue_peek(&queue) == NULL);
  CHECK_INT(mill__queue_bytes(&queue), 0);
  memcpy(record, "12345", 5);
  mill__queue_commit(&queue);
  CHECK_BYTES(mill__queue_peek(&queue), 5, "12345", 5);
  close_queue(&queue); /* with a record in it */
}

static void test_bytes(void) {
  struct mill__queue queue;
  open_queue(&queue);
  size_t before[100], total = 0;
  uint64_t seed = 3;
  for (size_t i = 0; i < 100; i++) {
    size_t size = size_of(&seed);
    before[i] = total;
    CHECK(put(&queue, size, 'x'));
    CHECK(mill__queue_bytes(&queue) >= total + size);
    CHECK(mill__queue_bytes(&queue) <=
          total + size + 64); /* what a record costs beside its bytes */
    total = mill__queue_bytes(&queue);
  }
  for (size_t i = 0; i < 100; i++) {
    CHECK(mill__queue_peek(&queue) != NULL);
    size_t left = mill__queue_pop(&queue);
    CHECK_INT(left, mill__queue_bytes(&queue));
    CHECK_INT(left, i + 1 < 100 ? total - before[i + 1] : 0);
  }
  close_queue(&queue);
}

/* Once it is in its stride, records up to a block go through without an allocation. */
static void test_steady_state(void) {
  struct mill__queue queue;
  open_queue(&queue);
  for (size_t i = 0; i < 100; i++) {
    CHECK(put(&queue, 1000, 'a'));
    CHECK(mill__queue_peek(&queue) != NULL);
    mill__queue_pop(&queue);
  }
  test_alloc_fail(1, true);
  for (size_t i = 0; i < 10000; i++) {
    CHECK(put(&queue, i % 1300, (unsigned char)i));
    CHECK(put(&queue, i % 777, (unsigned char)~i));
    check(mill__queue_peek(&queue), i % 1300, (unsigned char)i);
    mill__queue_pop(&queue);
    check(mill__queue_peek(&queue), i % 777, (unsigned char)~i);
    mill__queue_pop(&queue);
  }
  CHECK(!test_alloc_failed());
  CHECK(mill__queue_reserve(&queue, 2 * MILL__QUEUE_BLOCK_BYTES) == NULL);
  CHECK(test_alloc_failed());
  test_alloc_fail(0, false);
  CHECK(put(&queue, 2 * MILL__QUEUE_BLOCK_BYTES, 'z')); /* a failure changed nothing */
  check(mill__queue_peek(&queue), 2 * MILL__QUEUE_BLOCK_BYTES, 'z');
  CHECK_INT(mill__queue_pop(&queue), 0);
  close_queue(&queue);
}

/* What could be put comes out whole and in order; what could not leaves no trace. */
static void run_starved(void *ctx) {
  (void)ctx;
  struct mill__queue queue;
  unsigned char stored[200];
  size_t sizes[200], n = 0;
  uint64_t seed = 5;
  open_queue(&queue);
  for (size_t i = 0; i < 200; i++) {
    size_t size = size_of(&seed);
    if (!put(&queue, size, (unsigned char)i))
      continue;
    stored[n] = (unsigned char)i;
    sizes[n++] = size;
  }
  for (size_t i = 0; i < n; i++) {
    check(mill__queue_peek(&queue), sizes[i], stored[i]);
    mill__queue_pop(&queue);
  }
  CHECK(mill__queue_peek(&queue) == NULL);
  CHECK_INT(mill__queue_bytes(&queue), 0);
  close_queue(&queue);
}

/* A queue whose consumer waits holds nothing; what it held serves another queue. */
static void test_rest(void) {
  struct mill__queue queue, other;
  open_queue(&queue);
  mill__queue_init(&other, &store);
  size_t live = test_alloc_live();
  CHECK(put(&queue, 100, 'a'));
  CHECK_INT(test_alloc_live(), live + 1);
  mill__queue_rest(&queue); /* nothing was peeked: there is nothing to close */
  check(mill__queue_peek(&queue), 100, 'a');
  mill__queue_rest(&queue);
  check(mill__queue_peek(&queue), 100, 'a'); /* a record keeps its block */
  CHECK(put(&queue, 200, 'b'));              /* and the next one comes behind it, in another */
  mill__queue_pop(&queue);
  check(mill__queue_peek(&queue), 200, 'b');
  mill__queue_pop(&queue);
  mill__queue_rest(&queue);
  CHECK(mill__queue_peek(&queue) == NULL);
  mill__queue_rest(&queue);
  CHECK_INT(test_alloc_live(), live + 2);
  test_alloc_fail(1, true);
  CHECK(put(&other, 300, 'c'));
  CHECK(put(&queue, 400, 'd'));
  CHECK(!test_alloc_failed());
  test_alloc_fail(0, false);
  check(mill__queue_peek(&other), 300, 'c');
  check(mill__queue_peek(&queue), 400, 'd');
  mill__queue_fini(&other);
  close_queue(&queue);
}

/* However many blocks were in use at once, few are kept. */
static void test_store_is_bounded(void) {
  struct mill__queue queue;
  open_queue(&queue);
  size_t live = test_alloc_live();
  for (size_t i = 0; i < 4 * MILL__QUEUE_KEPT_BLOCKS; i++)
    CHECK(put(&queue, MILL__QUEUE_BLOCK_BYTES / 2, 'a'));
  while (mill__queue_peek(&queue) != NULL)
    mill__queue_pop(&queue);
  mill__queue_rest(&queue);
  CHECK(mill__queue_peek(&queue) == NULL);
  CHECK_INT(test_alloc_live(), live + MILL__QUEUE_KEPT_BLOCKS);
  close_queue(&queue);
}

/* ---- two threads ----------------------------------------------------------------------------- */

struct shared {
  struct mill__queue queue;
  atomic_bool paused;
  size_t (*size_of)(uint64_t *seed);
  uint64_t seed;
};

/* As a stream does it: stop at the high-water mark, unless the queue was drained meanwhile. */
static void wait_for_room(struct shared *shared) {
  if (mill__queue_bytes(&shared->queue) < HIGH_WATER)
    return;
  atomic_store(&shared->paused, true);
  if (mill__queue_bytes(&shared->queue) <= HIGH_WATER / 4) {
    atomic_store(&shared->paused, false);
    return;
  }
  while (atomic_load(&shared->paused)) /* nobody but the consumer ends this */
    sched_yield();
}

static void *produce(void *user) {
  struct shared *shared = user;
  uint64_t seed = shared->seed;
  for (size_t i = 0; i < N_RECORDS; i++) {
    CHECK(put(&shared->queue, shared->size_of(&seed), (unsigned char)(i * 31)));
    wait_for_room(shared);
  }
  return NULL;
}

static void check_two_threads(size_t (*size)(uint64_t *seed)) {
  struct shared shared = {.size_of = size, .seed = 7};
  pthread_t producer;
  uint64_t seed = shared.seed;
  open_queue(&shared.queue);
  CHECK(pthread_create(&producer, NULL, produce, &shared) == 0);
  for (size_t i = 0; i < N_RECORDS; i++) {
    const unsigned char *record;
    while ((record = mill__queue_peek(&shared.queue)) == NULL) {
      mill__queue_rest(&shared.queue);
      sched_yield();
    }
    check(record, size(&seed), (unsigned char)(i * 31));
    size_t left = mill__queue_pop(&shared.queue);
    CHECK(left <= HIGH_WATER + 2 * (MILL__QUEUE_BLOCK_BYTES + 9000));
    if (left <= HIGH_WATER / 4)
      atomic_exchange(&shared.paused, false);
  }
  CHECK(pthread_join(producer, NULL) == 0);
  CHECK(mill__queue_peek(&shared.queue) == NULL);
  CHECK_INT(mill__queue_bytes(&shared.queue), 0);
  close_queue(&shared.queue);
}

/* Two of these in a block at most: the consumer often stands at the end of one. */
static size_t half_a_block(uint64_t *seed) {
  return MILL__QUEUE_BLOCK_BYTES / 2 - 64 + test_random(seed) % 64;
}

static void test_two_threads(void) {
  check_two_threads(size_of);
  check_two_threads(half_a_block);
}

int main(void) {
  test_alloc_install();
  test_empty();
  test_commit();
  test_bytes();
  test_steady_state();
  test_rest();
  test_store_is_bounded();
  test_each_failing_allocation(run_starved, NULL);
  test_two_threads();
  CHECK_INT(test_alloc_live(), 0);
  return 0;
}
