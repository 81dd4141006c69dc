/* The head of an answer, line by line: what is taken, what is refused, and what is found in it. */
#include <stdlib.h>
#include <string.h>

#include "net/response.h"
#include "support.h"

#define HEADER_BYTES 4096

static struct mill__response *new_response(size_t header_bytes) {
  struct mill__response *response;
  CHECK_INT(mill__response_new(header_bytes, &response), MILL_OK);
  return response;
}

static int put(struct mill__response *response, const char *line, size_t len) {
  return mill__response_line(response, test_guarded(line, len), len);
}

/* All the lines of `head` (each ends in LF); the first code that is not MILL_OK. */
static int put_all(struct mill__response *response, const char *head, size_t len) {
  int code = MILL_OK;
  for (const char *end = head + len; head < end && code == MILL_OK;) {
    const char *newline = memchr(head, '\n', (size_t)(end - head));
    const char *next = newline ? newline + 1 : end;
    code = put(response, head, (size_t)(next - head));
    head = next;
  }
  return code;
}

static int code_of(const char *head, size_t len) {
  struct mill__response *response = new_response(HEADER_BYTES);
  test_case("%s", head);
  int code = put_all(response, head, len);
  CHECK(code == MILL_OK || response->why != NULL);
  mill__response_free(response);
  return code;
}

static void check_field(const struct mill__response *response, const char *name,
                        const char *expected) {
  mill_slice value = mill__response_field(response, name);
  CHECK_BYTES(value.ptr, value.len, expected, strlen(expected));
}

static void test_whole_head(void) {
  struct mill__response *response = new_response(HEADER_BYTES);
  static const char head[] = "HTTP/1.1 200 Fine: so far\r\n"
                             "Content-Type:  Text/Event-Stream ;charset=utf-8 \r\n"
                             "X-Empty:\r\n"
                             "X-Two: first\r\n"
                             "x-two: second\r\n"
                             "X-Colons: a:b: c\t\r\n"
                             "Content-Length: 12\r\n"
                             "Content-Length: 12\r\n";
  CHECK_INT(put_all(response, BYTES(head)), MILL_OK);
  CHECK(!response->complete);
  CHECK_INT(put(response, BYTES("\r\n")), MILL_OK);
  CHECK(response->complete);
  CHECK_INT(response->status, 200);
  CHECK_INT(response->http_version, 11);
  CHECK_INT(response->content_length, 12);
  check_field(response, "x-empty", "");
  check_field(response, "X-TWO", "first");
  check_field(response, "x-colons", "a:b: c");
  check_field(response, "x-tw", "");
  check_field(response, "x-two2", "");
  check_field(response, "HTTP/1.1 200 Fine", "");
  mill_slice type = mill__response_media_type(response);
  CHECK_BYTES(type.ptr, type.len, "Text/Event-Stream", 17);
  CHECK(mill__slice_equals_nocase(type, "text/event-stream"));
  CHECK(!mill__slice_equals_nocase(type, "text/event-strea"));
  CHECK(!mill__slice_equals_nocase(type, "text/event-streams"));
  CHECK_INT(put(response, BYTES("X-Trailer: 1\r\n")), MILL_OK); /* behind a chunked body */
  check_field(response, "X-Trailer", "");
  CHECK_INT(put(response, BYTES("HTTP/1.1 500 Late\r\n")), MILL_OK);
  CHECK_INT(response->status, 200);
  mill__response_free(response);
}

static void test_empty_response(void) {
  struct mill__response *response = new_response(HEADER_BYTES);
  check_field(response, "Any", "");
  CHECK_INT(mill__response_media_type(response).len, 0);
  CHECK_INT(response->content_length, -1);
  mill__response_free(response);
  mill__response_free(NULL);
}

static void test_status_lines(void) {
  static const struct {
    const char *line;
    int status, version;
  } cases[] = {
      {"HTTP/1.1 200 OK\r\n", 200, 11}, {"HTTP/1.0 404 Not Found\r\n", 404, 10},
      {"HTTP/2 503 \r\n", 503, 20},     {"HTTP/2 200\r\n", 200, 20},
      {"HTTP/1.1 999\n", 999, 11},      {"HTTP/1.1 101 Switching\r\n", 101, 11},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    struct mill__response *response = new_response(HEADER_BYTES);
    test_case("%s", cases[i].line);
    CHECK_INT(put(response, cases[i].line, strlen(cases[i].line)), MILL_OK);
    CHECK_INT(put(response, BYTES("\r\n")), MILL_OK);
    CHECK(response->complete);
    CHECK_INT(response->status, cases[i].status);
    CHECK_INT(response->http_version, cases[i].version);
    mill__response_free(response);
  }
  static const char *const broken[] = {
      "HTTP/1.1\r\n",     "HTTP/1.1 \r\n",    "HTTP/1.1 99 x\r\n", "HTTP/1.1 1000\r\n",
      "HTTP/1.1 20000\n", "HTTP/1.1 abc\r\n", "HTTP/1.1 -200\r\n", "HTTP/"};
  for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
    CHECK_INT(code_of(broken[i], strlen(broken[i])), MILL_E_PROTOCOL);
}

#define CONTINUE "HTTP/1.1 100 Continue\r\nX-Early: 1\r\nContent-Length: 5\r\n\r\n"

/* Nothing of an informational answer is left in the final one. */
static void test_informational(void) {
  struct mill__response *response = new_response(HEADER_BYTES);
  for (int i = 0; i < MILL__RESPONSE_INFORMATIONAL; i++) {
    CHECK_INT(put_all(response, BYTES(CONTINUE)), MILL_OK);
    CHECK(!response->complete);
  }
  static const char final[] = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n";
  CHECK_INT(put_all(response, BYTES(final)), MILL_OK);
  CHECK(response->complete);
  CHECK_INT(response->status, 200);
  CHECK_INT(response->content_length, 6);
  check_field(response, "X-Early", "");
  mill__response_free(response);

  response = new_response((size_t)1 << 20);
  int n = 0;
  while (put_all(response, BYTES(CONTINUE)) == MILL_OK)
    CHECK(++n <= MILL__RESPONSE_INFORMATIONAL + 1);
  CHECK_INT(n, MILL__RESPONSE_INFORMATIONAL + 1); /* the one too many shows at its status line */
  CHECK(strstr(response->why, "1xx") != NULL);
  mill__response_free(response);
}

#define OK_HEAD "HTTP/1.1 200 OK\r\n"

static void test_codings(void) {
#define CODED(value) "Content-Encoding: " value "\r\n"
  static const struct {
    const char *fields;
    enum mill__coding coding;
  } cases[] = {
      {"", MILL__CODING_NONE},
      {CODED(""), MILL__CODING_NONE},
      {CODED("identity"), MILL__CODING_NONE},
      {CODED(" , Identity,"), MILL__CODING_NONE},
      {CODED("gzip"), MILL__CODING_GZIP},
      {CODED("X-GZip "), MILL__CODING_GZIP},
      {CODED("identity, gzip"), MILL__CODING_GZIP},
      {CODED("gzip ,identity"), MILL__CODING_GZIP},
      {CODED("identity") "X: y\r\n" CODED("gzip"), MILL__CODING_GZIP},
      {CODED("DEFLATE"), MILL__CODING_DEFLATE},
      {CODED("br"), MILL__CODING_UNKNOWN},
      {CODED("gzipp"), MILL__CODING_UNKNOWN},
      {CODED("gzip;q=1"), MILL__CODING_UNKNOWN},
      {CODED("gzip, gzip"), MILL__CODING_UNKNOWN},
      {CODED("deflate") CODED("gzip"), MILL__CODING_UNKNOWN},
      {"X-" CODED("gzip"), MILL__CODING_NONE},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct mill__response *response = new_response(HEADER_BYTES);
    test_case("%s", cases[i].fields);
    CHECK_INT(put_all(response, BYTES(OK_HEAD)), MILL_OK);
    CHECK_INT(put_all(response, cases[i].fields, strlen(cases[i].fields)), MILL_OK);
    CHECK_INT(mill__response_coding(response), cases[i].coding);
    mill__response_free(response);
  }
}

static void test_content_length(void) {
  static const char *const broken[] = {
      OK_HEAD "Content-Length: 1\r\nContent-Length: 2\r\n",
      OK_HEAD "Content-Length: 1\r\nX: y\r\ncontent-length : 2\r\n",
      OK_HEAD "Content-Length: -1\r\n",
      OK_HEAD "Content-Length: +1\r\n",
      OK_HEAD "Content-Length: 1 2\r\n",
      OK_HEAD "Content-Length: 1, 2\r\n",
      OK_HEAD "Content-Length: 0x1\r\n",
      OK_HEAD "Content-Length:\r\n",
      OK_HEAD "Content-Length: 99999999999999999999\r\n",
      OK_HEAD "Content-Length: 9223372036854775808\r\n",
  };
  for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
    CHECK_INT(code_of(broken[i], strlen(broken[i])), MILL_E_PROTOCOL);
  CHECK_INT(code_of(BYTES(OK_HEAD "Content-Length: 0\r\nContent-Length: 0\r\n")), MILL_OK);
}

static void test_nul(void) {
  static const struct {
    const char *head;
    size_t len;
  } cases[] = {
      {BYTES(OK_HEAD "X: a\0b\r\n")}, {BYTES(OK_HEAD "X: a\0\r\n")}, {BYTES(OK_HEAD "\0\r\n")},
      {BYTES(OK_HEAD "\0X: a\r\n")},  {BYTES(OK_HEAD "X\0: a\r\n")},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
    CHECK_INT(code_of(cases[i].head, cases[i].len), MILL_E_PROTOCOL);
}

/* The limit holds for all the answers together, not for each. */
static void test_size_limit(void) {
  struct mill__response *response = new_response(100);
  CHECK_INT(put_all(response, BYTES(OK_HEAD)), MILL_OK); /* 17 bytes */
  char line[84];
  memset(line, 'x', sizeof(line));
  CHECK_INT(put(response, line, 84), MILL_E_LIMIT);
  mill__response_free(response);
  response = new_response(100);
  CHECK_INT(put_all(response, BYTES(OK_HEAD)), MILL_OK);
  CHECK_INT(put(response, line, 81), MILL_OK);
  CHECK_INT(put(response, BYTES("\r\n")), MILL_OK);
  CHECK(response->complete);
  mill__response_free(response);
  response = new_response(100);
  CHECK_INT(put_all(response, BYTES(CONTINUE)), MILL_OK);
  CHECK_INT(put_all(response, BYTES(CONTINUE)), MILL_E_LIMIT);
  CHECK(strstr(response->why, "header_bytes") != NULL);
  mill__response_free(response);
}

static void run_starved(void *ctx) {
  (void)ctx;
  struct mill__response *response;
  if (mill__response_new(HEADER_BYTES, &response) != MILL_OK)
    return;
  int code =
      put_all(response, BYTES(OK_HEAD "Content-Type: text/html\r\nX-Long: " CONTINUE "\r\n"));
  CHECK(code == MILL_OK || (code == MILL_E_NOMEM && test_alloc_failed()));
  mill__response_free(response);
}

int main(void) {
  test_alloc_install();
  test_whole_head();
  test_empty_response();
  test_status_lines();
  test_informational();
  test_codings();
  test_content_length();
  test_nul();
  test_size_limit();
  test_each_failing_allocation(run_starved, NULL);
  CHECK_INT(test_alloc_live(), 0);
  return 0;
}
