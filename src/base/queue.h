/*
 * A bounded queue of variable-sized records from one producer thread to one consumer thread.
 *
 * Records lie one behind the other in blocks; those that were read are used again, so the steady
 * state allocates nothing: a queue keeps as many as it once held. Neither side ever waits for the
 * other.
 *
 * Empty: peek gives NULL. Full: `bytes` at or above the owner's limit; the queue always takes
 * one more record, so that a record larger than the limit can pass. The owner stops producing then
 * (mill__queue_bytes) and goes on at its low-water mark.
 * Owns: blocks and records. Thread: reserve and commit: the producer; peek, pop and drop: the
 * consumer; bytes: both. Errors: reserve gives NULL when out of memory.
 */
#ifndef MILL_BASE_QUEUE_H
#define MILL_BASE_QUEUE_H

#include <stdatomic.h>
#include <stddef.h>

#define MILL__QUEUE_BLOCK_BYTES 4000 /* of records; with the header it fits a page */
/* The first two are enough for a consumer that keeps up, and there may be many of those. */
#define MILL__QUEUE_SMALL_BYTES 960
#define MILL__QUEUE_SMALL_BLOCKS 2

struct mill__queue_block;

struct mill__queue {
  /* producer */
  struct mill__queue_block *tail;
  size_t reserved;                /* bytes of the record under construction; 0: none */
  struct mill__queue_block *kept; /* spare blocks, taken over from `spare` */
  unsigned n_small;               /* small blocks that were made */
  /* consumer */
  struct mill__queue_block *head;
  size_t read; /* offset into head */
  /* both */
  _Atomic(struct mill__queue_block *) first; /* the block that the consumer starts with */
  _Atomic(struct mill__queue_block *) spare; /* blocks that were read, to be used again */
  atomic_size_t bytes;                       /* committed and not popped */
};

void mill__queue_init(struct mill__queue *queue);
void mill__queue_fini(struct mill__queue *queue);
/* Room for one record of `size` bytes, aligned for any type. Valid until commit. */
void *mill__queue_reserve(struct mill__queue *queue, size_t size);
/* Publish the reserved record. */
void mill__queue_commit(struct mill__queue *queue);
/* The oldest record, or NULL. Valid until pop. */
void *mill__queue_peek(struct mill__queue *queue);
/* Give the peeked record back; returns the bytes that are left. */
size_t mill__queue_pop(struct mill__queue *queue);
/* Bytes in the queue. A read-modify-write: orders the caller's earlier stores before it. */
size_t mill__queue_bytes(struct mill__queue *queue);

#endif
