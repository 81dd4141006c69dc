/* The array parser: what is an element, in all splits, pausing and not; limits; errors. */
#include "parse/json_array.h"

#include "records.h"

static int on_event(void *ctx) {
  return records_event(ctx, (mill_slice){"", 0});
}

static const struct mill__json_array_callbacks callbacks = {records_data, on_event};

static void init(void *parser, size_t event_bytes, void *ctx) {
  mill__json_array_init(parser, event_bytes, &callbacks, ctx);
}

static int feed(void *parser, const char *bytes, size_t len, size_t *ret_consumed) {
  return mill__json_array_feed(parser, bytes, len, ret_consumed);
}

static int finish(void *parser) {
  return mill__json_array_finish(parser);
}

static struct mill__json_array array;
static const struct records_parser parser = {&array, init, NULL, feed, finish};

#define ELEMENT(data) RECORD("", data)
enum { CUT = 1 };

/* '^' stands behind an event's last byte. */
static const struct records_case cases[] = {
    {.name = "nothing", .finish = CUT},
    {.name = "white space", .input = {BYTES(" \n")}, .finish = CUT},
    {.name = "an empty array", .input = {BYTES("[]")}},
    {.name = "an empty array, spaced", .input = {BYTES(" [\r\n\t] \n")}},
    {.name = "one element",
     .input = {BYTES("[{\"a\":1}^]")},
     .records = {BYTES(ELEMENT("{\"a\":1}"))}},
    {.name = "as Gemini sends them",
     .input = {BYTES("[{\n  \"a\": [1, {}]\n}^\n,\r\n{\n}^\n]\n")},
     .records = {BYTES(ELEMENT("{\n  \"a\": [1, {}]\n}") ELEMENT("{\n}"))}},
    {.name = "brackets and escapes in strings",
     .input = {BYTES("[{\"}]\":\"[{\\\"}]\\\\\"}^,{\"\\\\\":\"\\u005d]\"}^]")},
     .records = {BYTES(ELEMENT("{\"}]\":\"[{\\\"}]\\\\\"}") ELEMENT("{\"\\\\\":\"\\u005d]\"}"))}},
    {.name = "elements of all kinds",
     .input = {BYTES("[[[]],\"a,]\\\"\",-1.5e3,true , null\n, 0]")},
     .records = {BYTES(ELEMENT("[[]]") ELEMENT("\"a,]\\\"\"") ELEMENT("-1.5e3") ELEMENT("true")
                           ELEMENT("null") ELEMENT("0"))}},
    {.name = "an object in place of the array",
     .input = {BYTES(" {\"error\":{\"code\":4}}^\n")},
     .records = {BYTES(ELEMENT("{\"error\":{\"code\":4}}"))}},
    {.name = "an object, cut",
     .input = {BYTES("{\"error\":{}")},
     .records = {BYTES("{\"error\":{}")},
     .finish = CUT},
    {.name = "no end", .input = {BYTES("[{}^")}, .records = {BYTES(ELEMENT("{}"))}, .finish = CUT},
    {.name = "no element behind a comma",
     .input = {BYTES("[{}^, ")},
     .records = {BYTES(ELEMENT("{}"))},
     .finish = CUT},
    {.name = "cut in an element",
     .input = {BYTES("[{\"a]\":")},
     .records = {BYTES("{\"a]\":")},
     .finish = CUT},
    {.name = "cut in a number", .input = {BYTES("[12")}, .records = {BYTES("12")}, .finish = CUT},
    {.name = "cut in a string",
     .input = {BYTES("[\"a\\\"")},
     .records = {BYTES("\"a\\\"")},
     .finish = CUT},
    {.name = "whose brackets do not match is the reader's to judge",
     .input = {BYTES("[{]^]")},
     .records = {BYTES(ELEMENT("{]"))}},

    {.name = "no array", .input = {BYTES("7")}, .result = MILL_E_PROTOCOL},
    {.name = "a string", .input = {BYTES("\"[]\"")}, .result = MILL_E_PROTOCOL},
    {.name = "HTML", .input = {BYTES(" <html>")}, .result = MILL_E_PROTOCOL},
    {.name = "a comma first", .input = {BYTES("[,{}]")}, .result = MILL_E_PROTOCOL},
    {.name = "two commas",
     .input = {BYTES("[{}^,,{}]")},
     .records = {BYTES(ELEMENT("{}"))},
     .result = MILL_E_PROTOCOL},
    {.name = "a comma last",
     .input = {BYTES("[{}^,]")},
     .records = {BYTES(ELEMENT("{}"))},
     .result = MILL_E_PROTOCOL},
    {.name = "no comma",
     .input = {BYTES("[{}^ {}]")},
     .records = {BYTES(ELEMENT("{}"))},
     .result = MILL_E_PROTOCOL},
    {.name = "something behind the array", .input = {BYTES("[] []")}, .result = MILL_E_PROTOCOL},
    {.name = "something behind the object",
     .input = {BYTES("{}^,{}")},
     .records = {BYTES(ELEMENT("{}"))},
     .result = MILL_E_PROTOCOL},

    {.name = "up to the limit",
     .input = {BYTES("[  {\"a\"}  ,1234\n]")},
     .records = {BYTES(ELEMENT("{\"a\"}") ELEMENT("1234"))},
     .event_bytes = 5},
    {.name = "above the limit",
     .input = {BYTES("[{}^,{\"ab\"}]")},
     .records = {BYTES(ELEMENT("{}") "{\"ab\"")},
     .result = MILL_E_LIMIT,
     .event_bytes = 5},
    {.name = "a number above the limit",
     .input = {BYTES("[123456]")},
     .records = {BYTES("12345")},
     .result = MILL_E_LIMIT,
     .event_bytes = 5},
};

static void test_reset(void) {
  size_t consumed;
  mill__json_array_init(&array, 1, &callbacks, NULL);
  CHECK_INT(mill__json_array_feed(&array, "7", 1, &consumed), MILL_E_PROTOCOL);
  mill__json_array_reset(&array);
  CHECK_INT(mill__json_array_feed(&array, "[]", 2, &consumed), MILL_OK);
  CHECK(!mill__json_array_finish(&array));
}

int main(void) {
  test_alloc_install();
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct records_case c = cases[i];
    records_unmark(&c);
    records_check(&parser, &c);
  }
  records_sticky(&parser, (mill_slice){BYTES("[1,2,3]")});
  test_reset();
  CHECK_INT(test_alloc_live(), 0);
  return 0;
}
