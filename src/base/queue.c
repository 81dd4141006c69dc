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

void mill__queue_init(struct mill__queue *queue) {
  queue->tail = queue->head = queue->kept = NULL;
  queue->reserved = queue->read = 0;
  queue->n_small = 0;
  atomic_init(&queue->first, NULL);
  atomic_init(&queue->spare, NULL);
  atomic_init(&queue->bytes, 0);
}

static void free_blocks(struct mill__queue_block *block) {
  while (block) {
    struct mill__queue_block *next = atomic_load(&block->next);
    mill__free(block);
    block = next;
  }
}

void mill__queue_fini(struct mill__queue *queue) {
  free_blocks(queue->head ? queue->head : atomic_load(&queue->first));
  free_blocks(queue->kept);
  free_blocks(atomic_load(&queue->spare));
  mill__queue_init(queue);
}

/* One that was read, or NULL. All that the consumer gave back are taken at once: no other pops. */
static struct mill__queue_block *take_spare(struct mill__queue *queue) {
  if (!queue->kept)
    queue->kept = atomic_exchange_explicit(&queue->spare, NULL, memory_order_acquire);
  struct mill__queue_block *block = queue->kept;
  if (block)
    queue->kept = atomic_load_explicit(&block->next, memory_order_relaxed);
  return block;
}

/* What is not among the spare ones. */
static struct mill__queue_block *make_block(struct mill__queue *queue, size_t need) {
  bool small = need <= MILL__QUEUE_SMALL_BYTES && queue->n_small < MILL__QUEUE_SMALL_BLOCKS;
  size_t size = small                            ? MILL__QUEUE_SMALL_BYTES
                : need > MILL__QUEUE_BLOCK_BYTES ? need
                                                 : MILL__QUEUE_BLOCK_BYTES;
  struct mill__queue_block *block = mill__malloc(sizeof *block + size);
  if (!block)
    return NULL;
  queue->n_small += small;
  block->size = size;
  return block;
}

static struct mill__queue_block *new_block(struct mill__queue *queue, size_t need) {
  struct mill__queue_block *block = need > MILL__QUEUE_BLOCK_BYTES ? NULL : take_spare(queue);
  if (block && block->size < need) { /* records are larger than a small one */
    mill__free(block);
    block = NULL;
  }
  if (!block)
    block = make_block(queue, need);
  if (!block)
    return NULL;
  atomic_init(&block->next, NULL);
  atomic_init(&block->committed, 0);
  return block;
}

void *mill__queue_reserve(struct mill__queue *queue, size_t size) {
  assert(!queue->reserved);
  if (size > SIZE_MAX / 2)
    return NULL;
  size_t need = record_bytes(size);
  struct mill__queue_block *tail = queue->tail;
  size_t used = tail ? atomic_load_explicit(&tail->committed, memory_order_relaxed) : 0;
  if (!tail || tail->size - used < need) {
    struct mill__queue_block *block = new_block(queue, need);
    if (!block)
      return NULL;
    if (tail)
      atomic_store_explicit(&tail->next, block, memory_order_release);
    else
      atomic_store_explicit(&queue->first, block, memory_order_release);
    queue->tail = tail = block;
    used = 0;
  }
  struct record *record = (struct record *)(tail->records + used);
  record->size = need;
  queue->reserved = need;
  return record + 1;
}

void mill__queue_commit(struct mill__queue *queue) {
  assert(queue->reserved);
  size_t size = queue->reserved;
  queue->reserved = 0;
  /* Counted first: the consumer may take the record at once and must not count below zero. */
  atomic_fetch_add_explicit(&queue->bytes, size, memory_order_acq_rel);
  atomic_fetch_add_explicit(&queue->tail->committed, size, memory_order_release);
}

static void give_spare(struct mill__queue *queue, struct mill__queue_block *block) {
  struct mill__queue_block *first = atomic_load_explicit(&queue->spare, memory_order_relaxed);
  do
    atomic_store_explicit(&block->next, first, memory_order_relaxed);
  while (!atomic_compare_exchange_weak_explicit(&queue->spare, &first, block, memory_order_release,
                                                memory_order_relaxed));
}

/* The consumer has read all of its block and a next one is there. */
static void leave_block(struct mill__queue *queue, struct mill__queue_block *next) {
  struct mill__queue_block *done = queue->head;
  queue->head = next;
  queue->read = 0;
  /* A block made for one large record is not worth keeping. */
  if (done->size <= MILL__QUEUE_BLOCK_BYTES)
    give_spare(queue, done);
  else
    mill__free(done);
}

void *mill__queue_peek(struct mill__queue *queue) {
  if (!queue->head) {
    queue->head = atomic_load_explicit(&queue->first, memory_order_acquire);
    if (!queue->head)
      return NULL;
  }
  for (;;) {
    struct mill__queue_block *block = queue->head;
    /* `next` before `committed`: once it is set, `committed` has its last value. */
    struct mill__queue_block *next = atomic_load_explicit(&block->next, memory_order_acquire);
    if (queue->read < atomic_load_explicit(&block->committed, memory_order_acquire))
      return (struct record *)(block->records + queue->read) + 1;
    if (!next)
      return NULL;
    leave_block(queue, next);
  }
}

size_t mill__queue_pop(struct mill__queue *queue) {
  const struct record *record = (struct record *)(queue->head->records + queue->read);
  size_t size = record->size;
  queue->read += size;
  return atomic_fetch_sub_explicit(&queue->bytes, size, memory_order_acq_rel) - size;
}

size_t mill__queue_bytes(struct mill__queue *queue) {
  return atomic_fetch_add_explicit(&queue->bytes, 0, memory_order_acq_rel);
}
