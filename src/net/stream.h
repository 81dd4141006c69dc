/*
 * A stream: the meeting point of the consumer's thread and the loop.
 *
 * Owns: the request, the queue, the message, the error. Reference counted: the consumer has one
 * reference, the engine one while it works on it, the inbox one while a command is posted.
 * Thread: see the groups of struct mill_stream.
 * Blocks: only mill_stream_wait and _wait_response.
 * Limits: limits.buffered_bytes for the queue; the transfer pauses there and goes on at a quarter.
 */
#ifndef MILL_NET_STREAM_H
#define MILL_NET_STREAM_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "base/queue.h"
#include "net/error.h"
#include "net/record.h"
#include "net/request.h"
#include "net/response.h"
#include "net/stats.h"
#include "net/transfer.h"
#include "provider/message.h"

/* Values of mill_stream.armed: nobody waits, or enum mill_wait. */
enum {
  MILL__ARMED_NO,
  MILL__ARMED_DATA = MILL_WAIT_CHUNK,
  MILL__ARMED_RESPONSE = MILL_WAIT_RESPONSE,
  MILL__ARMED_HALF = MILL_WAIT_HALF
};

struct mill_stream {
  /* immutable */
  mill_engine *engine;
  struct mill__request request;
  int64_t started_ns;

  /* atomic */
  atomic_uint refs;
  atomic_uint commands; /* MILL__COMMAND_* posted and not yet taken by the loop */
  atomic_int armed;     /* MILL__ARMED_* */
  atomic_bool paused;   /* the transfer waits for the queue to drain */
  atomic_bool cancelled;
  atomic_bool ended;                         /* `error` is final; set after the last record */
  atomic_bool finished;                      /* the consumer was told the end */
  _Atomic(struct mill__response *) response; /* published once its head is whole */
  atomic_int_fast64_t connect_ns, first_byte_ns, first_chunk_ns, total_ns;
  atomic_uint_fast64_t chunks;
  atomic_uint retries;
  _Atomic(mill_retry *) retry_log; /* max_retries of them, the first `retries` written; or NULL */
  struct mill__queue queue;
  mill_stream *inbox_next; /* the inbox's, while a command is posted */

  /* guarded by lock; `tag`, `ready` and `listed` by the waiter's lock */
  pthread_mutex_t lock;
  mill_waiter *waiter;
  void *tag;
  struct mill__list ready;
  bool listed;

  /* the consumer's thread */
  struct mill__message message;
  struct mill__record_reader reader;
  mill_event event;               /* of the record being read */
  const struct mill__note *note;  /* the record being read, where it is no event */
  struct mill__buf last_event_id; /* of an event source, as far as it was read; also the next two */
  int64_t retry_ms;
  enum mill_source_state source_state;
  bool holds_record;
  _Atomic(const mill_error *)
      outcome; /* what the consumer was told; NULL: nothing yet. Others read it */

  /* loop only */
  struct mill__transfer transfer;

  /* written by the loop before `ended`, read by anybody after it */
  mill_error error;
};

void mill__stream_unref(mill_stream *stream);
/* Wake the consumer if it waits for what came: MILL__ARMED_DATA or _RESPONSE. Any thread. */
void mill__stream_notify(mill_stream *stream, int what);
/* The loop has said its last word: `error` (moved) and the totals become visible. */
void mill__stream_publish_end(mill_stream *stream, mill_error *error);

/* ---- the waiter's side (waiter.c) ------------------------------------------------------------ */

/*
 * Put the stream into its waiter's ready list. stream->lock is held; what is returned goes to
 * mill__waiter_wake when it is not any more.
 */
mill_waiter *mill__waiter_notify_locked(mill_stream *stream);
void mill__waiter_wake(mill_waiter *sleeper);
/* Leave the waiter for good. */
void mill__waiter_detach(mill_stream *stream);
/* What `what` waits for is there. The consumer's thread. */
bool mill__stream_has(mill_stream *stream, enum mill_wait what);
/* Waiters made before this are not used in this process any more. */
void mill__waiter_after_fork_child(void);

#endif
