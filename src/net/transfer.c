/* What the engine does for one stream; see transfer.h. */
#include "net/transfer.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "net/engine.h"
#include "net/retry.h"

int mill__transfer_init(struct mill__transfer *transfer, const mill_request *set) {
  mill__list_init(&transfer->link);
  mill__list_init(&transfer->touched);
  mill__timer_init(&transfer->timer);
  mill__resolve_node_init(&transfer->resolve);
  mill__buf_init(&transfer->body, MILL__ERROR_BODY_BYTES);
  mill__error_init(&transfer->failure);
  transfer->attempt_ns = transfer->sent_ns = transfer->last_event_ns = -1;
  transfer->no_stream_ns = transfer->holds_ns = -1;
  transfer->last_chunk_ns = -1;
  return mill__source_init(&transfer->source, set);
}

static void reset_attempt(struct mill__transfer *transfer) {
  mill__decoder_free(transfer->decoder);
  mill__inflate_free(transfer->inflater);
  mill__response_free(transfer->head);
  mill__buf_fini(&transfer->body);
  mill__error_fini(&transfer->failure);
  transfer->decoder = NULL;
  transfer->inflater = NULL;
  transfer->head = NULL;
  transfer->block = (mill_slice){NULL, 0};
  transfer->skip = transfer->inflated = transfer->drained = 0;
  transfer->suspended = transfer->fresh = false;
  transfer->attempt_ns = transfer->sent_ns = transfer->last_event_ns = -1;
  transfer->no_stream_ns = -1;
}

void mill__transfer_fini(struct mill__transfer *transfer) {
  reset_attempt(transfer);
  mill__source_fini(&transfer->source);
}

static bool is_source(const mill_stream *stream) {
  return stream->request.set.events;
}

static void count(mill_stream *stream, size_t offset, uint64_t n) {
  mill_stats *sets[] = {stream->engine->stats, stream->request.set.stats};
  for (size_t i = 0; i < 2; i++)
    if (sets[i])
      mill__stats_add((atomic_uint_fast64_t *)((char *)sets[i] + offset), n);
}

#define COUNT(stream, field, n) count(stream, offsetof(mill_stats, field), n)

static void observe(mill_stream *stream, size_t histogram, size_t total, int64_t duration_ns) {
  mill_stats *sets[] = {stream->engine->stats, stream->request.set.stats};
  for (size_t i = 0; i < 2; i++)
    if (sets[i])
      mill__stats_observe((atomic_uint_fast64_t *)((char *)sets[i] + histogram),
                          (atomic_uint_fast64_t *)((char *)sets[i] + total), duration_ns);
}

#define OBSERVE(stream, name, duration_ns)                                                         \
  observe(stream, offsetof(mill_stats, name##_us), offsetof(mill_stats, name##_total_ns),          \
          duration_ns)

/* ---- clocks ---------------------------------------------------------------------------------- */

static void consider(int64_t *deadline, enum mill_phase *phase, int64_t begin_ns, int64_t limit_ms,
                     enum mill_phase candidate) {
  if (begin_ns < 0 || limit_ms <= 0)
    return;
  int64_t limit_ns =
      limit_ms > INT64_MAX / 2 / MILL_NS_PER_MS ? INT64_MAX / 2 : limit_ms * MILL_NS_PER_MS;
  if (limit_ns < *deadline - begin_ns) {
    *deadline = begin_ns + limit_ns;
    *phase = candidate;
  }
}

/* The next moment at which something must happen to this stream, and which clock it is of. */
static int64_t next_deadline(const mill_stream *stream, enum mill_phase *ret_phase) {
  const struct mill__transfer *transfer = &stream->transfer;
  const mill_timeouts *timeouts = &stream->request.set.timeouts;
  int64_t deadline = INT64_MAX;
  *ret_phase = MILL_PHASE_NONE;
  if (transfer->state == MILL__TRANSFER_DRAINING || transfer->state == MILL__TRANSFER_BACKOFF)
    deadline = transfer->until_ns;
  if (transfer->published)
    return deadline;
  consider(&deadline, ret_phase, stream->started_ns, timeouts->total_ms, MILL_PHASE_TOTAL);
  if (transfer->state == MILL__TRANSFER_BACKOFF || transfer->state == MILL__TRANSFER_DRAINING)
    return deadline;
  consider(&deadline, ret_phase, transfer->no_stream_ns, MILL__ENGINE_ANSWER_MS, MILL_PHASE_NONE);
  consider(&deadline, ret_phase, transfer->holds_ns, MILL__ENGINE_HOLD_MS, MILL_PHASE_NONE);
  if (transfer->sent_ns < 0)
    consider(&deadline, ret_phase, transfer->attempt_ns, timeouts->connect_ms, MILL_PHASE_CONNECT);
  else if (transfer->last_event_ns < 0)
    consider(&deadline, ret_phase, transfer->sent_ns, timeouts->first_chunk_ms,
             MILL_PHASE_FIRST_CHUNK);
  else if (!transfer->suspended) /* a full queue is the consumer's pause, not the server's */
    consider(&deadline, ret_phase, transfer->last_event_ns, timeouts->idle_ms, MILL_PHASE_IDLE);
  return deadline;
}

/*
 * Make sure that the timer fires in time. It may fire early: events move the idle deadline without
 * touching the timer, and mill__transfer_on_timer looks again.
 */
static int arm_timer(mill_stream *stream) {
  struct mill__transfer *transfer = &stream->transfer;
  enum mill_phase phase;
  int64_t deadline = next_deadline(stream, &phase);
  if (transfer->timer.slot && transfer->timer.deadline_ns <= deadline)
    return MILL_OK;
  return mill__timer_set(&stream->engine->timers, &transfer->timer, deadline);
}

/* ---- the end --------------------------------------------------------------------------------- */

/*
 * Let the consumer see the head. None can be freed before the stream, and an event source may have
 * any number: of its heads the first stays.
 */
static void publish_head(mill_stream *stream) {
  struct mill__transfer *transfer = &stream->transfer;
  struct mill__response *older = atomic_load(&stream->response);
  if (is_source(stream) && older)
    return;
  transfer->head->older = older;
  atomic_store(&stream->response, transfer->head);
  transfer->head = NULL;
}

void mill__transfer_settle(mill_stream *stream) {
  struct mill__transfer *transfer = &stream->transfer;
  if (transfer->new_bytes)
    COUNT(stream, bytes_in, transfer->new_bytes);
  if (transfer->new_events)
    COUNT(stream, events, transfer->new_events);
  if (transfer->new_chunks) {
    COUNT(stream, chunks, transfer->new_chunks);
    int64_t now_ns = mill__clock_ns(), since_ns = now_ns - transfer->last_chunk_ns;
    if (transfer->counted_chunks)
      OBSERVE(stream, inter_chunk, since_ns);
    if (transfer->new_pieces > 1) /* they came together */
      COUNT(stream, inter_chunk_us[0], transfer->new_pieces - 1);
    transfer->counted_chunks = true;
    transfer->last_chunk_ns = now_ns;
  }
  transfer->new_bytes = transfer->new_events = transfer->new_chunks = 0;
  transfer->new_pieces = transfer->piece_chunks = 0;
}

/* Let the consumer see the end. `error` is moved; its code is MILL_OK for a success. */
static void publish(mill_stream *stream, mill_error *error) {
  struct mill__transfer *transfer = &stream->transfer;
  transfer->published = true;
  if (transfer->head && transfer->head->complete)
    publish_head(stream);
  mill__transfer_settle(stream);
  COUNT(stream, streams_open, (uint64_t)-1);
  if (error->code == MILL_OK)
    COUNT(stream, streams_ok, 1);
  else if (error->code == MILL_E_CANCELLED)
    COUNT(stream, streams_cancelled, 1);
  else
    COUNT(stream, streams_failed, 1);
  mill__stream_publish_end(stream, error);
  mill__engine_touch(stream->engine, stream);
}

/* The engine's work for this stream is over. */
static void done(mill_stream *stream) {
  struct mill__transfer *transfer = &stream->transfer;
  mill_engine *engine = stream->engine;
  transfer->state = MILL__TRANSFER_DONE;
  mill__timer_clear(&engine->timers, &transfer->timer);
  mill__decoder_free(transfer->decoder);
  mill__inflate_free(transfer->inflater);
  transfer->decoder = NULL;
  transfer->inflater = NULL;
  mill__buf_fini(&transfer->body);
  mill__engine_transfer_done(engine, stream);
}

/* The name is known since the attempt began, or later: those that wait for this stream go on. */
static void release_waiting(mill_stream *stream) {
  struct mill__transfer *transfer = &stream->transfer;
  struct mill__list released;
  mill__list_init(&released);
  transfer->holds_ns = -1;
  mill__resolve_done(&transfer->resolve, true, transfer->attempt_ns, &released);
  mill__engine_release(stream->engine, &released);
}

static void stop_exchange(mill_stream *stream) {
  struct mill__list released;
  mill__list_init(&released);
  mill__http_stop(stream);
  if (stream->transfer.holds_ns >= 0)
    release_waiting(stream);
  mill__resolve_leave(&stream->transfer.resolve, &released);
  mill__engine_release(stream->engine, &released);
}

/* A record that was held back because it might have been retried. */
static void queue_withheld(mill_stream *stream) {
  struct mill__transfer *transfer = &stream->transfer;
  if (transfer->queued || !transfer->decoder || !transfer->body.len)
    return;
  mill_event event = {.type = {"", 0}, .data = mill__buf_slice(&transfer->body), .id = {"", 0}};
  struct mill__meta meta = {{"", 0}, {"", 0}, {"", 0}};
  /* Without memory the error alone tells what happened. */
  mill__record_put(&stream->queue, &event, &meta, NULL, 0);
}

static int64_t total_left_ms(const mill_stream *stream) {
  int64_t total_ms = stream->request.set.timeouts.total_ms;
  if (!total_ms)
    return -1;
  int64_t used_ms = (mill__clock_ns() - stream->started_ns) / MILL_NS_PER_MS;
  return used_ms < total_ms ? total_ms - used_ms : 0;
}

static void begin_attempt(mill_stream *stream);

/* What the attempt left goes; another is counted. */
static void next_attempt(mill_stream *stream) {
  struct mill__transfer *transfer = &stream->transfer;
  reset_attempt(transfer);
  transfer->attempt++;
  atomic_store(&stream->retries, transfer->attempt);
  COUNT(stream, retries, 1);
}

static void back_off(mill_stream *stream, int64_t delay_ms) {
  struct mill__transfer *transfer = &stream->transfer;
  next_attempt(stream);
  transfer->state = MILL__TRANSFER_BACKOFF;
  transfer->until_ns = mill__clock_ns() + delay_ms * MILL_NS_PER_MS;
  arm_timer(stream); /* the timer is in the heap: this cannot fail */
}

/* Keep what the attempt failed with; one that finds no memory leaves the stream without a log. */
static void log_retry(mill_stream *stream, const mill_error *error, int64_t delay_ms) {
  unsigned number = stream->transfer.attempt;
  mill_retry *log = atomic_load(&stream->retry_log);
  if (!number) {
    log = mill__calloc(stream->request.set.max_retries, sizeof *log);
    atomic_store(&stream->retry_log, log);
  }
  if (log)
    log[number] = (mill_retry){.at_ns = mill__clock_ns() - stream->started_ns,
                               .delay_ms = delay_ms,
                               .code = error->code,
                               .status = error->status};
}

/* Whether the stream goes on behind the attempt that ended with `error`. */
static bool goes_on(mill_stream *stream, mill_error *error) {
  struct mill__transfer *transfer = &stream->transfer;
  int64_t delay_ms = -1;
  if (is_source(stream)) {
    enum mill__source_next next = mill__source_next(stream, error, &delay_ms);
    if (next == MILL__SOURCE_REDIRECTS) {
      reset_attempt(transfer);
      begin_attempt(stream);
      return true;
    }
  } else if (error->code && !transfer->queued && !transfer->published) {
    delay_ms = mill__retry_delay_ms(transfer->attempt, stream->request.set.max_retries, error,
                                    total_left_ms(stream), mill__engine_random(stream->engine));
  }
  if (delay_ms < 0)
    return false;
  if (!is_source(stream))
    log_retry(stream, error, delay_ms);
  back_off(stream, delay_ms);
  return true;
}

/* The attempt failed or succeeded: try again or end. `error` is moved or freed. */
static void attempt_over(mill_stream *stream, mill_error *error) {
  struct mill__transfer *transfer = &stream->transfer;
  stop_exchange(stream);
  if (goes_on(stream, error)) {
    mill__error_fini(error);
    return;
  }
  if (!transfer->published) {
    queue_withheld(stream);
    publish(stream, error);
  }
  mill__error_fini(error);
  done(stream);
}

static void fail(mill_stream *stream, int code, const char *text) {
  mill_error error;
  mill__error_init(&error);
  mill__error_set(&error, code, "%s", text);
  attempt_over(stream, &error);
}

/* ---- attempts -------------------------------------------------------------------------------- */

static void begin_exchange(mill_stream *stream) {
  struct mill__transfer *transfer = &stream->transfer;
  transfer->state = MILL__TRANSFER_ACTIVE;
  int result = mill__response_new(stream->request.set.limits.header_bytes, &transfer->head);
  if (!result)
    result = mill__http_start(stream);
  if (!result)
    return;
  mill_error error;
  mill__error_init(&error);
  if (result == MILL_E_SYSTEM)
    mill__http_no_descriptor(&error);
  else
    mill__error_set(&error, result, "%s",
                    result == MILL_E_NOMEM ? "out of memory while the request was set up"
                                           : "libcurl did not accept the request");
  attempt_over(stream, &error);
}

static void begin_attempt(mill_stream *stream) {
  struct mill__transfer *transfer = &stream->transfer;
  transfer->attempt_ns = mill__clock_ns();
  transfer->state = MILL__TRANSFER_LOOKUP;
  if (arm_timer(stream)) {
    fail(stream, MILL_E_NOMEM, "out of memory while the request was set up");
    return;
  }
  mill__transfer_lookup_over(stream);
}

void mill__transfer_lookup_over(mill_stream *stream) {
  const struct mill__redirect *redirect = &stream->transfer.source.redirect;
  const char *key = redirect->url ? redirect->lookup_key : stream->request.lookup_key;
  int result = MILL_OK;
  if (key)
    result = mill__resolve_enter(&stream->engine->resolve, key, &stream->transfer.resolve,
                                 stream->engine->now_ns);
  if (result == MILL_OK)
    begin_exchange(stream);
  else if (result != MILL_AGAIN)
    fail(stream, result, "out of memory while the request was set up");
}

void mill__transfer_start(mill_stream *stream) {
  COUNT(stream, streams_started, 1);
  COUNT(stream, streams_open, 1);
  mill__engine_transfer_begun(stream->engine, stream);
  begin_attempt(stream);
}

void mill__transfer_cancel(mill_stream *stream) {
  struct mill__transfer *transfer = &stream->transfer;
  if (transfer->state == MILL__TRANSFER_DONE)
    return;
  stop_exchange(stream);
  if (!transfer->published) {
    mill_error error;
    mill__error_init(&error);
    mill__error_set(&error, MILL_E_CANCELLED, "the stream was cancelled");
    publish(stream, &error);
  }
  done(stream);
}

/* Whether nothing more fits: then the consumer, which has drained it, will resume the transfer. */
static int suspend_if_full(mill_stream *stream);

/* Begin another connection of an event source, when the consumer has taken what the last ones left. */
static void begin_next(mill_stream *stream) {
  struct mill__transfer *transfer = &stream->transfer;
  if (suspend_if_full(stream) == MILL_OK) {
    begin_attempt(stream);
    return;
  }
  transfer->state = MILL__TRANSFER_BACKOFF;
  transfer->until_ns = INT64_MAX;
  arm_timer(stream);
}

void mill__transfer_restart(mill_stream *stream) {
  struct mill__transfer *transfer = &stream->transfer;
  if (!is_source(stream) || transfer->state == MILL__TRANSFER_DONE)
    return;
  stop_exchange(stream);
  if (mill__source_restarts(stream)) {
    fail(stream, MILL_E_NOMEM, "out of memory while another connection was begun");
    return;
  }
  next_attempt(stream);
  begin_next(stream);
}

void mill__transfer_resume(mill_stream *stream) {
  struct mill__transfer *transfer = &stream->transfer;
  if (transfer->state == MILL__TRANSFER_DONE || !transfer->suspended)
    return;
  transfer->suspended = false;
  if (transfer->state == MILL__TRANSFER_BACKOFF) {
    begin_attempt(stream);
    return;
  }
  transfer->last_event_ns = stream->engine->now_ns;
  arm_timer(stream);
  int code = mill__http_resume(stream);
  if (code)
    mill__transfer_on_done(stream, code);
}

static const char *const TIMEOUT_ADVICE[] = {
    [MILL_PHASE_NONE] = "",
    [MILL_PHASE_CONNECT] = "check the address and the network, or raise timeout.connect",
    [MILL_PHASE_FIRST_CHUNK] = ("the server took the request and sent no event; raise "
                                "timeout.first_chunk for slow models"),
    [MILL_PHASE_IDLE] = "the server stopped sending events; raise timeout.idle if that is normal",
    [MILL_PHASE_TOTAL] = "raise timeout.total, or leave it out",
};

void mill__transfer_on_timer(mill_stream *stream) {
  struct mill__transfer *transfer = &stream->transfer;
  enum mill_phase phase;
  int64_t deadline = next_deadline(stream, &phase);
  if (deadline > mill__clock_ns()) {
    mill__timer_set(&stream->engine->timers, &transfer->timer, deadline);
    return;
  }
  if (phase == MILL_PHASE_NONE && transfer->state == MILL__TRANSFER_BACKOFF) {
    begin_next(stream);
    return;
  }
  if (phase == MILL_PHASE_NONE && transfer->holds_ns >= 0) {
    release_waiting(stream);
    arm_timer(stream);
    return;
  }
  mill_error error;
  mill__error_init(&error);
  if (phase == MILL_PHASE_NONE || transfer->no_stream_ns >= 0) { /* what came says enough */
    mill__http_outcome(stream, 0, &error);
  } else {
    const mill_timeouts *timeouts = &stream->request.set.timeouts;
    const int64_t limits_ms[] = {0, timeouts->connect_ms, timeouts->first_chunk_ms,
                                 timeouts->idle_ms, timeouts->total_ms};
    mill__error_set(&error, MILL_E_TIMEOUT, "the %s timeout of %.3g s was reached: %s",
                    mill_phase_name(phase), (double)limits_ms[phase] / 1000, TIMEOUT_ADVICE[phase]);
    error.phase = phase;
  }
  attempt_over(stream, &error);
}

/* Those that waited for this stream's look-up share its failure, each with its own retries. */
static void fail_waiting(mill_stream *stream, const mill_error *error) {
  struct mill__list waiting, *link;
  mill__list_init(&waiting);
  mill__resolve_done(&stream->transfer.resolve, false, stream->engine->now_ns, &waiting);
  while ((link = mill__list_pop(&waiting))) {
    mill_stream *other = MILL__CONTAINER(link, mill_stream, transfer.resolve.link);
    mill_error copy;
    mill__error_init(&copy);
    mill__error_set(&copy, error->code, "%s", error->text ? error->text : "");
    mill__error_set_kind(&copy, error->kind, strlen(error->kind));
    attempt_over(other, &copy);
  }
}

/* The name was never found: its own host's or its proxy's. */
static bool lookup_failed(const mill_stream *stream, const mill_error *error) {
  return error->code == MILL_E_CONNECT && stream->transfer.resolve.leads && error->kind &&
         (!strcmp(error->kind, "dns") || !strcmp(error->kind, "proxy"));
}

/* Nothing was sent, so that this is no attempt yet. It happens once: a new connection is new. */
static void begin_afresh(mill_stream *stream) {
  stop_exchange(stream);
  reset_attempt(&stream->transfer);
  stream->transfer.fresh = true;
  begin_attempt(stream);
}

static void count_piece(mill_stream *stream, size_t len);

void mill__transfer_on_done(mill_stream *stream, int curl_code) {
  if (stream->transfer.http.dead) {
    begin_afresh(stream);
    return;
  }
  mill_error error;
  mill__error_init(&error);
  mill__http_outcome(stream, curl_code, &error);
  count_piece(stream, 0); /* the end of a body may have told a last event */
  if (lookup_failed(stream, &error))
    fail_waiting(stream, &error);
  attempt_over(stream, &error);
}

/* ---- the connection -------------------------------------------------------------------------- */

/*
 * With HTTP/2 one connection may do for all that begin at once: they wait for this one, a moment at
 * most. Not where a proxy stands between, whose name those to other servers wait for too.
 */
void mill__transfer_on_socket(mill_stream *stream) {
  struct mill__transfer *transfer = &stream->transfer;
  const char *proxy = stream->request.set.proxy;
  COUNT(stream, connections, 1);
  if (!transfer->resolve.leads)
    return;
  if (transfer->holds_ns < 0 && mill__http_wants_http2(stream) && !(proxy && *proxy)) {
    transfer->holds_ns = stream->engine->now_ns;
    arm_timer(stream); /* the timer is in the heap: this cannot fail */
  } else if (transfer->holds_ns < 0) {
    release_waiting(stream);
  }
}

void mill__transfer_on_sent(mill_stream *stream) {
  struct mill__transfer *transfer = &stream->transfer;
  struct mill__list released;
  mill__list_init(&released);
  if (transfer->holds_ns >= 0)
    release_waiting(stream);
  mill__resolve_leave(&transfer->resolve, &released); /* a connection was used again */
  mill__engine_release(stream->engine, &released);
  transfer->sent_ns = mill__clock_ns();
  if (atomic_load(&stream->connect_ns) < 0)
    atomic_store(&stream->connect_ns, transfer->sent_ns - stream->started_ns);
  if (!transfer->source.redirect.as_get)
    COUNT(stream, bytes_out, stream->request.set.body_len);
  arm_timer(stream);
}

/* ---- the answer's head ----------------------------------------------------------------------- */

static bool stop_with(mill_stream *stream, int code, const char *why) {
  mill__error_set(&stream->transfer.failure, code, "%s", why);
  return false;
}

static bool is_accepted(const char *const *types, mill_slice type) {
  for (; *types; types++)
    if (mill__slice_equals_nocase(type, *types))
      return true;
  return false;
}

static int on_event(void *ctx, const mill_event *event, const struct mill__meta *meta,
                    const struct mill__delta *deltas, size_t n_deltas);

static int on_comment(void *ctx, mill_slice text) {
  mill_stream *stream = ctx;
  struct mill__transfer *transfer = &stream->transfer;
  bool counts = stream->request.set.timeouts.idle_counts_comments || is_source(stream);
  if (counts && transfer->last_event_ns >= 0)
    transfer->last_event_ns = stream->engine->now_ns;
  return is_source(stream) ? mill__source_on_comment(stream, text) : MILL_OK;
}

static int on_id(void *ctx, mill_slice id) {
  return mill__source_on_id(ctx, id);
}

static int on_retry(void *ctx, uint64_t retry_ms) {
  return mill__source_on_retry(ctx, retry_ms);
}

static bool accepts(const mill_stream *stream) {
  const struct mill__response *head = stream->transfer.head;
  mill_slice type = mill__response_media_type(head);
  if (is_source(stream))
    return mill__source_accepts(stream);
  return head->status < 300 &&
         (!type.len || is_accepted(stream->request.dialect->content_types, type));
}

static int new_decoder(mill_stream *stream) {
  struct mill__transfer *transfer = &stream->transfer;
  struct mill__sink sink = {.event = on_event, .comment = on_comment, .ctx = stream};
  if (is_source(stream)) {
    sink.id = on_id;
    sink.retry = on_retry;
  }
  int result = mill__decoder_new(stream->request.dialect, &stream->request.set.limits, &sink,
                                 &transfer->decoder);
  if (!result)
    mill__decoder_share(transfer->decoder, &stream->engine->decoders);
  if (result || !is_source(stream))
    return result;
  transfer->last_event_ns = mill__clock_ns(); /* from here on the server may be silent */
  result = mill__decoder_set_last_event_id(transfer->decoder,
                                           mill__buf_slice(&transfer->source.last_id));
  if (!result)
    result = mill__source_opened(stream);
  return result ? result : arm_timer(stream);
}

static void begin_drain(mill_stream *stream);

/* What the answer is stands in its head; its body is worth a while, not the clocks of a stream. */
static bool read_for_error(mill_stream *stream) {
  if (stream->transfer.state == MILL__TRANSFER_ACTIVE) {
    stream->transfer.no_stream_ns = mill__clock_ns();
    arm_timer(stream); /* the timer is in the heap: this cannot fail */
  }
  return true;
}

/* Begin to unpack a body, of whatever answer, as its head says. */
static bool begin_inflating(mill_stream *stream) {
  struct mill__transfer *transfer = &stream->transfer;
  enum mill__coding coding = mill__response_coding(transfer->head);
  bool known = coding == MILL__CODING_GZIP || coding == MILL__CODING_DEFLATE;
  bool asked = mill__request_asks_compressed(&stream->request.set);
  if (known && asked)
    return mill__inflate_new(coding, &transfer->inflater) == MILL_OK ||
           stop_with(stream, MILL_E_NOMEM, "out of memory while the answer began");
  if (!coding || !accepts(stream)) /* of an error's body there is at least what came */
    return true;
  return stop_with(stream, MILL_E_PROTOCOL,
                   asked ? "the server sent a body in a Content-Encoding that is not read here: "
                           "gzip and deflate are"
                         : "the server sent a compressed body that was not asked for");
}

/* The head is whole: what follows is a stream to decode, or a body to read for an error. */
static bool on_head(mill_stream *stream) {
  const struct mill__response *head = stream->transfer.head;
  if (is_source(stream) && mill__redirect_is(head->status))
    begin_drain(stream); /* nobody needs the body, but the connection is worth it */
  if (!begin_inflating(stream))
    return false;
  if (!accepts(stream))
    return read_for_error(stream);
  if (new_decoder(stream))
    return stop_with(stream, MILL_E_NOMEM, "out of memory while the answer began");
  publish_head(stream);
  mill__stream_notify(stream, MILL__ARMED_RESPONSE);
  return true;
}

bool mill__transfer_on_head_line(mill_stream *stream, const char *line, size_t len) {
  struct mill__transfer *transfer = &stream->transfer;
  if (!transfer->head) /* a trailer */
    return true;
  if (atomic_load(&stream->first_byte_ns) < 0)
    atomic_store(&stream->first_byte_ns, mill__clock_ns() - stream->started_ns);
  bool was_complete = transfer->head->complete;
  int result = mill__response_line(transfer->head, line, len);
  if (result)
    return stop_with(stream, result,
                     transfer->head->why ? transfer->head->why : mill_error_text(result));
  return was_complete || !transfer->head->complete || on_head(stream);
}

/* ---- the answer's body ----------------------------------------------------------------------- */

/* The queue is full: stop here, unless the consumer has drained it in this moment. */
static int suspend(mill_stream *stream) {
  size_t limit = stream->request.set.limits.buffered_bytes;
  atomic_store(&stream->paused, true);
  if (mill__queue_bytes(&stream->queue) <= limit / 4) {
    atomic_store(&stream->paused, false); /* a resume posted meanwhile finds nothing to do */
    return MILL_OK;
  }
  stream->transfer.suspended = true;
  COUNT(stream, pauses, 1);
  return MILL_AGAIN;
}

static int suspend_if_full(mill_stream *stream) {
  if (mill__queue_bytes(&stream->queue) < stream->request.set.limits.buffered_bytes)
    return MILL_OK;
  return suspend(stream);
}

/* An error that comes first may be retried: the consumer must not see its event yet. */
static bool withhold(mill_stream *stream, const mill_event *event) {
  struct mill__transfer *transfer = &stream->transfer;
  const struct mill__provider_error *error = mill__decoder_provider_error(transfer->decoder);
  return error->seen && !transfer->queued && event->data.len &&
         mill__buf_append(&transfer->body, event->data.ptr, event->data.len) == MILL_OK;
}

static int on_event(void *ctx, const mill_event *event, const struct mill__meta *meta,
                    const struct mill__delta *deltas, size_t n_deltas) {
  mill_stream *stream = ctx;
  struct mill__transfer *transfer = &stream->transfer;
  transfer->last_event_ns = stream->engine->now_ns;
  transfer->new_events++;
  if (withhold(stream, event))
    return MILL_OK;
  int result = is_source(stream) ? mill__source_on_event(stream, event)
                                 : mill__record_put(&stream->queue, event, meta, deltas, n_deltas);
  if (result)
    return result;
  transfer->queued = true;
  transfer->new_chunks += n_deltas;
  atomic_store_explicit(&stream->chunks, /* nobody else writes it */
                        atomic_load_explicit(&stream->chunks, memory_order_relaxed) + n_deltas,
                        memory_order_release);
  return suspend_if_full(stream);
}

/* What is shared with other streams is counted at the end of the turn, once for all its pieces. */
static void count_piece(mill_stream *stream, size_t len) {
  struct mill__transfer *transfer = &stream->transfer;
  transfer->new_bytes += len;
  transfer->new_pieces += transfer->new_chunks > transfer->piece_chunks;
  transfer->piece_chunks = transfer->new_chunks;
  if (transfer->new_chunks && transfer->last_chunk_ns < 0) {
    transfer->last_chunk_ns = mill__clock_ns();
    int64_t waited_ns = transfer->last_chunk_ns - stream->started_ns;
    atomic_store(&stream->first_chunk_ns, waited_ns);
    OBSERVE(stream, first_chunk, waited_ns);
  }
  if (transfer->new_events)
    mill__engine_touch(stream->engine, stream);
}

static void begin_drain(mill_stream *stream) {
  struct mill__transfer *transfer = &stream->transfer;
  transfer->state = MILL__TRANSFER_DRAINING;
  transfer->until_ns = mill__clock_ns() + MILL__ENGINE_DRAIN_MS * MILL_NS_PER_MS;
  mill__timer_set(&stream->engine->timers, &transfer->timer, transfer->until_ns);
}

/* The terminator came: the consumer needs nothing more, but the connection is worth the rest. */
static void on_terminator(mill_stream *stream) {
  mill_error error;
  mill__error_init(&error);
  mill__http_outcome(stream, 0, &error);
  /* An error that may be retried waits for the end of the exchange, see attempt_over; so does what
   * was compressed: its checksum comes after all that it holds. */
  if ((!error.code || stream->transfer.queued) && !stream->transfer.inflater)
    publish(stream, &error);
  mill__error_fini(&error);
  begin_drain(stream);
}

static bool decode_failed(mill_stream *stream, int code) {
  struct mill__transfer *transfer = &stream->transfer;
  uint64_t offset = mill__decoder_error_offset(transfer->decoder);
  switch (code) {
  case MILL_E_PROVIDER: /* http_outcome reads it from the decoder */
    break;
  case MILL_E_PROTOCOL:
    mill__error_set(&transfer->failure, code,
                    "the event at byte %" PRIu64
                    " of the answer is broken (not valid JSON, or a damaged frame); "
                    "chunks before it are whole",
                    offset);
    transfer->failure.byte_offset = (int64_t)offset;
    break;
  case MILL_E_LIMIT:
    mill__error_set(&transfer->failure, code,
                    "the event at byte %" PRIu64 " of the answer is larger or deeper than allowed; "
                    "raise limits.event_bytes or limits.json_depth if that is meant",
                    offset);
    break;
  default:
    mill__error_set(&transfer->failure, code, "%s while an event was read", mill_error_text(code));
  }
  return false;
}

static enum mill__body_verdict decode(mill_stream *stream, const char *bytes, size_t len) {
  struct mill__transfer *transfer = &stream->transfer;
  size_t skip = transfer->skip < len ? transfer->skip : len;
  transfer->skip -= skip;
  size_t consumed = 0;
  int result = mill__decoder_feed(transfer->decoder, bytes + skip, len - skip, &consumed);
  count_piece(stream, consumed);
  if (result == MILL_OK && is_source(stream)) /* comments do not stop the parser */
    result = suspend_if_full(stream);
  if (result == MILL_AGAIN) {
    /* The whole piece is handed out again when the body goes on. */
    transfer->skip = skip + consumed;
    return MILL__BODY_PAUSE;
  }
  if (result && !decode_failed(stream, result))
    return MILL__BODY_ABORT;
  const struct mill__provider_error *error = mill__decoder_provider_error(transfer->decoder);
  if (transfer->state == MILL__TRANSFER_ACTIVE) {
    if (mill__decoder_terminated(transfer->decoder))
      on_terminator(stream);
    else if (error->seen || mill__decoder_complete(transfer->decoder))
      begin_drain(stream); /* usage and a terminator may still follow */
    else
      arm_timer(stream);
  } else if (!transfer->published && mill__decoder_terminated(transfer->decoder)) {
    on_terminator(stream);
  }
  return MILL__BODY_TAKEN;
}

static enum mill__body_verdict take(mill_stream *stream, const char *bytes, size_t len) {
  struct mill__transfer *transfer = &stream->transfer;
  if (transfer->published || (transfer->state == MILL__TRANSFER_DRAINING && transfer->decoder &&
                              mill__decoder_terminated(transfer->decoder))) {
    transfer->drained += len;
    return transfer->drained > MILL__ENGINE_DRAIN_BYTES ? MILL__BODY_ABORT : MILL__BODY_TAKEN;
  }
  if (transfer->decoder)
    return decode(stream, bytes, len);
  size_t room = transfer->body.cap - transfer->body.len;
  count_piece(stream, len);
  if (mill__buf_append(&transfer->body, bytes, len < room ? len : room))
    return MILL__BODY_ABORT;
  return len > room ? MILL__BODY_ABORT : MILL__BODY_TAKEN;
}

static enum mill__body_verdict inflate_failed(mill_stream *stream, int code) {
  struct mill__transfer *transfer = &stream->transfer;
  if (code == MILL_E_NOMEM)
    mill__error_set(&transfer->failure, code, "out of memory while the answer was unpacked");
  else if (transfer->decoder) /* an error's status says more than its broken body */
    mill__error_set(&transfer->failure, code, "the compressed answer is damaged (%s)",
                    mill__inflate_why(transfer->inflater));
  return MILL__BODY_ABORT;
}

enum mill__body_verdict mill__transfer_on_body(mill_stream *stream, const char *bytes, size_t len) {
  struct mill__transfer *transfer = &stream->transfer;
  if (!transfer->inflater)
    return take(stream, bytes, len);
  /* As `skip` of what is decoded: a block that was paused is handed out again as a whole. */
  size_t skip = transfer->inflated < len ? transfer->inflated : len;
  mill_slice rest = {bytes + skip, len - skip};
  transfer->inflated -= skip;
  for (;;) {
    int result = MILL_OK;
    if (!transfer->block.len)
      result = mill__inflate_next(transfer->inflater, &rest, &transfer->block);
    if (result)
      return inflate_failed(stream, result);
    if (!transfer->block.len)
      return MILL__BODY_TAKEN;
    enum mill__body_verdict verdict = take(stream, transfer->block.ptr, transfer->block.len);
    if (verdict == MILL__BODY_PAUSE)
      transfer->inflated = len - rest.len;
    if (verdict != MILL__BODY_TAKEN)
      return verdict;
    transfer->block.len = 0;
  }
}
