/* The consumer's side of a stream, and what both sides share; see stream.h. */
#include "net/stream.h"

#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "net/engine.h"

static const mill_error NO_ERROR = {.code = MILL_OK, .retry_after_ms = -1, .byte_offset = -1};
static const mill_error CANCELLED_ERROR = {
    .code = MILL_E_CANCELLED,
    .retry_after_ms = -1,
    .byte_offset = -1,
    .text = (char[]){"the stream was cancelled"},
};
static const mill_error FORKED_ERROR = {
    .code = MILL_E_FORKED,
    .retry_after_ms = -1,
    .byte_offset = -1,
    .text = (char[]){"this stream was started before fork(): it goes on in the parent process; "
                     "start a new one here"},
};

static const mill_error MEMORY_ERROR = {
    .code = MILL_E_NOMEM,
    .retry_after_ms = -1,
    .byte_offset = -1,
    .text = (char[]){"out of memory while the message was put together"},
};
static const mill_error MESSAGE_ERROR = {
    .code = MILL_E_LIMIT,
    .retry_after_ms = -1,
    .byte_offset = -1,
    .text = (char[]){"the message has more text, choices or tool calls than can be kept"},
};

/* ---- life ------------------------------------------------------------------------------------ */

static void free_stream(mill_stream *stream) {
  mill__queue_fini(&stream->queue);
  mill__buf_fini(&stream->last_event_id);
  mill__message_fini(&stream->message);
  mill__transfer_fini(&stream->transfer);
  mill__response_free(atomic_load(&stream->response));
  mill__error_fini(&stream->error);
  mill__free(atomic_load(&stream->retry_log));
  mill__request_fini(&stream->request);
  pthread_mutex_destroy(&stream->lock);
  mill__engine_unref(stream->engine);
  mill__free(stream);
}

void mill__stream_unref(mill_stream *stream) {
  if (atomic_fetch_sub_explicit(&stream->refs, 1, memory_order_acq_rel) == 1)
    free_stream(stream);
}

static int set_last_event_id(mill_stream *stream, mill_slice id) {
  mill__buf_clear(&stream->last_event_id);
  return mill__buf_append(&stream->last_event_id, id.ptr, id.len);
}

/* Of an event source: what it begins with. */
static int init_source(mill_stream *stream) {
  const mill_event_source *set = &stream->request.source;
  stream->retry_ms = set->initial_retry_ms;
  mill__buf_init(&stream->last_event_id, SIZE_MAX);
  if (!set->last_event_id)
    return MILL_OK;
  return set_last_event_id(stream, (mill_slice){set->last_event_id, strlen(set->last_event_id)});
}

int mill_stream_start(mill_engine *engine, const mill_request *request, mill_stream **ret_stream,
                      const char **ret_why) {
  if (mill__engine_is_forked(engine))
    return MILL_E_FORKED;
  mill_stream *stream = mill__calloc(1, sizeof *stream);
  if (!stream)
    return MILL_E_NOMEM;
  int result = mill__request_init(&stream->request, request, ret_why);
  if (result) {
    mill__free(stream);
    return result;
  }
  stream->engine = mill__engine_ref(engine);
  stream->started_ns = mill__clock_ns();
  atomic_init(&stream->refs, 1);
  atomic_init(&stream->connect_ns, -1);
  atomic_init(&stream->first_byte_ns, -1);
  atomic_init(&stream->first_chunk_ns, -1);
  atomic_init(&stream->total_ns, -1);
  mill__queue_init(&stream->queue, &engine->store);
  mill__message_init(&stream->message);
  mill__error_init(&stream->error);
  mill__list_init(&stream->ready);
  pthread_mutex_init(&stream->lock, NULL);
  result = mill__transfer_init(&stream->transfer, &stream->request.set);
  if (!result)
    result = init_source(stream);
  if (!result && !mill__engine_post(engine, stream, MILL__COMMAND_START))
    result = MILL_E_SYSTEM;
  if (result) {
    mill__stream_unref(stream);
    return result;
  }
  *ret_stream = stream;
  return MILL_OK;
}

void mill_stream_free(mill_stream *stream) {
  if (!stream)
    return;
  if (!mill__engine_is_forked(stream->engine)) {
    mill__waiter_detach(stream);
    if (!atomic_load(&stream->ended))
      mill__engine_post(stream->engine, stream, MILL__COMMAND_CANCEL);
  }
  mill__stream_unref(stream);
}

void mill_stream_cancel(mill_stream *stream) {
  if (atomic_load(&stream->finished) || atomic_exchange(&stream->cancelled, true) ||
      mill__engine_is_forked(stream->engine))
    return;
  mill__stream_notify(stream, MILL__ARMED_DATA);
  if (!atomic_load(&stream->ended))
    mill__engine_post(stream->engine, stream, MILL__COMMAND_CANCEL);
}

void mill_stream_restart(mill_stream *stream) {
  if (!atomic_load(&stream->ended) && !atomic_load(&stream->cancelled))
    mill__engine_post(stream->engine, stream, MILL__COMMAND_RESTART);
}

/* ---- both sides ------------------------------------------------------------------------------ */

/*
 * Looked at behind what makes it so, and behind arming: the queue's count of bytes is read by a
 * read-modify-write, so that of two threads the later one sees what the other did before.
 */
static bool is_half_full_or_over(mill_stream *stream) {
  return atomic_load(&stream->ended) || atomic_load(&stream->cancelled) ||
         mill__queue_bytes(&stream->queue) >= stream->request.set.limits.buffered_bytes / 2;
}

void mill__stream_notify(mill_stream *stream, int what) {
  /*
   * A read-modify-write of `armed` on both sides: either the consumer, which arms and then looks,
   * sees what was published before this, or this sees it armed.
   */
  if (what == MILL__ARMED_DATA) {
    if (atomic_load(&stream->armed) == MILL__ARMED_HALF && !is_half_full_or_over(stream))
      return;
    if (atomic_exchange(&stream->armed, MILL__ARMED_NO) == MILL__ARMED_NO)
      return;
  } else {
    int expected = what;
    if (!atomic_compare_exchange_strong(&stream->armed, &expected, MILL__ARMED_NO))
      return;
  }
  mill_engine *engine = stream->engine;
  mill__stats_add(&engine->stats->wakeups, 1);
  if (stream->request.set.stats)
    mill__stats_add(&stream->request.set.stats->wakeups, 1);
  pthread_mutex_lock(&stream->lock);
  mill_waiter *sleeper = mill__waiter_notify_locked(stream);
  pthread_mutex_unlock(&stream->lock);
  mill__waiter_wake(sleeper);
}

void mill__stream_publish_end(mill_stream *stream, mill_error *error) {
  mill__error_move(&stream->error, error);
  atomic_store(&stream->total_ns, mill__clock_ns() - stream->started_ns);
  atomic_store(&stream->ended, true);
}

/* ---- taking chunks --------------------------------------------------------------------------- */

/* The consumer is done with the record: it leaves the queue, and the transfer may go on. */
static void release_record(mill_stream *stream) {
  if (!stream->holds_record)
    return;
  stream->holds_record = false;
  size_t left = mill__queue_pop(&stream->queue);
  if (left <= stream->request.set.limits.buffered_bytes / 4 && atomic_load(&stream->paused) &&
      atomic_exchange(&stream->paused, false))
    mill__engine_post(stream->engine, stream, MILL__COMMAND_RESUME);
}

static int open_event(mill_stream *stream, const void *record) {
  struct mill__meta meta;
  mill__record_open(&stream->reader, record, &stream->event, &meta);
  int result = mill__message_meta(&stream->message, &meta);
  if (!result && stream->request.set.events)
    result = set_last_event_id(stream, stream->event.id);
  return result;
}

static int open_note(mill_stream *stream, const struct mill__note *note) {
  stream->reader.left = 0;
  switch (note->kind) {
  case MILL__RECORD_OPENED:
    stream->source_state = MILL_SOURCE_OPEN;
    return MILL_OK;
  case MILL__RECORD_LOST:
    stream->source_state = MILL_SOURCE_CONNECTING;
    return MILL_OK;
  case MILL__RECORD_RETRY:
    stream->retry_ms = (int64_t)note->number;
    return MILL_OK;
  case MILL__RECORD_ID:
    return set_last_event_id(stream, note->text);
  case MILL__RECORD_EVENT:
  case MILL__RECORD_COMMENT:
    break;
  }
  return MILL_OK;
}

/* Open the next record: MILL_OK, MILL_AGAIN, or MILL_END when it has ended and all is read. */
static int open_record(mill_stream *stream) {
  release_record(stream);
  bool ended = atomic_load(&stream->ended); /* before the look: nothing comes after it */
  void *record = mill__queue_peek(&stream->queue);
  if (!record)
    return ended ? MILL_END : MILL_AGAIN;
  bool is_event = mill__record_kind(record) == MILL__RECORD_EVENT;
  stream->note = is_event ? NULL : mill__record_note(record);
  int result = is_event ? open_event(stream, record) : open_note(stream, stream->note);
  stream->holds_record = result == MILL_OK; /* else the next call tries it again */
  return result;
}

static int read_delta(mill_stream *stream, mill_chunk *ret_chunk) {
  mill__record_next(&stream->reader, ret_chunk);
  ret_chunk->event = stream->event;
  return mill__message_add(&stream->message, ret_chunk);
}

/* The deltas of the held record that were not read yet go into the message. */
static int read_rest(mill_stream *stream) {
  mill_chunk chunk;
  int result = MILL_OK;
  while (!result && stream->holds_record && stream->reader.left)
    result = read_delta(stream, &chunk);
  return result;
}

/* The message could not take a chunk: nothing after it would be right. */
static int give_up(mill_stream *stream, int code) {
  stream->outcome = code == MILL_E_NOMEM ? &MEMORY_ERROR : &MESSAGE_ERROR;
  mill_stream_cancel(stream);
  atomic_store(&stream->finished, true);
  return code;
}

/* Tell the consumer the end: the error once, MILL_END after it. */
static int tell_end(mill_stream *stream, const mill_error *outcome) {
  if (stream->outcome)
    return MILL_END;
  stream->outcome = outcome;
  atomic_store(&stream->finished, true);
  return outcome->code ? outcome->code : MILL_END;
}

/* An end that does not wait for the queue; NULL: none. */
static const mill_error *hard_end(mill_stream *stream) {
  if (mill__engine_is_forked(stream->engine))
    return &FORKED_ERROR;
  return atomic_load(&stream->cancelled) ? &CANCELLED_ERROR : NULL;
}

int mill_stream_next(mill_stream *stream, mill_chunk *ret_chunk) {
  const mill_error *outcome = stream->outcome ? stream->outcome : hard_end(stream);
  if (outcome)
    return tell_end(stream, outcome);
  for (;;) {
    int result;
    if (stream->holds_record && stream->reader.left) {
      result = read_delta(stream, ret_chunk);
      return result ? give_up(stream, result) : MILL_OK;
    }
    result = open_record(stream);
    if (result == MILL_END)
      return tell_end(stream, &stream->error);
    if (result)
      return result < 0 ? give_up(stream, result) : result;
  }
}

int mill_stream_next_event(mill_stream *stream, mill_event *ret_event) {
  const mill_error *outcome = stream->outcome ? stream->outcome : hard_end(stream);
  if (outcome)
    return tell_end(stream, outcome);
  int result = read_rest(stream); /* of an event that mill_stream_next has begun */
  if (!result)
    do
      result = open_record(stream);
    while (!result && stream->note);
  if (result == MILL_END)
    return tell_end(stream, &stream->error);
  if (!result)
    result = read_rest(stream);
  if (result)
    return result < 0 ? give_up(stream, result) : result;
  *ret_event = stream->event;
  return MILL_OK;
}

/* Whether the record is for the consumer; then it stands in `ret_item`. */
static bool read_item(const mill_stream *stream, mill_item *ret_item) {
  const struct mill__note *note = stream->note;
  enum mill__record_kind kind = note ? note->kind : MILL__RECORD_EVENT;
  switch (kind) {
  case MILL__RECORD_EVENT:
    *ret_item = (mill_item){.type = MILL_ITEM_EVENT, .event = stream->event};
    return true;
  case MILL__RECORD_COMMENT:
    *ret_item = (mill_item){.type = MILL_ITEM_COMMENT, .comment = note->text};
    return true;
  case MILL__RECORD_OPENED:
    *ret_item = (mill_item){.type = MILL_ITEM_OPENED};
    return true;
  case MILL__RECORD_LOST:
    *ret_item = (mill_item){.type = MILL_ITEM_LOST, .error = &note->error};
    return true;
  case MILL__RECORD_ID:
  case MILL__RECORD_RETRY:
    break;
  }
  return false;
}

int mill_stream_next_item(mill_stream *stream, mill_item *ret_item) {
  const mill_error *outcome = stream->outcome ? stream->outcome : hard_end(stream);
  if (outcome)
    return tell_end(stream, outcome);
  int result;
  do
    result = open_record(stream);
  while (!result && !read_item(stream, ret_item));
  if (result == MILL_END)
    return tell_end(stream, &stream->error);
  return result < 0 ? give_up(stream, result) : result;
}

bool mill_stream_ready(mill_stream *stream) {
  if (stream->outcome || hard_end(stream) || (stream->holds_record && stream->reader.left))
    return true;
  release_record(stream);
  return atomic_load(&stream->ended) || mill__queue_peek(&stream->queue);
}

bool mill_stream_has_chunk(mill_stream *stream) {
  if (stream->outcome || hard_end(stream))
    return false;
  while (!stream->holds_record || !stream->reader.left) /* pass over events without chunks */
    if (open_record(stream) != MILL_OK)
      return false;
  return true;
}

/* ---- waiting --------------------------------------------------------------------------------- */

static bool response_ready(mill_stream *stream) {
  return stream->outcome || hard_end(stream) || atomic_load(&stream->ended) ||
         atomic_load(&stream->response);
}

static bool half_ready(mill_stream *stream) {
  return stream->outcome || hard_end(stream) || is_half_full_or_over(stream);
}

bool mill__stream_has(mill_stream *stream, enum mill_wait what) {
  switch (what) {
  case MILL_WAIT_RESPONSE:
    return response_ready(stream);
  case MILL_WAIT_HALF:
    return half_ready(stream);
  case MILL_WAIT_CHUNK:
    break;
  }
  return mill_stream_ready(stream);
}

static int wait_for(mill_stream *stream, enum mill_wait what, int64_t timeout_ms) {
  mill_waiter *waiter;
  int result = mill_waiter_of_thread(&waiter);
  if (result)
    return result;
  if (mill_waiter_arm(waiter, stream, what, stream) == MILL_END)
    return MILL_OK;
  mill_waiter_wait(waiter, timeout_ms);
  mill_waiter_disarm(waiter, stream);
  return mill__stream_has(stream, what) ? MILL_OK : MILL_AGAIN;
}

int mill_stream_wait(mill_stream *stream, int64_t timeout_ms) {
  return wait_for(stream, MILL_WAIT_CHUNK, timeout_ms);
}

int mill_stream_wait_response(mill_stream *stream, int64_t timeout_ms) {
  return wait_for(stream, MILL_WAIT_RESPONSE, timeout_ms);
}

/* ---- facts ----------------------------------------------------------------------------------- */

const mill_error *mill_stream_error(mill_stream *stream) {
  const mill_error *told = stream->outcome;
  if (!told)
    told = hard_end(stream);
  if (told)
    return told;
  return atomic_load(&stream->ended) ? &stream->error : &NO_ERROR;
}

int mill_stream_message(mill_stream *stream, mill_message *ret_message) {
  int result = mill__message_view(&stream->message, ret_message);
  if (!result)
    ret_message->format = stream->request.dialect->name;
  return result;
}

void mill_stream_source_status(mill_stream *stream, mill_source_status *ret_status) {
  bool closed = stream->outcome || hard_end(stream);
  *ret_status = (mill_source_status){
      .state = closed ? MILL_SOURCE_CLOSED : stream->source_state,
      .last_event_id = mill__buf_slice(&stream->last_event_id),
      .retry_ms = stream->retry_ms,
  };
}

void mill_stream_response(mill_stream *stream, mill_response *ret_response) {
  const struct mill__response *response = atomic_load(&stream->response);
  *ret_response = (mill_response){.status = 0};
  if (response)
    *ret_response = (mill_response){response->status, response->http_version,
                                    mill__buf_slice(&response->headers)};
}

void mill_stream_timing(mill_stream *stream, mill_timing *ret_timing) {
  *ret_timing = (mill_timing){
      .connect_ns = atomic_load(&stream->connect_ns),
      .first_byte_ns = atomic_load(&stream->first_byte_ns),
      .first_chunk_ns = atomic_load(&stream->first_chunk_ns),
      .total_ns = atomic_load(&stream->total_ns),
      .chunks = atomic_load(&stream->chunks),
      .retries = atomic_load(&stream->retries),
  };
}

int mill_stream_retry(mill_stream *stream, unsigned number, mill_retry *ret_retry) {
  if (number >= atomic_load(&stream->retries)) /* what is below it is written */
    return MILL_END;
  const mill_retry *log = atomic_load(&stream->retry_log);
  if (!log)
    return MILL_END;
  *ret_retry = log[number];
  return MILL_OK;
}
