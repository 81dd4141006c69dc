/* The scenarios of the torture, and the server that they talk to; see scenarios.h. */
#include "scenarios.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/crc32.h"

/* ---- the server ------------------------------------------------------------------------------ */

#define TOOL_EVENT(json)                                                                           \
  "data: {\"id\":\"i\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[" json \
  "]}}]}\n\n"
#define TOOLS_BODY                                                                                 \
  TOOL_EVENT("{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}")        \
  TOOL_EVENT("{\"index\":0,\"function\":{\"arguments\":\"{\\\"x\\\"\"}}")                          \
  TOOL_EVENT("{\"index\":1,\"id\":\"b\",\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}")      \
  TOOL_EVENT("{\"index\":0,\"function\":{\"arguments\":\":1}\"}}")                                 \
  "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n"          \
  "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n" DONE_EVENT

#define NAMED_EVENT(type, json) "event: " type "\ndata: {\"type\":\"" type "\"" json "}\n\n"
#define BLOCKS_BODY                                                                                \
  NAMED_EVENT("message_start", ",\"message\":{\"id\":\"i\",\"usage\":{\"input_tokens\":3}}")       \
  NAMED_EVENT("content_block_start",                                                               \
              ",\"index\":0,\"content_block\":{\"type\":\"tool_use\",\"id\":\"a\",\"name\":"       \
              "\"f\",\"input\":{}}")                                                               \
  NAMED_EVENT("content_block_delta", ",\"index\":0,\"delta\":{\"type\":\"input_json_delta\","      \
                                     "\"partial_json\":\"{\\\"x\\\":1}\"}")                        \
  NAMED_EVENT("content_block_stop", ",\"index\":0")                                                \
  NAMED_EVENT("message_delta", ",\"delta\":{\"stop_reason\":\"tool_use\"},"                        \
                               "\"usage\":{\"output_tokens\":4}")                                  \
  NAMED_EVENT("message_stop", "")

#define N_FLOOD 200

static void answer_flood(const struct server_request *request) {
  server_send_text(request, STREAM_HEAD "Connection: close\r\n\r\n");
  for (int i = 0; i < N_FLOOD; i++)
    server_send_text(request, TEXT_EVENT("0123456789"));
  server_send_text(request, FINISH_EVENT DONE_EVENT);
}

/* One chunk, then nothing until the client closes the connection. */
static void answer_hold(const struct server_request *request) {
  server_send_text(request, STREAM_HEAD "\r\n" TEXT_EVENT("a"));
  server_wait_closed(request);
}

/* A stored block of deflate in a gzip file (RFC 1951, 3.2.4; RFC 1952, 2.3). */
static void answer_gzip(const struct server_request *request) {
  static const char body[] = WHOLE_BODY;
  const uint32_t len = sizeof(body) - 1, crc = mill__crc32(0, body, len);
  const unsigned char head[] = {
      0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, len & 0xff, len >> 8, ~len & 0xff, ~len >> 8 & 0xff};
  unsigned char tail[8];
  for (int i = 0; i < 4; i++) {
    tail[i] = (unsigned char)(crc >> 8 * i);
    tail[4 + i] = (unsigned char)(len >> 8 * i);
  }
  char lines[128];
  snprintf(lines, sizeof(lines),
           STREAM_HEAD "Content-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n",
           sizeof(head) + len + sizeof(tail));
  server_send_text(request, lines);
  server_send(request, (const char *)head, sizeof(head));
  server_send(request, body, len);
  server_send(request, (const char *)tail, sizeof(tail));
}

static void answer_busy(const struct server_request *request, struct world *world) {
  if (atomic_load(&world->n_refusals) > 0) {
    atomic_fetch_sub(&world->n_refusals, 1);
    server_answer(request, "HTTP/1.1 503 No\r\nretry-after-ms: 1\r\n", "");
  } else {
    answer_whole(request, NULL);
  }
}

static void redirect_there(const struct server_request *request) {
  char head[128];
  snprintf(head, sizeof(head), "HTTP/1.1 307 Go\r\nLocation: %s/source/there\r\n",
           server_url(request->server));
  server_answer(request, head, "");
}

/* A redirect; comments, a time and ids; then the end of it all. */
static void answer_source(const struct server_request *request) {
  if (strstr(request->head, "Last-Event-ID: 1"))
    server_send_text(request, "HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n");
  else if (strstr(request->head, "/there"))
    server_answer(request, STREAM_HEAD, ":c\nretry: 0\nid: 1\ndata: x\n\nid: 2\n");
  else
    redirect_there(request);
}

enum server_then scenario_answer(const struct server_request *request, void *ctx) {
  if (strstr(request->head, "/v1/source")) {
    answer_source(request);
  } else if (strstr(request->head, "/v1/hold")) {
    answer_hold(request);
    return SERVER_CLOSE;
  } else if (strstr(request->head, "/v1/flood")) {
    answer_flood(request);
    return SERVER_CLOSE;
  } else if (strstr(request->head, "/v1/gzip")) {
    answer_gzip(request);
  } else if (strstr(request->head, "/v1/busy")) {
    answer_busy(request, ctx);
  } else if (strstr(request->head, "/v1/tools")) {
    server_answer(request, STREAM_HEAD "X-Request-Id: 1\r\n", TOOLS_BODY);
  } else if (strstr(request->head, "/v1/blocks")) {
    server_answer(request, STREAM_HEAD, BLOCKS_BODY);
  } else if (strstr(request->head, "/v1/refused")) {
    server_answer(request, "HTTP/1.1 401 No\r\nContent-Type: application/json\r\n",
                  "{\"error\":{\"message\":\"m\",\"code\":\"c\"}}");
  } else if (strstr(request->head, "/v1/broken")) {
    server_answer(request, STREAM_HEAD,
                  TEXT_EVENT("a") "data: {\"error\":{\"message\":\"m\",\"code\":\"c\"}}\n\n");
  } else {
    return answer_whole(request, NULL);
  }
  return SERVER_KEEP;
}

/* ---- the consumer ---------------------------------------------------------------------------- */

static mill_request request_of(const struct world *world, const char *url) {
  mill_request request;
  mill_request_init(&request);
  request.url = url;
  request.body = "{}";
  request.body_len = 2;
  request.max_retries = 0;
  request.timeouts = (mill_timeouts){.total_ms = world->most_ms};
  return request;
}

struct url {
  char text[128];
};

static struct url url_of(const struct world *world, const char *path) {
  struct url url;
  snprintf(url.text, sizeof(url.text), "%s/%s", server_url(world->server), path);
  return url;
}

/* MILL_OK, or why there is no waiting. */
static int wait_for_data(mill_stream *stream) {
  int code = mill_stream_wait(stream, -1);
  return code == MILL_AGAIN ? MILL_OK : code;
}

/* `ret_told`: the stream said so, not the wait, which may lack the memory while the stream goes on. */
static int next_chunk(mill_stream *stream, mill_chunk *ret_chunk, bool *ret_told) {
  int code;
  while ((code = mill_stream_next(stream, ret_chunk)) == MILL_AGAIN) {
    code = wait_for_data(stream);
    if (code != MILL_OK) {
      *ret_told = false;
      return code;
    }
  }
  *ret_told = true;
  return code;
}

/* What ended it; its error says the same, and after it there is nothing. */
static int read_to_end(mill_stream *stream, char *ret_text, size_t size) {
  mill_chunk chunk;
  size_t len = 0;
  bool told;
  int code;
  while ((code = next_chunk(stream, &chunk, &told)) == MILL_OK) {
    if (chunk.type != MILL_CHUNK_TEXT)
      continue;
    CHECK(len + chunk.text.len < size);
    memcpy(ret_text + len, chunk.text.ptr, chunk.text.len);
    len += chunk.text.len;
  }
  ret_text[len] = '\0';
  if (told) {
    CHECK_INT(mill_stream_next(stream, &chunk), MILL_END);
    CHECK_INT(mill_stream_error(stream)->code, code == MILL_END ? MILL_OK : code);
  }
  return code == MILL_END ? MILL_OK : code;
}

/* A whole stream, and what it adds up to. */
static int exchange(struct world *world, const mill_request *request, const char *expected,
                    void (*check)(const mill_message *message)) {
  static char text[N_FLOOD * 10 + 1];
  mill_stream *stream;
  mill_message message;
  int code = mill_stream_start(world->engine, request, &stream, NULL);
  if (code != MILL_OK)
    return code;
  code = read_to_end(stream, text, sizeof(text));
  if (code == MILL_OK) {
    CHECK_STR(text, expected);
    code = mill_stream_message(stream, &message);
    if (code == MILL_OK && check)
      check(&message);
  } else { /* what came before is right */
    CHECK(!strncmp(text, expected, strlen(text)));
  }
  mill_stream_free(stream);
  return code;
}

/* ---- the scenarios --------------------------------------------------------------------------- */

static int run_whole(struct world *world) {
  struct url url = url_of(world, "whole");
  mill_request request = request_of(world, url.text);
  mill_stats *stats = mill_stats_new();
  request.stats = stats;
  int code = stats ? MILL_OK : MILL_E_NOMEM;
  for (int i = 0; i < 2 && code == MILL_OK; i++) /* the second uses the first one's connection */
    code = exchange(world, &request, "Hello, world", NULL);
  mill_stats_unref(stats);
  return code;
}

static int run_by_name(struct world *world) {
  char url[64];
  snprintf(url, sizeof(url), "http://localhost:%d/v1/whole", server_port(world->server));
  mill_request request = request_of(world, url);
  return exchange(world, &request, "Hello, world", NULL);
}

static void check_two_tools(const mill_message *message) {
  CHECK_INT(message->n_choices, 1);
  CHECK_INT(message->choices[0].n_tool_calls, 2);
  CHECK_SLICE(message->choices[0].tool_calls[0].arguments, "{\"x\":1}");
  CHECK_SLICE(message->choices[0].tool_calls[1].name, "g");
  CHECK_INT(message->usage.output_tokens, 4);
}

static void check_one_tool(const mill_message *message) {
  CHECK_INT(message->choices[0].n_tool_calls, 1);
  CHECK_SLICE(message->choices[0].tool_calls[0].arguments, "{\"x\":1}");
  CHECK_INT(message->usage.output_tokens, 4);
}

static int run_tools(struct world *world) {
  struct url url = url_of(world, "tools");
  mill_request request = request_of(world, url.text);
  request.headers = (const mill_header[]){{"X-One", "1"}, {"Content-Type", "application/json"}};
  request.n_headers = 2;
  int code = exchange(world, &request, "", check_two_tools);
  if (code != MILL_OK)
    return code;
  url = url_of(world, "blocks");
  request = request_of(world, url.text);
  request.format = "anthropic-messages";
  return exchange(world, &request, "", check_one_tool);
}

static int run_gzip(struct world *world) {
  struct url url = url_of(world, "gzip");
  mill_request request = request_of(world, url.text);
  request.compression = true;
  return exchange(world, &request, "Hello, world", NULL);
}

static int run_paused(struct world *world) {
  static char text[N_FLOOD * 10 + 1];
  struct url url = url_of(world, "flood");
  mill_request request = request_of(world, url.text);
  request.limits.buffered_bytes = 1000;
  for (int i = 0; i < N_FLOOD; i++)
    memcpy(text + (size_t)i * 10, "0123456789", 11);
  return exchange(world, &request, text, NULL);
}

static int run_cancelled(struct world *world) {
  struct url url = url_of(world, "hold");
  mill_request request = request_of(world, url.text);
  mill_stream *stream;
  mill_chunk chunk;
  int code = mill_stream_start(world->engine, &request, &stream, NULL);
  if (code != MILL_OK)
    return code;
  bool told;
  code = next_chunk(stream, &chunk, &told);
  if (code == MILL_OK)
    CHECK_SLICE(chunk.text, "a");
  mill_stream_cancel(stream);
  if (code == MILL_OK)
    CHECK_INT(mill_stream_next(stream, &chunk), MILL_E_CANCELLED);
  mill_stream_free(stream);
  return code;
}

static int run_retried(struct world *world) {
  struct url url = url_of(world, "busy");
  mill_request request = request_of(world, url.text);
  request.max_retries = 2;
  return exchange(world, &request, "Hello, world", NULL);
}

/* The way of an error: it may lose its details, not its code. */
static int run_refused(struct world *world) {
  struct url url = url_of(world, "refused");
  mill_request request = request_of(world, url.text);
  int code = exchange(world, &request, "", NULL);
  if (code != MILL_E_STATUS)
    return code;
  url = url_of(world, "broken");
  request = request_of(world, url.text);
  code = exchange(world, &request, "a", NULL);
  return code == MILL_E_PROVIDER ? MILL_OK : code;
}

static int run_source(struct world *world) {
  struct url url = url_of(world, "source");
  mill_request request = request_of(world, url.text);
  mill_event_source source;
  mill_event_source_init(&source);
  source.initial_retry_ms = source.max_retry_ms = 0;
  source.comments = true;
  request.method = "GET";
  request.body = NULL;
  request.body_len = 0;
  request.events = &source;
  mill_stream *stream;
  mill_item item;
  int n_events = 0;
  int code = mill_stream_start(world->engine, &request, &stream, NULL);
  if (code != MILL_OK)
    return code;
  while (code == MILL_OK || code == MILL_AGAIN) {
    code = mill_stream_next_item(stream, &item);
    if (code == MILL_AGAIN)
      code = wait_for_data(stream);
    else if (code == MILL_OK)
      n_events += item.type == MILL_ITEM_EVENT;
  }
  if (code == MILL_END)
    CHECK_INT(n_events, 1);
  mill_stream_free(stream);
  return code == MILL_END ? MILL_OK : code;
}

/* Two streams behind one waiter, then the end of the engine while both live. */
static int run_stopped(struct world *world) {
  struct url url = url_of(world, "hold");
  mill_request request = request_of(world, url.text);
  mill_waiter *waiter = NULL;
  mill_stream *streams[2] = {NULL, NULL};
  int code = mill_waiter_new(&waiter);
  for (size_t i = 0; i < 2 && code == MILL_OK; i++) {
    code = mill_stream_start(world->engine, &request, &streams[i], NULL);
    if (code == MILL_OK)
      mill_waiter_arm(waiter, streams[i], MILL_WAIT_CHUNK, streams[i]);
  }
  if (code == MILL_OK)
    code = wait_for_data(streams[0]);
  mill_engine_free(world->engine);
  world->engine = NULL;
  for (size_t i = 0; i < 2; i++) {
    mill_chunk chunk;
    int last = MILL_OK;
    while (streams[i] && last == MILL_OK)
      last = mill_stream_next(streams[i], &chunk);
    CHECK(last != MILL_AGAIN); /* it has ended */
    if (code == MILL_OK && last != MILL_E_CANCELLED)
      code = last;
    mill_stream_free(streams[i]);
  }
  mill_waiter_free(waiter);
  return code;
}

const struct scenario SCENARIOS[] = {
    {"whole", run_whole},
    {"by name", run_by_name},
    {"tools", run_tools},
    {"gzip", run_gzip},
    {"paused", run_paused},
    {"cancelled", run_cancelled},
    {"retried", run_retried},
    {"refused", run_refused},
    {"source", run_source},
    {"stopped", run_stopped},
    {NULL, NULL},
};

void scenario_check_next(struct world *world) {
  struct url url = url_of(world, "whole");
  mill_request request = request_of(world, url.text);
  int code = exchange(world, &request, "Hello, world", NULL);
  CHECK_INT(code, MILL_OK);
}
