/*
 * What a server sends behind the end of an answer is no part of the next one: a kept connection on
 * which it lies is not used again, and of a Unix socket none is.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net_support.h"

#define FORGED "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: "

/* The body comes by itself: of that libcurl reads no more than the head said. */
static enum server_then answer_with_more(const struct server_request *request, void *ctx) {
  static const char more[] = WHOLE_BODY FORGED "14\r\n\r\ndata: [DONE]\n\n";
  char head[256];
  if (request->number > 0)
    return answer_whole(request, NULL);
  snprintf(head, sizeof head, "%sContent-Length: %zu\r\n\r\n", STREAM_HEAD, strlen(WHOLE_BODY));
  server_send_text(request, head);
  gate_wait(ctx);
  server_send_text(request, more);
  return SERVER_KEEP;
}

static void check_text(mill_stream *stream, const char *expected) {
  struct outcome outcome = read_stream(stream);
  CHECK_INT(outcome.code, MILL_END);
  CHECK_STR(outcome.text, expected);
  free(outcome.text);
  mill_stream_free(stream);
}

static void check_server(struct server *server, struct gate *head_was_read, const char *path) {
  mill_engine *engine;
  CHECK_INT(mill_engine_new(&engine), MILL_OK);
  mill_request request = request_to(server);
  request.unix_socket = path;
  mill_stream *stream = start_stream(engine, &request);
  while (mill_stream_wait_response(stream, -1) != MILL_OK) {
  }
  gate_open(head_was_read);
  check_text(stream, "Hello, world");
  check_text(start_stream(engine, &request), "Hello, world");
  CHECK_INT(server_connections(server), 2);
  server_stop(server);
  mill_engine_free(engine);
}

int main(void) {
  struct gate gate = GATE_INIT, other = GATE_INIT;
  test_case("%s", "TCP");
  check_server(server_start(answer_with_more, &gate), &gate, NULL);
  test_case("%s", "a Unix socket");
  char folder[] = "/tmp/millstream-test-XXXXXX", path[64];
  CHECK(mkdtemp(folder) != NULL);
  snprintf(path, sizeof path, "%s/s", folder);
  check_server(server_start_at(path, answer_with_more, &other), &other, path);
  unlink(path);
  rmdir(folder);
  return 0;
}
