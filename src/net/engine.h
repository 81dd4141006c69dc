/*
 * The engine: one thread that drives every transfer.
 *
 * Commands reach it through the inbox, a stack that anybody pushes to and the loop empties at once;
 * only the push that finds it empty writes the eventfd. The thread blocks all signals and knows
 * nothing of Python. Streams that got something in a turn of the loop are notified together at its
 * end.
 * Owns: the loop, libcurl's multi and share handles, the timers, the name look-ups.
 * Thread: the groups of struct mill_engine. Limits: MILL__ENGINE_*.
 */
#ifndef MILL_NET_ENGINE_H
#define MILL_NET_ENGINE_H

#include "base/timer.h"
#include "net/loop.h"
#include "net/resolve.h"
#include "net/stream.h"

#define MILL__ENGINE_HEARTBEAT_MS 1000 /* a look at libcurl's sockets while transfers run */
#define MILL__ENGINE_CROWD 256         /* with so many transfers each is slow, and memory counts */
#define MILL__ENGINE_KEEPALIVE_MS 5000 /* an unused connection lives no longer */
#define MILL__ENGINE_DRAIN_MS 250      /* after the terminator, for the rest of the body */
#define MILL__ENGINE_DRAIN_BYTES 65536
#define MILL__ENGINE_ANSWER_MS 10000 /* for the body of an answer that is no stream */
#define MILL__ENGINE_HOLD_MS 1000    /* streams that may share a connection wait for it */

enum {
  MILL__COMMAND_START = 1,
  MILL__COMMAND_CANCEL = 2,
  MILL__COMMAND_RESUME = 4,
  MILL__COMMAND_RESTART = 8
};

struct mill_engine {
  /* immutable */
  pthread_t thread;
  mill_stats *stats;
  bool http2_auto; /* the running libcurl's HTTP/2 can be trusted */

  /* atomic */
  atomic_uint refs;   /* the owner's, and one for each stream */
  atomic_bool forked; /* it belongs to the parent process */
  atomic_bool stopping;
  pthread_mutex_t turning;      /* held but for the sleep: a fork finds the engine's state whole */
  _Atomic(mill_stream *) inbox; /* closed for good when the thread is gone */
  struct mill__queue_store store; /* of all streams' queues; its producer is the loop */

  /* loop only, but for mill__loop_wake */
  struct mill__loop loop;
  void *multi, *share; /* libcurl's; made by mill__engine_open */
  int wakeup_pair[2];  /* of the multi handle, where libcurl leaves it to be inherited; else -1 */
  struct mill__timers timers;
  struct mill__timer curl_timer, heartbeat, keepalive;
  bool blind; /* a socket could not be watched: the heartbeat looks at all of them */
  struct mill__list transfers; /* every stream that the engine works on */
  size_t n_transfers;
  struct mill__list touched;  /* those with something new in this turn */
  struct mill__list released; /* name look-ups (mill__resolve_node.link) that may go on */
  struct mill__resolve resolve;
  struct mill__decoder_store decoders; /* what they lend each other */
  int64_t now_ns;                      /* the time of this turn */
  uint64_t random;
};

/* Any thread. False where nobody will run the command: the engine was stopped or forked. */
bool mill__engine_post(mill_engine *engine, mill_stream *stream, unsigned command);
mill_engine *mill__engine_ref(mill_engine *engine);
void mill__engine_unref(mill_engine *engine);
bool mill__engine_is_forked(const mill_engine *engine);

/* Loop only: what a transfer asks of its engine. */
/* Make libcurl's handles where they are not there: MILL_E_NOMEM, MILL_E_SYSTEM (no descriptor). */
int mill__engine_open(mill_engine *engine);
void mill__engine_touch(mill_engine *engine, mill_stream *stream); /* notify it after this turn */
void mill__engine_release(mill_engine *engine, struct mill__list *nodes); /* start them after it */
void mill__engine_transfer_begun(mill_engine *engine, mill_stream *stream);
void mill__engine_transfer_done(mill_engine *engine, mill_stream *stream);
uint64_t mill__engine_random(mill_engine *engine);

#endif
