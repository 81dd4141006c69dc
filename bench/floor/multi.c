/*
 * The floor of many streams: libcurl's multi interface over epoll, one thread, and a yajl handle an
 * event.
 *
 *     floor_multi URL STREAMS SECONDS [whole]
 *
 * Starts all streams, and measures for some seconds from the moment when all have begun: CPU,
 * chunks, and the latency of each (the text is the time when it was sent). `whole` reads all to
 * their end after that. Prints one line of JSON.
 */
#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "content.h"

#define READY_AT_ONCE 256

struct stream {
  struct content content;
  bool begun;
};

/* The program's one state: which part it is in, and what it has measured. */
static struct {
  CURLM *multi;
  int epoll;
  int64_t timer_ns; /* when libcurl wants to be called; 0: not at all */
  size_t streams, begun, ended, whole;
  bool window;
  int64_t *latencies;
  size_t chunks, capacity;
} bench;

/* ---- streams --------------------------------------------------------------------------------- */

static void on_text(void *ctx, const char *text, size_t len) {
  struct stream *stream = ctx;
  char number[32] = "";
  if (!stream->begun) {
    stream->begun = true;
    bench.begun++;
  }
  if (!bench.window)
    return;
  if (bench.chunks == bench.capacity) {
    bench.capacity = bench.capacity ? 2 * bench.capacity : 65536;
    bench.latencies = realloc(bench.latencies, bench.capacity * sizeof *bench.latencies);
    if (bench.latencies == NULL)
      die("out of memory");
  }
  memcpy(number, text, len < sizeof number ? len : sizeof number - 1);
  bench.latencies[bench.chunks++] = now_ns() - strtoll(number, NULL, 10);
}

static void start(struct stream *stream, const char *url, struct curl_slist *headers) {
  CURL *easy = curl_easy_init();
  if (easy == NULL)
    die("out of memory");
  content_init(&stream->content, on_text, stream);
  curl_easy_setopt(easy, CURLOPT_URL, url);
  curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request_body);
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, content_write);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &stream->content);
  curl_easy_setopt(easy, CURLOPT_PRIVATE, stream);
  curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, 16384L); /* the least there is */
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  if (curl_multi_add_handle(bench.multi, easy) != CURLM_OK)
    die("curl_multi_add_handle");
}

static void take_ended(void) {
  int left;
  for (CURLMsg *message; (message = curl_multi_info_read(bench.multi, &left)) != NULL;) {
    struct stream *stream;
    CURL *easy = message->easy_handle;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &stream);
    bench.whole += message->data.result == CURLE_OK && stream->content.done;
    bench.ended++;
    curl_multi_remove_handle(bench.multi, easy);
    curl_easy_cleanup(easy);
    content_fini(&stream->content);
  }
}

/* ---- loop ------------------------------------------------------------------------------------ */

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *known) {
  if (what == CURL_POLL_REMOVE) {
    epoll_ctl(bench.epoll, EPOLL_CTL_DEL, fd, NULL);
    return 0;
  }
  struct epoll_event event = {
      .events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u),
      .data.fd = fd,
  };
  if (epoll_ctl(bench.epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) != 0)
    die("epoll_ctl");
  curl_multi_assign(bench.multi, fd, &bench);
  return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *ctx) {
  bench.timer_ns = timeout_ms < 0 ? 0 : now_ns() + timeout_ms * INT64_C(1000000);
  return 0;
}

static int until_ms(int64_t deadline_ns) {
  int64_t left = deadline_ns - now_ns();
  return left <= 0 ? 0 : (int)((left + 999999) / 1000000);
}

static void turn(int64_t deadline_ns) {
  struct epoll_event events[READY_AT_ONCE];
  int running;
  int64_t until_ns =
      bench.timer_ns != 0 && bench.timer_ns < deadline_ns ? bench.timer_ns : deadline_ns;
  int n = epoll_wait(bench.epoll, events, READY_AT_ONCE, until_ms(until_ns));
  for (int i = 0; i < n; i++) {
    int flags = (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR) ? CURL_CSELECT_IN : 0) |
                (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0);
    curl_multi_socket_action(bench.multi, events[i].data.fd, flags, &running);
  }
  if (bench.timer_ns != 0 && now_ns() >= bench.timer_ns) {
    bench.timer_ns = 0;
    curl_multi_socket_action(bench.multi, CURL_SOCKET_TIMEOUT, 0, &running);
  }
  take_ended();
}

/* ---- program --------------------------------------------------------------------------------- */

static void set_up(void) {
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  curl_global_init(CURL_GLOBAL_DEFAULT);
  bench.multi = curl_multi_init();
  bench.epoll = epoll_create1(EPOLL_CLOEXEC);
  if (bench.multi == NULL || bench.epoll < 0)
    die("set-up");
  curl_multi_setopt(bench.multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  curl_multi_setopt(bench.multi, CURLMOPT_TIMERFUNCTION, on_timer);
  curl_multi_setopt(bench.multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
}

static void run_until_begun(void) {
  while (bench.begun < bench.streams) {
    turn(INT64_MAX);
    if (bench.ended > 0)
      die("a stream ended before all had begun");
  }
}

static void measure(int64_t seconds, long rss_before_kib, bool whole) {
  int64_t begin = now_ns(), cpu = cpu_ns(), end = begin + seconds * INT64_C(1000000000);
  bench.window = true;
  while (now_ns() < end)
    turn(end);
  bench.window = false;
  if (bench.ended > 0)
    die("a stream ended while the others were measured");
  cpu = cpu_ns() - cpu;
  int64_t wall = now_ns() - begin;
  double rss_kib_a_stream = (double)(rss_kib() - rss_before_kib) / (double)bench.streams;
  while (whole && bench.ended < bench.streams)
    turn(INT64_MAX);
  printf("{\"chunks\": %zu, \"begun\": %zu, \"cpu_s\": %.6f, \"wall_s\": %.6f, "
         "\"rss_kib_a_stream\": %.2f, "
         "\"p50_us\": %.1f, \"p99_us\": %.1f, \"whole\": %zu}\n",
         bench.chunks, bench.begun, (double)cpu / 1e9, (double)wall / 1e9, rss_kib_a_stream,
         (double)percentile(bench.latencies, bench.chunks, 50) / 1e3,
         (double)percentile(bench.latencies, bench.chunks, 99) / 1e3, bench.whole);
}

int main(int argc, char **argv) {
  if (argc < 4)
    die("usage: floor_multi URL STREAMS SECONDS [whole]");
  set_up();
  bench.streams = strtoul(argv[2], NULL, 10);
  struct stream *streams = calloc(bench.streams, sizeof *streams);
  struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
  if (streams == NULL || headers == NULL)
    die("out of memory");
  long rss_before_kib = rss_kib();
  for (size_t i = 0; i < bench.streams; i++)
    start(&streams[i], argv[1], headers);
  run_until_begun();
  measure(strtol(argv[3], NULL, 10), rss_before_kib, argc > 4);
  return 0;
}
