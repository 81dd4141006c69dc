/* The line parser: what is a line, in all splits, pausing and not; limits; errors. */
#include "parse/ndjson.h"

#include <string.h>

#include "records.h"

static int on_event(void *ctx) {
  return records_event(ctx, (mill_slice){"", 0});
}

static const struct mill__ndjson_callbacks callbacks = {records_data, on_event};

static void init(void *parser, size_t event_bytes, void *ctx) {
  mill__ndjson_init(parser, event_bytes, &callbacks, ctx);
}

static int feed(void *parser, const char *bytes, size_t len, size_t *ret_consumed) {
  return mill__ndjson_feed(parser, bytes, len, ret_consumed);
}

static int finish(void *parser) {
  return mill__ndjson_finish(parser);
}

static struct mill__ndjson ndjson;
static const struct records_parser parser = {&ndjson, init, NULL, feed, finish};

#define LINE(data) RECORD("", data)

/* '^' stands behind an event's last byte. */
static const struct records_case cases[] = {
    {.name = "nothing"},
    {.name = "one line", .input = {BYTES("{\"a\":1}\n^")}, .records = {BYTES(LINE("{\"a\":1}"))}},
    {.name = "two lines", .input = {BYTES("1\n^2\n^")}, .records = {BYTES(LINE("1") LINE("2"))}},
    {.name = "CR LF",
     .input = {BYTES("{}\r\n^[]\r\n^")},
     .records = {BYTES(LINE("{}") LINE("[]"))}},
    {.name = "a CR is no line end",
     .input = {BYTES("{\r}\n^a\r\r\n^\rb\n^")},
     .records = {BYTES(LINE("{\r}") LINE("a\r") LINE("b"))}},
    {.name = "blank lines are none",
     .input = {BYTES("\n\r\n \t\r\n1\n^\n\n  \n2\n^ \n")},
     .records = {BYTES(LINE("1") LINE("2"))}},
    {.name = "white space around",
     .input = {BYTES(" \t{ } \n^")},
     .records = {BYTES(LINE("{ } "))}},
    {.name = "odd bytes",
     .input = {BYTES("\0\xff\xe2\x80\xa8\n^")},
     .records = {BYTES(LINE("\0\xff\xe2\x80\xa8"))}},
    {.name = "the last line without LF",
     .input = {BYTES("1\n^{\"b\":2}")},
     .records = {BYTES(LINE("1") LINE("{\"b\":2}"))}},
    {.name = "the last line with half of CR LF",
     .input = {BYTES("1\r")},
     .records = {BYTES(LINE("1"))}},
    {.name = "the last line blank", .input = {BYTES("1\n^  \r")}, .records = {BYTES(LINE("1"))}},
    {.name = "up to the limit",
     .input = {BYTES("1234\n^  1234\r\n^\n1234")},
     .records = {BYTES(LINE("1234") LINE("1234") LINE("1234"))},
     .event_bytes = 4},
    {.name = "above the limit",
     .input = {BYTES("1\n^12345\n")},
     .records = {BYTES(LINE("1") "1234")},
     .result = MILL_E_LIMIT,
     .event_bytes = 4},
    {.name = "above the limit by a CR",
     .input = {BYTES("1234\r5\n")},
     .records = {BYTES("1234")},
     .result = MILL_E_LIMIT,
     .event_bytes = 4},
};

static void test_reset(void) {
  size_t consumed;
  mill__ndjson_init(&ndjson, 0, &callbacks, NULL);
  CHECK_INT(mill__ndjson_feed(&ndjson, "7", 1, &consumed), MILL_E_LIMIT);
  CHECK_INT(mill__ndjson_feed(&ndjson, "\n", 1, &consumed), MILL_E_LIMIT);
  mill__ndjson_reset(&ndjson);
  CHECK_INT(mill__ndjson_feed(&ndjson, "\n", 1, &consumed), MILL_OK);
  CHECK_INT(mill__ndjson_finish(&ndjson), MILL_OK);
}

int main(void) {
  test_alloc_install();
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct records_case c = cases[i];
    records_unmark(&c);
    records_check(&parser, &c);
  }
  records_sticky(&parser, (mill_slice){BYTES("1\n2\n")});
  test_reset();
  CHECK_INT(test_alloc_live(), 0);
  return 0;
}
