/*
 * What the tests of the network share: a scripted HTTP server on an ephemeral port of the loopback,
 * and a consumer that reads a stream to its end.
 *
 * The server has a thread for each connection, which reads whole requests and calls the test's
 * handler for each of them. Nothing here uses the core's allocator.
 * Thread: a handler runs on its connection's thread; the rest may be called from any.
 */
#ifndef MILL_TESTS_NET_SUPPORT_H
#define MILL_TESTS_NET_SUPPORT_H

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "millstream/millstream.h"
#include "support.h"

/* A slice that holds this text. */
#define CHECK_SLICE(slice, expected)                                                               \
  CHECK_BYTES((slice).ptr, (slice).len, (expected), strlen(expected))

/* ---- an event that threads wait for ---------------------------------------------------------- */

struct gate {
  pthread_mutex_t lock;
  pthread_cond_t opened;
  bool is_open;
};

#define GATE_INIT                                                                                  \
  { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false }

void gate_open(struct gate *gate);
void gate_wait(struct gate *gate);

/* ---- the server ------------------------------------------------------------------------------ */

struct server;

struct server_request {
  struct server *server;
  int fd;
  size_t number;    /* of all requests, from 0 */
  size_t nth;       /* of its connection, from 0 */
  const char *head; /* request line and headers; ends in NUL */
  const char *body;
  size_t body_len;
};

enum server_then { SERVER_KEEP, SERVER_CLOSE, SERVER_RESET };

/* Answers a request that was read whole, and says what becomes of the connection. */
typedef enum server_then (*server_handler)(const struct server_request *request, void *ctx);

struct server *server_start(server_handler handler, void *ctx);
/* The same on a Unix socket, which a request_to needs as its `unix_socket` too. */
struct server *server_start_at(const char *path, server_handler handler, void *ctx);
/* Ends the connections that are still open. */
void server_stop(struct server *server);
const char *server_url(const struct server *server); /* "http://127.0.0.1:1234/v1" */
int server_port(const struct server *server);
size_t server_requests(struct server *server);    /* read whole so far */
size_t server_connections(struct server *server); /* accepted so far */
/* Wait until no connection is open at this end. */
void server_wait_idle(struct server *server);
/* Sends all of it, unless the client is gone. */
void server_send(const struct server_request *request, const char *bytes, size_t len);
void server_send_text(const struct server_request *request, const char *text);
/* Wait until the client closes the connection. */
void server_wait_closed(const struct server_request *request);

/* ---- answers --------------------------------------------------------------------------------- */

#define STREAM_HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
#define TEXT_EVENT(text)                                                                           \
  "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" text "\"}}]}\n\n"
#define FINISH_EVENT                                                                               \
  "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
#define DONE_EVENT "data: [DONE]\n\n"
#define WHOLE_BODY TEXT_EVENT("Hello") TEXT_EVENT(", world") FINISH_EVENT DONE_EVENT

/* Send the head and the body with its Content-Length, at once. */
void server_answer(const struct server_request *request, const char *head, const char *body);
/* A handler: WHOLE_BODY, on a connection that stays. */
enum server_then answer_whole(const struct server_request *request, void *ctx);

/* ---- the consumer ---------------------------------------------------------------------------- */

/* A request to the server, without retries. */
mill_request request_to(const struct server *server);
mill_stream *start_stream(mill_engine *engine, const mill_request *request);

struct outcome {
  int code; /* what ended the stream: MILL_END or an error */
  size_t n_chunks;
  char *text; /* of the chunks, one behind the other; free() it */
  size_t text_len;
};

/* Read to the end; checks that the end is told once. */
struct outcome read_stream(mill_stream *stream);
/* start_stream, read_stream, and a check of the outcome's code; the stream is still there. */
mill_stream *run_request(mill_engine *engine, const mill_request *request, int expected_code);

#endif
