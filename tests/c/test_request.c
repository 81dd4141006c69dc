/* A request: what is refused before any I/O, and that the copy owes nothing to the original. */
#include <stdlib.h>
#include <string.h>

#include "net/request.h"
#include "net/stats.h"
#include "support.h"

static mill_request good(void) {
  mill_request request;
  mill_request_init(&request);
  request.url = "https://api.example.com/v1/chat";
  return request;
}

/* The reason why it is refused, or NULL. */
static const char *refusal(const mill_request *from) {
  struct mill__request request;
  const char *why = NULL;
  int code = mill__request_init(&request, from, &why);
  CHECK_INT(code, why ? MILL_E_ARG : MILL_OK);
  mill__request_fini(&request); /* right in both cases */
  CHECK_INT(mill__request_init(&request, from, NULL), code);
  mill__request_fini(&request);
  return why;
}

static void check_refused(const mill_request *request, const char *field) {
  const char *why = refusal(request);
  CHECK(why != NULL);
  CHECK(!strncmp(why, field, strlen(field)) && why[strlen(field)] == ':');
}

/* ---- checks ---------------------------------------------------------------------------------- */

static void test_urls(void) {
  static const char *const refused[] = {
      "",
      "http",
      "http:/x",
      "//x/",
      "x/",
      "file:///etc/passwd",
      "ftp://x/",
      "gopher://x/",
      " http://x/",
      "http://",
      "http:///x",
      "http://?x",
      "http://#x",
      "http://:80/",
      "http://x/a b",
      "http://x/\r\nX: y",
      "http://x/\n",
      "http://x/\t",
      "http://x/\x7f",
      "http://x/\x01",
      "httpsx://y",
  };
  mill_request request = good();
  for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
    test_case("url %s", refused[i]);
    request.url = refused[i];
    check_refused(&request, "url");
  }
  request.url = NULL;
  check_refused(&request, "url");
  static const char *const taken[] = {"http://x", "HTTPS://X:1/", "http://u:p@h/p?q#f",
                                      "http://[::1]:8080/v1", "http://x/\xc3\xa9"};
  for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
    test_case("url %s", taken[i]);
    request.url = taken[i];
    CHECK(refusal(&request) == NULL);
  }
}

static void test_methods(void) {
  static const char *const refused[] = {"", "GET ", "G T", "GET\r\n", "G\xc3\xa9T", "GET/", "G:T"};
  mill_request request = good();
  for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
    test_case("method %s", refused[i]);
    request.method = refused[i];
    check_refused(&request, "method");
  }
  request.method = NULL;
  check_refused(&request, "method");
  request.method = "M-SEARCH";
  CHECK(refusal(&request) == NULL);
}

static void test_headers(void) {
  static const mill_header refused[] = {
      {"", "x"},      {"A B", "x"},  {"A:", "x"},        {"A\r\n", "x"},   {"A\xff", "x"},
      {NULL, "x"},    {"A", NULL},   {"A", "x\r\nB: y"}, {"A", "x\n"},     {"A", "\r"},
      {"A", "x\x01"}, {"A", "\x7f"}, {"A(", "x"},        {"A", "\x1b[0m"},
  };
  mill_request request = good();
  request.n_headers = 2;
  for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
    test_case("header %zu", i);
    mill_header headers[2] = {{"Ok", "fine\tand \xc3\xa9"}, refused[i]};
    request.headers = headers;
    check_refused(&request, "headers");
  }
  mill_header headers[2] = {{"Ok", ""}, {"x!#$%&'*+-.^_`|~9", " v "}};
  request.headers = headers;
  CHECK(refusal(&request) == NULL);
  request.headers = NULL;
  check_refused(&request, "headers");
}

static void test_other_fields(void) {
  mill_request request = good();
  request.format = "morse";
  check_refused(&request, "format");
  request.format = NULL;
  check_refused(&request, "format");
  request = good();
  request.proxy = "http://p\r\n";
  check_refused(&request, "proxy");
  request.proxy = "ftp://p";
  check_refused(&request, "proxy");
  request.proxy = "https://p";
  CHECK(refusal(&request) == NULL);
  request.proxy = "";
  CHECK(refusal(&request) == NULL);
  mill_event_source source;
  mill_event_source_init(&source);
  request.events = &source;
  source.initial_retry_ms = -1;
  check_refused(&request, "events");
  source.initial_retry_ms = 0;
  source.max_retry_ms = -1;
  check_refused(&request, "events");
  request = good();
  request.body_len = 1;
  check_refused(&request, "body");
  request.body = "";
  request.body_len = 0;
  CHECK(refusal(&request) == NULL);
  int64_t *const times[] = {&request.timeouts.connect_ms, &request.timeouts.first_chunk_ms,
                            &request.timeouts.idle_ms, &request.timeouts.total_ms};
  for (size_t i = 0; i < 4; i++) {
    int64_t before = *times[i];
    *times[i] = -1;
    check_refused(&request, "timeouts");
    *times[i] = INT64_MAX;
    CHECK(refusal(&request) == NULL);
    *times[i] = before;
  }
  size_t *const limits[] = {&request.limits.event_bytes, &request.limits.buffered_bytes,
                            &request.limits.header_bytes};
  for (size_t i = 0; i < 3; i++) {
    size_t before = *limits[i];
    *limits[i] = 0;
    check_refused(&request, "limits");
    *limits[i] = before;
  }
  request.limits.json_depth = 0;
  check_refused(&request, "limits");
}

/* ---- the copy -------------------------------------------------------------------------------- */

/* A heap copy that is overwritten and freed: ASan sees who still looks at it. */
static char *mortal(const char *text) {
  char *copy = malloc(strlen(text) + 1);
  CHECK(copy != NULL);
  memcpy(copy, text, strlen(text) + 1);
  return copy;
}

static void end_life(const void *text, size_t len) {
  memset((void *)(uintptr_t)text, '?', len);
  free((void *)(uintptr_t)text);
}

static void end_text(const char *text) {
  end_life(text, strlen(text));
}

static void test_deep_copy(void) {
  mill_request from = good();
  mill_header *headers = calloc(2, sizeof(*headers));
  CHECK(headers != NULL);
  headers[0] = (mill_header){mortal("A"), mortal("1")};
  headers[1] = (mill_header){mortal("B"), mortal("")};
  char *body = malloc(3);
  CHECK(body != NULL);
  memcpy(body, "x\0y", 3);
  const char **const texts[] = {&from.url,       &from.method,      &from.format,  &from.proxy,
                                &from.no_proxy,  &from.unix_socket, &from.ca_file, &from.ca_dir,
                                &from.cert_file, &from.key_file};
  static const char *const values[] = {"http://h/", "PUT", "openai-chat", "http://p", "n",
                                       "/s",        "/f",  "/d",          "/c",       "/k"};
  for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
    *texts[i] = mortal(values[i]);
  from.headers = headers;
  from.n_headers = 2;
  from.body = body;
  from.body_len = 3;
  from.stats = mill_stats_new();
  CHECK(from.stats != NULL);
  struct mill__request request;
  CHECK_INT(mill__request_init(&request, &from, NULL), MILL_OK);

  mill_stats *stats = from.stats;
  for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
    end_text(*texts[i]);
  for (size_t i = 0; i < 2; i++) {
    end_text(headers[i].name);
    end_text(headers[i].value);
  }
  end_life(headers, 2 * sizeof(*headers));
  end_life(body, 3);
  memset(&from, 0x5a, sizeof(from));

  const mill_request *set = &request.set;
  CHECK_STR(set->url, "http://h/");
  CHECK_STR(set->method, "PUT");
  CHECK_INT(set->n_headers, 2);
  CHECK_STR(set->headers[0].name, "A");
  CHECK_STR(set->headers[0].value, "1");
  CHECK_STR(set->headers[1].name, "B");
  CHECK_STR(set->headers[1].value, "");
  CHECK_BYTES(set->body, set->body_len, "x\0y", 3);
  CHECK_STR(set->proxy, "http://p");
  CHECK_STR(set->no_proxy, "n");
  CHECK_STR(set->unix_socket, "/s");
  CHECK_STR(set->ca_file, "/f");
  CHECK_STR(set->ca_dir, "/d");
  CHECK_STR(set->cert_file, "/c");
  CHECK_STR(set->key_file, "/k");
  CHECK(request.dialect == mill__dialect_find("openai-chat"));
  mill_stats_unref(stats); /* the copy has a reference of its own */
  mill__stats_add(&set->stats->chunks, 1);
  mill__request_fini(&request);
  mill__request_fini(&request);
}

/* ---- the name to look up --------------------------------------------------------------------- */

static void check_key(const char *url, const char *proxy, const char *unix_socket,
                      const char *expected) {
  mill_request from = good();
  from.url = url;
  from.proxy = proxy;
  from.unix_socket = unix_socket;
  struct mill__request request;
  test_case("%s", url);
  CHECK_INT(mill__request_init(&request, &from, NULL), MILL_OK);
  CHECK_STR(request.lookup_key, expected);
  mill__request_fini(&request);
}

static void test_lookup_key(void) {
  check_key("http://example.com/x:y@z", NULL, NULL, "example.com");
  check_key("https://example.com:8443?x", NULL, NULL, "example.com:8443");
  check_key("https://u:p@w@example.com#f", NULL, NULL, "example.com");
  check_key("http://127.0.0.1:80/", NULL, NULL, NULL);
  check_key("http://127.0.0.1", NULL, NULL, NULL);
  check_key("http://[::1]:80/", NULL, NULL, NULL);
  check_key("http://u@[::1]/", NULL, NULL, NULL);
  check_key("http://1.2.3.4.example/", NULL, NULL, "1.2.3.4.example");
  check_key("http://example.com/", "http://u:p@proxy:3128", NULL, "proxy:3128");
  check_key("http://example.com/", "proxy:3128", NULL, "proxy:3128");
  check_key("http://example.com/", "http://10.0.0.1:3128", NULL, NULL);
  check_key("http://example.com/", "", NULL, "example.com");
  check_key("http://example.com/", NULL, "/run/x", NULL);
  char url[600] = "http://";
  memset(url + 7, 'a', 500);
  check_key(url, NULL, NULL, NULL); /* longer than any name */
}

static void run_starved(void *ctx) {
  (void)ctx;
  struct mill__request request;
  mill_request from = good();
  from.headers = &(mill_header){"A", "b"};
  from.n_headers = 1;
  from.stats = mill_stats_new();
  int code = mill__request_init(&request, &from, NULL);
  CHECK_INT(code, code == MILL_OK ? MILL_OK : MILL_E_NOMEM);
  CHECK(code == MILL_OK || test_alloc_failed());
  mill__request_fini(&request);
  mill_stats_unref(from.stats);
}

int main(void) {
  test_alloc_install();
  test_urls();
  test_methods();
  test_headers();
  test_other_fields();
  test_deep_copy();
  test_lookup_key();
  test_each_failing_allocation(run_starved, NULL);
  CHECK_INT(test_alloc_live(), 0);
  return 0;
}
