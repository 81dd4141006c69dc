/*
 * One exchange after the other, end to end: what the server does, and what the consumer is told.
 * Every attempt must be seen: the server counts the requests that reached it whole.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/stream.h"
#include "net_support.h"

static mill_engine *engine;

/* One stream against a server of its own, with the checks that all cases share. */
struct exchange {
  struct server *server;
  mill_request request;
  mill_stream *stream;
  const mill_error *error;
};

static void begin(struct exchange *exchange, server_handler handler, void *ctx) {
  test_case("%s", "");
  exchange->server = server_start(handler, ctx);
  exchange->request = request_to(exchange->server);
}

static void run(struct exchange *exchange, int expected_code) {
  exchange->stream = run_request(engine, &exchange->request, expected_code);
  exchange->error = mill_stream_error(exchange->stream);
}

static void end(struct exchange *exchange) {
  mill_stream_free(exchange->stream);
  server_stop(exchange->server);
}

/* A handler that sends a fixed answer; ctx: {head, body}. */
struct fixed {
  const char *head, *body;
};

static enum server_then answer_fixed(const struct server_request *request, void *ctx) {
  const struct fixed *fixed = ctx;
  server_answer(request, fixed->head, fixed->body);
  return SERVER_KEEP;
}

static void run_fixed(struct exchange *exchange, struct fixed *fixed, int expected_code) {
  begin(exchange, answer_fixed, fixed);
  test_case("%.200s", fixed->body);
  run(exchange, expected_code);
}

/* ---- a whole answer -------------------------------------------------------------------------- */

static enum server_then answer_and_check(const struct server_request *request, void *ctx) {
  CHECK(!strncmp(request->head, "POST /v1 HTTP/1.1\r\n", 19));
  CHECK(strstr(request->head, "\r\nContent-Type: application/json\r\n") != NULL);
  CHECK(strstr(request->head, "\r\nAccept: text/event-stream\r\n") != NULL);
  CHECK(strstr(request->head, "\r\nX-Mine: \xc3\xa9\r\n") != NULL);
  CHECK(strstr(request->head, "\r\nX-Empty:\r\n") != NULL);
  CHECK(strcasestr(request->head, "Expect") == NULL);
  CHECK(strcasestr(request->head, "Accept-Encoding") == NULL);
  CHECK_INT(request->body_len, (2 << 20) + 1);
  CHECK_INT(request->body[request->body_len - 1], 'z');
  server_answer(request, STREAM_HEAD "X-Request-Id: r1\r\n", WHOLE_BODY);
  return SERVER_KEEP;
}

static void test_whole_answer(void) {
  struct exchange exchange;
  begin(&exchange, answer_and_check, NULL);
  size_t body_len = (2 << 20) + 1;
  char *body = malloc(body_len);
  CHECK(body != NULL);
  memset(body, 'z', body_len);
  const mill_header headers[] = {{"X-Mine", "\xc3\xa9"}, {"X-Empty", ""}};
  mill_stats *stats = mill_stats_new();
  exchange.request.headers = headers;
  exchange.request.n_headers = 2;
  exchange.request.body = body;
  exchange.request.body_len = body_len;
  exchange.request.stats = stats;
  mill_stream *stream = start_stream(engine, &exchange.request);
  memset(body, 0, body_len); /* the request is a copy */
  free(body);
  struct outcome outcome = read_stream(stream);
  CHECK_INT(outcome.code, MILL_END);
  CHECK_STR(outcome.text, "Hello, world");
  CHECK_INT(outcome.n_chunks, 3);
  free(outcome.text);

  mill_message message;
  CHECK_INT(mill_stream_message(stream, &message), MILL_OK);
  CHECK_INT(message.n_choices, 1);
  CHECK_SLICE(message.choices[0].text, "Hello, world");
  CHECK_INT(message.choices[0].finish, MILL_FINISH_STOP);
  mill_response response;
  mill_stream_response(stream, &response);
  CHECK_INT(response.status, 200);
  CHECK_INT(response.http_version, 11);
  CHECK(memmem(response.headers.ptr, response.headers.len, BYTES("X-Request-Id: r1\r\n")) != NULL);
  mill_timing timing;
  mill_stream_timing(stream, &timing);
  CHECK(timing.connect_ns > 0 && timing.first_byte_ns >= timing.connect_ns);
  CHECK(timing.first_chunk_ns >= timing.first_byte_ns && timing.total_ns >= timing.first_chunk_ns);
  CHECK_INT(timing.chunks, 3);
  CHECK_INT(timing.retries, 0);
  mill_metrics metrics;
  mill_stats_read(stats, &metrics);
  CHECK_INT(metrics.streams_started, 1);
  CHECK_INT(metrics.streams_open, 0);
  CHECK_INT(metrics.streams_ok, 1);
  CHECK_INT(metrics.chunks, 3);
  CHECK_INT(metrics.events, 4);
  CHECK_INT(metrics.bytes_in, strlen(WHOLE_BODY));
  CHECK_INT(metrics.bytes_out, body_len);
  CHECK_INT(metrics.connections, 1);
  mill_stats_unref(stats);
  exchange.stream = stream;
  end(&exchange);
}

/* ---- cut everywhere -------------------------------------------------------------------------- */

enum framing { CHUNKED, LENGTH, CLOSE_DELIMITED, N_FRAMINGS };
#define N_EVENTS 4

/* The bytes of an answer, and where its parts end. */
struct answer {
  char bytes[2048];
  size_t len, head_end, event_end[N_EVENTS], done_word_end;
};

static void put(struct answer *answer, const char *text) {
  CHECK(answer->len + strlen(text) < sizeof(answer->bytes));
  memcpy(answer->bytes + answer->len, text, strlen(text));
  answer->len += strlen(text);
}

static void put_event(struct answer *answer, enum framing framing, size_t i, const char *event) {
  char size[32];
  snprintf(size, sizeof(size), "%zx\r\n", strlen(event));
  if (framing == CHUNKED)
    put(answer, size);
  put(answer, event);
  answer->event_end[i] = answer->len;
  answer->done_word_end = answer->len - 2; /* of the last one */
  if (framing == CHUNKED)
    put(answer, "\r\n");
}

static void make_answer(struct answer *answer, enum framing framing) {
  static const char *const events[N_EVENTS] = {TEXT_EVENT("one"), TEXT_EVENT("two"), FINISH_EVENT,
                                               DONE_EVENT};
  char length[64];
  snprintf(length, sizeof(length), "Content-Length: %zu\r\n\r\n",
           strlen(TEXT_EVENT("one") TEXT_EVENT("two") FINISH_EVENT DONE_EVENT));
  answer->len = 0;
  put(answer, "HTTP/1.1 200 OK\r\n");
  put(answer, "Content-Type: text/event-stream\r\n");
  put(answer, framing == CHUNKED  ? "Transfer-Encoding: chunked\r\n\r\n"
              : framing == LENGTH ? length
                                  : "\r\n");
  answer->head_end = answer->len;
  for (size_t i = 0; i < N_EVENTS; i++)
    put_event(answer, framing, i, events[i]);
  if (framing == CHUNKED)
    put(answer, "0\r\n\r\n");
}

struct cut {
  struct answer answer;
  enum framing framing;
  enum server_then then;
  atomic_size_t at;
};

static enum server_then answer_cut(const struct server_request *request, void *ctx) {
  struct cut *cut = ctx;
  server_send(request, cut->answer.bytes, atomic_load(&cut->at));
  return cut->then;
}

static size_t chunks_within(const struct answer *answer, size_t len) {
  size_t n = 0;
  while (n < N_EVENTS - 1 && answer->event_end[n] <= len)
    n++;
  return n;
}

static int code_of_cut(const struct cut *cut, size_t at) {
  const struct answer *answer = &cut->answer;
  /* Of a reset connection it cannot be told whether a single byte came. */
  if (at <= (cut->then == SERVER_RESET))
    return MILL_E_CONNECT;
  if (at >= answer->event_end[N_EVENTS - 1])
    return MILL_END;
  /* Where the end of the connection is the end of the body, it may stand for what is missing. */
  bool clean_end = cut->framing == CLOSE_DELIMITED && cut->then == SERVER_CLOSE;
  if (clean_end && (at >= answer->done_word_end || at == answer->event_end[N_EVENTS - 2]))
    return MILL_END;
  return MILL_E_INTERRUPTED;
}

static void check_cut(struct server *server, struct cut *cut, size_t at) {
  static const char *const framings[] = {"chunked", "length", "close-delimited"};
  test_case("%s, %s at byte %zu", framings[cut->framing],
            cut->then == SERVER_RESET ? "reset" : "closed", at);
  atomic_store(&cut->at, at);
  size_t before = server_requests(server);
  mill_request request = request_to(server);
  mill_stream *stream = start_stream(engine, &request);
  struct outcome outcome = read_stream(stream);
  CHECK_INT(outcome.code, code_of_cut(cut, at));
  CHECK_INT(outcome.n_chunks, chunks_within(&cut->answer, at));
  CHECK_INT(server_requests(server), before + 1);
  mill_stream_free(stream);
  free(outcome.text);
  server_wait_idle(server); /* what is kept here and dead there is seen by the next one */
}

static void test_cut_everywhere(void) {
  for (int then = SERVER_CLOSE; then <= SERVER_RESET; then++)
    for (int framing = 0; framing < N_FRAMINGS; framing++) {
      struct cut cut = {.framing = (enum framing)framing, .then = (enum server_then)then};
      make_answer(&cut.answer, cut.framing);
      struct server *server = server_start(answer_cut, &cut);
      for (size_t at = 0; at <= cut.answer.len; at++)
        check_cut(server, &cut, at);
      server_stop(server);
    }
}

/* ---- no connection --------------------------------------------------------------------------- */

/* A port that nobody listens on: bound, so that nobody else gets it. */
static int refused_socket(int *ret_port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof(address);
  CHECK(fd >= 0);
  CHECK(bind(fd, (struct sockaddr *)&address, size) == 0);
  CHECK(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
  *ret_port = ntohs(address.sin_port);
  return fd;
}

static void check_no_connection(const char *url, const char *kind) {
  mill_request request;
  mill_request_init(&request);
  request.url = url;
  request.max_retries = 1;
  mill_stream *stream = run_request(engine, &request, MILL_E_CONNECT);
  CHECK_STR(mill_stream_error(stream)->kind, kind);
  mill_timing timing;
  mill_stream_timing(stream, &timing);
  CHECK_INT(timing.retries, 1);
  CHECK_INT(timing.connect_ns, -1);
  mill_response response;
  mill_stream_response(stream, &response);
  CHECK_INT(response.status, 0);
  mill_stream_free(stream);
}

static void test_no_connection(void) {
  int port;
  int fd = refused_socket(&port);
  char url[128];
  snprintf(url, sizeof(url), "http://127.0.0.1:%d/", port);
  check_no_connection(url, "refused");
  close(fd);
  /* A label of more than 63 characters has no address anywhere, and no server is asked. */
  char label[65];
  memset(label, 'a', 64);
  label[64] = '\0';
  snprintf(url, sizeof(url), "http://%s.invalid/", label);
  check_no_connection(url, "dns");
}

/* Those that wait for a look-up share its failure, by a proxy's name as by a host's. */
static void test_shared_failure(void) {
  enum { N = 20 };
  mill_stream *streams[N];
  mill_request request;
  char name[80] = "http://";
  memset(name + 7, 'a', 64);
  mill_request_init(&request);
  request.timeouts.connect_ms = 0;
  request.max_retries = 0;
  for (int by_proxy = 0; by_proxy <= 1; by_proxy++) {
    request.url = by_proxy ? "http://127.0.0.1/" : name;
    request.proxy = by_proxy ? name : "";
    for (size_t i = 0; i < N; i++)
      streams[i] = start_stream(engine, &request);
    for (size_t i = 0; i < N; i++) {
      struct outcome outcome = read_stream(streams[i]);
      CHECK_INT(outcome.code, MILL_E_CONNECT);
      CHECK_STR(mill_stream_error(streams[i])->kind, by_proxy ? "proxy" : "dns");
      free(outcome.text);
      mill_stream_free(streams[i]);
    }
  }
}

static void test_tls_to_a_plain_server(void) {
  struct exchange exchange;
  begin(&exchange, answer_whole, NULL);
  char url[64];
  snprintf(url, sizeof(url), "https://127.0.0.1:%d/", server_port(exchange.server));
  exchange.request.url = url;
  exchange.request.insecure = true; /* there may be no store of certificates */
  /* The server gets no whole request, and libcurl no answer: the clock for connecting ends it. */
  exchange.request.timeouts.connect_ms = 50;
  run(&exchange, MILL_E_TIMEOUT);
  CHECK_INT(exchange.error->phase, MILL_PHASE_CONNECT);
  CHECK_INT(server_requests(exchange.server), 0);
  end(&exchange);
}

static void test_many_names(void) {
  enum { N = 30 };
  struct server *server = server_start(answer_whole, NULL);
  mill_stream *streams[N];
  char url[64];
  snprintf(url, sizeof(url), "http://localhost:%d/", server_port(server));
  mill_request request = request_to(server);
  request.url = url;
  request.timeouts.connect_ms = 0; /* who is forgotten waits for ever */
  for (size_t i = 0; i < N; i++)
    streams[i] = start_stream(engine, &request);
  for (size_t i = 0; i < 5; i++) /* the one that looks the name up among them, most likely */
    mill_stream_free(streams[i]);
  for (size_t i = 5; i < N; i++) {
    struct outcome outcome = read_stream(streams[i]);
    CHECK_INT(outcome.code, MILL_END);
    CHECK_STR(outcome.text, "Hello, world");
    free(outcome.text);
    mill_stream_free(streams[i]);
  }
  server_stop(server);
}

/* ---- answers that are no stream -------------------------------------------------------------- */

#define JSON_401                                                                                   \
  "HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nx-request-id: q7\r\n"
#define ERROR_BODY                                                                                 \
  "{\"error\":{\"message\":\"no such key\",\"type\":\"auth\",\"code\":\"bad_key\"}}"

static void test_error_statuses(void) {
  struct exchange exchange;
  run_fixed(&exchange, &(struct fixed){JSON_401, ERROR_BODY}, MILL_E_STATUS);
  CHECK_INT(exchange.error->status, 401);
  CHECK_STR(exchange.error->kind, "bad_key");
  CHECK_STR(exchange.error->request_id, "q7");
  CHECK(strstr(exchange.error->text, "no such key") != NULL);
  CHECK_BYTES(exchange.error->body, exchange.error->body_len, ERROR_BODY, strlen(ERROR_BODY));
  end(&exchange);

  run_fixed(&exchange,
            &(struct fixed){"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\n", "<h1>no</h1>"},
            MILL_E_STATUS);
  CHECK_INT(exchange.error->status, 404);
  CHECK(strstr(exchange.error->text, "text/html") != NULL);
  CHECK_STR(exchange.error->body, "<h1>no</h1>");
  end(&exchange);

  run_fixed(&exchange,
            &(struct fixed){"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/other\r\n", ""},
            MILL_E_STATUS);
  CHECK_INT(exchange.error->status, 302);
  CHECK(strstr(exchange.error->text, "http://127.0.0.1:1/other") != NULL);
  CHECK_INT(server_requests(exchange.server), 1);
  end(&exchange);
}

static void test_200_without_a_stream(void) {
  struct exchange exchange;
  run_fixed(&exchange,
            &(struct fixed){"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n", "<p>hi</p>"},
            MILL_E_PROTOCOL);
  CHECK_STR(exchange.error->body, "<p>hi</p>");
  CHECK(strstr(exchange.error->text, "text/html") != NULL);
  end(&exchange);

  static const char json_head[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
  run_fixed(&exchange, &(struct fixed){json_head, "{\"choices\":[]}"}, MILL_E_PROTOCOL);
  CHECK_STR(exchange.error->body, "{\"choices\":[]}");
  end(&exchange);

  run_fixed(&exchange, &(struct fixed){json_head, ERROR_BODY}, MILL_E_PROVIDER);
  CHECK_STR(exchange.error->kind, "bad_key");
  end(&exchange);

  run_fixed(&exchange, &(struct fixed){STREAM_HEAD, ""}, MILL_E_INTERRUPTED);
  end(&exchange);
}

/* The body of an answer that is no stream is kept up to 64 KiB. */
static void test_large_error_body(void) {
  struct exchange exchange;
  size_t len = 200000;
  char *body = malloc(len + 1);
  CHECK(body != NULL);
  memset(body, 'b', len);
  body[len] = '\0';
  run_fixed(&exchange, &(struct fixed){"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n", body},
            MILL_E_PROTOCOL);
  CHECK_BYTES(exchange.error->body, exchange.error->body_len, body, 65536);
  end(&exchange);
  free(body);
}

/* ---- errors inside the stream ---------------------------------------------------------------- */

static void test_broken_event(void) {
  struct exchange exchange;
  run_fixed(&exchange, &(struct fixed){STREAM_HEAD, TEXT_EVENT("a") "data: {\"choices\"\n\n"},
            MILL_E_PROTOCOL);
  CHECK_INT(exchange.error->byte_offset, strlen(TEXT_EVENT("a") "data: "));
  mill_timing timing;
  mill_stream_timing(exchange.stream, &timing);
  CHECK_INT(timing.chunks, 1);
  end(&exchange);
}

#define ERROR_EVENT(code) "data: {\"error\":{\"message\":\"overloaded\",\"code\":" code "}}\n\n"

static enum server_then fail_then_answer(const struct server_request *request, void *ctx) {
  size_t n_failures = *(size_t *)ctx;
  if (request->number < n_failures) {
    server_answer(request, STREAM_HEAD "retry-after-ms: 0\r\n", ERROR_EVENT("503") DONE_EVENT);
    return SERVER_KEEP;
  }
  return answer_whole(request, NULL);
}

static void test_error_event(void) {
  struct exchange exchange;
  size_t n_failures = 2;
  begin(&exchange, fail_then_answer, &n_failures);
  exchange.request.max_retries = 2;
  run(&exchange, MILL_END); /* first in the stream: tried again */
  CHECK_INT(server_requests(exchange.server), 3);
  mill_message message;
  CHECK_INT(mill_stream_message(exchange.stream, &message), MILL_OK);
  CHECK_SLICE(message.choices[0].text, "Hello, world");
  end(&exchange);

  n_failures = 3;
  begin(&exchange, fail_then_answer, &n_failures);
  exchange.request.max_retries = 2;
  run(&exchange, MILL_E_PROVIDER);
  CHECK_INT(exchange.error->status, 503);
  CHECK_INT(server_requests(exchange.server), 3);
  end(&exchange);

  struct fixed late = {STREAM_HEAD, TEXT_EVENT("a") ERROR_EVENT("503") DONE_EVENT};
  begin(&exchange, answer_fixed, &late);
  exchange.request.max_retries = 2;
  mill_stream *stream = start_stream(engine, &exchange.request);
  struct outcome outcome = read_stream(stream);
  CHECK_INT(outcome.code, MILL_E_PROVIDER); /* something was handed out: not tried again */
  CHECK_STR(outcome.text, "a");
  CHECK_INT(server_requests(exchange.server), 1);
  free(outcome.text);
  exchange.stream = stream;
  end(&exchange);
}

/* The terminator behind an error event that was handed out; the gates hold back what follows. */
struct steps {
  struct gate chunk_taken, error_taken;
};

static enum server_then error_then_terminator(const struct server_request *request, void *ctx) {
  struct steps *steps = ctx;
  server_send_text(request, STREAM_HEAD "\r\n" TEXT_EVENT("a"));
  gate_wait(&steps->chunk_taken);
  server_send_text(request, ERROR_EVENT("503"));
  gate_wait(&steps->error_taken);
  server_send_text(request, DONE_EVENT);
  server_wait_closed(request);
  return SERVER_CLOSE;
}

static void test_terminator_behind_an_error(void) {
  struct steps steps = {GATE_INIT, GATE_INIT};
  struct exchange exchange;
  begin(&exchange, error_then_terminator, &steps);
  exchange.stream = start_stream(engine, &exchange.request);
  mill_event event;
  int code, n_events = 0;
  while ((code = mill_stream_next_event(exchange.stream, &event)) >= 0 && code != MILL_END)
    if (code == MILL_AGAIN)
      mill_stream_wait(exchange.stream, -1);
    else
      gate_open(n_events++ == 0 ? &steps.chunk_taken : &steps.error_taken);
  CHECK_INT(code, MILL_E_PROVIDER);
  CHECK_INT(n_events, 3);
  end(&exchange);
}

/* ---- retries --------------------------------------------------------------------------------- */

static enum server_then status_then_answer(const struct server_request *request, void *ctx) {
  const struct fixed *fixed = ctx;
  if (request->number < 2)
    server_answer(request, fixed->head, fixed->body);
  else
    answer_whole(request, NULL);
  return SERVER_KEEP;
}

/* Each retry says when, for what and how long; there are no more of them than there were. */
static void check_retry_log(mill_stream *stream, unsigned n, int status) {
  mill_retry retry;
  int64_t last_ns = 0;
  for (unsigned i = 0; i < n; i++) {
    CHECK_INT(mill_stream_retry(stream, i, &retry), MILL_OK);
    CHECK(retry.at_ns > last_ns);
    CHECK_INT(retry.code, MILL_E_STATUS);
    CHECK_INT(retry.status, status);
    CHECK_INT(retry.delay_ms, 0);
    last_ns = retry.at_ns;
  }
  CHECK_INT(mill_stream_retry(stream, n, &retry), MILL_END);
}

static void check_retries(const char *head, unsigned max_retries, int code, size_t n_requests) {
  struct exchange exchange;
  struct fixed fixed = {head, ERROR_BODY};
  begin(&exchange, status_then_answer, &fixed);
  test_case("%s", head);
  exchange.request.max_retries = max_retries;
  run(&exchange, code);
  CHECK_INT(server_requests(exchange.server), n_requests);
  mill_timing timing;
  mill_stream_timing(exchange.stream, &timing);
  CHECK_INT(timing.retries, n_requests - 1);
  check_retry_log(exchange.stream, timing.retries, atoi(head + strlen("HTTP/1.1 ")));
  end(&exchange);
}

static void test_retries(void) {
#define STATUS(line) "HTTP/1.1 " line "\r\nContent-Type: application/json\r\n"
  check_retries(STATUS("500 Oops") "retry-after-ms: 0\r\n", 2, MILL_END, 3);
  check_retries(STATUS("500 Oops") "Retry-After: 0\r\n", 1, MILL_E_STATUS, 2);
  check_retries(STATUS("429 Slow") "Retry-After: 0\r\n", 2, MILL_END, 3);
  check_retries(STATUS("408 Late") "Retry-After: 0\r\n", 2, MILL_END, 3);
  check_retries(STATUS("429 Slow") "Retry-After: 3600\r\n", 2, MILL_E_STATUS, 1);
  check_retries(STATUS("400 Bad") "Retry-After: 0\r\n", 2, MILL_E_STATUS, 1);
  check_retries(STATUS("503 Busy") "retry-after-ms: 0\r\n", 0, MILL_E_STATUS, 1);
}

/* None that the total clock would not live to see. */
static void test_retries_and_the_total_clock(void) {
  struct fixed fixed = {STATUS("503 Busy") "retry-after-ms: 500\r\n", ERROR_BODY};
  for (int long_enough = 0; long_enough <= 1; long_enough++) {
    struct exchange exchange;
    begin(&exchange, status_then_answer, &fixed);
    exchange.request.max_retries = 2;
    exchange.request.timeouts.total_ms = long_enough ? 60000 : 400;
    run(&exchange, long_enough ? MILL_END : MILL_E_STATUS);
    CHECK_INT(server_requests(exchange.server), long_enough ? 3 : 1);
    end(&exchange);
  }
}

/* ---- connections that are used again --------------------------------------------------------- */

static void test_connection_reuse(void) {
  struct server *server = server_start(answer_whole, NULL);
  mill_request request = request_to(server);
  for (int i = 0; i < 20; i++)
    mill_stream_free(run_request(engine, &request, MILL_END));
  CHECK_INT(server_connections(server), 1);
  CHECK_INT(server_requests(server), 20);
  server_stop(server);
}

/* Keep-alive is promised, and the connection closed right after each answer. */
static enum server_then answer_and_close(const struct server_request *request, void *ctx) {
  answer_whole(request, ctx);
  return SERVER_CLOSE;
}

static void test_connection_closed_after_each_answer(void) {
  enum { N = 100 };
  struct server *server = server_start(answer_and_close, NULL);
  mill_request request = request_to(server);
  request.max_retries = 2;
  for (int i = 0; i < N; i++)
    mill_stream_free(run_request(engine, &request, MILL_END));
  CHECK_INT(server_requests(server), N); /* the lost race, where there was one, is not among them */
  server_stop(server);
}

/* The same when the close is known before the next request: it is seen, and costs no retry. */
static void test_dead_connection_is_seen(void) {
  enum { N = 20 };
  struct server *server = server_start(answer_and_close, NULL);
  mill_request request = request_to(server);
  mill_stats *stats = mill_stats_new();
  request.stats = stats;
  request.max_retries = 0;
  for (int i = 0; i < N; i++) {
    mill_stream_free(run_request(engine, &request, MILL_END));
    server_wait_idle(server);
  }
  CHECK_INT(server_requests(server), N);
  CHECK_INT(server_connections(server), N);
  mill_metrics metrics;
  mill_stats_read(stats, &metrics);
  CHECK_INT(metrics.bytes_out, N * request.body_len);
  mill_stats_unref(stats);
  server_stop(server);
}

/*
 * The trap of the silent replay: a connection that is used again takes the whole POST and closes.
 * What libcurl would do by itself must be a retry of ours, or an error.
 */
static enum server_then swallow_second(const struct server_request *request, void *ctx) {
  if (request->nth > 0)
    return *(enum server_then *)ctx;
  return answer_whole(request, NULL);
}

static void check_replay(enum server_then then, unsigned max_retries, int code) {
  struct server *server = server_start(swallow_second, &then);
  mill_request request = request_to(server);
  request.max_retries = max_retries;
  mill_stream_free(run_request(engine, &request, MILL_END));
  mill_stream *stream = run_request(engine, &request, code);
  mill_timing timing;
  mill_stream_timing(stream, &timing);
  CHECK_INT(timing.retries, max_retries);
  CHECK_INT(server_requests(server), 2 + max_retries);
  if (code == MILL_E_CONNECT)
    CHECK_STR(mill_stream_error(stream)->kind, "closed");
  mill_stream_free(stream);
  server_stop(server);
}

static void test_no_silent_replay(void) {
  for (int then = SERVER_CLOSE; then <= SERVER_RESET; then++) {
    test_case("second request: %s", then == SERVER_RESET ? "reset" : "closed");
    check_replay((enum server_then)then, 0, MILL_E_CONNECT);
    check_replay((enum server_then)then, 1, MILL_END);
  }
}

/* ---- the rest of the body behind the terminator ---------------------------------------------- */

struct drain {
  struct gate consumer_is_done;
  struct gate connection_closed;
  bool flood;
};

static enum server_then answer_slow_end(const struct server_request *request, void *ctx) {
  struct drain *drain = ctx;
  server_send_text(request, STREAM_HEAD "Transfer-Encoding: chunked\r\n\r\n");
  char size[32];
  snprintf(size, sizeof(size), "%zx\r\n", strlen(WHOLE_BODY));
  server_send_text(request, size);
  server_send_text(request, WHOLE_BODY "\r\n");
  gate_wait(&drain->consumer_is_done);
  server_send_text(request, "0\r\n\r\n");
  return SERVER_KEEP;
}

/* The engine has let go of the stream: its exchange is over. */
static void wait_released(mill_stream *stream) {
  while (atomic_load(&stream->refs) > 1)
    sched_yield();
}

static void test_drain_keeps_the_connection(void) {
  struct drain drain = {.consumer_is_done = GATE_INIT};
  struct server *server = server_start(answer_slow_end, &drain);
  mill_request request = request_to(server);
  mill_stream *stream = run_request(engine, &request, MILL_END); /* before the body's end */
  gate_open(&drain.consumer_is_done);
  wait_released(stream);
  mill_stream_free(stream);
  mill_stream_free(run_request(engine, &request, MILL_END));
  CHECK_INT(server_connections(server), 1);
  server_stop(server);
}

static enum server_then answer_without_end(const struct server_request *request, void *ctx) {
  struct drain *drain = ctx;
  static const char filler[8192];
  server_send_text(request, STREAM_HEAD "Content-Length: 99999999\r\n\r\n" WHOLE_BODY);
  for (int i = 0; drain->flood && i < 100; i++)
    server_send(request, filler, sizeof(filler));
  server_wait_closed(request);
  gate_open(&drain->connection_closed);
  return SERVER_CLOSE;
}

/* A rest that does not come, or is too large: success all the same, and the connection goes. */
static void test_drain_is_bounded(void) {
  for (int flood = 0; flood <= 1; flood++) {
    test_case("%s", flood ? "flood" : "silence");
    struct drain drain = {.connection_closed = GATE_INIT, .flood = flood};
    struct server *server = server_start(answer_without_end, &drain);
    mill_request request = request_to(server);
    mill_stream *stream = run_request(engine, &request, MILL_END);
    gate_wait(&drain.connection_closed);
    mill_stream_free(stream);
    server_stop(server);
  }
}

/* ---- clocks ---------------------------------------------------------------------------------- */

static enum server_then send_and_hold(const struct server_request *request, void *ctx) {
  server_send_text(request, ctx);
  server_wait_closed(request);
  return SERVER_CLOSE;
}

static enum server_then send_for_ever(const struct server_request *request, void *ctx) {
  server_send_text(request, STREAM_HEAD "\r\n");
  char byte;
  while (recv(request->fd, &byte, 1, MSG_DONTWAIT) < 0) { /* until the client is gone */
    server_send_text(request, ctx);
    sched_yield();
  }
  return SERVER_CLOSE;
}

static void check_timeout(server_handler handler, const char *text, mill_timeouts timeouts,
                          enum mill_phase phase, size_t min_chunks) {
  struct exchange exchange;
  begin(&exchange, handler, (void *)(uintptr_t)text);
  test_case("timeout %s", mill_phase_name(phase));
  exchange.request.timeouts = timeouts;
  exchange.request.max_retries = 2; /* none of these is tried again */
  mill_stream *stream = start_stream(engine, &exchange.request);
  struct outcome outcome = read_stream(stream);
  CHECK_INT(outcome.code, MILL_E_TIMEOUT);
  CHECK(outcome.n_chunks >= min_chunks);
  CHECK_INT(mill_stream_error(stream)->phase, phase);
  CHECK_INT(server_requests(exchange.server), 1);
  free(outcome.text);
  exchange.stream = stream;
  end(&exchange);
}

static void test_clocks(void) {
  static const char one[] = STREAM_HEAD "\r\n" TEXT_EVENT("a");
  check_timeout(send_and_hold, "", (mill_timeouts){.first_chunk_ms = 30}, MILL_PHASE_FIRST_CHUNK,
                0);
  check_timeout(send_and_hold, STREAM_HEAD "\r\n: ping\n", (mill_timeouts){.first_chunk_ms = 30},
                MILL_PHASE_FIRST_CHUNK, 0);
  check_timeout(send_and_hold, one, (mill_timeouts){.first_chunk_ms = 60000, .idle_ms = 30},
                MILL_PHASE_IDLE, 1);
  check_timeout(send_and_hold, one, (mill_timeouts){.idle_ms = 60000, .total_ms = 50},
                MILL_PHASE_TOTAL, 0);
  check_timeout(send_for_ever, TEXT_EVENT("a"), (mill_timeouts){.idle_ms = 10000, .total_ms = 100},
                MILL_PHASE_TOTAL, 1);
  check_timeout(send_for_ever, ":\n", (mill_timeouts){.first_chunk_ms = 50}, MILL_PHASE_FIRST_CHUNK,
                0);
}

static enum server_then send_comments_for_ever(const struct server_request *request, void *ctx) {
  server_send_text(request, STREAM_HEAD "\r\n:\n" TEXT_EVENT("a"));
  char byte;
  while (recv(request->fd, &byte, 1, MSG_DONTWAIT) < 0) {
    server_send_text(request, ":\n");
    sched_yield();
  }
  return SERVER_CLOSE;
}

/* Comment keep-alives feed the idle clock only where that is asked for. */
static void test_comments_and_the_idle_clock(void) {
  mill_timeouts timeouts = {.idle_ms = 300, .total_ms = 900};
  check_timeout(send_comments_for_ever, "", timeouts, MILL_PHASE_IDLE, 1);
  timeouts.idle_counts_comments = true;
  check_timeout(send_comments_for_ever, "", timeouts, MILL_PHASE_TOTAL, 1);
}

/* ---- limits ---------------------------------------------------------------------------------- */

static enum server_then flood_headers(const struct server_request *request, void *ctx) {
  server_send_text(request, "HTTP/1.1 200 OK\r\n");
  for (int i = 0; i < 1000; i++)
    server_send_text(request, "X-Filler: 0123456789012345678901234567890123456789\r\n");
  server_wait_closed(request);
  return SERVER_CLOSE;
}

static enum server_then flood_1xx(const struct server_request *request, void *ctx) {
  for (int i = 0; i < 100; i++)
    server_send_text(request, "HTTP/1.1 102 Processing\r\n\r\n");
  server_wait_closed(request);
  return SERVER_CLOSE;
}

static enum server_then long_header(const struct server_request *request, void *ctx) {
  static char value[200000];
  memset(value, 'x', sizeof(value) - 1);
  server_send_text(request, "HTTP/1.1 200 OK\r\nX-Long: ");
  server_send_text(request, value);
  server_send_text(request, "\r\n\r\n");
  server_wait_closed(request);
  return SERVER_CLOSE;
}

static void test_head_limits(void) {
  struct exchange exchange;
  begin(&exchange, flood_headers, NULL);
  exchange.request.limits.header_bytes = 4096;
  run(&exchange, MILL_E_LIMIT);
  end(&exchange);

  begin(&exchange, flood_1xx, NULL);
  run(&exchange, MILL_E_PROTOCOL);
  end(&exchange);

  begin(&exchange, long_header, NULL);
  run(&exchange, MILL_E_LIMIT);
  end(&exchange);
}

/* The events before the one that is too large come first. */
static void check_event_limit(const char *bytes, mill_limits limits) {
  struct exchange exchange;
  begin(&exchange, send_and_hold, (void *)(uintptr_t)bytes);
  test_case("%s", bytes);
  exchange.request.limits = limits;
  exchange.stream = start_stream(engine, &exchange.request);
  struct outcome outcome = read_stream(exchange.stream);
  CHECK_INT(outcome.code, MILL_E_LIMIT);
  CHECK_STR(outcome.text, "a");
  free(outcome.text);
  end(&exchange);
}

static void test_event_limits(void) {
  mill_limits limits = {
      .event_bytes = 100, .buffered_bytes = 1000, .header_bytes = 1000, .json_depth = 8};
#define DIGITS "0123456789012345678901234567890123456789"
  check_event_limit(STREAM_HEAD "\r\n" TEXT_EVENT("a") "data: \"" DIGITS DIGITS DIGITS, limits);
  check_event_limit(STREAM_HEAD "\r\n" TEXT_EVENT("a") "data: [[[[[[[[[]]]]]]]]]\n\n", limits);
}

/* A message of more choices than can be kept ends, whichever way the stream is read. */
static void test_message_limit(void) {
  enum { N = 5000 }; /* MILL__MESSAGE_PARTS is 4096 */
  static char body[N * 80];
  size_t len = 0;
  for (int i = 0; i < N; i++)
    len += (size_t)snprintf(
        body + len, sizeof(body) - len,
        "data: {\"choices\":[{\"index\":%d,\"delta\":{\"content\":\"x\"}}]}\n\n", i);
  struct fixed fixed = {STREAM_HEAD, body};
  struct exchange exchange;
  begin(&exchange, answer_fixed, &fixed);
  run(&exchange, MILL_E_LIMIT);
  mill_stream_free(exchange.stream);
  exchange.stream = start_stream(engine, &exchange.request);
  mill_event event;
  int code;
  while ((code = mill_stream_next_event(exchange.stream, &event)) >= 0 && code != MILL_END)
    if (code == MILL_AGAIN)
      mill_stream_wait(exchange.stream, -1);
  CHECK_INT(code, MILL_E_LIMIT);
  CHECK_INT(mill_stream_next_event(exchange.stream, &event), MILL_END);
  CHECK_INT(mill_stream_error(exchange.stream)->code, MILL_E_LIMIT);
  end(&exchange);
}

/* ---- what is no HTTP ------------------------------------------------------------------------- */

struct raw {
  const char *bytes;
  size_t len;
};

static enum server_then answer_raw(const struct server_request *request, void *ctx) {
  const struct raw *raw = ctx;
  server_send(request, raw->bytes, raw->len);
  return SERVER_CLOSE;
}

static void test_broken_http(void) {
  static const struct raw cases[] = {
      {BYTES(STREAM_HEAD "Content-Length: 5\r\nContent-Length: 6\r\n\r\n:\n:\n\n")},
      {BYTES(STREAM_HEAD "Content-Length: -5\r\n\r\n:\n:\n\n")},
      {BYTES(STREAM_HEAD "X-Nul: a\0b\r\n\r\n" WHOLE_BODY)},
      {BYTES(STREAM_HEAD "Transfer-Encoding: chunked\r\n\r\nzz\r\n" WHOLE_BODY)},
      {BYTES(STREAM_HEAD "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffffff\r\n")},
      {BYTES(STREAM_HEAD "Content-Encoding: gzip\r\n\r\n" WHOLE_BODY)},
      {BYTES("SSH-2.0-OpenSSH_9.2p1 Debian\r\n")},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    struct exchange exchange;
    struct raw raw = cases[i];
    begin(&exchange, answer_raw, &raw);
    test_case("%s", raw.bytes);
    run(&exchange, MILL_E_PROTOCOL);
    CHECK_INT(server_requests(exchange.server), 1);
    end(&exchange);
  }
}

/* ---- all of it ------------------------------------------------------------------------------- */

int main(void) {
  CHECK_INT(mill_engine_new(&engine), MILL_OK);
  test_whole_answer();
  test_cut_everywhere();
  test_no_connection();
  test_shared_failure();
  test_tls_to_a_plain_server();
  test_many_names();
  test_error_statuses();
  test_200_without_a_stream();
  test_large_error_body();
  test_broken_event();
  test_error_event();
  test_terminator_behind_an_error();
  test_retries();
  test_retries_and_the_total_clock();
  test_connection_reuse();
  test_connection_closed_after_each_answer();
  test_dead_connection_is_seen();
  test_no_silent_replay();
  test_drain_keeps_the_connection();
  test_drain_is_bounded();
  test_clocks();
  test_comments_and_the_idle_clock();
  test_head_limits();
  test_event_limits();
  test_message_limit();
  test_broken_http();
  mill_engine_free(engine);
  return 0;
}
