/*
 * Keys do not stay in memory that was freed: every block that the core frees, and every header line
 * that it has given to libcurl, is looked at in the moment it goes.
 *
 * What libcurl copies for itself is its own, and not looked at.
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "net/redirect.h"
#include "net_support.h"

#define KEY "sk-key-in-a-header"
#define PROXY_PASSWORD "word-of-the-proxy"
#define USER_PASSWORD "word-of-the-user"
#define HEADER_LINE "Authorization: Bearer " KEY

/* ---- allocators that look at what is freed --------------------------------------------------- */

/* Before each block; what malloc gives is aligned behind it too. */
union block {
  size_t size;
  max_align_t aligned;
};

/* The engine's thread and the test's free at the same time. */
static atomic_size_t n_with_secrets, n_lines, n_lines_cleared;

static bool holds(const void *bytes, size_t size, const char *secret) {
  return memmem(bytes, size, secret, strlen(secret)) != NULL;
}

static bool holds_any(const void *bytes, size_t size) {
  return holds(bytes, size, KEY) || holds(bytes, size, PROXY_PASSWORD) ||
         holds(bytes, size, USER_PASSWORD);
}

static void *seen_malloc(size_t size) {
  union block *block = calloc(1, sizeof(*block) + size);
  CHECK(block != NULL);
  block->size = size;
  return block + 1;
}

static void seen_free(void *memory) {
  union block *block = (union block *)memory - 1;
  if (holds_any(memory, block->size))
    atomic_fetch_add(&n_with_secrets, 1);
  free(block);
}

static void *seen_realloc(void *memory, size_t size) {
  void *moved = seen_malloc(size);
  if (!memory)
    return moved;
  size_t old_size = ((union block *)memory - 1)->size;
  memcpy(moved, memory, old_size < size ? old_size : size);
  seen_free(memory);
  return moved;
}

/* libcurl's lists copy a line with this; of what has the line's form nothing else does. */
static char *curl_strdup(const char *text) {
  size_t size = strlen(text) + 1;
  union block *block = calloc(1, sizeof(*block) + size);
  CHECK(block != NULL);
  if (!strcmp(text, HEADER_LINE)) {
    block->size = size;
    atomic_fetch_add(&n_lines, 1);
  }
  return memcpy(block + 1, text, size);
}

static void *curl_malloc(size_t size) {
  union block *block = calloc(1, sizeof(*block) + size);
  return block ? block + 1 : NULL;
}

static void *curl_calloc(size_t count, size_t size) {
  return curl_malloc(count * size);
}

static void curl_free_block(void *memory) {
  if (!memory)
    return;
  union block *block = (union block *)memory - 1;
  if (block->size && !holds_any(memory, block->size))
    atomic_fetch_add(&n_lines_cleared, 1);
  free(block);
}

static void *curl_realloc(void *memory, size_t size) {
  return memory ? (union block *)realloc((union block *)memory - 1, sizeof(union block) + size) + 1
                : curl_malloc(size);
}

static void look_at_what_is_freed(void) {
  static const mill_allocator seen = {seen_malloc, seen_realloc, seen_free};
  mill_set_allocator(&seen);
  CHECK(curl_global_init_mem(CURL_GLOBAL_DEFAULT, curl_malloc, curl_free_block, curl_realloc,
                             curl_strdup, curl_calloc) == CURLE_OK);
}

static void check_nothing_left(void) {
  CHECK_INT(n_with_secrets, 0);
  CHECK(n_lines > 0);
  CHECK_INT(n_lines_cleared, n_lines);
}

/* ---- ways that a key takes ------------------------------------------------------------------- */

static const mill_header authorization = {"Authorization", "Bearer " KEY};

static mill_request with_key(const struct server *server) {
  mill_request request = request_to(server);
  request.headers = &authorization;
  request.n_headers = 1;
  return request;
}

static void run(const mill_request *request, int code) {
  mill_engine *engine;
  CHECK_INT(mill_engine_new(&engine), MILL_OK);
  mill_stream_free(run_request(engine, request, code));
  mill_engine_free(engine);
  check_nothing_left();
}

static enum server_then answer_with_key(const struct server_request *request, void *ctx) {
  CHECK(strstr(request->head, HEADER_LINE) != NULL);
  if (request->number > 0)
    return answer_whole(request, ctx);
  server_send_text(request, "HTTP/1.1 503 Busy\r\nretry-after-ms: 0\r\nContent-Length: 0\r\n\r\n");
  return SERVER_KEEP;
}

static void test_header(void) {
  struct server *server = server_start(answer_with_key, NULL);
  mill_request request = with_key(server);
  request.max_retries = 1;
  run(&request, MILL_END);
  CHECK_INT(server_requests(server), 2);
  server_stop(server);
}

static enum server_then refuse(const struct server_request *request, void *ctx) {
  server_send_text(request, "HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n");
  return SERVER_KEEP;
}

static void test_proxy_password(void) {
  struct server *server = server_start(refuse, NULL);
  char proxy[96];
  snprintf(proxy, sizeof(proxy), "http://user:" PROXY_PASSWORD "@127.0.0.1:%d",
           server_port(server));
  mill_request request = with_key(server);
  request.url = "http://host.invalid/";
  request.proxy = proxy;
  run(&request, MILL_E_CONNECT);
  CHECK_INT(server_requests(server), 1);
  server_stop(server);
}

/* A refused request has been copied by nobody. */
static void test_refused_request(void) {
  struct server *server = server_start(refuse, NULL);
  mill_request request = with_key(server);
  mill_engine *engine;
  mill_stream *stream;
  request.method = "two words";
  CHECK_INT(mill_engine_new(&engine), MILL_OK);
  CHECK_INT(mill_stream_start(engine, &request, &stream, NULL), MILL_E_ARG);
  mill_engine_free(engine);
  server_stop(server);
  check_nothing_left();
}

static enum server_then redirect_within(const struct server_request *request, void *ctx) {
  if (request->number == 2)
    server_send_text(request, "HTTP/1.1 204 No Content\r\n\r\n");
  else
    server_send_text(request, "HTTP/1.1 307 Go\r\nLocation: /on\r\nContent-Length: 0\r\n\r\n");
  return SERVER_KEEP;
}

/* Where redirects lead within an origin, its user information goes along. */
static void test_redirect(void) {
  struct server *server = server_start(redirect_within, NULL);
  char url[96];
  snprintf(url, sizeof(url), "http://user:" USER_PASSWORD "@127.0.0.1:%d/", server_port(server));
  mill_event_source source;
  mill_event_source_init(&source);
  mill_request request = with_key(server);
  request.url = url;
  request.events = &source;
  run(&request, MILL_END);
  CHECK_INT(server_requests(server), 3);
  server_stop(server);
}

/* The look itself sees what is not cleared. */
static void test_that_it_would_be_seen(void) {
  mill__free(mill__strdup("before " KEY " behind"));
  CHECK_INT(n_with_secrets, 1);
  n_with_secrets = 0;
}

int main(void) {
  look_at_what_is_freed();
  test_that_it_would_be_seen();
  test_header();
  test_proxy_password();
  test_refused_request();
  test_redirect();
  return 0;
}
