/* The engine: one thread that drives every transfer; see engine.h. */
#include "net/engine.h"

#define CURL_DISABLE_DEPRECATION /* curl_multi_socket_all, see heartbeat */
#include <curl/curl.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "net/wakeup_pair.h"

#define EVENTS_A_TURN 256
#define KEPT_CONNECTIONS 1024L /* idle ones; they live MILL__ENGINE_KEEPALIVE_MS at most */
#define SOON_MS 10             /* what failed may work again */
#define HTTP2_SINCE 0x080e01   /* 8.14.1: earlier ones have pause and GOAWAY bugs */

/* ---- references and commands: any thread ----------------------------------------------------- */

mill_engine *mill__engine_ref(mill_engine *engine) {
  atomic_fetch_add_explicit(&engine->refs, 1, memory_order_relaxed);
  return engine;
}

void mill__engine_unref(mill_engine *engine) {
  if (atomic_fetch_sub_explicit(&engine->refs, 1, memory_order_acq_rel) != 1)
    return;
  mill__loop_fini(&engine->loop);
  pthread_mutex_destroy(&engine->turning);
  mill_stats_unref(engine->stats);
  mill__queue_store_fini(&engine->store);
  mill__decoder_store_fini(&engine->decoders);
  mill__free(engine);
}

bool mill__engine_is_forked(const mill_engine *engine) {
  return atomic_load_explicit(&engine->forked, memory_order_relaxed);
}

/* Stands in the inbox of an engine whose thread is gone. */
static char closed_marker;
#define CLOSED ((mill_stream *)(void *)&closed_marker)

bool mill__engine_post(mill_engine *engine, mill_stream *stream, unsigned command) {
  if (mill__engine_is_forked(engine))
    return false;
  if (atomic_fetch_or(&stream->commands, command))
    return true; /* it is in the inbox already */
  mill_stream *first = atomic_load(&engine->inbox);
  atomic_fetch_add_explicit(&stream->refs, 1, memory_order_relaxed);
  do {
    if (first == CLOSED) {
      mill__stream_unref(stream); /* the caller has one too */
      return false;
    }
    stream->inbox_next = first;
  } while (!atomic_compare_exchange_weak(&engine->inbox, &first, stream));
  if (!first)
    mill__loop_wake(&engine->loop);
  return true;
}

const char *mill_curl_version(void) {
  return curl_version();
}

void mill_engine_metrics(mill_engine *engine, mill_metrics *ret_metrics) {
  mill_stats_read(engine->stats, ret_metrics);
  clockid_t clock;
  struct timespec used;
  if (!pthread_getcpuclockid(engine->thread, &clock) && !clock_gettime(clock, &used))
    ret_metrics->cpu_ns = (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
}

long mill_engine_spare_blocks(mill_engine *engine) {
  return mill__queue_store_blocks(&engine->store) + mill__decoder_store_blocks(&engine->decoders);
}

/* ---- what transfers ask of their engine ------------------------------------------------------ */

void mill__engine_touch(mill_engine *engine, mill_stream *stream) {
  if (mill__list_empty(&stream->transfer.touched)) /* unlinked */
    mill__list_append(&engine->touched, &stream->transfer.touched);
}

void mill__engine_release(mill_engine *engine, struct mill__list *nodes) {
  struct mill__list *link;
  while ((link = mill__list_pop(nodes)))
    mill__list_append(&engine->released, link);
}

uint64_t mill__engine_random(mill_engine *engine) {
  /* splitmix64, for jitter */
  uint64_t z = engine->random += UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

static void notify_touched(mill_engine *engine) {
  struct mill__list *link;
  while ((link = mill__list_pop(&engine->touched))) {
    mill_stream *stream = MILL__CONTAINER(link, mill_stream, transfer.touched);
    bool over = stream->transfer.state == MILL__TRANSFER_DONE;
    mill__transfer_settle(stream);
    mill__stream_notify(stream, MILL__ARMED_DATA);
    if (over)
      mill__stream_unref(stream); /* the engine's own reference */
  }
}

void mill__engine_transfer_begun(mill_engine *engine, mill_stream *stream) {
  mill__list_append(&engine->transfers, &stream->transfer.link);
  engine->n_transfers++;
}

void mill__engine_transfer_done(mill_engine *engine, mill_stream *stream) {
  mill__list_remove(&stream->transfer.link);
  engine->n_transfers--;
  mill__engine_touch(engine, stream); /* the reference goes after its notification */
  if (mill__list_empty(&engine->transfers))
    mill__timer_set(&engine->timers, &engine->keepalive,
                    mill__clock_ns() + MILL__ENGINE_KEEPALIVE_MS * MILL_NS_PER_MS);
}

/* ---- libcurl's multi handle ------------------------------------------------------------------ */

/* A socket is not watched: soon, and with each heartbeat, all are looked at. */
static void lose_sight(mill_engine *engine) {
  engine->blind = true;
  mill__timer_set(&engine->timers, &engine->heartbeat, mill__clock_ns() + SOON_MS * MILL_NS_PER_MS);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *socket_data) {
  (void)easy, (void)socket_data;
  mill_engine *engine = user;
  unsigned watch =
      (what & CURL_POLL_IN ? MILL__LOOP_READ : 0u) | (what & CURL_POLL_OUT ? MILL__LOOP_WRITE : 0u);
  if (what == CURL_POLL_REMOVE)
    watch = 0;
  if (mill__loop_watch(&engine->loop, fd, watch) != MILL_OK)
    lose_sight(engine); /* -1 would end every transfer */
  return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *user) {
  (void)multi;
  mill_engine *engine = user;
  if (timeout_ms < 0)
    mill__timer_clear(&engine->timers, &engine->curl_timer);
  else /* at once is in this turn; without memory the heartbeat stands in */
    mill__timer_set(&engine->timers, &engine->curl_timer,
                    timeout_ms ? mill__clock_ns() + (int64_t)timeout_ms * MILL_NS_PER_MS
                               : engine->now_ns);
  return 0;
}

static void wake_multi(void *multi) {
  curl_multi_wakeup(multi);
}

int mill__engine_open(mill_engine *engine) {
  if (engine->multi)
    return MILL_OK;
  errno = 0;
  if (!engine->share)
    engine->share = curl_share_init();
  CURLM *multi = engine->share ? curl_multi_init() : NULL;
  if (!multi) /* newer versions of libcurl need a descriptor for it */
    return errno == EMFILE || errno == ENFILE ? MILL_E_SYSTEM : MILL_E_NOMEM;
  curl_share_setopt(engine->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
  curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, engine);
  curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
  curl_multi_setopt(multi, CURLMOPT_TIMERDATA, engine);
  curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, KEPT_CONNECTIONS);
  engine->multi = multi;
  mill__wakeup_pair_claim(wake_multi, multi, engine->wakeup_pair);
  return MILL_OK;
}

/* Closes the kept connections, and forgets the names with libcurl's cache of them. */
static void close_multi(mill_engine *engine) {
  if (engine->multi)
    curl_multi_cleanup(engine->multi);
  engine->multi = NULL;
  engine->wakeup_pair[0] = engine->wakeup_pair[1] = -1;
  mill__resolve_fini(&engine->resolve);
  mill__timer_clear(&engine->timers, &engine->curl_timer);
}

static void act(mill_engine *engine, curl_socket_t fd, int what) {
  int running;
  if (engine->multi && curl_multi_socket_action(engine->multi, fd, what, &running))
    lose_sight(engine); /* out of memory: a socket may have gone untold */
}

static void collect_done(mill_engine *engine) {
  CURLMsg *message;
  int left;
  while (engine->multi && (message = curl_multi_info_read(engine->multi, &left))) {
    char *user = NULL;
    if (message->msg != CURLMSG_DONE)
      continue;
    CURLcode code = message->data.result; /* the message dies with the handle */
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &user);
    mill__transfer_on_done((mill_stream *)(void *)user, (int)code);
  }
}

/* ---- a turn of the loop ---------------------------------------------------------------------- */

static void run_command(mill_engine *engine, mill_stream *stream, unsigned commands) {
  enum mill__transfer_state state = stream->transfer.state;
  if (commands & MILL__COMMAND_START) {
    atomic_fetch_add_explicit(&stream->refs, 1, memory_order_relaxed); /* the engine's */
    mill__timer_clear(&engine->timers, &engine->keepalive);
    mill__transfer_start(stream);
  } else if (state == MILL__TRANSFER_NEW) {
    return;
  }
  if (commands & MILL__COMMAND_CANCEL)
    mill__transfer_cancel(stream);
  else if (commands & MILL__COMMAND_RESTART)
    mill__transfer_restart(stream);
  else if (commands & MILL__COMMAND_RESUME)
    mill__transfer_resume(stream);
}

/* Empty the inbox, and leave it open or closed; the one that was posted first comes first. */
static mill_stream *take_inbox(mill_engine *engine, mill_stream *left) {
  mill_stream *newest = atomic_exchange(&engine->inbox, left), *oldest = NULL;
  while (newest) {
    mill_stream *next = newest->inbox_next;
    newest->inbox_next = oldest;
    oldest = newest;
    newest = next;
  }
  return oldest;
}

static void run_commands(mill_engine *engine) {
  mill_stream *next = take_inbox(engine, NULL);
  while (next) {
    mill_stream *stream = next;
    next = stream->inbox_next;
    run_command(engine, stream, atomic_exchange(&stream->commands, 0));
    mill__stream_unref(stream);
  }
}

static void run_sockets(mill_engine *engine, const struct mill__loop_event *events, size_t n) {
  for (size_t i = 0; i < n; i++) {
    if (mill__loop_is_stale(&engine->loop, &events[i]))
      continue;
    int what = (events[i].what & MILL__LOOP_READ ? CURL_CSELECT_IN : 0) |
               (events[i].what & MILL__LOOP_WRITE ? CURL_CSELECT_OUT : 0) |
               (events[i].what & MILL__LOOP_ERROR ? CURL_CSELECT_ERR : 0);
    act(engine, events[i].fd, what);
  }
}

/* A lost timer or a socket that is not watched costs a second, not the stream. */
static void heartbeat(mill_engine *engine) {
  int running;
  if (mill__list_empty(&engine->transfers)) {
    engine->blind = false;
    return;
  }
  mill__timer_set(&engine->timers, &engine->heartbeat,
                  engine->now_ns + MILL__ENGINE_HEARTBEAT_MS * MILL_NS_PER_MS);
  if (engine->blind && engine->multi)
    curl_multi_socket_all(engine->multi, &running); /* tells all sockets anew */
  else
    act(engine, CURL_SOCKET_TIMEOUT, 0);
}

/* libcurl is called once, whatever it asks for meanwhile: sockets come before its next call. */
static void run_timers(mill_engine *engine) {
  struct mill__timer *timer;
  bool asked = false;
  while ((timer = mill__timers_pop_due(&engine->timers, engine->now_ns))) {
    if (timer == &engine->curl_timer)
      asked = true;
    else if (timer == &engine->heartbeat)
      heartbeat(engine);
    else if (timer == &engine->keepalive)
      close_multi(engine);
    else
      mill__transfer_on_timer(MILL__CONTAINER(timer, mill_stream, transfer.timer));
  }
  if (asked)
    act(engine, CURL_SOCKET_TIMEOUT, 0);
}

/* Name look-ups that ended in this turn let others begin. */
static void run_released(mill_engine *engine) {
  struct mill__list *link;
  while ((link = mill__list_pop(&engine->released)))
    mill__transfer_lookup_over(MILL__CONTAINER(link, mill_stream, transfer.resolve.link));
}

static int timeout_ms(const mill_engine *engine) {
  const struct mill__timer *first = mill__timers_first(&engine->timers);
  if (!first || first->deadline_ns == INT64_MAX)
    return -1;
  int64_t left_ns = first->deadline_ns - mill__clock_ns();
  if (left_ns <= 0)
    return 0;
  int64_t left_ms = (left_ns + MILL_NS_PER_MS - 1) / MILL_NS_PER_MS;
  return left_ms > 86400000 ? 86400000 : (int)left_ms;
}

static void turn(mill_engine *engine) {
  struct mill__loop_event events[EVENTS_A_TURN];
  size_t n = mill__loop_wait(&engine->loop, timeout_ms(engine), events, EVENTS_A_TURN);
  pthread_mutex_lock(&engine->turning);
  engine->now_ns = mill__clock_ns();
  run_commands(engine);
  run_sockets(engine, events, n);
  run_timers(engine);
  if (!engine->heartbeat.slot)
    heartbeat(engine);
  collect_done(engine); /* behind all that calls libcurl: what has ended does not call again */
  run_released(engine);
  notify_touched(engine);
  pthread_mutex_unlock(&engine->turning);
}

/* ---- the thread ------------------------------------------------------------------------------ */

/* End what is alive: their consumers see a cancelled stream. */
static void end_transfers(mill_engine *engine) {
  run_commands(engine);
  while (!mill__list_empty(&engine->transfers))
    mill__transfer_cancel(MILL__CONTAINER(engine->transfers.next, mill_stream, transfer.link));
  notify_touched(engine);
}

static void *thread_main(void *user) {
  mill_engine *engine = user;
#ifdef __linux__
  pthread_setname_np(pthread_self(), "millstream");
#endif
  while (!atomic_load(&engine->stopping))
    turn(engine);
  end_transfers(engine);
  close_multi(engine);
  if (engine->share)
    curl_share_cleanup(engine->share);
  mill__timers_fini(&engine->timers);
  return NULL;
}

/* Signals are for the program's own threads. */
static int start_thread(mill_engine *engine) {
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &old);
  int result = pthread_create(&engine->thread, NULL, thread_main, engine);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  return result ? MILL_E_SYSTEM : MILL_OK;
}

static CURLcode curl_ready;

static void init_curl(void) {
  curl_ready = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static void init_fields(mill_engine *engine) {
  atomic_init(&engine->refs, 1);
  pthread_mutex_init(&engine->turning, NULL);
  mill__queue_store_init(&engine->store);
  const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);
  engine->http2_auto = curl->version_num >= HTTP2_SINCE && curl->features & CURL_VERSION_HTTP2;
  engine->loop = (struct mill__loop){.poll_fd = -1, .wake_fd = -1};
  engine->wakeup_pair[0] = engine->wakeup_pair[1] = -1;
  mill__timers_init(&engine->timers);
  mill__timer_init(&engine->curl_timer);
  mill__timer_init(&engine->heartbeat);
  mill__timer_init(&engine->keepalive);
  mill__list_init(&engine->transfers);
  mill__list_init(&engine->touched);
  mill__list_init(&engine->released);
  mill__resolve_init(&engine->resolve);
  mill__decoder_store_init(&engine->decoders);
  engine->now_ns = mill__clock_ns();
  engine->random = (uint64_t)engine->now_ns ^ (uint64_t)(uintptr_t)engine;
}

int mill_engine_new(mill_engine **ret_engine) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, init_curl);
  if (curl_ready)
    return MILL_E_SYSTEM;
  mill_engine *engine = mill__calloc(1, sizeof *engine);
  if (!engine)
    return MILL_E_NOMEM;
  init_fields(engine);
  engine->stats = mill_stats_new();
  int result = engine->stats ? mill__loop_init(&engine->loop) : MILL_E_NOMEM;
  if (!result)
    result = start_thread(engine);
  if (result) {
    mill__engine_unref(engine);
    return result;
  }
  *ret_engine = engine;
  return MILL_OK;
}

/* Posted after the thread's last look: nobody will start these. */
static void abandon_inbox(mill_engine *engine) {
  mill_stream *next = take_inbox(engine, CLOSED);
  while (next) {
    mill_stream *stream = next;
    next = stream->inbox_next;
    if (stream->transfer.state == MILL__TRANSFER_NEW) {
      mill_error error;
      mill__error_init(&error);
      mill__error_set(&error, MILL_E_CANCELLED, "the engine was stopped");
      mill__stream_publish_end(stream, &error);
      mill__stream_notify(stream, MILL__ARMED_DATA);
    }
    mill__stream_unref(stream);
  }
}

void mill_engine_free(mill_engine *engine) {
  if (!engine)
    return;
  if (!mill__engine_is_forked(engine)) {
    atomic_store(&engine->stopping, true);
    mill__loop_wake(&engine->loop);
    pthread_join(engine->thread, NULL);
    abandon_inbox(engine);
  }
  mill__engine_unref(engine);
}

void mill_engine_before_fork(mill_engine *engine) {
  pthread_mutex_lock(&engine->turning);
}

void mill_engine_after_fork_parent(mill_engine *engine) {
  pthread_mutex_unlock(&engine->turning);
}

void mill_engine_after_fork_child(mill_engine *engine) {
  atomic_store(&engine->forked, true);
  pthread_mutex_init(&engine->turning, NULL);
  mill__queue_store_init(&engine->store);
  mill__loop_after_fork_child(&engine->loop);
  for (int i = 0; i < 2; i++)
    if (engine->wakeup_pair[i] >= 0)
      close(engine->wakeup_pair[i]);
  mill__waiter_after_fork_child();
}
