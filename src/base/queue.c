/* Records in recycled blocks; see queue.h. */
#include "base/queue.h"

#include <assert.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/alloc.h"

#define ALIGNMENT alignof(max_align_t)

struct mill__queue_block {
  /* Set once, when the producer has left this block; then, among the spare ones, the next spare. */
  _Atomic(struct mill__queue_block *) next;
  atomic_size_t committed; /* bytes that the consumer may read */
  size_t size;             /* bytes of records that fit */
  alignas(max_align_t) char records[];
};

struct record {
  alignas(max_align_t) size_t size; /* of the whole record, this header included */
};

static size_t record_bytes(size_t size) {
  return (sizeof(struct record) + size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* ---- spare blocks ---------------------------------------------------------------------------- */

static void init_spares(struct mill__queue_spares *spares) {
  spares->kept = NULL;
  atomic_init(&spares->given, NULL);
  atomic_init(&spares->n, 0);
}

void mill__queue_store_init(struct mill__queue_store *store) {
  init_spares(&store->small);
  init_spares(&store->large);
}

static void free_blocks(struct mill__queue_block *block) {
  while (block) {
    struct mill__queue_block *next = atomic_load(&block->next);
    mill__free(block);
    block = next;
  }
}

static void free_spares(struct mill__queue_spares *spares) {
  free_blocks(spares->kept);
  free_blocks(atomic_load(&spares->given));
}

void mill__queue_store_fini(struct mill__queue_store *store) {
  free_spares(&store->small);
  free_spares(&store->large);
}

long mill__queue_store_blocks(const struct mill__queue_store *store) {
  return (long)atomic_load_explicit(&store->small.n, memory_order_relaxed) +
         (long)atomic_load_explicit(&store->large.n, memory_order_relaxed);
}

/* One that was read, or NULL. All that consumers gave are taken at once: no other pops. */
static struct mill__queue_block *take_spare(struct mill__queue_spares *spares) {
  if (!spares->kept)
    spares->kept = atomic_exchange_explicit(&spares->given, NULL, memory_order_acquire);
  struct mill__queue_block *block = spares->kept;
  if (block) {
    spares->kept = atomic_load_explicit(&block->next, memory_order_relaxed);
    atomic_fetch_sub_explicit(&spares->n, 1, memory_order_relaxed);
  }
  return block;
}

static void give_spare(struct mill__queue_spares *spares, unsigned most,
                       struct mill__queue_block *block) {
  if (atomic_fetch_add_explicit(&spares->n, 1, memory_order_relaxed) >= most) {
    atomic_fetch_sub_explicit(&spares->n, 1, memory_order_relaxed);
    mill__free(block);
    return;
  }
  struct mill__queue_block *first = atomic_load_explicit(&spares->given, memory_order_relaxed);
  do
    atomic_store_explicit(&block->next, first, memory_order_relaxed);
  while (!atomic_compare_exchange_weak_explicit(&spares->given, &first, block, memory_order_release,
                                                memory_order_relaxed));
}

static void give_back(struct mill__queue_store *store, struct mill__queue_block *block) {
  if (block->size == MILL__QUEUE_SMALL_BYTES)
    give_spare(&store->small, MILL__QUEUE_KEPT_SMALL, block);
  else if (block->size == MILL__QUEUE_BLOCK_BYTES)
    give_spare(&store->large, MILL__QUEUE_KEPT_BLOCKS, block);
  else
    mill__free(block); /* made for one large record */
}

/* A block for `need` bytes, and for more where the consumer does not keep up. */
static struct mill__queue_block *get_block(struct mill__queue_store *store, size_t need,
                                           bool keeps_up) {
  bool small = keeps_up && need <= MILL__QUEUE_SMALL_BYTES;
  size_t size = small ? MILL__QUEUE_SMALL_BYTES : MILL__QUEUE_BLOCK_BYTES;
  struct mill__queue_block *block = NULL;
  if (need > size)
    size = need;
  else
    block = take_spare(small ? &store->small : &store->large);
  if (!block)
    block = mill__malloc(sizeof *block + size);
  if (!block)
    return NULL;
  block->size = size;
  atomic_init(&block->next, NULL);
  atomic_init(&block->committed, 0);
  return block;
}

/* ---- both ------------------------------------------------------------------------------------ */

void mill__queue_init(struct mill__queue *queue, struct mill__queue_store *store) {
  queue->store = store;
  queue->tail = queue->head = NULL;
  queue->reserved = queue->read = 0;
  queue->closed = false;
  atomic_init(&queue->first, NULL);
  atomic_init(&queue->open, NULL);
  atomic_init(&queue->bytes, 0);
}

void mill__queue_fini(struct mill__queue *queue) {
  free_blocks(queue->head);
  free_blocks(atomic_load(&queue->first));
  mill__queue_init(queue, queue->store);
}

/* ---- the producer ---------------------------------------------------------------------------- */

/* Go on in another block than `tail`, which has no room; NULL: there is none. */
static struct mill__queue_block *next_block(struct mill__queue *queue,
                                            struct mill__queue_block *tail, size_t need) {
  struct mill__queue_block *block = get_block(queue->store, need, !tail);
  if (!block)
    return NULL;
  atomic_store_explicit(tail ? &tail->next : &queue->first, block, memory_order_release);
  return block;
}

void *mill__queue_reserve(struct mill__queue *queue, size_t size) {
  assert(!queue->reserved);
  if (size > SIZE_MAX / 2)
    return NULL;
  size_t need = record_bytes(size);
  struct mill__queue_block *tail =
      atomic_exchange_explicit(&queue->open, NULL, memory_order_acquire);
  size_t used = tail ? atomic_load_explicit(&tail->committed, memory_order_relaxed) : 0;
  if (!tail || tail->size - used < need) {
    struct mill__queue_block *block = next_block(queue, tail, need);
    if (!block) {
      atomic_store_explicit(&queue->open, tail, memory_order_release);
      return NULL;
    }
    tail = block;
    used = 0;
  }
  struct record *record = (struct record *)(tail->records + used);
  record->size = need;
  queue->reserved = need;
  queue->tail = tail;
  return record + 1;
}

void mill__queue_commit(struct mill__queue *queue) {
  assert(queue->reserved);
  struct mill__queue_block *tail = queue->tail;
  size_t size = queue->reserved;
  size_t used = atomic_load_explicit(&tail->committed, memory_order_relaxed);
  queue->reserved = 0;
  /* Counted first: the consumer may take the record at once and must not count below zero. */
  atomic_fetch_add_explicit(&queue->bytes, size, memory_order_acq_rel);
  atomic_store_explicit(&tail->committed, used + size, memory_order_release);
  atomic_store_explicit(&queue->open, tail, memory_order_release);
}

/* ---- the consumer ---------------------------------------------------------------------------- */

static bool find_head(struct mill__queue *queue) {
  queue->head = atomic_load_explicit(&queue->first, memory_order_acquire);
  if (!queue->head)
    return false;
  /* The producer names another one only when this one was closed. */
  atomic_store_explicit(&queue->first, NULL, memory_order_relaxed);
  return true;
}

/* All of the head was read, and nothing comes into it any more. */
static void leave_head(struct mill__queue *queue, struct mill__queue_block *next) {
  struct mill__queue_block *done = queue->head;
  queue->head = next;
  queue->read = 0;
  queue->closed = false;
  give_back(queue->store, done);
}

void *mill__queue_peek(struct mill__queue *queue) {
  while (queue->head || find_head(queue)) {
    struct mill__queue_block *block = queue->head;
    /* `next` before `committed`: once it is set, `committed` has its last value. */
    struct mill__queue_block *next = atomic_load_explicit(&block->next, memory_order_acquire);
    if (queue->read < atomic_load_explicit(&block->committed, memory_order_acquire))
      return (struct record *)(block->records + queue->read) + 1;
    if (!next && !queue->closed)
      return NULL;
    leave_head(queue, next);
  }
  return NULL;
}

size_t mill__queue_pop(struct mill__queue *queue) {
  const struct record *record = (struct record *)(queue->head->records + queue->read);
  size_t size = record->size;
  queue->read += size;
  return atomic_fetch_sub_explicit(&queue->bytes, size, memory_order_acq_rel) - size;
}

void mill__queue_rest(struct mill__queue *queue) {
  struct mill__queue_block *head = queue->head;
  /* Where the producer has it in its hands, a record comes at once. */
  if (head && atomic_compare_exchange_strong_explicit(&queue->open, &head, NULL,
                                                      memory_order_acquire, memory_order_relaxed))
    queue->closed = true;
}

size_t mill__queue_bytes(struct mill__queue *queue) {
  return atomic_fetch_add_explicit(&queue->bytes, 0, memory_order_acq_rel);
}
