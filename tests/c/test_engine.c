/*
 * Engine and streams between threads: cancelling, freeing, backpressure, waiters, several engines,
 * fork, and every allocation failing once.
 *
 * Each test runs on a thread of its own, so that what belongs to a thread goes with it; nothing of
 * the core's memory may be left behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/engine.h"
#include "net_support.h"

#if defined(__SANITIZE_THREAD__) /* it allows no thread in the child of a fork */
#define UNDER_TSAN 1
#elif defined(__has_feature)
#define UNDER_TSAN __has_feature(thread_sanitizer)
#else
#define UNDER_TSAN 0
#endif

static mill_engine *new_engine(void) {
  mill_engine *engine;
  CHECK_INT(mill_engine_new(&engine), MILL_OK);
  return engine;
}

static void check_whole(mill_stream *stream) {
  struct outcome outcome = read_stream(stream);
  CHECK_INT(outcome.code, MILL_END);
  CHECK_STR(outcome.text, "Hello, world");
  free(outcome.text);
}

static void run_whole(mill_engine *engine, struct server *server) {
  mill_request request = request_to(server);
  mill_stream *stream = start_stream(engine, &request);
  check_whole(stream);
  mill_stream_free(stream);
}

static mill_metrics metrics_of(mill_engine *engine) {
  mill_metrics metrics;
  mill_engine_metrics(engine, &metrics);
  return metrics;
}

/* One chunk, then nothing until the client closes the connection. */
static enum server_then one_chunk_and_hold(const struct server_request *request, void *ctx) {
  server_send_text(request, STREAM_HEAD "\r\n" TEXT_EVENT("a"));
  server_wait_closed(request);
  if (ctx)
    gate_open(ctx);
  return SERVER_CLOSE;
}

static void take_one(mill_stream *stream, const char *text) {
  mill_chunk chunk;
  int code;
  while ((code = mill_stream_next(stream, &chunk)) == MILL_AGAIN)
    mill_stream_wait(stream, -1);
  CHECK_INT(code, MILL_OK);
  CHECK_SLICE(chunk.text, text);
}

/* ---- cancelling ------------------------------------------------------------------------------ */

static void *read_on_thread(void *stream) {
  struct outcome *outcome = malloc(sizeof(*outcome));
  CHECK(outcome != NULL);
  *outcome = read_stream(stream);
  return outcome;
}

static void wait_armed(mill_stream *stream) {
  while (atomic_load(&stream->armed) == MILL__ARMED_NO)
    sched_yield();
}

static int join_reader(pthread_t thread) {
  void *result;
  CHECK(pthread_join(thread, &result) == 0);
  struct outcome *outcome = result;
  int code = outcome->code;
  free(outcome->text);
  free(outcome);
  return code;
}

static void test_cancel_wakes_the_consumer(void) {
  mill_engine *engine = new_engine();
  for (int i = 0; i < 30; i++) {
    struct gate closed = GATE_INIT;
    struct server *server = server_start(one_chunk_and_hold, &closed);
    mill_request request = request_to(server);
    mill_stream *stream = start_stream(engine, &request);
    take_one(stream, "a");
    pthread_t reader;
    CHECK(pthread_create(&reader, NULL, read_on_thread, stream) == 0);
    if (i % 2 == 0)
      wait_armed(stream);
    mill_stream_cancel(stream);
    mill_stream_cancel(stream);
    CHECK_INT(join_reader(reader), MILL_E_CANCELLED);
    gate_wait(&closed); /* the connection is gone while the stream is still held */
    mill_stream_free(stream);
    server_stop(server);
  }
  while (metrics_of(engine).streams_cancelled < 30) /* counted behind the close of the socket */
    sched_yield();
  CHECK_INT(metrics_of(engine).streams_cancelled, 30);
  CHECK_INT(metrics_of(engine).streams_open, 0);
  mill_engine_free(engine);
}

static void test_cancel_at_once(void) {
  mill_engine *engine = new_engine();
  struct server *server = server_start(answer_whole, NULL);
  mill_request request = request_to(server);
  mill_chunk chunk;
  for (int i = 0; i < 200; i++) {
    mill_stream *stream = start_stream(engine, &request);
    mill_stream_cancel(stream);
    CHECK_INT(mill_stream_next(stream, &chunk), MILL_E_CANCELLED);
    CHECK_INT(mill_stream_next(stream, &chunk), MILL_END);
    mill_stream_free(stream);
  }
  run_whole(engine, server);
  server_stop(server);
  mill_engine_free(engine);
}

/* What is queued is dropped by a cancel; an end that was told stays as it was told. */
static void test_cancel_around_the_end(void) {
  mill_engine *engine = new_engine();
  struct server *server = server_start(answer_whole, NULL);
  mill_request request = request_to(server);
  mill_chunk chunk;
  mill_stream *stream = start_stream(engine, &request);
  while (!atomic_load(&stream->ended))
    sched_yield();
  CHECK_INT(mill_stream_next(stream, &chunk), MILL_OK);
  mill_stream_cancel(stream);
  CHECK(mill_stream_ready(stream));
  CHECK(!mill_stream_has_chunk(stream));
  CHECK_INT(mill_stream_next(stream, &chunk), MILL_E_CANCELLED);
  mill_stream_free(stream);

  stream = start_stream(engine, &request);
  check_whole(stream);
  mill_stream_cancel(stream);
  CHECK_INT(mill_stream_error(stream)->code, MILL_OK);
  CHECK_INT(mill_stream_next(stream, &chunk), MILL_END);
  mill_stream_free(stream);
  server_stop(server);
  mill_engine_free(engine);
}

static void test_free_ends_the_transfer(void) {
  mill_engine *engine = new_engine();
  struct gate closed = GATE_INIT;
  struct server *server = server_start(one_chunk_and_hold, &closed);
  mill_request request = request_to(server);
  mill_stream *stream = start_stream(engine, &request);
  take_one(stream, "a");
  mill_stream_free(stream);
  gate_wait(&closed);
  server_stop(server);
  server = server_start(answer_whole, NULL);
  request = request_to(server);
  for (int i = 0; i < 200; i++) /* at any moment of their lives */
    mill_stream_free(start_stream(engine, &request));
  server_stop(server);
  mill_engine_free(engine);
}

/* ---- backpressure ---------------------------------------------------------------------------- */

enum { N_FLOOD = 3000 };

/* Numbered events with pads of all sizes, in one go. */
static enum server_then flood_events(const struct server_request *request, void *ctx) {
  static const char pad[] =
      "0123456789012345678901234567890123456789012345678901234567890123456789";
  char event[256];
  server_send_text(request, STREAM_HEAD "\r\n");
  for (int i = 0; i < N_FLOOD; i++) {
    snprintf(event, sizeof(event), TEXT_EVENT("%d %.*s;"), i, i % (int)sizeof(pad), pad);
    server_send_text(request, event);
  }
  server_send_text(request, FINISH_EVENT DONE_EVENT);
  return SERVER_CLOSE;
}

/* All the numbers, in their order. */
static void check_flood(const struct outcome *outcome) {
  const char *at = outcome->text;
  for (int i = 0; i < N_FLOOD; i++) {
    char *rest;
    CHECK_INT(strtol(at, &rest, 10), i);
    CHECK(*rest == ' ');
    at = strchr(rest, ';');
    CHECK(at != NULL);
    CHECK_INT(at - rest - 1, i % 71);
    at++;
  }
  CHECK_INT(*at, '\0');
  CHECK_INT(outcome->n_chunks, N_FLOOD + 1);
}

static void check_backpressure(size_t buffered_bytes, size_t most_bytes) {
  test_case("%zu bytes buffered", buffered_bytes);
  mill_engine *engine = new_engine();
  struct server *server = server_start(flood_events, NULL);
  struct server *other = server_start(answer_whole, NULL);
  mill_request request = request_to(server);
  request.limits.buffered_bytes = buffered_bytes;
  mill_stream *stream = start_stream(engine, &request);
  while (metrics_of(engine).pauses == 0)
    sched_yield();
  CHECK(mill__queue_bytes(&stream->queue) <= most_bytes);
  run_whole(engine, other); /* another stream does not notice */
  CHECK(mill__queue_bytes(&stream->queue) <= most_bytes);
  CHECK_INT(metrics_of(engine).pauses, 1);
  CHECK(!atomic_load(&stream->ended));
  struct outcome outcome = read_stream(stream);
  CHECK_INT(outcome.code, MILL_END);
  check_flood(&outcome);
  CHECK(metrics_of(engine).pauses > 1);
  free(outcome.text);
  mill_stream_free(stream);
  server_stop(server);
  server_stop(other);
  mill_engine_free(engine);
}

static void test_backpressure(void) {
  check_backpressure(1, 1000);
  check_backpressure(2000, 3000);
  check_backpressure(50000, 51000);
}

/* Cancelled and freed while it is paused. */
static void test_end_of_a_paused_stream(void) {
  mill_engine *engine = new_engine();
  struct server *server = server_start(flood_events, NULL);
  mill_request request = request_to(server);
  request.limits.buffered_bytes = 1;
  for (size_t i = 0; i < 20; i++) {
    mill_stream *stream = start_stream(engine, &request);
    while (metrics_of(engine).pauses <= i)
      sched_yield();
    if (i % 2 == 0)
      mill_stream_cancel(stream);
    mill_stream_free(stream);
  }
  server_stop(server);
  mill_engine_free(engine);
}

/* What a paused body holds back may be an error: it must end the stream by itself. */
static enum server_then broken_event_and_hold(const struct server_request *request, void *ctx) {
  server_send_text(request, STREAM_HEAD "\r\n" TEXT_EVENT("a") "data: {]\n\n");
  server_wait_closed(request);
  return SERVER_CLOSE;
}

static void test_error_behind_a_pause(void) {
  mill_engine *engine = new_engine();
  struct server *server = server_start(broken_event_and_hold, NULL);
  mill_request request = request_to(server);
  request.limits.buffered_bytes = 1;
  mill_stream *stream = start_stream(engine, &request);
  while (metrics_of(engine).pauses == 0)
    sched_yield();
  struct outcome outcome = read_stream(stream);
  CHECK_INT(outcome.code, MILL_E_PROTOCOL);
  CHECK_STR(outcome.text, "a");
  free(outcome.text);
  mill_stream_free(stream);
  server_stop(server);
  mill_engine_free(engine);
}

/* One event, and when the consumer has it, many. */
static enum server_then one_event_then_flood(const struct server_request *request, void *ctx) {
  server_send_text(request, STREAM_HEAD "\r\n" TEXT_EVENT("a"));
  gate_wait(ctx);
  for (int i = 0; i < 10; i++)
    server_send_text(request, TEXT_EVENT("b"));
  server_wait_closed(request);
  return SERVER_CLOSE;
}

/*
 * A full queue is the consumer's pause, not the server's: the idle clock stands still. Another
 * stream of the same engine, begun later, runs into the same limit meanwhile.
 */
static void test_idle_clock_while_paused(void) {
  mill_engine *engine = new_engine();
  struct gate gate = GATE_INIT;
  struct server *server = server_start(one_event_then_flood, &gate);
  struct server *silent = server_start(one_chunk_and_hold, NULL);
  mill_request request = request_to(server), other = request_to(silent);
  request.limits.buffered_bytes = 300; /* one event, not two */
  request.timeouts = other.timeouts = (mill_timeouts){.idle_ms = 500};
  mill_stream *stream = start_stream(engine, &request);
  take_one(stream, "a");
  gate_open(&gate);
  while (metrics_of(engine).pauses == 0)
    sched_yield();
  mill_stream_free(run_request(engine, &other, MILL_E_TIMEOUT));
  CHECK(!atomic_load(&stream->ended));
  take_one(stream, "b");
  mill_stream_free(stream);
  server_stop(silent);
  server_stop(server);
  mill_engine_free(engine);
}

/* ---- events and chunks ----------------------------------------------------------------------- */

#define TWO_DELTAS                                                                                 \
  "data: {\"choices\":[{\"index\":0,\"delta\":{\"reasoning\":\"r\",\"content\":\"t\"}}]}\n\n"

static enum server_then answer_two_deltas(const struct server_request *request, void *ctx) {
  server_answer(request, STREAM_HEAD, TWO_DELTAS ": comment\n\n" FINISH_EVENT DONE_EVENT);
  return SERVER_KEEP;
}

static int next_event(mill_stream *stream, mill_event *ret_event) {
  int code;
  while ((code = mill_stream_next_event(stream, ret_event)) == MILL_AGAIN)
    mill_stream_wait(stream, -1);
  return code;
}

/* Events one by one, and events after a chunk: the message misses nothing. */
static void test_events(void) {
  mill_engine *engine = new_engine();
  struct server *server = server_start(answer_two_deltas, NULL);
  mill_request request = request_to(server);
  for (int begun = 0; begun <= 1; begun++) {
    mill_stream *stream = start_stream(engine, &request);
    mill_event event;
    uint64_t number = 0;
    if (begun) {
      mill_chunk chunk;
      while (mill_stream_next(stream, &chunk) == MILL_AGAIN)
        mill_stream_wait(stream, -1);
      CHECK_INT(chunk.type, MILL_CHUNK_REASONING);
      CHECK_INT(chunk.event.n_chunks, 2);
      number = 1;
    }
    while (next_event(stream, &event) == MILL_OK) {
      CHECK_INT(event.number, number);
      CHECK_SLICE(event.type, "message");
      number++;
    }
    CHECK_INT(number, 3);
    mill_message message;
    CHECK_INT(mill_stream_message(stream, &message), MILL_OK);
    CHECK_SLICE(message.choices[0].reasoning, "r");
    CHECK_SLICE(message.choices[0].text, "t");
    CHECK_INT(message.choices[0].finish, MILL_FINISH_STOP);
    mill_stream_free(stream);
  }
  server_stop(server);
  mill_engine_free(engine);
}

/* ---- waiting --------------------------------------------------------------------------------- */

/* Longer than poll can. */
static void *wait_long(void *stream) {
  return (void *)(intptr_t)mill_stream_wait(stream, INT64_MAX);
}

static void test_wait_limits(void) {
  mill_engine *engine = new_engine();
  struct server *server = server_start(one_chunk_and_hold, NULL);
  mill_request request = request_to(server);
  mill_stream *stream = start_stream(engine, &request);
  int code;
  while ((code = mill_stream_wait_response(stream, -1)) == MILL_AGAIN) {
  }
  CHECK_INT(code, MILL_OK);
  mill_response response;
  mill_stream_response(stream, &response);
  CHECK_INT(response.status, 200);
  take_one(stream, "a");
  CHECK_INT(mill_stream_wait(stream, 0), MILL_AGAIN);
  CHECK_INT(mill_stream_wait(stream, 1), MILL_AGAIN);
  CHECK_INT(mill_stream_wait_response(stream, 0), MILL_OK);
  CHECK_INT(mill_stream_error(stream)->code, MILL_OK); /* none, so far */
  mill_stream_restart(stream);                         /* it is no event source: nothing happens */
  pthread_t waiting;
  void *result;
  CHECK(pthread_create(&waiting, NULL, wait_long, stream) == 0);
  wait_armed(stream);
  mill_stream_cancel(stream);
  CHECK(pthread_join(waiting, &result) == 0);
  CHECK_INT((intptr_t)result, MILL_OK);
  mill_stream_free(stream);

  stream = start_stream(engine, &request); /* an end is an answer to those who wait for one */
  mill_stream_cancel(stream);
  CHECK_INT(mill_stream_wait_response(stream, -1), MILL_OK);
  mill_chunk chunk;
  CHECK_INT(mill_stream_next(stream, &chunk), MILL_E_CANCELLED);
  CHECK_INT(mill_stream_wait_response(stream, -1), MILL_OK);
  CHECK(mill_stream_ready(stream));
  mill_stream_free(stream);
  request.unix_socket = "/nonexistent/socket";
  stream = start_stream(engine, &request);
  while ((code = mill_stream_wait_response(stream, -1)) == MILL_AGAIN) {
  }
  CHECK_INT(code, MILL_OK);
  mill_stream_response(stream, &response);
  CHECK_INT(response.status, 0);
  mill_stream_free(stream);
  server_stop(server);
  mill_engine_free(engine);
}

/* Events without chunks are passed over; what is told is still there to be taken. */
static void test_has_chunk(void) {
  mill_engine *engine = new_engine();
  struct server *server = server_start(answer_two_deltas, NULL);
  mill_request request = request_to(server);
  mill_stream *stream = start_stream(engine, &request);
  while (!atomic_load(&stream->ended))
    sched_yield();
  mill_chunk chunk;
  for (size_t i = 0; i < 3; i++) {
    CHECK(mill_stream_has_chunk(stream));
    CHECK(mill_stream_ready(stream));
    CHECK_INT(mill_stream_next(stream, &chunk), MILL_OK);
  }
  CHECK(!mill_stream_has_chunk(stream));
  CHECK_INT(mill_stream_next(stream, &chunk), MILL_END);
  CHECK(!mill_stream_has_chunk(stream));
  mill_stream_free(stream);
  server_stop(server);
  mill_engine_free(engine);
}

/* Many streams behind one waiter: each is told once for each time it is armed. */
static void test_waiter_with_many_streams(void) {
  enum { N = 100 };
  mill_engine *engine = new_engine();
  struct server *server = server_start(answer_whole, NULL);
  mill_request request = request_to(server);
  mill_stream *streams[N];
  mill_waiter *waiter;
  CHECK_INT(mill_waiter_new(&waiter), MILL_OK);
  for (size_t i = 0; i < N; i++)
    streams[i] = start_stream(engine, &request);
  size_t n_chunks = 0, n_ended = 0;
  bool told[N] = {false};
  void *pending[N];
  size_t n_pending = 0;
  for (size_t i = 0; i < N; i++)
    pending[n_pending++] = &streams[i];
  while (n_ended < N) {
    while (n_pending > 0) {
      mill_stream **slot = pending[--n_pending];
      mill_chunk chunk;
      int code;
      do {
        while ((code = mill_stream_next(*slot, &chunk)) == MILL_OK)
          n_chunks++;
      } while (code == MILL_AGAIN &&
               mill_waiter_arm(waiter, *slot, MILL_WAIT_CHUNK, slot) == MILL_END);
      CHECK(!told[slot - streams]);
      told[slot - streams] = code == MILL_END;
      n_ended += code == MILL_END;
      CHECK(code == MILL_END || code == MILL_AGAIN);
    }
    if (n_ended == N)
      break;
    while (mill_waiter_wait(waiter, -1) != MILL_OK) {
    }
    while ((pending[n_pending] = mill_waiter_take(waiter)) != NULL)
      if (++n_pending == N)
        break;
    CHECK(n_pending > 0);
  }
  CHECK_INT(n_chunks, 3 * N);
  struct pollfd pollfd = {.fd = mill_waiter_fd(waiter), .events = POLLIN};
  CHECK_INT(poll(&pollfd, 1, 0), 0);
  CHECK(mill_waiter_take(waiter) == NULL);
  for (size_t i = 0; i < N; i++)
    mill_stream_free(streams[i]);
  mill_waiter_free(waiter);
  server_stop(server);
  mill_engine_free(engine);
}

/* A stream that leaves its waiter is not reported: disarmed, moved to another, or freed. */
static void test_leaving_a_waiter(void) {
  mill_engine *engine = new_engine();
  struct server *server = server_start(one_chunk_and_hold, NULL);
  mill_request request = request_to(server);
  mill_waiter *waiter, *other;
  CHECK_INT(mill_waiter_new(&waiter), MILL_OK);
  CHECK_INT(mill_waiter_new(&other), MILL_OK);
  mill_stream *stream = start_stream(engine, &request);
  take_one(stream, "a");
  char first, second;
  CHECK_INT(mill_waiter_arm(waiter, stream, MILL_WAIT_CHUNK, &first), MILL_OK);
  mill_waiter_disarm(waiter, stream);
  CHECK_INT(mill_waiter_arm(other, stream, MILL_WAIT_CHUNK, &second), MILL_OK);
  mill_stream_cancel(stream);
  CHECK_INT(mill_waiter_wait(other, -1), MILL_OK);
  CHECK_INT(mill_waiter_wait(waiter, 0), MILL_AGAIN);
  CHECK(mill_waiter_take(waiter) == NULL);
  CHECK(mill_waiter_take(other) == &second);
  CHECK(mill_waiter_take(other) == NULL);
  CHECK_INT(mill_waiter_arm(other, stream, MILL_WAIT_CHUNK, &second), MILL_END);
  mill_stream_free(stream);

  stream = start_stream(engine, &request);
  take_one(stream, "a");
  CHECK_INT(mill_waiter_arm(waiter, stream, MILL_WAIT_CHUNK, &first), MILL_OK);
  mill_stream_cancel(stream);
  CHECK_INT(mill_waiter_wait(waiter, -1), MILL_OK);
  mill_stream_free(stream); /* listed, and gone */
  CHECK_INT(mill_waiter_wait(waiter, 0), MILL_AGAIN);
  CHECK(mill_waiter_take(waiter) == NULL);

  stream = start_stream(engine, &request);
  take_one(stream, "a");
  CHECK_INT(mill_waiter_arm(waiter, stream, MILL_WAIT_CHUNK, &first), MILL_OK);
  mill_waiter_free(waiter); /* before its stream */
  mill_stream_free(stream);
  mill_waiter_free(other);
  server_stop(server);
  mill_engine_free(engine);
}

/* Who waits for half is told when there is that much, and at the end; not of each chunk. */
static void test_waiting_for_half(void) {
  mill_engine *engine = new_engine();
  struct server *server = server_start(flood_events, NULL);
  mill_request request = request_to(server);
  request.limits.buffered_bytes = 16 << 10;
  mill_waiter *waiter;
  CHECK_INT(mill_waiter_new(&waiter), MILL_OK);
  mill_stream *stream = start_stream(engine, &request);
  mill_chunk chunk;
  int code = MILL_AGAIN;
  size_t n_chunks = 0, n_waits = 0;
  while (code == MILL_AGAIN) {
    if (mill_waiter_arm(waiter, stream, MILL_WAIT_HALF, stream) == MILL_OK) {
      n_waits++;
      while (mill_waiter_wait(waiter, -1) != MILL_OK) {
      }
      CHECK(mill_waiter_take(waiter) == stream);
    }
    CHECK(atomic_load(&stream->ended) || mill__queue_bytes(&stream->queue) >= 8 << 10);
    while ((code = mill_stream_next(stream, &chunk)) == MILL_OK)
      n_chunks++;
  }
  CHECK_INT(code, MILL_END);
  CHECK_INT(n_chunks, N_FLOOD + 1);
  CHECK(n_waits * 10 < n_chunks);
  mill_stream_free(stream);
  server_stop(server);

  server = server_start(one_chunk_and_hold, NULL);
  request = request_to(server);
  stream = start_stream(engine, &request);
  while (!mill_stream_has_chunk(stream))
    sched_yield();
  CHECK_INT(mill_waiter_arm(waiter, stream, MILL_WAIT_HALF, stream), MILL_OK);
  CHECK(mill_waiter_take(waiter) == NULL);
  mill_stream_cancel(stream);
  CHECK_INT(mill_waiter_wait(waiter, -1), MILL_OK);
  CHECK(mill_waiter_take(waiter) == stream);
  mill_stream_free(stream);
  mill_waiter_free(waiter);
  server_stop(server);
  mill_engine_free(engine);
}

struct armer {
  mill_waiter *waiter;
  mill_stream *stream;
  atomic_int tid;
  int code;
};

static void *arm_on_thread(void *user) {
  struct armer *armer = user;
  atomic_store(&armer->tid, (int)syscall(SYS_gettid));
  armer->code = mill_waiter_arm(armer->waiter, armer->stream, MILL_WAIT_CHUNK, armer);
  return NULL;
}

/* A thread of this process sleeps: in a lock, as it has nothing else to wait for. */
static bool is_asleep(int tid) {
  char path[64], line[256], state = 'R';
  snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
  FILE *file = fopen(path, "r");
  CHECK(file != NULL);
  if (fgets(line, sizeof(line), file) != NULL && strrchr(line, ')') != NULL)
    state = strrchr(line, ')')[2];
  fclose(file);
  return state == 'S';
}

/*
 * What comes between the look and the arming is seen by the second look, and reported: to who armed
 * the stream before, too, who sleeps already.
 */
static void arm_between(bool armed_before) {
  mill_engine *engine = new_engine();
  struct server *server = server_start(one_chunk_and_hold, NULL);
  mill_request request = request_to(server);
  struct armer armer = {.code = MILL_END};
  CHECK_INT(mill_waiter_new(&armer.waiter), MILL_OK);
  armer.stream = start_stream(engine, &request);
  take_one(armer.stream, "a");
  if (armed_before)
    CHECK_INT(mill_waiter_arm(armer.waiter, armer.stream, MILL_WAIT_CHUNK, &armer), MILL_OK);
  pthread_t thread;
  pthread_mutex_lock(&armer.stream->lock);
  CHECK(pthread_create(&thread, NULL, arm_on_thread, &armer) == 0);
  while (atomic_load(&armer.tid) == 0 || !is_asleep(atomic_load(&armer.tid)))
    sched_yield();
  atomic_store(&armer.stream->cancelled, true); /* as mill_stream_cancel begins */
  pthread_mutex_unlock(&armer.stream->lock);
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK_INT(armer.code, MILL_OK);
  CHECK_INT(mill_waiter_wait(armer.waiter, 0), MILL_OK);
  CHECK(mill_waiter_take(armer.waiter) == &armer);
  CHECK_INT(mill_waiter_wait(armer.waiter, 0), MILL_AGAIN);
  mill_stream_free(armer.stream);
  mill_waiter_free(armer.waiter);
  server_stop(server);
  mill_engine_free(engine);
}

static void test_no_lost_wakeup(void) {
  arm_between(false);
  arm_between(true);
}

/* ---- engines --------------------------------------------------------------------------------- */

static void test_engine_without_streams(void) {
  for (int i = 0; i < 20; i++)
    mill_engine_free(new_engine());
  mill_engine_free(NULL);
  mill_stream_free(NULL);
  mill_waiter_free(NULL);
}

/* Streams that are waited for, paused, queued or not begun yet end as cancelled. */
static void test_engine_free_with_live_streams(void) {
  enum { N = 50 };
  mill_engine *engine = new_engine();
  struct server *server = server_start(one_chunk_and_hold, NULL);
  mill_request request = request_to(server);
  mill_stream *streams[N];
  pthread_t reader;
  for (size_t i = 0; i < N; i++)
    streams[i] = start_stream(engine, &request);
  take_one(streams[0], "a");
  CHECK(pthread_create(&reader, NULL, read_on_thread, streams[0]) == 0);
  wait_armed(streams[0]);
  mill_stream *late = start_stream(engine, &request);
  mill_engine_free(engine);
  CHECK_INT(join_reader(reader), MILL_E_CANCELLED);
  for (size_t i = 1; i < N; i++) {
    struct outcome outcome = read_stream(streams[i]);
    CHECK_INT(outcome.code, MILL_E_CANCELLED);
    free(outcome.text);
  }
  mill_stream_cancel(late);
  for (size_t i = 0; i < N; i++)
    mill_stream_free(streams[i]);
  mill_stream_free(late);
  server_stop(server);
}

/* What was queued is handed out first, also when the engine is gone and nobody can be told to go on. */
static void test_engine_free_with_a_full_queue(void) {
  mill_engine *engine = new_engine();
  struct server *server = server_start(flood_events, NULL);
  mill_request request = request_to(server);
  request.limits.buffered_bytes = 5000;
  mill_stream *stream = start_stream(engine, &request);
  while (metrics_of(engine).pauses == 0)
    sched_yield();
  mill_engine_free(engine);
  struct outcome outcome = read_stream(stream);
  CHECK_INT(outcome.code, MILL_E_CANCELLED);
  CHECK(outcome.n_chunks > 1 && !strncmp(outcome.text, "0 ;1 0;", 7));
  free(outcome.text);
  mill_stream_free(stream);
  server_stop(server);
}

static void *free_engine(void *engine) {
  mill_engine_free(engine);
  return NULL;
}

/*
 * A stream that is started when the engine has looked for such for the last time ends as the others.
 * The engine is held there by the lock that it needs to tell a consumer.
 */
static void test_start_while_the_engine_stops(void) {
  mill_engine *engine = new_engine();
  struct server *server = server_start(one_chunk_and_hold, NULL);
  mill_request request = request_to(server);
  mill_stream *held = start_stream(engine, &request);
  take_one(held, "a");
  mill_waiter *waiter;
  CHECK_INT(mill_waiter_new(&waiter), MILL_OK);
  CHECK_INT(mill_waiter_arm(waiter, held, MILL_WAIT_CHUNK, held), MILL_OK);
  pthread_mutex_lock(&held->lock);
  pthread_t stopping;
  CHECK(pthread_create(&stopping, NULL, free_engine, engine) == 0);
  while (!atomic_load(&held->ended))
    sched_yield();
  mill_stream *late = start_stream(engine, &request);
  pthread_mutex_unlock(&held->lock);
  CHECK(pthread_join(stopping, NULL) == 0);
  struct outcome outcome = read_stream(late);
  CHECK_INT(outcome.code, MILL_E_CANCELLED);
  free(outcome.text);
  mill_stream_free(late);
  mill_stream_free(held);
  mill_waiter_free(waiter);
  server_stop(server);
}

/* A connection that nobody uses any more is closed, and the engine goes on. */
static void test_kept_connection_is_closed(void) {
  mill_engine *engine = new_engine();
  struct server *server = server_start(answer_whole, NULL);
  run_whole(engine, server);
  server_wait_idle(server);
  run_whole(engine, server);
  CHECK_INT(server_connections(server), 2);
  server_stop(server);
  mill_engine_free(engine);
}

struct churn {
  mill_engine *engine;
  struct server *server;
};

static void *run_churn(void *user) {
  struct churn *churn = user;
  for (int i = 0; i < 30; i++)
    run_whole(churn->engine, churn->server);
  return NULL;
}

static void test_threads_and_engines(void) {
  enum { N = 8 };
  mill_engine *engines[2] = {new_engine(), new_engine()};
  struct server *server = server_start(answer_whole, NULL);
  struct churn churns[N];
  pthread_t threads[N];
  for (size_t i = 0; i < N; i++) {
    churns[i] = (struct churn){engines[i % 2], server};
    CHECK(pthread_create(&threads[i], NULL, run_churn, &churns[i]) == 0);
  }
  for (size_t i = 0; i < N; i++)
    CHECK(pthread_join(threads[i], NULL) == 0);
  for (size_t i = 0; i < 2; i++) {
    CHECK_INT(metrics_of(engines[i]).streams_ok, 30 * N / 2);
    CHECK_INT(metrics_of(engines[i]).retries, 0);
    mill_engine_free(engines[i]);
  }
  CHECK_INT(server_requests(server), 30 * N);
  server_stop(server);
}

/* ---- resources that run out ------------------------------------------------------------------ */

static void test_no_descriptors(void) {
  mill_engine *engine = new_engine();
  struct server *server = server_start(answer_whole, NULL);
  mill_request request = request_to(server);
  struct rlimit limit, low;
  CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  int taken[256], n = 0;
  run_whole(engine, server);
  mill_engine_free(engine);
  server_wait_idle(server); /* its descriptor may not come free below */
  engine = new_engine();    /* without a connection that could be used again */
  low = (struct rlimit){100, limit.rlim_max};
  CHECK(setrlimit(RLIMIT_NOFILE, &low) == 0);
  while ((taken[n] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
    n++;
  CHECK_INT(errno, EMFILE);
  mill_stream *stream = run_request(engine, &request, MILL_E_CONNECT);
  CHECK_STR(mill_stream_error(stream)->kind, "descriptors");
  pthread_t other;
  void *result;
  CHECK(pthread_create(&other, NULL, wait_long, stream) == 0); /* its thread has no waiter yet */
  CHECK(pthread_join(other, &result) == 0);
  CHECK_INT((intptr_t)result, MILL_OK); /* and needs no descriptor for it */
  mill_waiter *waiter;
  CHECK_INT(mill_waiter_new(&waiter), MILL_E_SYSTEM); /* an event loop's does */
  mill_engine *another;
  int code = mill_engine_new(&another);
  while (n > 0)
    close(taken[--n]);
  CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  CHECK_INT(code, MILL_E_SYSTEM);
  mill_stream_free(stream);
  run_whole(engine, server);
  server_stop(server);
  mill_engine_free(engine);
}

static int next_of(mill_stream *stream, bool by_events) {
  mill_chunk chunk;
  mill_event event;
  return by_events ? mill_stream_next_event(stream, &event) : mill_stream_next(stream, &chunk);
}

/* A thread's own waiter cannot be used here: its memory is kept for the next wait. */
static int read_with(mill_waiter *waiter, mill_stream *stream, bool by_events) {
  int code;
  for (;;) {
    while ((code = next_of(stream, by_events)) == MILL_OK) {
    }
    if (code != MILL_AGAIN)
      return code;
    if (mill_waiter_arm(waiter, stream, MILL_WAIT_CHUNK, stream) == MILL_OK)
      mill_waiter_wait(waiter, -1);
    mill_waiter_disarm(waiter, stream);
  }
}

static int exchange_with(mill_engine *engine, mill_waiter *waiter, const mill_request *request,
                         bool by_events) {
  mill_stream *stream;
  int code = mill_stream_start(engine, request, &stream, NULL);
  if (code != MILL_OK)
    return code;
  code = read_with(waiter, stream, by_events);
  mill_message message;
  if (code == MILL_END)
    code = mill_stream_message(stream, &message);
  else
    CHECK_INT(mill_stream_error(stream)->code, code);
  mill_stream_free(stream);
  return code;
}

/* Everything from the engine's birth to its end; out of memory is the only error. */
static void run_starved(void *ctx) {
  mill_engine *engine = NULL;
  mill_waiter *waiter = NULL;
  mill_stats *stats = mill_stats_new();
  mill_request request = request_to(ctx);
  request.stats = stats;
  int code = stats ? mill_engine_new(&engine) : MILL_E_NOMEM;
  if (code == MILL_OK)
    code = mill_waiter_new(&waiter);
  for (int i = 0; i < 2 && code == MILL_OK; i++)
    code = exchange_with(engine, waiter, &request, i == 1);
  CHECK_INT(code, code == MILL_OK ? MILL_OK : MILL_E_NOMEM);
  CHECK(code == MILL_OK || test_alloc_failed());
  mill_waiter_free(waiter);
  mill_engine_free(engine);
  mill_stats_unref(stats);
  CHECK(fcntl(STDIN_FILENO, F_GETFD) >= 0); /* a half-made engine closed nobody else's */
}

static enum server_then answer_twice(const struct server_request *request, void *ctx) {
  server_answer(request, STREAM_HEAD "X-Request-Id: 1\r\n", TWO_DELTAS WHOLE_BODY);
  return request->nth == 0 ? SERVER_KEEP : SERVER_CLOSE;
}

static void test_every_failing_allocation(void) {
  struct server *server = server_start(answer_twice, NULL);
  test_each_failing_allocation(run_starved, server);
  server_stop(server);
}

static enum server_then answer_error(const struct server_request *request, void *ctx) {
  server_answer(request, "HTTP/1.1 401 No\r\nContent-Type: application/json\r\nX-Request-Id: 1\r\n",
                "{\"error\":{\"message\":\"m\",\"code\":\"c\"}}");
  return SERVER_KEEP;
}

/* The way of an error answer: the error itself may lose its details, not its code. */
static void run_starved_error(void *ctx) {
  mill_engine *engine = NULL;
  mill_waiter *waiter = NULL;
  mill_request request = request_to(ctx);
  int code = mill_engine_new(&engine);
  if (code == MILL_OK)
    code = mill_waiter_new(&waiter);
  if (code == MILL_OK)
    code = exchange_with(engine, waiter, &request, false);
  CHECK(code == MILL_E_STATUS || code == MILL_E_NOMEM);
  CHECK(code == MILL_E_STATUS || test_alloc_failed());
  mill_waiter_free(waiter);
  mill_engine_free(engine);
}

static void test_every_failing_allocation_of_an_error(void) {
  struct server *server = server_start(answer_error, NULL);
  test_each_failing_allocation(run_starved_error, server);
  server_stop(server);
}

/* ---- fork ------------------------------------------------------------------------------------ */

/* One chunk, the rest when the gate opens. */
static enum server_then answer_in_two_steps(const struct server_request *request, void *ctx) {
  if (strstr(request->head, "X-Whole"))
    return answer_whole(request, NULL);
  server_send_text(request, STREAM_HEAD "\r\n" TEXT_EVENT("a"));
  gate_wait(ctx);
  server_send_text(request, TEXT_EVENT("b") FINISH_EVENT DONE_EVENT);
  return SERVER_CLOSE;
}

/* In the child: 0 when all is as it should be, else the number of what is not. */
static int child_of_fork(mill_engine *engine, mill_stream *inherited, mill_waiter *waiter,
                         struct server *server) {
  mill_chunk chunk;
  mill_stream *stream;
  mill_engine_after_fork_child(engine);
  mill_waiter_disarm(waiter, inherited);
  if (mill_waiter_take(waiter))
    return 5;
  mill_waiter_free(waiter);
  if (mill_stream_wait(inherited, -1) != MILL_OK)
    return 1;
  if (mill_stream_next(inherited, &chunk) != MILL_E_FORKED)
    return 2;
  mill_stream_cancel(inherited);
  mill_stream_free(inherited);
  mill_request request = request_to(server);
  if (mill_stream_start(engine, &request, &stream, NULL) != MILL_E_FORKED)
    return 3;
  mill_engine_free(engine);
  if (mill_engine_new(&engine) != MILL_OK)
    return 4;
  request.headers = &(mill_header){"X-Whole", "1"};
  request.n_headers = 1;
  mill_stream_free(run_request(engine, &request, MILL_END));
  mill_engine_free(engine);
  return 0;
}

static void test_fork(void) {
  if (UNDER_TSAN)
    return;
  struct gate gate = GATE_INIT;
  mill_engine *engine = new_engine();
  struct server *server = server_start(answer_in_two_steps, &gate);
  mill_request request = request_to(server);
  mill_stream *stream = start_stream(engine, &request);
  take_one(stream, "a");
  mill_waiter *waiter;
  CHECK_INT(mill_waiter_new(&waiter), MILL_OK);
  CHECK_INT(mill_waiter_arm(waiter, stream, MILL_WAIT_CHUNK, stream), MILL_OK);
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0)
    test_exit_child(child_of_fork(engine, stream, waiter, server));
  int status;
  CHECK(waitpid(pid, &status, 0) == pid);
  CHECK(WIFEXITED(status));
  CHECK_INT(WEXITSTATUS(status), 0);
  gate_open(&gate); /* the parent's stream goes on untouched */
  struct outcome outcome = read_stream(stream);
  CHECK_INT(outcome.code, MILL_END);
  CHECK_STR(outcome.text, "b");
  free(outcome.text);
  mill_stream_free(stream);
  mill_waiter_free(waiter);
  server_stop(server);
  mill_engine_free(engine);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static void *test_main(void *user) {
  void (**test)(void) = user;
  (*test)();
  return NULL;
}

int main(void) {
  static void (*const tests[])(void) = {
      test_engine_without_streams,
      test_cancel_wakes_the_consumer,
      test_cancel_at_once,
      test_cancel_around_the_end,
      test_free_ends_the_transfer,
      test_backpressure,
      test_end_of_a_paused_stream,
      test_error_behind_a_pause,
      test_idle_clock_while_paused,
      test_events,
      test_wait_limits,
      test_has_chunk,
      test_waiter_with_many_streams,
      test_leaving_a_waiter,
      test_waiting_for_half,
      test_no_lost_wakeup,
      test_engine_free_with_live_streams,
      test_engine_free_with_a_full_queue,
      test_start_while_the_engine_stops,
      test_kept_connection_is_closed,
      test_threads_and_engines,
      test_no_descriptors,
      test_every_failing_allocation,
      test_every_failing_allocation_of_an_error,
      test_fork,
  };
  test_alloc_install();
  size_t live = 0;
  for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
    pthread_t thread;
    void (*test)(void) = tests[i];
    test_case("%s", "");
    CHECK(pthread_create(&thread, NULL, test_main, &test) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    if (i > 1) /* the dialect's table is made once and kept */
      CHECK_INT(test_alloc_live(), live);
    live = test_alloc_live();
  }
  return 0;
}
