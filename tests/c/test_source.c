/*
 * Event sources between engine and consumer: items in order, reconnecting, redirects, restart,
 * back-pressure, and every allocation failing once.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/engine.h"
#include "net_support.h"

#define HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=latin1\r\n"
#define NO_CONTENT "HTTP/1.1 204 No Content\r\n\r\n"

static mill_engine *engine;

/* ---- a server that answers request n with its nth line, and the last one for all behind it ---- */

struct script {
  const char *answers[12]; /* whole answers; one without "Content-Length: 0" is ended by closing */
  const char *const *expected; /* for each request, what its head must hold; NULL: no more */
  const char *refused;         /* what no head may hold; NULL: nothing */
};

static enum server_then answer_by_script(const struct server_request *request, void *ctx) {
  const struct script *script = ctx;
  size_t last = 0;
  while (script->answers[last + 1])
    last++;
  if (script->expected) {
    size_t n = 0;
    while (n < request->number && script->expected[n])
      n++;
    if (script->expected[n] && !strstr(request->head, script->expected[n])) {
      fprintf(stderr, "request %zu: %s\n", request->number, request->head);
      CHECK_STR(request->head, script->expected[n]);
    }
  }
  CHECK(!script->refused || !strstr(request->head, script->refused));
  size_t n = request->number < last ? request->number : last;
  server_send_text(request, script->answers[n]);
  return strstr(script->answers[n], "Content-Length: 0") ? SERVER_KEEP : SERVER_CLOSE;
}

/* ---- a consumer that writes down what it is handed ------------------------------------------- */

static mill_event_source at_once(void) {
  mill_event_source source;
  mill_event_source_init(&source);
  source.initial_retry_ms = source.max_retry_ms = 0;
  return source;
}

static mill_request get_from(const struct server *server, const mill_event_source *source) {
  mill_request request;
  mill_request_init(&request);
  request.url = server_url(server);
  request.method = "GET";
  request.events = source;
  return request;
}

static int next_item(mill_stream *stream, mill_item *ret_item) {
  int code;
  while ((code = mill_stream_next_item(stream, ret_item)) == MILL_AGAIN)
    mill_stream_wait(stream, -1);
  return code;
}

/* An item as text: "open", "lost StatusError 503", "message/7/data", ":comment". */
static void describe(const mill_item *item, char *text, size_t size) {
  const mill_event *event = &item->event;
  switch (item->type) {
  case MILL_ITEM_OPENED:
    snprintf(text, size, "open");
    break;
  case MILL_ITEM_LOST:
    if (item->error->code)
      snprintf(text, size, "lost %s %d", mill_error_class(item->error->code), item->error->status);
    else
      snprintf(text, size, "lost");
    break;
  case MILL_ITEM_COMMENT:
    snprintf(text, size, ":%.*s", (int)item->comment.len, item->comment.ptr);
    break;
  case MILL_ITEM_EVENT:
    snprintf(text, size, "%.*s/%.*s/%.*s", (int)event->type.len, event->type.ptr,
             (int)event->id.len, event->id.ptr, (int)event->data.len, event->data.ptr);
  }
}

static void check_item(mill_stream *stream, const char *expected) {
  mill_item item;
  char text[256] = "the end";
  int code = next_item(stream, &item);
  if (code == MILL_OK)
    describe(&item, text, sizeof(text));
  else if (code < 0)
    fprintf(stderr, "%s\n", mill_stream_error(stream)->text);
  CHECK_STR(text, expected);
}

static void check_end(mill_stream *stream, int expected, int status) {
  mill_item item;
  char text[256];
  int code = next_item(stream, &item);
  if (code == MILL_OK) {
    describe(&item, text, sizeof(text));
    CHECK_STR(text, "the end");
  }
  CHECK_INT(code, expected);
  CHECK_INT(mill_stream_error(stream)->status, status);
  CHECK_INT(mill_stream_next_item(stream, &item), MILL_END);
  mill_source_status now;
  mill_stream_source_status(stream, &now);
  CHECK_INT(now.state, MILL_SOURCE_CLOSED);
}

static void check_status(mill_stream *stream, enum mill_source_state state, const char *id,
                         int64_t retry_ms) {
  mill_source_status now;
  mill_stream_source_status(stream, &now);
  CHECK_INT(now.state, state);
  CHECK_SLICE(now.last_event_id, id);
  CHECK_INT(now.retry_ms, retry_ms);
}

/* Run a script to its end: the items, then the code and status of the end. */
static void check_script(struct script *script, const mill_request *like, const char *const *items,
                         int code, int status) {
  struct server *server = server_start(answer_by_script, script);
  mill_request request = *like;
  request.url = server_url(server);
  mill_stream *stream = start_stream(engine, &request);
  for (; *items; items++)
    check_item(stream, *items);
  check_end(stream, code, status);
  mill_stream_free(stream);
  server_stop(server);
}

#define ITEMS(...) ((const char *const[]){__VA_ARGS__, NULL})

static mill_request plain(const mill_event_source *source) {
  mill_request request;
  mill_request_init(&request);
  request.method = "GET";
  request.events = source;
  return request;
}

/* ---- reconnecting ---------------------------------------------------------------------------- */

static void test_it_goes_on_from_the_last_id(void) {
  mill_event_source source = at_once();
  source.last_event_id = "first";
  mill_request request = plain(&source);
  struct script script = {
      .answers = {HEAD "\r\nid: 1\ndata: a\n\n", HEAD "\r\ndata: b\nretry: 0\n\nid: 2\n\ndata: cut",
                  HEAD "\r\nid\n\n", NO_CONTENT},
      .expected = ITEMS("\r\nLast-Event-ID: first\r\n", "\r\nLast-Event-ID: 1\r\n",
                        "\r\nLast-Event-ID: 2\r\n", "\r\nCache-Control: no-cache\r\n"),
  };
  struct server *server = server_start(answer_by_script, &script);
  request.url = server_url(server);
  mill_stream *stream = start_stream(engine, &request);
  check_status(stream, MILL_SOURCE_CONNECTING, "first", 0);
  check_item(stream, "open");
  check_status(stream, MILL_SOURCE_OPEN, "first", 0);
  check_item(stream, "message/1/a");
  check_item(stream, "lost");
  check_status(stream, MILL_SOURCE_CONNECTING, "1", 0);
  check_item(stream, "open");
  check_item(stream, "message/1/b");
  check_status(stream, MILL_SOURCE_OPEN, "1", 0);
  check_item(stream, "lost");
  check_status(stream, MILL_SOURCE_CONNECTING, "2", 0);
  check_item(stream, "open");
  check_item(stream, "lost");
  check_status(stream, MILL_SOURCE_CONNECTING, "", 0);
  check_end(stream, MILL_END, 0);
  CHECK_INT(server_requests(server), 4);
  mill_response response;
  mill_stream_response(stream, &response); /* the first of many, however many there were */
  CHECK_INT(response.status, 200);
  mill_stream_free(stream);
  server_stop(server);
}

/* What the caller says counts, but of ids the one that came last. */
static void test_headers_of_the_caller(void) {
  static const mill_header headers[] = {{"cache-control", "max-age=1"}, {"last-event-id", "mine"}};
  mill_event_source source = at_once();
  mill_request request = plain(&source);
  request.headers = headers;
  request.n_headers = 2;
  struct script script = {
      .answers = {HEAD "\r\nid: 1\ndata: a\n\n", HEAD "\r\n", NO_CONTENT},
      .expected = ITEMS("\r\nlast-event-id: mine\r\n", "\r\nLast-Event-ID: 1\r\n",
                        "\r\ncache-control: max-age=1\r\n"),
      .refused = "no-cache",
  };
  check_script(&script, &request, ITEMS("open", "message/1/a", "lost", "open", "lost"), MILL_END,
               0);
}

/* Who asks for events gets events alone; the connections are passed over. */
static void test_events_alone(void) {
  mill_event_source source = at_once();
  source.comments = true;
  struct script script = {.answers = {HEAD "\r\n: comment\ndata: a\n\n",
                                      HEAD "\r\nretry: 1\nid: 2\n\ndata: b\n\n", NO_CONTENT}};
  struct server *server = server_start(answer_by_script, &script);
  mill_request request = get_from(server, &source);
  mill_stream *stream = start_stream(engine, &request);
  mill_event event;
  for (const char *data = "ab"; *data; data++) {
    int code;
    while ((code = mill_stream_next_event(stream, &event)) == MILL_AGAIN)
      mill_stream_wait(stream, -1);
    CHECK_INT(code, MILL_OK);
    CHECK_BYTES(event.data.ptr, event.data.len, data, 1);
  }
  check_status(stream, MILL_SOURCE_OPEN, "2", 1);
  mill_chunk chunk;
  int code;
  while ((code = mill_stream_next(stream, &chunk)) == MILL_AGAIN) /* there are no chunks at all */
    mill_stream_wait(stream, -1);
  CHECK_INT(code, MILL_END);
  mill_stream_free(stream);
  server_stop(server);
}

static void test_what_is_lost_and_what_ends(void) {
  mill_event_source source = at_once();
  mill_request request = plain(&source);
  struct script lost = {
      .answers = {"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n",
                  "HTTP/1.1 429 No\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n",
                  "HTTP/1.1 408 No\r\nContent-Length: 0\r\n\r\n", "",
                  HEAD "Content-Length: 99\r\n\r\ndata: a\n\ndata: b", NO_CONTENT},
  };
  check_script(&lost, &request,
               ITEMS("lost StatusError 503", "lost StatusError 429", "lost StatusError 408",
                     "lost ConnectError 0", "open", "message//a", "lost StreamInterrupted 0"),
               MILL_END, 0);
  static const struct {
    const char *answer;
    int code, status;
  } ends[] = {
      {NO_CONTENT, MILL_END, 0},
      {"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", MILL_E_STATUS, 404},
      {"HTTP/1.1 304 No\r\n\r\n", MILL_E_STATUS, 304},
      {"HTTP/1.1 201 No\r\nContent-Type: text/event-stream\r\n\r\n", MILL_E_PROTOCOL, 201},
      {"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", MILL_E_PROTOCOL, 200},
      {"HTTP/1.1 200 OK\r\n\r\ndata: a\n\n", MILL_E_PROTOCOL, 200},
      {HEAD "Content-Encoding: gzip\r\n\r\n", MILL_E_PROTOCOL, 0},
      {"SSH-2.0\r\n", MILL_E_PROTOCOL, 0},
  };
  for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
    test_case("%s", ends[i].answer);
    struct script script = {.answers = {ends[i].answer}};
    check_script(&script, &request, (const char *const[]){NULL}, ends[i].code, ends[i].status);
  }
}

static void test_without_reconnecting(void) {
  mill_event_source source = at_once();
  source.reconnect = false;
  mill_request request = plain(&source);
  struct script whole = {.answers = {HEAD "\r\ndata: a\n\ndata: cut"}};
  check_script(&whole, &request, ITEMS("open", "message//a"), MILL_END, 0);
  struct script cut = {.answers = {HEAD "Content-Length: 99\r\n\r\ndata: a\n\n"}};
  check_script(&cut, &request, ITEMS("open", "message//a"), MILL_E_INTERRUPTED, 0);
  struct script refused = {.answers = {"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"}};
  check_script(&refused, &request, (const char *const[]){NULL}, MILL_E_STATUS, 503);
}

/* gzip of "data: a\n\ndata: b", flushed, and what ends it. */
static const char ZIPPED[] = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\x4a\x49\x2c\x49"
                             "\xb4\x52\x48\xe4\xe2\x4a\x01\x33\x92\x00\x00\x00\x00\xff\xff"
                             "\x03\x00\x81\xa5\xbc\xb4\x10\x00\x00\x00";

#define ZIPPED_END_BYTES 10

static enum server_then answer_zipped(const struct server_request *request, void *ctx) {
  const size_t *missing = ctx;
  server_send_text(request, HEAD "Content-Encoding: gzip\r\n\r\n");
  server_send(request, ZIPPED, sizeof(ZIPPED) - 1 - *missing);
  return SERVER_CLOSE;
}

/* An event that is not whole is none; packing that is not whole is a fault. */
static void test_a_compressed_body_that_is_cut(void) {
  mill_event_source source = at_once();
  source.reconnect = false;
  for (size_t missing = 0; missing <= ZIPPED_END_BYTES; missing++) {
    test_case("%zu bytes are missing", missing);
    struct server *server = server_start(answer_zipped, &missing);
    mill_request request = get_from(server, &source);
    request.compression = true;
    mill_stream *stream = start_stream(engine, &request);
    check_item(stream, "open");
    check_item(stream, "message//a");
    check_end(stream, missing ? MILL_E_INTERRUPTED : MILL_END, 0);
    mill_stream_free(stream);
    server_stop(server);
  }
}

static void test_comments(void) {
  mill_event_source source = at_once();
  struct script script = {.answers = {HEAD "\r\n:one\ndata: a\n: two\n\n:\n", NO_CONTENT}};
  mill_request request = plain(&source);
  check_script(&script, &request, ITEMS("open", "message//a", "lost"), MILL_END, 0);
  source.comments = true;
  check_script(&script, &request, ITEMS("open", ":one", ": two", "message//a", ":", "lost"),
               MILL_END, 0);
}

/* ---- redirects ------------------------------------------------------------------------------- */

static enum server_then redirect_to(const struct server_request *request, void *ctx) {
  char answer[256];
  int status = atoi(strstr(request->head, "/v1/") + 4);
  snprintf(answer, sizeof(answer), "HTTP/1.1 %d Go\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n",
           status, (const char *)ctx);
  server_send_text(request, answer);
  return SERVER_KEEP;
}

struct arrival {
  bool same_origin, with_body;
};

/* What arrives behind a redirect. */
static enum server_then answer_arrival(const struct server_request *request, void *ctx) {
  const struct arrival *arrival = ctx;
  CHECK(strstr(request->head, arrival->with_body ? "POST /new?x HTTP" : "GET /new?x HTTP"));
  CHECK_INT(strstr(request->head, "Content-Type: text/plain") != NULL, arrival->with_body);
  CHECK_BYTES(request->body, request->body_len, "body", arrival->with_body ? 4 : 0);
  CHECK(strstr(request->head, "X-Other: o") != NULL);
  CHECK(!strstr(request->head, "X-Api-Key") && !strstr(request->head, "Authorization"));
  server_send_text(request, HEAD "\r\ndata: a\n\n");
  return SERVER_CLOSE;
}

static void test_redirects_to_another_origin(void) {
  static const int statuses[] = {301, 302, 303, 307, 308};
  const mill_header headers[] = {
      {"X-Api-Key", "k"}, {"X-Other", "o"}, {"Content-Type", "text/plain"}};
  mill_event_source source = at_once();
  source.reconnect = false;
  for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
    test_case("status %d", statuses[i]);
    struct arrival arrival = {.with_body = statuses[i] >= 307};
    struct server *to = server_start(answer_arrival, &arrival);
    char location[80], url[128];
    snprintf(location, sizeof(location), "http://127.0.0.1:%d/new?x#y", server_port(to));
    struct server *from = server_start(redirect_to, location);
    snprintf(url, sizeof(url), "http://user:word@127.0.0.1:%d/v1/%d", server_port(from),
             statuses[i]);
    mill_request request = get_from(from, &source);
    request.url = url;
    request.method = "POST";
    request.body = "body";
    request.body_len = 4;
    request.headers = headers;
    request.n_headers = 3;
    mill_stream *stream = start_stream(engine, &request);
    check_item(stream, "open");
    check_item(stream, "message//a");
    check_end(stream, MILL_END, 0);
    mill_stream_free(stream);
    server_stop(from);
    server_stop(to);
  }
}

#define GO(location) "HTTP/1.1 302 Go\r\n" location "Content-Length: 0\r\n\r\n"

static void test_redirects_here(void) {
  const mill_header headers[] = {{"Authorization", "secret"}};
  mill_event_source source = at_once();
  mill_request request = plain(&source);
  request.headers = headers;
  request.n_headers = 1;
  /* Each connection begins at the beginning. */
  struct script script = {
      .answers = {"HTTP/1.1 307 Go\r\nLocation: /two\r\n\r\n", GO("Location: three\r\n"),
                  HEAD "\r\ndata: a\n\n", NO_CONTENT},
      .expected = ITEMS("GET /v1 ", "GET /two ", "GET /three ", "GET /v1 "),
  };
  check_script(&script, &request, ITEMS("open", "message//a", "lost"), MILL_END, 0);
  struct script kept = {.answers = {GO("Location: /x\r\n"), NO_CONTENT},
                        .expected =
                            ITEMS("\nAuthorization: secret\r", "\nAuthorization: secret\r")};
  check_script(&kept, &request, (const char *const[]){NULL}, MILL_END, 0);
}

static enum server_then redirect_without_end(const struct server_request *request, void *ctx) {
  if (strstr(request->head, "GET /new")) {
    server_send_text(request, NO_CONTENT);
    return SERVER_CLOSE;
  }
  server_send_text(request, "HTTP/1.1 302 Go\r\nLocation: /new\r\n\r\nmoved");
  server_wait_closed(request);
  return SERVER_CLOSE;
}

static void test_a_redirect_is_not_waited_out(void) {
  mill_event_source source = at_once();
  struct server *server = server_start(redirect_without_end, NULL);
  mill_request request = get_from(server, &source);
  mill_stream *stream = start_stream(engine, &request);
  check_end(stream, MILL_END, 0);
  mill_stream_free(stream);
  server_stop(server);
}

static void test_redirects_that_lead_nowhere(void) {
  static const char *const answers[] = {
      GO(""),
      GO("Location:\r\n"),
      GO("Location: ftp://127.0.0.1/\r\n"),
      GO("Location: http://\r\n"),
      GO("Location: /again\r\n"),
  };
  mill_event_source source = at_once();
  mill_request request = plain(&source);
  for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
    test_case("%s", answers[i]);
    struct script script = {.answers = {answers[i]}};
    check_script(&script, &request, (const char *const[]){NULL}, MILL_E_STATUS, 302);
  }
  source.max_redirects = 1;
  struct script twice = {.answers = {GO("Location: /a\r\n"), GO("Location: /b\r\n"), NO_CONTENT}};
  check_script(&twice, &request, (const char *const[]){NULL}, MILL_E_STATUS, 302);
  source.max_redirects = 2;
  check_script(&twice, &request, (const char *const[]){NULL}, MILL_END, 0);
}

/* ---- restart --------------------------------------------------------------------------------- */

static enum server_then hold_open(const struct server_request *request, void *ctx) {
  server_send_text(request, HEAD "\r\nretry: 90000000000\ndata: a\n\n");
  server_wait_closed(request);
  return SERVER_CLOSE;
}

static void test_restart(void) {
  mill_event_source source = at_once();
  struct server *server = server_start(hold_open, NULL);
  mill_request request = get_from(server, &source);
  mill_stream *stream = start_stream(engine, &request);
  for (int i = 0; i < 50; i++) {
    check_item(stream, "open");
    check_item(stream, "message//a");
    check_status(stream, MILL_SOURCE_OPEN, "", 90000000000);
    mill_stream_restart(stream);
    check_item(stream, "lost");
    check_status(stream, MILL_SOURCE_CONNECTING, "", 90000000000);
  }
  mill_stream_cancel(stream);
  check_status(stream, MILL_SOURCE_CLOSED, "", 90000000000);
  mill_stream_restart(stream);
  check_end(stream, MILL_E_CANCELLED, 0);
  mill_stream_free(stream);
  server_stop(server);
}

static void test_restart_ends_a_wait(void) {
  mill_event_source source = at_once();
  struct script script = {
      .answers = {HEAD "\r\nretry: 90000000000\ndata: a\n\n", HEAD "\r\ndata: b\n\n", NO_CONTENT}};
  struct server *server = server_start(answer_by_script, &script);
  mill_request request = get_from(server, &source);
  mill_stream *stream = start_stream(engine, &request);
  check_item(stream, "open");
  check_item(stream, "message//a");
  check_item(stream, "lost");
  mill_stream_restart(stream);
  check_item(stream, "open"); /* that it is connecting was told once */
  check_item(stream, "message//b");
  check_item(stream, "lost");
  mill_stream_restart(stream);
  check_end(stream, MILL_END, 0);
  mill_stream_restart(stream); /* nothing happens any more */
  CHECK_INT(server_requests(server), 3);
  mill_stream_free(stream);
  server_stop(server);
}

/* At any moment: while it connects, opens, reads, waits, in a storm. */
static void test_restart_at_any_time(void) {
  mill_event_source source = at_once();
  struct server *server = server_start(hold_open, NULL);
  mill_request request = get_from(server, &source);
  mill_stream *stream = start_stream(engine, &request);
  mill_item item;
  for (int i = 0; i < 2000; i++) {
    mill_stream_restart(stream);
    CHECK(mill_stream_next_item(stream, &item) >= MILL_OK);
  }
  while (next_item(stream, &item) == MILL_OK && item.type != MILL_ITEM_EVENT) {
  }
  CHECK_SLICE(item.event.data, "a");
  mill_stream_free(stream);
  server_stop(server);
}

/* ---- back-pressure --------------------------------------------------------------------------- */

enum { N_COMMENTS = 20000 };

static enum server_then flood_comments(const struct server_request *request, void *ctx) {
  char line[64];
  if (request->number > 0) {
    server_send_text(request, NO_CONTENT);
    return SERVER_CLOSE;
  }
  server_send_text(request, HEAD "\r\n");
  for (int i = 0; i < N_COMMENTS; i++) {
    snprintf(line, sizeof(line), ":%d\n", i);
    server_send_text(request, line);
  }
  return SERVER_CLOSE;
}

static void wait_paused(mill_stream *stream) {
  while (!atomic_load(&stream->paused))
    sched_yield();
}

/* Comments do not stop the parser, but what came with them stops the transfer. */
static void test_a_flood_of_comments(void) {
  mill_event_source source = at_once();
  source.comments = true;
  struct server *server = server_start(flood_comments, NULL);
  mill_request request = get_from(server, &source);
  request.limits.buffered_bytes = 4096;
  mill_stream *stream = start_stream(engine, &request);
  check_item(stream, "open");
  wait_paused(stream);
  /* A piece of libcurl's, 16 KiB, holds 5,400 comments at most. */
  CHECK(mill__queue_bytes(&stream->queue) < 5400 * (sizeof(struct mill__note) + 64));
  for (int i = 0; i < N_COMMENTS; i++) {
    char expected[32];
    snprintf(expected, sizeof(expected), ":%d", i);
    check_item(stream, expected);
  }
  check_item(stream, "lost");
  check_end(stream, MILL_END, 0);
  mill_stream_free(stream);
  server_stop(server);
}

static enum server_then answer_503(const struct server_request *request, void *ctx) {
  static char body[4001];
  memset(body, 'x', sizeof(body) - 1);
  server_answer(request, "HTTP/1.1 503 No\r\nContent-Type: text/plain\r\n", body);
  return SERVER_KEEP;
}

/* Who does not read is told no more than fits: reconnecting waits too. */
static void test_reconnecting_waits_for_the_consumer(void) {
  mill_event_source source = at_once();
  struct server *server = server_start(answer_503, NULL);
  mill_request request = get_from(server, &source);
  request.limits.buffered_bytes = 10000;
  mill_stream *stream = start_stream(engine, &request);
  for (int round = 0; round < 5; round++) {
    wait_paused(stream);
    CHECK(mill__queue_bytes(&stream->queue) < 10000 + 8000);
    while (atomic_load(&stream->paused))
      check_item(stream, "lost StatusError 503");
  }
  wait_paused(stream);
  mill_stream_restart(stream); /* not even this makes more */
  mill_stream_free(stream);
  server_stop(server);
}

/* ---- every allocation fails once ------------------------------------------------------------- */

static enum server_then answer_all_kinds(const struct server_request *request, void *ctx) {
  if (strstr(request->head, "GET /to"))
    server_send_text(request, HEAD "Content-Length: 24\r\n\r\n:c\nretry: 0\nid: 1\n\nid: 2\n");
  else if (strstr(request->head, "Last-Event-ID: 1"))
    server_send_text(request, "HTTP/1.1 204 No\r\nConnection: close\r\n\r\n");
  else
    server_send_text(request, "HTTP/1.1 307 Go\r\nLocation: /to\r\nContent-Length: 0\r\n\r\n");
  return SERVER_KEEP;
}

static void run_starved(void *ctx) {
  mill_engine *own = NULL;
  mill_stream *stream = NULL;
  mill_event_source source = at_once();
  source.comments = true;
  mill_request request = get_from(ctx, &source);
  mill_item item;
  int code = mill_engine_new(&own);
  if (code == MILL_OK)
    code = mill_stream_start(own, &request, &stream, NULL);
  while (code == MILL_OK || code == MILL_AGAIN) {
    while (!mill_stream_ready(stream))
      sched_yield(); /* a waiter takes memory */
    code = mill_stream_next_item(stream, &item);
  }
  CHECK(code == MILL_END || test_alloc_failed());
  mill_stream_free(stream);
  mill_engine_free(own);
}

static void test_every_failing_allocation(void) {
  struct server *server = server_start(answer_all_kinds, NULL);
  test_each_failing_allocation(run_starved, server);
  server_stop(server);
}

/* ---- all of it ------------------------------------------------------------------------------- */

int main(void) {
  test_alloc_install();
  CHECK_INT(mill_engine_new(&engine), MILL_OK);
  test_it_goes_on_from_the_last_id();
  test_headers_of_the_caller();
  test_events_alone();
  test_what_is_lost_and_what_ends();
  test_without_reconnecting();
  test_a_compressed_body_that_is_cut();
  test_comments();
  test_redirects_to_another_origin();
  test_redirects_here();
  test_a_redirect_is_not_waited_out();
  test_redirects_that_lead_nowhere();
  test_restart();
  test_restart_ends_a_wait();
  test_restart_at_any_time();
  test_a_flood_of_comments();
  test_reconnecting_waits_for_the_consumer();
  mill_engine_free(engine);
  test_every_failing_allocation();
  return 0;
}
