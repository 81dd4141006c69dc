/*
 * The AWS event stream parser: frames in all splits, pausing and not; headers of all types; lengths
 * that lie, checksums that are wrong, every flipped bit; limits; memory.
 */
#include "parse/awsev.h"

#include <stdio.h>
#include <string.h>

#include "base/crc32.h"
#include "records.h"

/* ---- frames ---------------------------------------------------------------------------------- */

#define MAX_FRAMES 8

/* Frames as they stand on the wire, and where each one ends. */
struct wire {
  char bytes[1 << 16];
  size_t len;
  size_t ends[MAX_FRAMES], n_frames;
};

static void put(struct wire *wire, const void *bytes, size_t len) {
  CHECK(wire->len + len <= sizeof wire->bytes);
  if (len > 0)
    memcpy(wire->bytes + wire->len, bytes, len);
  wire->len += len;
}

static void put_number(struct wire *wire, uint32_t number) {
  for (int shift = 24; shift >= 0; shift -= 8)
    put(wire, &(char){(char)(number >> shift)}, 1);
}

static void put_crc(struct wire *wire, size_t from) {
  put_number(wire, mill__crc32(0, wire->bytes + from, wire->len - from));
}

/* A frame whose prelude says these lengths, whatever it holds; its checksums are right. */
static void put_frame_that_says(struct wire *wire, uint32_t total, uint32_t headers_len,
                                mill_slice headers, mill_slice payload) {
  size_t from = wire->len;
  put_number(wire, total);
  put_number(wire, headers_len);
  put_crc(wire, from);
  put(wire, headers.ptr, headers.len);
  put(wire, payload.ptr, payload.len);
  put_crc(wire, from);
  CHECK(wire->n_frames < MAX_FRAMES);
  wire->ends[wire->n_frames++] = wire->len;
}

static void put_frame(struct wire *wire, mill_slice headers, mill_slice payload) {
  put_frame_that_says(wire, (uint32_t)(16 + headers.len + payload.len), (uint32_t)headers.len,
                      headers, payload);
}

static void clear(struct wire *wire) {
  wire->len = wire->n_frames = 0;
}

/* A string header: lengths are single characters of their literals. */
#define STRING_HEADER(name_len, name, value_len, value) name_len name "\x07\x00" value_len value
#define EVENT_HEADERS                                                                              \
  STRING_HEADER("\x0b", ":event-type", "\x05", "chunk")                                            \
  STRING_HEADER("\x0d", ":content-type", "\x10", "application/json")                               \
  STRING_HEADER("\x0d", ":message-type", "\x05", "event")
#define EXCEPTION_HEADERS                                                                          \
  STRING_HEADER("\x0f", ":exception-type", "\x13", "throttlingException")                          \
  STRING_HEADER("\x0d", ":message-type", "\x09", "exception")
#define ERROR_HEADERS                                                                              \
  STRING_HEADER("\x0b", ":error-code", "\x0d", "InternalError")                                    \
  STRING_HEADER("\x0e", ":error-message", "\x04", "oops")                                          \
  STRING_HEADER("\x0d", ":message-type", "\x05", "error")
/* One of each type, and a value for those that have one. */
#define ALL_HEADERS                                                                                \
  "\x01t\x00"                                                                                      \
  "\x01"                                                                                           \
  "f\x01"                                                                                          \
  "\x02i8\x02\x80"                                                                                 \
  "\x03i16\x03\x01\x02"                                                                            \
  "\x03i32\x04\x01\x02\x03\x04"                                                                    \
  "\x03i64\x05\x01\x02\x03\x04\x05\x06\x07\x08"                                                    \
  "\x05"                                                                                           \
  "bytes\x06\x00\x03\x00\xff\x01"                                                                  \
  "\x06string\x07\x00\x02hi"                                                                       \
  "\x04time\x08\x00\x00\x01\x8c\x00\x00\x00\x00"                                                   \
  "\x04uuid\x09\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"

/* ---- the parser ------------------------------------------------------------------------------ */

/* The head of a record: kind, types, code and message. */
static int on_event(void *ctx, const struct mill__awsev_message *message) {
  static const char *const kinds[] = {"event", "exception", "error"};
  char head[512];
  int len = snprintf(head, sizeof head, "%s|%.*s|%.*s|%.*s|%.*s|%.*s", kinds[message->kind],
                     (int)message->event_type.len, message->event_type.ptr,
                     (int)message->exception_type.len, message->exception_type.ptr,
                     (int)message->error_code.len, message->error_code.ptr,
                     (int)message->error_message.len, message->error_message.ptr,
                     (int)message->content_type.len, message->content_type.ptr);
  CHECK(len > 0 && (size_t)len < sizeof head);
  return records_event(ctx, (mill_slice){head, (size_t)len});
}

static const struct mill__awsev_callbacks callbacks = {records_data, on_event};

static void init(void *parser, size_t event_bytes, void *ctx) {
  mill__awsev_init(parser, event_bytes, &callbacks, ctx);
}

static void fini(void *parser) {
  mill__awsev_fini(parser);
}

static int feed(void *parser, const char *bytes, size_t len, size_t *ret_consumed) {
  return mill__awsev_feed(parser, bytes, len, ret_consumed);
}

static int finish(void *parser) {
  return mill__awsev_finish(parser);
}

static struct mill__awsev awsev;
static const struct records_parser parser = {&awsev, init, fini, feed, finish};
enum { CUT = 1 };

static void check(const char *name, const struct wire *wire, mill_slice records, int result,
                  int cut) {
  records_check(&parser, &(struct records_case){.name = name,
                                                .input = {wire->bytes, wire->len},
                                                .records = records,
                                                .result = result,
                                                .finish = cut,
                                                .ends = wire->ends});
}

static struct wire wire;

/* ---- frames that are right ------------------------------------------------------------------- */

#define CHUNK(payload) RECORD("event|chunk||||application/json", payload)
#define BARE(payload) RECORD("event|||||", payload)

static void test_frames(void) {
  clear(&wire);
  check("nothing", &wire, (mill_slice){BYTES("")}, MILL_OK, 0);
  put_frame(&wire, (mill_slice){BYTES("")}, (mill_slice){BYTES("")});
  check("an empty frame", &wire, (mill_slice){BYTES(BARE(""))}, MILL_OK, 0);
  put_frame(&wire, (mill_slice){BYTES("")}, (mill_slice){BYTES("x")});
  check("no headers", &wire, (mill_slice){BYTES(BARE("") BARE("x"))}, MILL_OK, 0);

  clear(&wire);
  put_frame(&wire, (mill_slice){BYTES(EVENT_HEADERS)}, (mill_slice){BYTES("{\"a\":1}")});
  put_frame(&wire, (mill_slice){BYTES(EVENT_HEADERS)}, (mill_slice){BYTES("")});
  put_frame(&wire, (mill_slice){BYTES(EXCEPTION_HEADERS)}, (mill_slice){BYTES("{}")});
  put_frame(&wire, (mill_slice){BYTES(ERROR_HEADERS)}, (mill_slice){BYTES("")});
  check("all kinds", &wire,
        (mill_slice){BYTES(CHUNK("{\"a\":1}") CHUNK("") RECORD(
            "exception||throttlingException|||", "{}") RECORD("error|||InternalError|oops|", ""))},
        MILL_OK, 0);

  clear(&wire);
  put_frame(&wire, (mill_slice){BYTES(ALL_HEADERS EVENT_HEADERS)}, (mill_slice){BYTES("\0\xff")});
  check("headers of all types", &wire, (mill_slice){BYTES(CHUNK("\0\xff"))}, MILL_OK, 0);

  /* What looks like a message type, but is no string, and a type that nobody knows. */
  clear(&wire);
  put_frame(&wire,
            (mill_slice){BYTES("\x0d:message-type\x06\x00\x05"
                               "error")},
            (mill_slice){BYTES("a")});
  put_frame(&wire, (mill_slice){BYTES(STRING_HEADER("\x0d", ":message-type", "\x03", "odd"))},
            (mill_slice){BYTES("b")});
  check("other message types", &wire, (mill_slice){BYTES(BARE("a") BARE("b"))}, MILL_OK, 0);
}

/* The checksums of a frame that was made elsewhere: botocore's test of an empty message. */
static void test_known_frame(void) {
  static const char empty[] = "\x00\x00\x00\x10\x00\x00\x00\x00\x05\xc2\x48\xeb\x7d\x98\xc8\xff";
  clear(&wire);
  put(&wire, BYTES(empty));
  wire.ends[0] = wire.len;
  check("a known frame", &wire, (mill_slice){BYTES(BARE(""))}, MILL_OK, 0);
}

static const struct {
  const char *name;
  enum mill__awsev_type type;
  mill_slice value;
} all_headers[] = {
    {"t", MILL__AWSEV_TRUE, {BYTES("")}},
    {"f", MILL__AWSEV_FALSE, {BYTES("")}},
    {"i8", MILL__AWSEV_INT8, {BYTES("\x80")}},
    {"i16", MILL__AWSEV_INT16, {BYTES("\x01\x02")}},
    {"i32", MILL__AWSEV_INT32, {BYTES("\x01\x02\x03\x04")}},
    {"i64", MILL__AWSEV_INT64, {BYTES("\x01\x02\x03\x04\x05\x06\x07\x08")}},
    {"bytes", MILL__AWSEV_BYTES, {BYTES("\x00\xff\x01")}},
    {"string", MILL__AWSEV_STRING, {BYTES("hi")}},
    {"time", MILL__AWSEV_TIMESTAMP, {BYTES("\x00\x00\x01\x8c\x00\x00\x00\x00")}},
    {"uuid",
     MILL__AWSEV_UUID,
     {BYTES("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f")}},
};
enum { N_HEADERS = sizeof all_headers / sizeof *all_headers };

static void test_headers(void) {
  mill_slice rest = {BYTES(ALL_HEADERS)};
  rest.ptr = test_guarded(rest.ptr, rest.len);
  struct mill__awsev_header header;
  for (size_t i = 0; i < N_HEADERS; i++) {
    test_case("header %zu", i);
    CHECK_INT(mill__awsev_next_header(&rest, &header), MILL_OK);
    CHECK_BYTES(header.name.ptr, header.name.len, all_headers[i].name, strlen(all_headers[i].name));
    CHECK_INT(header.type, all_headers[i].type);
    CHECK_BYTES(header.value.ptr, header.value.len, all_headers[i].value.ptr,
                all_headers[i].value.len);
  }
  CHECK_INT(mill__awsev_next_header(&rest, &header), MILL_END);
}

/* Cut anywhere, headers end at a boundary or are none. */
static void test_cut_headers(void) {
  static const char all[] = ALL_HEADERS;
  for (size_t len = 0; len < sizeof all - 1; len++) {
    test_case("headers cut at %zu", len);
    mill_slice rest = {test_guarded(all, len), len};
    struct mill__awsev_header header;
    size_t n = 0, left = rest.len;
    int rc;
    while ((rc = mill__awsev_next_header(&rest, &header)) == MILL_OK) {
      CHECK(rest.len < left);
      left = rest.len;
      n++;
    }
    CHECK(n < N_HEADERS);
    CHECK(rc == (left ? MILL_E_PROTOCOL : MILL_END));
    CHECK_INT(rest.len, left); /* untouched by the error */
  }
}

/* ---- frames that are wrong ------------------------------------------------------------------- */

static const struct {
  const char *name;
  uint32_t total, headers_len; /* of a frame with one payload byte */
  int result;
} lies[] = {
    {"no length", 0, 0, MILL_E_PROTOCOL},
    {"shorter than the overhead", 15, 0, MILL_E_PROTOCOL},
    {"headers longer than the frame", 17, 2, MILL_E_PROTOCOL},
    {"headers of all bits", 17, UINT32_MAX, MILL_E_PROTOCOL},
    {"headers whose end wraps around", 17, UINT32_MAX - 14, MILL_E_PROTOCOL},
    {"the payload called a header", 17, 1, MILL_E_PROTOCOL},
    {"longer than allowed", 16 + 101, 0, MILL_E_LIMIT},
    {"the longest", UINT32_MAX, 0, MILL_E_LIMIT},
    {"headers longer than allowed", 17 + 128 * 1024 + 1, 128 * 1024 + 1, MILL_E_LIMIT},
};

static void test_lies(void) {
  for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
    clear(&wire);
    put_frame_that_says(&wire, lies[i].total, lies[i].headers_len, (mill_slice){BYTES("")},
                        (mill_slice){BYTES("x")});
    put_frame(&wire, (mill_slice){BYTES("")}, (mill_slice){BYTES("")}); /* so that none is cut */
    records_check(&parser, &(struct records_case){.name = lies[i].name,
                                                  .input = {wire.bytes, wire.len},
                                                  .result = lies[i].result,
                                                  .event_bytes = 100});
  }
  /* A length that is too short leaves the checksum elsewhere; one too long waits for the rest. */
  clear(&wire);
  put_frame_that_says(&wire, 17, 0, (mill_slice){BYTES("")}, (mill_slice){BYTES("xy")});
  check("shorter than it is", &wire, (mill_slice){BYTES("x")}, MILL_E_PROTOCOL, 0);
  clear(&wire);
  put_frame_that_says(&wire, 30, 0, (mill_slice){BYTES("")}, (mill_slice){BYTES("")});
  check("longer than it is", &wire, (mill_slice){wire.bytes + 12, 4}, MILL_OK, CUT);
}

static void test_payload_limit(void) {
  clear(&wire);
  put_frame(&wire, (mill_slice){BYTES(EVENT_HEADERS)}, (mill_slice){BYTES("1234")});
  put_frame(&wire, (mill_slice){BYTES(EVENT_HEADERS)}, (mill_slice){BYTES("12345")});
  records_check(&parser, &(struct records_case){.name = "up to the limit, and above",
                                                .input = {wire.bytes, wire.len},
                                                .records = {BYTES(CHUNK("1234"))},
                                                .result = MILL_E_LIMIT,
                                                .event_bytes = 4,
                                                .ends = wire.ends});
}

static const mill_slice broken_headers[] = {
    {BYTES("\x00\x00")}, /* no name */
    {BYTES("\x01")},     /* a name that is not there */
    {BYTES("\x05"
           "abc\x00")}, /* ... or only a part of it */
    {BYTES("\x01"
           "a")}, /* no type */
    {BYTES("\x01"
           "a\x0a")}, /* the first type that there is not */
    {BYTES("\x01"
           "a\xff\x00\x00")}, /* ... and the last */
    {BYTES("\x01"
           "a\x07\x00")}, /* half a length */
    {BYTES("\x01"
           "a\x07\x00\x02x")}, /* a value that is cut */
    {BYTES("\x01"
           "a\x09"
           "123456789012345")},
    {BYTES(EVENT_HEADERS "\x01")}, /* behind good ones */
};

static void test_broken_headers(void) {
  for (size_t i = 0; i < sizeof broken_headers / sizeof *broken_headers; i++) {
    char name[32];
    snprintf(name, sizeof name, "broken headers %zu", i);
    clear(&wire);
    put_frame(&wire, broken_headers[i], (mill_slice){BYTES("")});
    check(name, &wire, (mill_slice){BYTES("")}, MILL_E_PROTOCOL, 0);
  }
}

/* Count events and pass them; the result is in the return value. */
static int count_event(void *ctx, const struct mill__awsev_message *message) {
  ++*(size_t *)ctx;
  return MILL_OK;
}

static int no_data(void *ctx, const char *bytes, size_t len) {
  return MILL_OK;
}

static const struct mill__awsev_callbacks counting = {no_data, count_event};

/* Every flipped bit is found, before the frame is told; so is every byte put for another. */
static void test_damage(void) {
  clear(&wire);
  put_frame(&wire, (mill_slice){BYTES(ALL_HEADERS EVENT_HEADERS)},
            (mill_slice){BYTES("{\"delta\":{\"text\":\"abc\"}}")});
  for (size_t bit = 0; bit < wire.len * 8; bit++) {
    test_case("bit %zu flipped", bit);
    size_t n_events = 0, consumed;
    wire.bytes[bit / 8] ^= (char)(1 << bit % 8);
    mill__awsev_init(&awsev, 1000, &counting, &n_events);
    int rc = mill__awsev_feed(&awsev, test_guarded(wire.bytes, wire.len), wire.len, &consumed);
    CHECK_INT(rc, MILL_E_PROTOCOL);
    CHECK_INT(n_events, 0);
    mill__awsev_fini(&awsev);
    wire.bytes[bit / 8] ^= (char)(1 << bit % 8);
  }
}

/* Of a frame that is cut nothing is told, and the end of the input says so. */
static void test_cuts(void) {
  clear(&wire);
  put_frame(&wire, (mill_slice){BYTES(EVENT_HEADERS)}, (mill_slice){BYTES("{}")});
  put_frame(&wire, (mill_slice){BYTES(EVENT_HEADERS)}, (mill_slice){BYTES("{\"a\":1}")});
  for (size_t len = 0; len <= wire.len; len++) {
    test_case("cut at %zu", len);
    size_t n_events = 0, consumed;
    mill__awsev_init(&awsev, 1000, &counting, &n_events);
    CHECK_INT(mill__awsev_feed(&awsev, test_guarded(wire.bytes, len), len, &consumed), MILL_OK);
    CHECK_INT(n_events, (len >= wire.ends[0]) + (len >= wire.ends[1]));
    CHECK_INT(mill__awsev_finish(&awsev), len != 0 && len != wire.ends[0] && len != wire.ends[1]);
    mill__awsev_fini(&awsev);
  }
}

/* ---- the rest -------------------------------------------------------------------------------- */

static void test_reset(void) {
  clear(&wire);
  put_frame(&wire, (mill_slice){BYTES(EVENT_HEADERS)}, (mill_slice){BYTES("{}")});
  size_t n_events = 0, consumed;
  mill__awsev_init(&awsev, 1000, &counting, &n_events);
  for (size_t cut = 1; cut < wire.len; cut++) {
    test_case("reset behind %zu bytes", cut);
    CHECK_INT(mill__awsev_feed(&awsev, wire.bytes, cut, &consumed), MILL_OK);
    CHECK(mill__awsev_finish(&awsev));
    mill__awsev_reset(&awsev);
    CHECK(!mill__awsev_finish(&awsev));
    CHECK_INT(mill__awsev_feed(&awsev, wire.bytes, wire.len, &consumed), MILL_OK);
    CHECK_INT(n_events, cut);
  }
  CHECK_INT(mill__awsev_feed(&awsev, "0123456789ab", 12, &consumed), MILL_E_PROTOCOL);
  mill__awsev_reset(&awsev);
  CHECK_INT(mill__awsev_feed(&awsev, wire.bytes, wire.len, &consumed), MILL_OK);
  mill__awsev_fini(&awsev);
}

static void starve(void *ctx) {
  records_starve(&parser, (mill_slice){wire.bytes, wire.len});
}

static void test_out_of_memory(void) {
  clear(&wire);
  put_frame(&wire, (mill_slice){BYTES(ALL_HEADERS EVENT_HEADERS)}, (mill_slice){BYTES("{}")});
  test_each_failing_allocation(starve, NULL);
}

int main(void) {
  test_alloc_install();
  test_frames();
  test_known_frame();
  test_headers();
  test_cut_headers();
  test_lies();
  test_payload_limit();
  test_broken_headers();
  test_damage();
  test_cuts();
  clear(&wire);
  put_frame(&wire, (mill_slice){BYTES("")}, (mill_slice){BYTES("1")});
  put_frame(&wire, (mill_slice){BYTES("")}, (mill_slice){BYTES("2")});
  records_sticky(&parser, (mill_slice){wire.bytes, wire.len});
  test_reset();
  test_out_of_memory();
  CHECK_INT(test_alloc_live(), 0);
  return 0;
}
