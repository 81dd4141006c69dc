/* Redirects: what becomes of method, body and headers, and where a Location leads. */
#include <string.h>

#include "base/alloc.h"
#include "net/http.h"
#include "net/redirect.h"
#include "support.h"

static void go(struct mill__redirect *redirect, const char *method, int status, bool same_origin) {
  mill__redirect_to(redirect, method, status, mill__strdup("http://h/"), NULL, same_origin);
}

static void test_which_answers(void) {
  for (int status = 100; status < 600; status++)
    CHECK_INT(mill__redirect_is(status),
              status == 301 || status == 302 || status == 303 || status == 307 || status == 308);
}

static void test_methods(void) {
  static const struct {
    const char *method;
    int status;
    bool as_get;
  } cases[] = {
      {"POST", 301, true},   {"POST", 302, true},    {"POST", 303, true},    {"POST", 307, false},
      {"POST", 308, false},  {"GET", 301, false},    {"GET", 302, false},    {"GET", 303, false},
      {"GET", 308, false},   {"HEAD", 303, false},   {"REPORT", 301, false}, {"REPORT", 302, false},
      {"REPORT", 303, true}, {"REPORT", 307, false}, {"PUT", 302, false},    {"DELETE", 303, true},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    test_case("%s, %d", cases[i].method, cases[i].status);
    struct mill__redirect redirect = {.count = 0};
    go(&redirect, cases[i].method, cases[i].status, true);
    CHECK_INT(redirect.as_get, cases[i].as_get);
    CHECK_INT(redirect.count, 1);
    go(&redirect, cases[i].method, 307, true); /* what was dropped stays dropped */
    CHECK_INT(redirect.as_get, cases[i].as_get);
    CHECK_INT(redirect.count, 2);
    mill__redirect_fini(&redirect);
    CHECK(!redirect.url && !redirect.count && !redirect.as_get);
  }
}

static void test_headers(void) {
  static const char *const of_body[] = {"Content-Type",     "content-length",
                                        "CONTENT-ENCODING", "Content-Language",
                                        "Content-Location", "Transfer-Encoding"};
  static const char *const secret[] = {"Authorization",
                                       "cookie",
                                       "Proxy-Authorization",
                                       "X-Api-Key",
                                       "api-key",
                                       "x-goog-api-key",
                                       "X-Auth-Token",
                                       "X-Amz-Security-Token",
                                       "Password",
                                       "X-Client-Secret",
                                       "host"};
  static const char *const other[] = {"Accept", "User-Agent", "Last-Event-ID", "X-Trace",
                                      "Cache-Control"};
  struct mill__redirect stays = {.count = 0}, as_get = {.count = 0}, foreign = {.count = 0};
  go(&stays, "POST", 307, true);
  go(&as_get, "POST", 303, true);
  go(&foreign, "POST", 307, false);
  go(&foreign, "POST", 307, true); /* the way back is not trusted */
  for (size_t i = 0; i < sizeof(of_body) / sizeof(of_body[0]); i++) {
    test_case("%s", of_body[i]);
    CHECK(mill__redirect_keeps(&stays, of_body[i]));
    CHECK(!mill__redirect_keeps(&as_get, of_body[i]));
    CHECK(mill__redirect_keeps(&foreign, of_body[i]));
  }
  for (size_t i = 0; i < sizeof(secret) / sizeof(secret[0]); i++) {
    test_case("%s", secret[i]);
    CHECK(mill__redirect_keeps(&stays, secret[i]));
    CHECK(mill__redirect_keeps(&as_get, secret[i]));
    CHECK(!mill__redirect_keeps(&foreign, secret[i]));
  }
  for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
    test_case("%s", other[i]);
    CHECK(mill__redirect_keeps(&stays, other[i]));
    CHECK(mill__redirect_keeps(&as_get, other[i]));
    CHECK(mill__redirect_keeps(&foreign, other[i]));
  }
  mill__redirect_fini(&stays);
  mill__redirect_fini(&as_get);
  mill__redirect_fini(&foreign);
}

/* ---- URLs ------------------------------------------------------------------------------------ */

#define HERE "https://u:p%40w@Host.example/a/b?q#f"

static void test_locations(void) {
  static const struct {
    const char *current, *location, *url; /* NULL: not to be followed */
    bool same_origin;
  } cases[] = {
      {HERE, "/x", "https://u:p%40w@Host.example/x", true},
      {HERE, "x", "https://u:p%40w@Host.example/a/x", true},
      {HERE, "../x?y=1#z", "https://u:p%40w@Host.example/x?y=1", true},
      {HERE, "?r", "https://u:p%40w@Host.example/a/b?r", true},
      {HERE, "https://host.EXAMPLE:443/x", "https://u:p%40w@host.EXAMPLE:443/x", true},
      {HERE, "https://evil:e@host.example/x", "https://u:p%40w@host.example/x", true},
      {HERE, "//other.example/x", "https://other.example/x", false},
      {HERE, "https://evil:e@other.example/x", "https://other.example/x", false},
      {HERE, "https://host.example:444/x", "https://host.example:444/x", false},
      {HERE, "http://host.example/x", "http://host.example/x", false},
      {HERE, "HTTP://host.example:443/", "http://host.example:443/", false},
      {HERE, "https://host.example@other.example/", "https://other.example/", false},
      {"http://h:80/", "http://h/x", "http://h/x", true},
      {"http://[::1]:8080/", "/x", "http://[::1]:8080/x", true},
      {HERE, "ftp://host.example/x", NULL, false},
      {HERE, "file:///etc/passwd", NULL, false},
      {HERE, "http://", NULL, false},
      {HERE, "http://a b/", NULL, false},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    test_case("%s from %s", cases[i].location, cases[i].current);
    mill_slice location = {cases[i].location, strlen(cases[i].location)};
    char *url = NULL;
    bool same_origin = false;
    int code = mill__http_resolve_url(cases[i].current, location, false, &url, &same_origin);
    CHECK_INT(code, cases[i].url ? MILL_OK : MILL_E_ARG);
    if (cases[i].url) {
      CHECK_STR(url, cases[i].url);
      CHECK_INT(same_origin, cases[i].same_origin);
    }
    mill__free(url);
  }
}

static void test_foreign_locations(void) {
  char *url = NULL;
  bool same_origin = false;
  CHECK_INT(mill__http_resolve_url(HERE, (mill_slice){BYTES("/x")}, true, &url, &same_origin),
            MILL_OK);
  CHECK_STR(url, "https://Host.example/x");
  CHECK(same_origin);
  mill__free(url);
  CHECK_INT(
      mill__http_resolve_url(HERE, (mill_slice){BYTES("/\xc3\xa4 b")}, true, &url, &same_origin),
      MILL_OK);
  CHECK_STR(url, "https://Host.example/%c3%a4%20b");
  mill__free(url);
}

static void run_starved(void *ctx) {
  (void)ctx;
  char *url;
  bool same_origin;
  int code = mill__http_resolve_url(HERE, (mill_slice){BYTES("/x")}, false, &url, &same_origin);
  CHECK_INT(code, code == MILL_OK ? MILL_OK : MILL_E_NOMEM);
  CHECK(code == MILL_OK || test_alloc_failed());
  if (code == MILL_OK)
    mill__free(url);
}

int main(void) {
  test_alloc_install();
  test_which_answers();
  test_methods();
  test_headers();
  test_locations();
  test_foreign_locations();
  test_each_failing_allocation(run_starved, NULL);
  CHECK_INT(test_alloc_live(), 0);
  return 0;
}
