/*
 * The ways to a server: methods and headers, Unix sockets, proxies, what TLS is set to, compression,
 * and what libcurl refuses. A TLS server there is none here; tests/python has them.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/crc32.h"
#include "net_support.h"

static mill_engine *engine;

static void run(const mill_request *request, int code) {
  mill_stream_free(run_request(engine, request, code));
}

static void run_fails(const mill_request *request, const char *kind) {
  mill_stream *stream = run_request(engine, request, MILL_E_CONNECT);
  CHECK_STR(mill_stream_error(stream)->kind, kind);
  mill_stream_free(stream);
}

/* ---- methods and headers --------------------------------------------------------------------- */

struct expected {
  const char *line;     /* what the head begins with */
  const char *lines[4]; /* what is in it */
  const char *names[4]; /* headers that are there once */
};

static void check_head(const char *head, const struct expected *expected) {
  CHECK(!strncmp(head, expected->line, strlen(expected->line)));
  for (size_t i = 0; i < 4 && expected->lines[i]; i++)
    if (!strstr(head, expected->lines[i]))
      CHECK_STR(head, expected->lines[i]);
  for (size_t i = 0; i < 4 && expected->names[i]; i++) {
    const char *first = strcasestr(head, expected->names[i]);
    CHECK(first != NULL);
    CHECK(strcasestr(first + 1, expected->names[i]) == NULL);
  }
}

static enum server_then answer_expected(const struct server_request *request, void *ctx) {
  check_head(request->head, ctx);
  if (!strncmp(request->head, "HEAD", 4))
    server_send_text(request, STREAM_HEAD "Content-Length: 5\r\n\r\n");
  else
    answer_whole(request, NULL);
  return SERVER_KEEP;
}

static void check_method(const char *method, const char *body, struct expected expected, int code) {
  test_case("%s", method);
  struct server *server = server_start(answer_expected, &expected);
  mill_request request = request_to(server);
  request.method = method;
  request.body = body;
  request.body_len = body ? strlen(body) : 0;
  run(&request, code);
  server_stop(server);
}

static void test_methods(void) {
  check_method("GET", NULL, (struct expected){"GET /v1 HTTP/1.1\r\n", {NULL}, {NULL}}, MILL_END);
  check_method("GET", "{}",
               (struct expected){"GET /v1 HTTP/1.1\r\n", {"\r\nContent-Length: 2\r\n"}, {NULL}},
               MILL_END);
  check_method("POST", NULL,
               (struct expected){"POST /v1 HTTP/1.1\r\n", {"\r\nContent-Length: 0\r\n"}, {NULL}},
               MILL_END);
  check_method("PUT", "{}", (struct expected){"PUT /v1 HTTP/1.1\r\n", {NULL}, {NULL}}, MILL_END);
  check_method("HEAD", NULL, (struct expected){"HEAD /v1 HTTP/1.1\r\n", {NULL}, {NULL}},
               MILL_E_INTERRUPTED);
}

/* Of what we would say ourselves, the caller's word counts, and nothing is said twice. */
static void test_headers(void) {
  static const mill_header headers[] = {
      {"accept", "text/x"}, {"USER-AGENT", "mine"}, {"content-type", "text/y"}};
  struct expected expected = {
      "POST ",
      {"\r\naccept: text/x\r\n", "\r\nUSER-AGENT: mine\r\n", "\r\ncontent-type: text/y\r\n"},
      {"\r\naccept:", "\r\nuser-agent:", "\r\ncontent-type:"}};
  struct server *server = server_start(answer_expected, &expected);
  mill_request request = request_to(server);
  request.headers = headers;
  request.n_headers = 3;
  request.http2 = MILL_HTTP2_ON; /* by TLS only: this stays HTTP/1.1 */
  run(&request, MILL_END);
  server_stop(server);
}

/* ---- a peer that is no HTTP server of net_support ---------------------------------------------- */

/* Answers all that ends in `until` (NULL: all that comes) with the same bytes. */
struct peer {
  int fd;
  const char *until, *answer;
  size_t answer_len;
  atomic_size_t n_connections, n_answers;
  pthread_t thread;
};

static void serve_peer(struct peer *peer, int fd) {
  char bytes[4096] = "";
  size_t len = 0;
  ssize_t got;
  while ((got = recv(fd, bytes + len, sizeof bytes - 1 - len, 0)) > 0) {
    len += (size_t)got;
    bytes[len] = '\0';
    if (peer->until && !strstr(bytes, peer->until))
      continue;
    len = 0;
    atomic_fetch_add(&peer->n_answers, 1);
    if (send(fd, peer->answer, peer->answer_len, MSG_NOSIGNAL) < 0)
      return;
  }
}

static void *peer_main(void *user) {
  struct peer *peer = user;
  int fd;
  while ((fd = accept(peer->fd, NULL, NULL)) >= 0) {
    atomic_fetch_add(&peer->n_connections, 1);
    serve_peer(peer, fd);
    close(fd);
  }
  return NULL;
}

static void peer_start(struct peer *peer, struct sockaddr *address, socklen_t size) {
  peer->fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(peer->fd >= 0);
  CHECK(bind(peer->fd, address, size) == 0);
  CHECK(listen(peer->fd, 8) == 0);
  CHECK(getsockname(peer->fd, address, &size) == 0);
  CHECK(pthread_create(&peer->thread, NULL, peer_main, peer) == 0);
}

/* When its last connection is closed at the other end. */
static void peer_stop(struct peer *peer) {
  shutdown(peer->fd, SHUT_RDWR);
  CHECK(pthread_join(peer->thread, NULL) == 0);
  close(peer->fd);
}

/* ---- Unix sockets ---------------------------------------------------------------------------- */

#define UNIX_ANSWER STREAM_HEAD "Content-Length: 14\r\n\r\ndata: [DONE]\n\n"

static void test_unix_socket(void) {
  test_case("%s", "a Unix socket");
  char folder[] = "/tmp/millstream-test-XXXXXX";
  CHECK(mkdtemp(folder) != NULL);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s/s", folder);
  char path[sizeof address.sun_path];
  strcpy(path, address.sun_path);
  struct peer peer = {
      .until = "\r\n\r\n", .answer = UNIX_ANSWER, .answer_len = strlen(UNIX_ANSWER)};
  peer_start(&peer, (struct sockaddr *)&address, sizeof address);
  mill_engine *own;
  CHECK_INT(mill_engine_new(&own), MILL_OK);
  mill_request request;
  mill_request_init(&request);
  request.url = "http://host.invalid/";
  request.method = "GET";
  request.unix_socket = path;
  request.max_retries = 0;
  for (int i = 0; i < 3; i++)
    mill_stream_free(run_request(own, &request, MILL_END));
  CHECK_INT(peer.n_answers, 3);
  CHECK_INT(peer.n_connections, 3); /* none is kept, see test_leftover.c */
  mill_engine_free(own);
  peer_stop(&peer);
  unlink(path);
  rmdir(folder);
}

/* ---- proxies --------------------------------------------------------------------------------- */

static void proxy_url(char *url, size_t size, const char *scheme, int port) {
  snprintf(url, size, "%s://127.0.0.1:%d", scheme, port);
}

static void test_plain_proxy(void) {
  test_case("%s", "a proxy");
  struct expected expected = {"POST http://host.invalid/v1 HTTP/1.1\r\n", {NULL}, {NULL}};
  struct server *proxy = server_start(answer_expected, &expected);
  char url[64];
  proxy_url(url, sizeof url, "http", server_port(proxy));
  mill_request request = request_to(proxy);
  request.url = "http://host.invalid/v1";
  request.proxy = url;
  run(&request, MILL_END);
  server_stop(proxy);
}

static void test_no_proxy(void) {
  test_case("%s", "no proxy for it");
  struct server *server = server_start(answer_whole, NULL);
  mill_request request = request_to(server);
  request.proxy = "http://proxy.invalid:1";
  request.no_proxy = "example.com,127.0.0.1";
  run(&request, MILL_END);
  server_stop(server);
}

static enum server_then refuse_tunnel(const struct server_request *request, void *ctx) {
  CHECK(!strncmp(request->head, "CONNECT host.invalid:443 HTTP/1.1\r\n", 35));
  CHECK(strstr(request->head, "\r\nProxy-Authorization: Basic dTpw\r\n") != NULL); /* u:p */
  CHECK(strcasestr(request->head, "\r\nAuthorization:") ==
        NULL); /* the server's, not the proxy's */
  server_send_text(request, ctx);
  return SERVER_KEEP;
}

static void check_tunnel(const char *answer, size_t n_requests) {
  test_case("%s", answer);
  struct server *proxy = server_start(refuse_tunnel, (void *)(uintptr_t)answer);
  char url[64];
  snprintf(url, sizeof url, "http://u:p@127.0.0.1:%d", server_port(proxy));
  mill_request request = request_to(proxy);
  request.headers = &(mill_header){"Authorization", "Bearer key"};
  request.n_headers = 1;
  request.url = "https://host.invalid/";
  request.proxy = url;
  request.max_retries = 1;
  run_fails(&request, "proxy");
  CHECK_INT(server_requests(proxy), n_requests);
  server_stop(proxy);
}

static void test_refused_tunnel(void) {
  check_tunnel("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", 1);
  check_tunnel("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", 2);
}

static void check_socks(const char *answer, size_t len, size_t n_connections) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct peer peer = {.answer = answer, .answer_len = len};
  peer_start(&peer, (struct sockaddr *)&address, sizeof address);
  char url[64];
  proxy_url(url, sizeof url, "socks5h", ntohs(address.sin_port));
  mill_request request;
  mill_request_init(&request);
  request.url = "http://host.invalid/";
  request.proxy = url;
  request.max_retries = 1;
  run_fails(&request, "proxy");
  CHECK_INT(peer.n_connections, n_connections);
  peer_stop(&peer);
}

/* A proxy that wants a password will want one again; one that talks nonsense may not. */
static void test_refusing_socks(void) {
  test_case("%s", "SOCKS: no acceptable method");
  check_socks(BYTES("\x05\xff"), 1);
  test_case("%s", "SOCKS: nonsense");
  check_socks(BYTES("\x48\x54"), 2);
}

/* ---- what TLS is set to ---------------------------------------------------------------------- */

static mill_request tls_request(struct server *server, char *url, size_t size) {
  mill_request request = request_to(server);
  snprintf(url, size, "https://127.0.0.1:%d/", server_port(server));
  request.url = url;
  request.max_retries = 1;
  return request;
}

/* Files that cannot be read end it at once and for good; nothing is sent. */
static void test_tls_files(void) {
  struct server *server = server_start(answer_whole, NULL);
  char url[64];
  static const char nowhere[] = "/nonexistent/file.pem";
  for (int i = 0; i < 3; i++) {
    test_case("TLS file %d", i);
    mill_request request = tls_request(server, url, sizeof url);
    request.ca_file = i == 0 ? nowhere : NULL;
    request.insecure = i > 0; /* there may be no store of certificates */
    request.cert_file = i > 0 ? nowhere : NULL;
    request.key_file = i > 1 ? nowhere : NULL;
    mill_stream *stream = run_request(engine, &request, MILL_E_CONNECT);
    CHECK_STR(mill_stream_error(stream)->kind, "tls");
    mill_timing timing;
    mill_stream_timing(stream, &timing);
    CHECK_INT(timing.retries, 0);
    mill_stream_free(stream);
  }
  mill_request request = tls_request(server, url, sizeof url);
  request.ca_dir = "/nonexistent"; /* looked into when a certificate comes, and here none does */
  request.timeouts.connect_ms = 50;
  request.max_retries = 0;
  run(&request, MILL_E_TIMEOUT);
  CHECK_INT(server_requests(server), 0);
  server_stop(server);
}

/* ---- compression ----------------------------------------------------------------------------- */

/* A body in gzip's format (RFC 1952), stored and not deflated; false: its checksum is wrong. */
static size_t put_gzip(unsigned char *out, const char *body, bool right) {
  static const unsigned char head[] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3};
  size_t len = strlen(body), at = sizeof head;
  uint32_t crc = mill__crc32(0, body, len) ^ (right ? 0 : 1);
  memcpy(out, head, sizeof head);
  out[at++] = 1; /* the last block */
  for (int i = 0; i < 2; i++, at += 2) {
    out[at] = (unsigned char)(i ? ~len : len);
    out[at + 1] = (unsigned char)((i ? ~len : len) >> 8);
  }
  memcpy(out + at, body, len);
  at += len;
  for (int i = 0; i < 8; i++)
    out[at++] = (unsigned char)((i < 4 ? crc : (uint32_t)len) >> (8 * (i % 4)));
  return at;
}

struct zipped {
  const char *head, *body; /* of the answer, the body before it is packed; NULL: WHOLE_BODY's */
  bool wrong;              /* its checksum */
  size_t missing;          /* bytes that are left out at its end */
  const char *asked;       /* Accept-Encoding; NULL: the one that `compression` makes */
};

static enum server_then answer_gzip(const struct server_request *request, void *ctx) {
  const struct zipped *zipped = ctx;
  unsigned char bytes[1024];
  char line[64];
  snprintf(line, sizeof line, "\r\nAccept-Encoding: %s\r\n",
           zipped->asked ? zipped->asked : "gzip, deflate");
  const char *asked = strcasestr(request->head, "\r\nAccept-Encoding:");
  CHECK(asked && !strncasecmp(asked, line, strlen(line)));
  CHECK(!strcasestr(asked + 1, "\r\nAccept-Encoding:"));
  size_t len =
      put_gzip(bytes, zipped->body ? zipped->body : WHOLE_BODY, !zipped->wrong) - zipped->missing;
  server_send_text(request, zipped->head ? zipped->head : STREAM_HEAD);
  snprintf(line, sizeof line, "Content-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n", len);
  server_send_text(request, line);
  server_send(request, (const char *)bytes, len);
  return SERVER_KEEP;
}

/* What comes of the answer: its text, and what its error says (NULL: anything). */
static void check_gzip(const struct zipped *zipped, mill_request *request, int code,
                       const char *text, const char *said) {
  struct server *server = server_start(answer_gzip, (void *)(uintptr_t)zipped);
  request->url = server_url(server);
  mill_stream *stream = start_stream(engine, request);
  struct outcome outcome = read_stream(stream);
  CHECK_INT(outcome.code, code);
  CHECK_BYTES(outcome.text, outcome.text_len, text, strlen(text));
  if (said && !strstr(mill_stream_error(stream)->text, said))
    CHECK_STR(mill_stream_error(stream)->text, said);
  free(outcome.text);
  mill_stream_free(stream);
  server_stop(server);
}

#define GZIP_TRAILER_BYTES 8
#define ZIPPED(...) (&(struct zipped){__VA_ARGS__})

static mill_request asking(void) {
  mill_request request;
  mill_request_init(&request);
  request.max_retries = 0;
  request.compression = true;
  return request;
}

static void test_gzip(void) {
  mill_request request = asking();
  test_case("%s", "gzip");
  check_gzip(ZIPPED(.missing = 0), &request, MILL_END, "Hello, world", NULL);
  test_case("%s", "gzip, a checksum behind the terminator is wrong, and counts");
  check_gzip(ZIPPED(.wrong = true), &request, MILL_E_PROTOCOL, "Hello, world", "damaged");
  test_case("%s", "gzip, the checksum behind the terminator is missing: all has come");
  check_gzip(ZIPPED(.missing = 4), &request, MILL_END, "Hello, world", NULL);
  test_case("%s", "gzip, cut inside the answer");
  check_gzip(ZIPPED(.missing = 30), &request, MILL_E_INTERRUPTED, "Hello, world", "compressed");
  test_case("%s", "gzip, the answer without a terminator is whole, and its packing is not");
  check_gzip(ZIPPED(.body = TEXT_EVENT("a") FINISH_EVENT, .missing = GZIP_TRAILER_BYTES), &request,
             MILL_E_INTERRUPTED, "a", "compressed");
  test_case("%s", "gzip, the queue takes one event at a time");
  request.limits.buffered_bytes = 1;
  check_gzip(ZIPPED(.missing = 0), &request, MILL_END, "Hello, world", NULL);
}

static void test_gzip_by_the_callers_header(void) {
  static const mill_header header = {"accept-encoding", "gzip;q=0.5"};
  for (int compression = 0; compression <= 1; compression++) {
    test_case("gzip by the caller's header, compression is %d", compression);
    mill_request request = asking();
    request.compression = compression;
    request.headers = &header;
    request.n_headers = 1;
    check_gzip(ZIPPED(.asked = header.value), &request, MILL_END, "Hello, world", NULL);
  }
}

#define REFUSAL "HTTP/1.1 400 No\r\nContent-Type: application/json\r\n"

/* An error's body is unpacked as far as it goes, and the status says the rest. */
static void test_gzip_of_an_error(void) {
  mill_request request = asking();
  test_case("%s", "gzip of an error");
  static const char body[] = "{\"error\":{\"message\":\"no such model\"}}";
  check_gzip(ZIPPED(.head = REFUSAL, .body = body), &request, MILL_E_STATUS, "", "no such model");
  check_gzip(ZIPPED(.head = REFUSAL, .body = body, .wrong = true), &request, MILL_E_STATUS, "",
             "no such model");
  check_gzip(ZIPPED(.head = REFUSAL, .body = body, .missing = 20), &request, MILL_E_STATUS, "",
             "status 400");
}

/* ---- answers by their heads ------------------------------------------------------------------ */

static enum server_then answer_text(const struct server_request *request, void *ctx) {
  server_send_text(request, ctx);
  return SERVER_CLOSE;
}

static void check_answer(const char *answer, int code, const char *said) {
  test_case("%.300s", answer);
  struct server *server = server_start(answer_text, (void *)(uintptr_t)answer);
  mill_request request = request_to(server);
  request.compression = strstr(answer, "Content-Encoding") != NULL;
  mill_stream *stream = run_request(engine, &request, code);
  if (said && !strstr(mill_stream_error(stream)->text, said))
    CHECK_STR(mill_stream_error(stream)->text, said);
  mill_stream_free(stream);
  server_stop(server);
}

#define JSON_HEAD(status) "HTTP/1.1 " status "\r\nContent-Type: application/json\r\n\r\n"

static void test_answers(void) {
  check_answer(STREAM_HEAD "Content-Encoding: identity\r\n\r\n" WHOLE_BODY, MILL_END, NULL);
  check_answer(STREAM_HEAD "Content-Encoding: br\r\n\r\n" WHOLE_BODY, MILL_E_PROTOCOL,
               "Content-Encoding");
  check_answer(STREAM_HEAD "Content-Encoding: gzip, gzip\r\n\r\n" WHOLE_BODY, MILL_E_PROTOCOL,
               "Content-Encoding");
  check_answer("HTTP/1.1 403 No\r\nContent-Encoding: br\r\n\r\n???", MILL_E_STATUS, "status 403");
  check_answer(STREAM_HEAD "Transfer-Encoding: chunked\r\nTrailer: X\r\n\r\ne\r\n" DONE_EVENT
                           "\r\n0\r\nX: 1\r\n\r\n",
               MILL_END, NULL);
  check_answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" WHOLE_BODY,
               MILL_E_PROTOCOL, "chunked");
  check_answer(STREAM_HEAD "\r\ndata: {\"error\":{\"message\":\"late\",\"code\":503}}",
               MILL_E_PROVIDER, "late");
  check_answer(JSON_HEAD("400 Bad") "{\"error\":{\"code\":\"c\"}}", MILL_E_STATUS, "status 400: ");
  check_answer("HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n", MILL_E_CONNECT, "the proxy refused");
  check_answer("HTTP/1.1 204 None\r\n\r\n", MILL_E_INTERRUPTED, NULL);
}

/* Of what a server says at length, the beginning is told. */
static void test_long_answers(void) {
  char answer[6000], words[2001];
  memset(words, 'w', sizeof words - 1);
  words[sizeof words - 1] = '\0';
  snprintf(answer, sizeof answer, JSON_HEAD("400 Bad") "{\"error\":{\"message\":\"%s\"}}", words);
  words[800] = '\0';
  check_answer(answer, MILL_E_STATUS, words);
  words[800] = 'w';
  snprintf(answer, sizeof answer, "HTTP/1.1 302 Go\r\nLocation: http://x/%s\r\n\r\n", words);
  words[290] = '\0';
  check_answer(answer, MILL_E_STATUS, words);
}

/* ---- what libcurl refuses -------------------------------------------------------------------- */

/* It takes no option of more than 8 MB. */
static void test_refused_option(void) {
  test_case("%s", "an endless URL");
  size_t len = 9000000;
  char *url = malloc(len + 1);
  CHECK(url != NULL);
  memset(url, 'u', len);
  memcpy(url, "http://x/", 9);
  url[len] = '\0';
  mill_request request;
  mill_request_init(&request);
  request.url = url;
  run(&request, MILL_E_ARG);
  free(url);
}

int main(void) {
  CHECK_INT(mill_engine_new(&engine), MILL_OK);
  test_methods();
  test_headers();
  test_unix_socket();
  test_plain_proxy();
  test_no_proxy();
  test_refused_tunnel();
  test_refusing_socks();
  test_tls_files();
  test_gzip();
  test_gzip_by_the_callers_header();
  test_gzip_of_an_error();
  test_answers();
  test_long_answers();
  test_refused_option();
  mill_engine_free(engine);
  return 0;
}
