/*
 * A bounded queue of variable-sized records from one producer thread to one consumer thread.
 *
 * Records lie one behind the other in blocks. Those that were read go into a store, which many queues
 * share: the steady state allocates nothing, and a queue whose consumer waits (mill__queue_rest)
 * holds no memory. Neither side ever waits for the other.
 *
 * Empty: peek gives NULL. Full: `bytes` at or above the owner's limit; the queue always takes
 * one more record, so that a record larger than the limit can pass. The owner stops producing then
 * (mill__queue_bytes) and goes on at its low-water mark.
 * Owns: blocks and records. Borrows: the store. Thread: reserve and commit: the producer, the same for
 * all queues of a store; peek, pop and rest: the consumer; bytes: both. Limits: a store keeps
 * MILL__QUEUE_KEPT_* blocks. Errors: reserve gives NULL when out of memory.
 */
#ifndef MILL_BASE_QUEUE_H
#define MILL_BASE_QUEUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#define MILL__QUEUE_BLOCK_BYTES 4000 /* of records; with the header it fits a page */
#define MILL__QUEUE_SMALL_BYTES 960  /* the first: enough for a consumer that keeps up */
#define MILL__QUEUE_KEPT_SMALL 256   /* as many queues as the loop fills in a turn */
#define MILL__QUEUE_KEPT_BLOCKS 64

struct mill__queue_block;

/* Blocks of one size that nobody uses. */
struct mill__queue_spares {
  _Atomic(struct mill__queue_block *) given; /* by consumers */
  struct mill__queue_block *kept;            /* taken over from `given`; the producer's */
  atomic_uint n;
};

struct mill__queue_store {
  struct mill__queue_spares small, large;
};

struct mill__queue {
  struct mill__queue_store *store;
  /* producer */
  struct mill__queue_block *tail; /* while a record is under construction */
  size_t reserved;                /* its bytes; 0: none is */
  /* consumer */
  struct mill__queue_block *head;
  size_t read; /* offset into head */
  bool closed; /* the producer puts nothing more into head, nor links another block to it */
  /* both */
  _Atomic(struct mill__queue_block *) first; /* where the consumer goes on when it has no head */
  _Atomic(struct mill__queue_block *) open;  /* where the next record goes; who takes it, owns it */
  atomic_size_t bytes;                       /* committed and not popped */
};

void mill__queue_store_init(struct mill__queue_store *store);
void mill__queue_store_fini(struct mill__queue_store *store); /* after the last of its queues */
long mill__queue_store_blocks(
    const struct mill__queue_store *store); /* that it keeps; any thread */

void mill__queue_init(struct mill__queue *queue, struct mill__queue_store *store);
void mill__queue_fini(struct mill__queue *queue);
/* Room for one record of `size` bytes, aligned for any type. Valid until commit. */
void *mill__queue_reserve(struct mill__queue *queue, size_t size);
/* Publish the reserved record. */
void mill__queue_commit(struct mill__queue *queue);
/* The oldest record, or NULL. Valid until pop. */
void *mill__queue_peek(struct mill__queue *queue);
/* Give the peeked record back; returns the bytes that are left. */
size_t mill__queue_pop(struct mill__queue *queue);
/* The consumer will wait, its records popped: with the next peek an empty block goes to the store. */
void mill__queue_rest(struct mill__queue *queue);
/* Bytes in the queue. A read-modify-write: orders the caller's earlier stores before it. */
size_t mill__queue_bytes(struct mill__queue *queue);

#endif
