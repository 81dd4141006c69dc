/* The scripted server and the consumer; see net_support.h. */
#include "net_support.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define HEAD_BYTES 16384

/* ---- gates ----------------------------------------------------------------------------------- */

void gate_open(struct gate *gate) {
  pthread_mutex_lock(&gate->lock);
  gate->is_open = true;
  pthread_cond_broadcast(&gate->opened);
  pthread_mutex_unlock(&gate->lock);
}

void gate_wait(struct gate *gate) {
  pthread_mutex_lock(&gate->lock);
  while (!gate->is_open)
    pthread_cond_wait(&gate->opened, &gate->lock);
  pthread_mutex_unlock(&gate->lock);
}

/* ---- the server ------------------------------------------------------------------------------ */

struct connection {
  struct server *server;
  struct connection *next;
  pthread_t thread;
  int fd; /* guarded by the server's lock; -1: closed */
};

struct server {
  server_handler handler;
  void *ctx;
  int fd, port;
  char url[64];
  pthread_t thread;
  atomic_size_t n_requests, n_connections, n_open;
  /* guarded by lock */
  pthread_mutex_t lock;
  struct connection *connections;
  bool stopping;
};

/* One connection's bytes: the request that is read, and what came behind it. */
struct input {
  char head[HEAD_BYTES + 1];
  size_t len;
  char *body;
};

static bool receive(int fd, struct input *input) {
  ssize_t got;
  do
    got = recv(fd, input->head + input->len, HEAD_BYTES - input->len, 0);
  while (got < 0 && errno == EINTR);
  if (got <= 0)
    return false;
  input->len += (size_t)got;
  input->head[input->len] = '\0';
  return true;
}

static size_t content_length(const char *head) {
  const char *field = strcasestr(head, "\r\nContent-Length:");
  return field ? strtoul(field + strlen("\r\nContent-Length:"), NULL, 10) : 0;
}

static bool read_body(int fd, struct input *input, const char *begin, size_t len) {
  size_t have = input->len - (size_t)(begin - input->head);
  CHECK(have <= len); /* no pipelining */
  input->body = malloc(len + 1);
  CHECK(input->body != NULL);
  memcpy(input->body, begin, have);
  while (have < len) {
    ssize_t got = recv(fd, input->body + have, len - have, 0);
    if (got <= 0)
      return false;
    have += (size_t)got;
  }
  return true;
}

/* False when the client closed. */
static bool read_request(int fd, struct input *input, struct server_request *ret_request) {
  char *end;
  input->len = 0;
  input->head[0] = '\0';
  while (!(end = strstr(input->head, "\r\n\r\n"))) {
    CHECK(input->len < HEAD_BYTES);
    if (!receive(fd, input))
      return false;
  }
  ret_request->body_len = content_length(input->head);
  if (!read_body(fd, input, end + 4, ret_request->body_len))
    return false;
  end[2] = '\0';
  ret_request->head = input->head;
  ret_request->body = input->body;
  return true;
}

static enum server_then serve(struct connection *connection, int fd) {
  struct server *server = connection->server;
  struct input *input = calloc(1, sizeof(*input));
  CHECK(input != NULL);
  enum server_then then = SERVER_KEEP;
  for (size_t nth = 0; then == SERVER_KEEP; nth++) {
    struct server_request request = {.server = server, .fd = fd, .nth = nth};
    if (read_request(fd, input, &request)) {
      request.number = atomic_fetch_add(&server->n_requests, 1);
      then = server->handler(&request, server->ctx);
    } else {
      then = SERVER_CLOSE;
    }
    free(input->body);
    input->body = NULL;
  }
  free(input);
  return then;
}

/* What was sent is to arrive before the reset, which may overtake it else. */
static void arm_reset(int fd) {
  int unacknowledged = 1;
  while (ioctl(fd, SIOCOUTQ, &unacknowledged) == 0 && unacknowledged > 0)
    sched_yield();
  struct linger linger = {1, 0};
  CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0);
}

static void *connection_main(void *user) {
  struct connection *connection = user;
  struct server *server = connection->server;
  int fd = connection->fd;
  if (serve(connection, fd) == SERVER_RESET)
    arm_reset(fd);
  pthread_mutex_lock(&server->lock);
  connection->fd = -1;
  close(fd);
  pthread_mutex_unlock(&server->lock);
  atomic_fetch_sub(&server->n_open, 1);
  return NULL;
}

/* Join the threads of the connections that are closed, or of all. */
static void reap(struct server *server, bool all) {
  pthread_mutex_lock(&server->lock);
  struct connection **link = &server->connections, *over = NULL, *connection;
  while ((connection = *link) != NULL) {
    if (all || connection->fd < 0) {
      *link = connection->next;
      connection->next = over;
      over = connection;
    } else {
      link = &connection->next;
    }
  }
  pthread_mutex_unlock(&server->lock);
  while ((connection = over) != NULL) {
    over = connection->next;
    CHECK(pthread_join(connection->thread, NULL) == 0);
    free(connection);
  }
}

static bool add_connection(struct server *server, int fd) {
  reap(server, false);
  struct connection *connection = calloc(1, sizeof(*connection));
  CHECK(connection != NULL);
  *connection = (struct connection){.server = server, .fd = fd};
  atomic_fetch_add(&server->n_connections, 1);
  atomic_fetch_add(&server->n_open, 1);
  pthread_mutex_lock(&server->lock);
  bool stopping = server->stopping;
  if (!stopping) {
    connection->next = server->connections;
    server->connections = connection;
    CHECK(pthread_create(&connection->thread, NULL, connection_main, connection) == 0);
  }
  pthread_mutex_unlock(&server->lock);
  if (stopping) {
    close(fd);
    free(connection);
  }
  return !stopping;
}

static void *server_main(void *user) {
  struct server *server = user;
  for (;;) {
    int fd = accept(server->fd, NULL, NULL);
    if (fd >= 0 && !add_connection(server, fd))
      return NULL;
    pthread_mutex_lock(&server->lock);
    bool stopping = server->stopping;
    pthread_mutex_unlock(&server->lock);
    if (fd < 0 && stopping)
      return NULL;
  }
}

/* `address` becomes the one that is listened on. */
static struct server *start_at(struct sockaddr *address, socklen_t size, server_handler handler,
                               void *ctx) {
  struct server *server = calloc(1, sizeof(*server));
  CHECK(server != NULL);
  server->handler = handler;
  server->ctx = ctx;
  pthread_mutex_init(&server->lock, NULL);
  server->fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(server->fd >= 0);
  CHECK(bind(server->fd, address, size) == 0);
  CHECK(listen(server->fd, 1024) == 0);
  CHECK(getsockname(server->fd, address, &size) == 0);
  CHECK(pthread_create(&server->thread, NULL, server_main, server) == 0);
  return server;
}

struct server *server_start(server_handler handler, void *ctx) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct server *server = start_at((struct sockaddr *)&address, sizeof(address), handler, ctx);
  server->port = ntohs(address.sin_port);
  snprintf(server->url, sizeof(server->url), "http://127.0.0.1:%d/v1", server->port);
  return server;
}

struct server *server_start_at(const char *path, server_handler handler, void *ctx) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  CHECK(strlen(path) < sizeof(address.sun_path));
  strcpy(address.sun_path, path);
  struct server *server = start_at((struct sockaddr *)&address, sizeof(address), handler, ctx);
  strcpy(server->url, "http://host.invalid/v1");
  return server;
}

void server_stop(struct server *server) {
  pthread_mutex_lock(&server->lock);
  server->stopping = true;
  shutdown(server->fd, SHUT_RDWR);
  for (struct connection *at = server->connections; at; at = at->next)
    if (at->fd >= 0)
      shutdown(at->fd, SHUT_RDWR);
  pthread_mutex_unlock(&server->lock);
  CHECK(pthread_join(server->thread, NULL) == 0);
  reap(server, true);
  close(server->fd);
  pthread_mutex_destroy(&server->lock);
  free(server);
}

const char *server_url(const struct server *server) {
  return server->url;
}

int server_port(const struct server *server) {
  return server->port;
}

size_t server_requests(struct server *server) {
  return atomic_load(&server->n_requests);
}

size_t server_connections(struct server *server) {
  return atomic_load(&server->n_connections);
}

void server_wait_idle(struct server *server) {
  while (atomic_load(&server->n_open) > 0)
    sched_yield();
}

void server_send(const struct server_request *request, const char *bytes, size_t len) {
  while (len > 0) {
    ssize_t sent = send(request->fd, bytes, len, MSG_NOSIGNAL);
    if (sent < 0)
      return;
    bytes += sent;
    len -= (size_t)sent;
  }
}

void server_send_text(const struct server_request *request, const char *text) {
  server_send(request, text, strlen(text));
}

void server_wait_closed(const struct server_request *request) {
  char byte;
  while (recv(request->fd, &byte, 1, 0) > 0) {
  }
}

void server_answer(const struct server_request *request, const char *head, const char *body) {
  size_t size = strlen(head) + strlen(body) + 64;
  char *answer = malloc(size);
  CHECK(answer != NULL);
  int len = snprintf(answer, size, "%sContent-Length: %zu\r\n\r\n%s", head, strlen(body), body);
  server_send(request, answer, (size_t)len);
  free(answer);
}

enum server_then answer_whole(const struct server_request *request, void *ctx) {
  server_answer(request, STREAM_HEAD, WHOLE_BODY);
  return SERVER_KEEP;
}

/* ---- the consumer ---------------------------------------------------------------------------- */

mill_request request_to(const struct server *server) {
  mill_request request;
  mill_request_init(&request);
  request.url = server_url(server);
  request.body = "{}";
  request.body_len = 2;
  request.max_retries = 0;
  return request;
}

mill_stream *start_stream(mill_engine *engine, const mill_request *request) {
  mill_stream *stream;
  const char *why = "";
  int code = mill_stream_start(engine, request, &stream, &why);
  CHECK_STR(why, "");
  CHECK_INT(code, MILL_OK);
  return stream;
}

static void add_text(struct outcome *outcome, mill_slice text) {
  outcome->text = realloc(outcome->text, outcome->text_len + text.len + 1);
  CHECK(outcome->text != NULL);
  if (text.len > 0)
    memcpy(outcome->text + outcome->text_len, text.ptr, text.len);
  outcome->text_len += text.len;
  outcome->text[outcome->text_len] = '\0';
}

struct outcome read_stream(mill_stream *stream) {
  struct outcome outcome = {.code = MILL_OK};
  mill_chunk chunk;
  add_text(&outcome, (mill_slice){"", 0});
  for (;;) {
    int code = mill_stream_next(stream, &chunk);
    if (code == MILL_AGAIN) {
      code = mill_stream_wait(stream, -1);
      CHECK(code == MILL_OK || code == MILL_AGAIN);
      continue;
    }
    if (code != MILL_OK) {
      outcome.code = code;
      CHECK_INT(mill_stream_next(stream, &chunk), MILL_END);
      CHECK_INT(mill_stream_error(stream)->code, code == MILL_END ? MILL_OK : code);
      return outcome;
    }
    outcome.n_chunks++;
    if (chunk.type == MILL_CHUNK_TEXT)
      add_text(&outcome, chunk.text);
  }
}

mill_stream *run_request(mill_engine *engine, const mill_request *request, int expected_code) {
  mill_stream *stream = start_stream(engine, request);
  struct outcome outcome = read_stream(stream);
  free(outcome.text);
  if (outcome.code != expected_code)
    fprintf(stderr, "%s: %s\n", mill_error_name(outcome.code), mill_stream_error(stream)->text);
  CHECK_INT(outcome.code, expected_code);
  return stream;
}
