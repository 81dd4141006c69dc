/*
 * The event stream parser. Every input is fed whole, in all splits and piece sizes, pausing and
 * not, and must give what a plain reference gives that sees the whole input at once: the same
 * records, each as soon as its last byte is in. The tables hold the reference itself to account.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "parse/sse.h"
#include "support.h"

#define LOG_BYTES ((size_t)64 << 20)
#define NO_LIMIT ((size_t)1 << 30)
#define VECTORS "sse-vectors.json"

/* Records as they stand in a log. */
#define EVENT(type, id, data) type "\x1f" id "\x1f" data "\x1e"
#define COMMENT(text) text "\x1e"
#define UNKNOWN(name, value) name "\x1f" value "\x1e"
#define TEXT(literal)                                                                              \
  { BYTES(literal) }

/* ---- logs ------------------------------------------------------------------------------------ */

/* What a run gave, and what it is held to while it goes on. */
struct log {
  struct mill__buf events, comments, unknown, ids;
  struct mill__buf data; /* of the event under construction */
  struct mill__buf ends; /* of size_t: the offset behind each event's last byte */
  bool has_retry;
  uint64_t retry_ms;
  size_t n_events;

  const char *unnamed;        /* stands for the type ""; NULL: nothing does */
  bool pause;                 /* after every event */
  const struct log *expected; /* where events must end; NULL: not checked */
  const char *piece;          /* the bytes being fed, and where they stand in the input */
  size_t piece_len, piece_offset;
};

static void log_init(struct log *log) {
  *log = (struct log){0};
  mill__buf_init(&log->events, LOG_BYTES);
  mill__buf_init(&log->comments, LOG_BYTES);
  mill__buf_init(&log->unknown, LOG_BYTES);
  mill__buf_init(&log->ids, LOG_BYTES);
  mill__buf_init(&log->data, LOG_BYTES);
  mill__buf_init(&log->ends, LOG_BYTES);
}

static void log_fini(struct log *log) {
  mill__buf_fini(&log->events);
  mill__buf_fini(&log->comments);
  mill__buf_fini(&log->unknown);
  mill__buf_fini(&log->ids);
  mill__buf_fini(&log->data);
  mill__buf_fini(&log->ends);
}

static void log_clear(struct log *log) {
  mill__buf_clear(&log->events);
  mill__buf_clear(&log->comments);
  mill__buf_clear(&log->unknown);
  mill__buf_clear(&log->ids);
  mill__buf_clear(&log->data);
  mill__buf_clear(&log->ends);
  log->has_retry = false;
  log->retry_ms = 0;
  log->n_events = 0;
}

static void add(struct mill__buf *buf, const void *bytes, size_t len, const char *end) {
  CHECK_INT(mill__buf_append(buf, bytes, len), MILL_OK);
  CHECK_INT(mill__buf_append(buf, end, strlen(end)), MILL_OK);
}

static size_t end_of(const struct log *log, size_t event) {
  size_t end;
  CHECK(event < log->n_events);
  memcpy(&end, log->ends.ptr + event * sizeof(end), sizeof(end));
  return end;
}

/* Data comes out of the piece itself: nothing is copied. */
static int on_data(void *ctx, const char *bytes, size_t len) {
  struct log *log = ctx;
  CHECK(len > 0);
  bool inside = bytes >= log->piece && bytes + len <= log->piece + log->piece_len;
  CHECK(inside || (len == 1 && *bytes == '\n'));
  add(&log->data, bytes, len, "");
  return MILL_OK;
}

static void log_event(struct log *log, mill_slice type, mill_slice id) {
  if (type.len == 0 && log->unnamed != NULL)
    type = (mill_slice){log->unnamed, strlen(log->unnamed)};
  add(&log->events, type.ptr, type.len, "\x1f");
  add(&log->events, id.ptr, id.len, "\x1f");
  add(&log->events, log->data.ptr, log->data.len, "\x1e");
  mill__buf_clear(&log->data);
  log->n_events++;
}

/* An event comes while the piece is fed that its last byte is in. */
static int on_event(void *ctx, mill_slice type, mill_slice id) {
  struct log *log = ctx;
  if (log->expected != NULL) {
    size_t end = end_of(log->expected, log->n_events);
    CHECK(end > log->piece_offset && end <= log->piece_offset + log->piece_len);
  }
  log_event(log, type, id);
  return log->pause ? MILL_AGAIN : MILL_OK;
}

static int on_comment(void *ctx, mill_slice text) {
  add(&((struct log *)ctx)->comments, text.ptr, text.len, "\x1e");
  return MILL_OK;
}

static int on_retry(void *ctx, uint64_t retry_ms) {
  struct log *log = ctx;
  log->has_retry = true;
  log->retry_ms = retry_ms;
  return MILL_OK;
}

/* An id is told here only where no event tells it. */
static int on_id(void *ctx, mill_slice id) {
  struct log *log = ctx;
  CHECK(log->data.len == 0);
  add(&log->ids, id.ptr, id.len, "\x1e");
  return MILL_OK;
}

static int on_unknown(void *ctx, mill_slice name, mill_slice value) {
  struct log *log = ctx;
  CHECK(value.ptr >= name.ptr + name.len && value.ptr <= name.ptr + name.len + 2);
  add(&log->unknown, name.ptr, name.len, "\x1f");
  add(&log->unknown, value.ptr, value.len, "\x1e");
  return MILL_OK;
}

static const struct mill__sse_callbacks log_callbacks = {
    .data = on_data,
    .event = on_event,
    .comment = on_comment,
    .retry = on_retry,
    .id = on_id,
    .unknown = on_unknown,
};

static void check_same(const struct mill__buf *is, const struct mill__buf *expected) {
  CHECK_BYTES(is->ptr, is->len, expected->ptr, expected->len);
}

static void check_logs(const struct log *is, const struct log *expected) {
  check_same(&is->events, &expected->events);
  check_same(&is->comments, &expected->comments);
  check_same(&is->unknown, &expected->unknown);
  check_same(&is->ids, &expected->ids);
  CHECK_INT(is->has_retry, expected->has_retry);
  CHECK_INT(is->retry_ms, expected->retry_ms);
}

/* ---- the reference: section 9.2.6 over a whole input ----------------------------------------- */

struct reference {
  struct log log;
  mill_slice type, id, last_id;
  bool has_data, has_id;
};

static bool equals(mill_slice slice, const char *text) {
  return slice.len == strlen(text) && memcmp(slice.ptr, text, slice.len) == 0;
}

static void reference_dispatch(struct reference *ref, size_t end) {
  ref->last_id = ref->id;
  if (ref->has_data) {
    log_event(&ref->log, ref->type, ref->last_id);
    add(&ref->log.ends, &end, sizeof(end), "");
  } else if (ref->has_id) {
    add(&ref->log.ids, ref->id.ptr, ref->id.len, "\x1e");
  }
  ref->type = (mill_slice){"", 0};
  ref->has_data = ref->has_id = false;
}

static void reference_retry(struct reference *ref, mill_slice value) {
  char digits[128];
  size_t len = value.len;
  for (size_t i = 0; i < value.len; i++) {
    if (value.ptr[i] < '0' || value.ptr[i] > '9')
      return;
  }
  if (len == 0)
    return;
  CHECK(len < sizeof(digits));
  memcpy(digits, value.ptr, len);
  digits[len] = '\0';
  uint64_t retry_ms = strtoull(digits, NULL, 10); /* clamps on overflow */
  ref->log.has_retry = true;
  ref->log.retry_ms = retry_ms < MILL__SSE_RETRY_MAX_MS ? retry_ms : MILL__SSE_RETRY_MAX_MS;
}

static void reference_field(struct reference *ref, mill_slice name, mill_slice value) {
  if (equals(name, "data")) {
    if (ref->has_data)
      add(&ref->log.data, "\n", 1, "");
    add(&ref->log.data, value.ptr, value.len, "");
    ref->has_data = true;
  } else if (equals(name, "event")) {
    ref->type = value;
  } else if (equals(name, "id")) {
    if (value.len == 0 || memchr(value.ptr, '\0', value.len) == NULL) {
      ref->id = value;
      ref->has_id = true;
    }
  } else if (equals(name, "retry")) {
    reference_retry(ref, value);
  } else {
    on_unknown(&ref->log, name, value);
  }
}

static void reference_line(struct reference *ref, mill_slice line) {
  const char *colon = memchr(line.ptr, ':', line.len);
  const char *end = line.ptr + line.len;
  if (colon == line.ptr) {
    on_comment(&ref->log, (mill_slice){colon + 1, line.len - 1});
  } else if (colon == NULL) {
    reference_field(ref, line, (mill_slice){end, 0});
  } else {
    const char *value = colon + 1;
    if (value < end && *value == ' ')
      value++;
    reference_field(ref, (mill_slice){line.ptr, (size_t)(colon - line.ptr)},
                    (mill_slice){value, (size_t)(end - value)});
  }
}

/* Fills `ref`; returns what mill__sse_finish must say. */
static bool reference_parse(struct reference *ref, mill_slice input, mill_slice initial_id) {
  size_t at = input.len >= 3 && memcmp(input.ptr, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
  log_clear(&ref->log);
  ref->type = (mill_slice){"", 0};
  ref->id = ref->last_id = initial_id;
  ref->has_data = ref->has_id = false;
  while (at < input.len) {
    size_t eol = at;
    while (eol < input.len && input.ptr[eol] != '\n' && input.ptr[eol] != '\r')
      eol++;
    if (eol == input.len)
      return true;
    if (eol == at)
      reference_dispatch(ref, eol + 1);
    else
      reference_line(ref, (mill_slice){input.ptr + at, eol - at});
    bool crlf = input.ptr[eol] == '\r' && eol + 1 < input.len && input.ptr[eol + 1] == '\n';
    at = eol + (crlf ? 2 : 1);
  }
  return ref->has_data || ref->has_id || ref->type.len > 0;
}

/* ---- runs ------------------------------------------------------------------------------------ */

/* Feed one piece, resumed after every pause; a pause stands exactly behind its event. */
static int feed_piece(struct mill__sse *sse, struct log *log, const char *piece, size_t len,
                      size_t offset) {
  for (;;) {
    size_t consumed = SIZE_MAX;
    log->piece = piece;
    log->piece_len = len;
    log->piece_offset = offset;
    int rc = mill__sse_feed(sse, piece, len, &consumed);
    CHECK(consumed <= len);
    if (rc != MILL_AGAIN) {
      CHECK(rc != MILL_OK || consumed == len);
      return rc;
    }
    CHECK(log->pause);
    if (log->expected != NULL)
      CHECK_INT(offset + consumed, end_of(log->expected, log->n_events - 1));
    piece += consumed;
    len -= consumed;
    offset += consumed;
  }
}

/* One run; the result of the feed that stopped it, or MILL_OK. */
static int feed_run(struct mill__sse *sse, struct log *log, struct test_pieces *pieces) {
  const char *piece;
  size_t len;
  log_clear(log);
  while ((piece = test_next_piece(pieces, &len)) != NULL) {
    int rc = feed_piece(sse, log, piece, len, pieces->offset - len);
    if (rc != MILL_OK)
      return rc;
  }
  return MILL_OK;
}

/* All runs of an input give what the reference gives. */
static void check_input(const char *name, mill_slice input, mill_slice initial_id,
                        struct reference *ref) {
  struct log log;
  struct mill__sse sse;
  bool unfinished = reference_parse(ref, input, initial_id);
  log_init(&log);
  log.expected = &ref->log;
  for (int pause = 0; pause <= 1; pause++) {
    log.pause = pause;
    struct test_pieces pieces = {.bytes = input.ptr, .len = input.len};
    while (test_next_run(&pieces)) {
      test_case("%s, %s, %s", name, test_run_name(&pieces), pause ? "pausing" : "not pausing");
      CHECK_INT(mill__sse_init(&sse, NO_LIMIT, &log_callbacks, &log), MILL_OK);
      CHECK_INT(mill__sse_set_last_event_id(&sse, initial_id.ptr, initial_id.len), MILL_OK);
      CHECK_INT(feed_run(&sse, &log, &pieces), MILL_OK);
      check_logs(&log, &ref->log);
      mill_slice last_id = mill__sse_last_event_id(&sse);
      CHECK_BYTES(last_id.ptr, last_id.len, ref->last_id.ptr, ref->last_id.len);
      CHECK_INT(mill__sse_finish(&sse), unfinished);
      mill__sse_fini(&sse);
    }
  }
  log_fini(&log);
}

/* ---- the project's own vectors --------------------------------------------------------------- */

struct vector {
  const char *name;
  mill_slice input;
  mill_slice events, comments, unknown, last_id;
  long long retry_ms; /* 0: none */
  bool unfinished;
};

static const struct vector vectors[] = {
    {.name = "nothing", .input = TEXT("")},
    {.name = "one event", .input = TEXT("data: hi\n\n"), .events = TEXT(EVENT("", "", "hi"))},
    {.name = "JSON",
     .input = TEXT("data: {\"a\": \"b:c\"}\n\ndata: [DONE]\n\n"),
     .events = TEXT(EVENT("", "", "{\"a\": \"b:c\"}") EVENT("", "", "[DONE]"))},
    {.name = "one space is dropped, and no more",
     .input = TEXT("data:  two\ndata:none\ndata:\ttab\ndata: \ndata:  \n\n"),
     .events = TEXT(EVENT("", "", " two\nnone\n\ttab\n\n "))},
    {.name = "data without value",
     .input = TEXT("data\n\ndata:\n\ndata\ndata\n\n"),
     .events = TEXT(EVENT("", "", "") EVENT("", "", "") EVENT("", "", "\n"))},
    {.name = "all fields",
     .input = TEXT("id: 7\nevent: add\nretry: 25\n:note\ndata: x\n\n"),
     .events = TEXT(EVENT("add", "7", "x")),
     .comments = TEXT(COMMENT("note")),
     .last_id = TEXT("7"),
     .retry_ms = 25},
    {.name = "a type is for one event, an id for all that follow",
     .input = TEXT("id: 1\nevent: t\ndata: a\n\ndata: b\n\n"),
     .events = TEXT(EVENT("t", "1", "a") EVENT("", "1", "b")),
     .last_id = TEXT("1")},
    {.name = "a type without data is dropped",
     .input = TEXT("event: ping\n\ndata: x\n\n"),
     .events = TEXT(EVENT("", "", "x"))},
    {.name = "the last type and id of an event count",
     .input = TEXT("event: a\nevent: b\nid: 1\nid: 2\ndata: x\n\nevent: a\nevent\nid\ndata: y\n\n"),
     .events = TEXT(EVENT("b", "2", "x") EVENT("", "", "y"))},
    {.name = "an id counts without data too",
     .input = TEXT("id: 1\n\ndata: x\n\n"),
     .events = TEXT(EVENT("", "1", "x")),
     .last_id = TEXT("1")},
    {.name = "an id counts from its blank line on",
     .input = TEXT("id: 1\n\nid: 2\ndata: x\n"),
     .last_id = TEXT("1"),
     .unfinished = true},
    {.name = "an id with NUL is ignored",
     .input = TEXT("id: 1\nid: 2\0\nid:\0\ndata: x\n\n"),
     .events = TEXT(EVENT("", "1", "x")),
     .last_id = TEXT("1")},
    {.name = "NUL elsewhere is a character",
     .input = TEXT("event: a\0b\ndata: \0\ndata\0: x\n\n"),
     .events = TEXT(EVENT("a\0b", "", "\0")),
     .unknown = TEXT(UNKNOWN("data\0", "x"))},
    {.name = "names are exact",
     .input = TEXT("Data: a\ndata : b\n data: c\ndat: d\nda\ndatas: e\ndatax\ndata: f\n\n"),
     .events = TEXT(EVENT("", "", "f")),
     .unknown = TEXT(UNKNOWN("Data", "a") UNKNOWN("data ", "b") UNKNOWN(" data", "c") UNKNOWN(
         "dat", "d") UNKNOWN("da", "") UNKNOWN("datas", "e") UNKNOWN("datax", ""))},
    {.name = "unknown fields",
     .input = TEXT("error: {\"code\": 500}\n{\"error\":\n  1}\nx:\n\n"),
     .unknown = TEXT(UNKNOWN("error", "{\"code\": 500}") UNKNOWN("{\"error\"", "")
                         UNKNOWN("  1}", "") UNKNOWN("x", ""))},
    {.name = "comments",
     .input = TEXT(": ping\n\n:\n::\n:data: x\ndata: y\n: z\n\n"),
     .events = TEXT(EVENT("", "", "y")),
     .comments = TEXT(COMMENT(" ping") COMMENT("") COMMENT(":") COMMENT("data: x") COMMENT(" z"))},
    {.name = "retry: digits only",
     .input = TEXT("retry: 5\nretry: +6\nretry: 7x\nretry:  8\nretry: -9\nretry:\nretry: 1e3\n")},
    {.name = "a huge retry", .input = TEXT("retry: 99999999999999999999999999\n")},
    {.name = "CRLF",
     .input = TEXT("data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n"),
     .events = TEXT(EVENT("", "", "a\nb") EVENT("", "", "c"))},
    {.name = "CR",
     .input = TEXT("data: a\rdata: b\r\rdata: c\r\r"),
     .events = TEXT(EVENT("", "", "a\nb") EVENT("", "", "c"))},
    {.name = "mixed line ends",
     .input = TEXT("data: a\n\r\ndata: b\r\n\rdata: c\r\ndata: d\n\r\r\n\n"),
     .events = TEXT(EVENT("", "", "a") EVENT("", "", "b") EVENT("", "", "c\nd"))},
    {.name = "CR CRLF is two line ends",
     .input = TEXT("data: a\r\r\ndata: b\r\r\n"),
     .events = TEXT(EVENT("", "", "a") EVENT("", "", "b"))},
    {.name = "other separators are characters",
     .input = TEXT("data: a\x0b\x0c\xC2\x85\xE2\x80\xA8\x1c"
                   "b\n\n"),
     .events = TEXT(EVENT("", "",
                          "a\x0b\x0c\xC2\x85\xE2\x80\xA8\x1c"
                          "b"))},
    {.name = "only line ends", .input = TEXT("\n\r\r\n\n\r")},
    {.name = "a BOM at the start",
     .input = TEXT("\xEF\xBB\xBF"
                   "data: x\n\n"),
     .events = TEXT(EVENT("", "", "x"))},
    {.name = "a second BOM is a part of the name",
     .input = TEXT("\xEF\xBB\xBF\xEF\xBB\xBF"
                   "data: x\n\n"),
     .unknown = TEXT(UNKNOWN("\xEF\xBB\xBF"
                             "data",
                             "x"))},
    {.name = "no BOM after the start",
     .input = TEXT("\n\xEF\xBB\xBF"
                   "data: x\n\ndata: \xEF\xBB\xBF\n\n"),
     .events = TEXT(EVENT("", "", "\xEF\xBB\xBF")),
     .unknown = TEXT(UNKNOWN("\xEF\xBB\xBF"
                             "data",
                             "x"))},
    {.name = "a part of a BOM",
     .input = TEXT("\xEF\xBB"
                   "data: x\n\ndata: y\n\n"),
     .events = TEXT(EVENT("", "", "y")),
     .unknown = TEXT(UNKNOWN("\xEF\xBB"
                             "data",
                             "x"))},
    {.name = "a part of a BOM and a line end",
     .input = TEXT("\xEF\ndata: y\n\n"),
     .events = TEXT(EVENT("", "", "y")),
     .unknown = TEXT(UNKNOWN("\xEF", ""))},
    {.name = "bytes that are not UTF-8 pass",
     .input = TEXT("data: \xFF\xE2\x82\n\n"),
     .events = TEXT(EVENT("", "", "\xFF\xE2\x82"))},
    {.name = "ended in a BOM", .input = TEXT("\xEF\xBB"), .unfinished = true},
    {.name = "only a BOM", .input = TEXT("\xEF\xBB\xBF")},
    {.name = "ended in a name",
     .input = TEXT("data: a\n\nda"),
     .events = TEXT(EVENT("", "", "a")),
     .unfinished = true},
    {.name = "ended in a value", .input = TEXT("data: a"), .unfinished = true},
    {.name = "ended in an empty value", .input = TEXT("data:"), .unfinished = true},
    {.name = "ended in a comment", .input = TEXT(": a"), .unfinished = true},
    {.name = "ended in an event", .input = TEXT("data: a\r\n"), .unfinished = true},
    {.name = "ended after a type", .input = TEXT("event: a\n"), .unfinished = true},
    {.name = "ended after a comment",
     .input = TEXT("data: a\n\n: bye\r"),
     .events = TEXT(EVENT("", "", "a")),
     .comments = TEXT(COMMENT(" bye"))},
    {.name = "lines longer than a block of the search",
     .input = TEXT("event: 0123456789abcdef0123456789abcdef0123456789abcdef\n"
                   "data: 0123456789abcdef0123456789abcdef0123456789abcdef\n\n"),
     .events = TEXT(EVENT("0123456789abcdef0123456789abcdef0123456789abcdef", "",
                          "0123456789abcdef0123456789abcdef0123456789abcdef"))},
};

#define N_VECTORS (sizeof(vectors) / sizeof(vectors[0]))

static void check_text(const struct mill__buf *is, mill_slice expected) {
  CHECK_BYTES(is->ptr, is->len, expected.ptr, expected.len);
}

/* check_input holds the parser to the reference, this one the reference to the table. */
static void run_vector(const struct vector *vector, struct reference *ref) {
  mill_slice none = {"", 0};
  test_case("%s, reference", vector->name);
  CHECK_INT(reference_parse(ref, vector->input, none), vector->unfinished);
  check_text(&ref->log.events, vector->events);
  check_text(&ref->log.comments, vector->comments);
  check_text(&ref->log.unknown, vector->unknown);
  CHECK_BYTES(ref->last_id.ptr, ref->last_id.len, vector->last_id.ptr, vector->last_id.len);
  if (vector->retry_ms != 0)
    CHECK_INT(ref->log.retry_ms, vector->retry_ms);
  check_input(vector->name, vector->input, none, ref);
}

/* ---- random inputs --------------------------------------------------------------------------- */

#define RANDOM_INPUTS 600
#define RANDOM_BYTES 80

/* Streams of words that mean something to the parser, in no sensible order. */
static mill_slice random_input(uint64_t *seed, char *out) {
  static const mill_slice words[] = {
      TEXT("data"), TEXT("data: "), TEXT("data:"),        TEXT(":"),    TEXT(" "),
      TEXT("\n"),   TEXT("\r"),     TEXT("\r\n"),         TEXT("\n\n"), TEXT("id"),
      TEXT("id: "), TEXT("event:"), TEXT("retry:"),       TEXT("10"),   TEXT("x"),
      TEXT("dat"),  TEXT("\0"),     TEXT("\xEF\xBB\xBF"), TEXT("\xEF"), TEXT("0123456789abcdef"),
  };
  size_t len = 0, wanted = test_random(seed) % (RANDOM_BYTES - 16);
  while (len < wanted) {
    mill_slice word = words[test_random(seed) % (sizeof(words) / sizeof(words[0]))];
    memcpy(out + len, word.ptr, word.len);
    len += word.len;
  }
  return (mill_slice){out, len};
}

static void test_random_inputs(struct reference *ref) {
  uint64_t seed = 42;
  char bytes[RANDOM_BYTES], name[32];
  for (unsigned i = 0; i < RANDOM_INPUTS; i++) {
    snprintf(name, sizeof(name), "random input %u", i);
    check_input(name, random_input(&seed, bytes), (mill_slice){"old", 3}, ref);
  }
}

/* ---- limits ---------------------------------------------------------------------------------- */

struct limit_case {
  const char *name;
  mill_slice input;
  size_t event_bytes; /* the least that the input needs; 1 less is MILL_E_LIMIT */
};

static const struct limit_case limit_cases[] = {
    {"data", TEXT("data: 12345\n\n"), 5},
    {"data over several lines, LFs counted", TEXT("data: 12\ndata:34\ndata\n\n"), 6},
    {"the count begins anew", TEXT("data: 123\n\ndata: 123\n\ndata: 123\n\n"), 3},
    {"a data line that never ends", TEXT("data: 1234567"), 7},
    {"comment", TEXT(": 23456\n\ndata: 1\n\n"), 7},
    {"a comment that never ends", TEXT(":234567"), 7},
    {"unknown field", TEXT("abc: d\n"), 6},
    {"a line without a colon", TEXT("abcdef"), 6},
    {"a line that begins as data does",
     TEXT("dat"
          "xyz\n"),
     6},
    {"type", TEXT("event: abc\n"), 10},
    {"id", TEXT("id: abc\n"), 7},
    {"retry", TEXT("retry: 123\n"), 10},
    {"a part of a BOM",
     TEXT("\xEF\xBB"
          "abc\n"),
     5},
};

/* Whatever the split, the same bytes come out before the limit. */
static void run_limit_case(const struct limit_case *c, size_t event_bytes) {
  struct log whole, log;
  struct mill__sse sse;
  log_init(&whole);
  log_init(&log);
  struct test_pieces pieces = {.bytes = c->input.ptr, .len = c->input.len};
  for (bool first = true; test_next_run(&pieces); first = false) {
    test_case("%s, limit %zu, %s", c->name, event_bytes, test_run_name(&pieces));
    CHECK_INT(mill__sse_init(&sse, event_bytes, &log_callbacks, first ? &whole : &log), MILL_OK);
    int rc = feed_run(&sse, first ? &whole : &log, &pieces);
    CHECK_INT(rc, event_bytes < c->event_bytes ? MILL_E_LIMIT : MILL_OK);
    if (!first) {
      check_logs(&log, &whole);
      check_same(&log.data, &whole.data);
    }
    CHECK(whole.data.len <= event_bytes);
    mill__sse_fini(&sse);
  }
  log_fini(&whole);
  log_fini(&log);
}

static void test_limits(void) {
  for (size_t i = 0; i < sizeof(limit_cases) / sizeof(limit_cases[0]); i++) {
    for (size_t event_bytes = 0; event_bytes < 20; event_bytes++)
      run_limit_case(&limit_cases[i], event_bytes);
  }
  test_case("%s", "");
}

/* ---- errors and reset ------------------------------------------------------------------------ */

/* Callbacks that stop at the record named by `stop_at`. */
struct stopper {
  const char *stop_at;
  unsigned calls;
};

static int stop(void *ctx, const char *record) {
  struct stopper *stopper = ctx;
  stopper->calls++;
  return strcmp(stopper->stop_at, record) == 0 ? MILL_E_CANCELLED : MILL_OK;
}

static int stop_data(void *ctx, const char *bytes, size_t len) {
  return stop(ctx, "data");
}

static int stop_event(void *ctx, mill_slice type, mill_slice id) {
  return stop(ctx, "event");
}

static int stop_comment(void *ctx, mill_slice text) {
  return stop(ctx, "comment");
}

static int stop_retry(void *ctx, uint64_t retry_ms) {
  return stop(ctx, "retry");
}

static int stop_unknown(void *ctx, mill_slice name, mill_slice value) {
  return stop(ctx, "unknown");
}

static const struct mill__sse_callbacks stop_callbacks = {
    .data = stop_data,
    .event = stop_event,
    .comment = stop_comment,
    .retry = stop_retry,
    .unknown = stop_unknown,
};

static const char every_record[] = ": c\nretry: 1\nfoo: x\ndata: a\n\n";

static void test_sticky_errors(void) {
  static const char *const records[] = {"comment", "retry", "unknown", "data", "event"};
  for (unsigned i = 0; i < 5; i++) {
    test_case("stopped by %s", records[i]);
    struct stopper stopper = {.stop_at = records[i]};
    struct mill__sse sse;
    size_t consumed;
    CHECK_INT(mill__sse_init(&sse, 100, &stop_callbacks, &stopper), MILL_OK);
    CHECK_INT(mill__sse_feed(&sse, BYTES(every_record), &consumed), MILL_E_CANCELLED);
    CHECK_INT(stopper.calls, i + 1);
    CHECK(consumed > 0 && consumed <= sizeof(every_record) - 1);
    CHECK_INT(mill__sse_feed(&sse, BYTES(every_record), &consumed), MILL_E_CANCELLED);
    CHECK_INT(consumed, 0);
    CHECK_INT(mill__sse_feed(&sse, NULL, 0, &consumed), MILL_E_CANCELLED);
    CHECK_INT(stopper.calls, i + 1);
    mill__sse_reset(&sse);
    stopper.stop_at = "";
    CHECK_INT(mill__sse_feed(&sse, BYTES(every_record), &consumed), MILL_OK);
    CHECK_INT(stopper.calls, i + 1 + 5);
    mill__sse_fini(&sse);
  }
  test_case("%s", "");
}

static void test_no_callbacks(void) {
  static const struct mill__sse_callbacks none = {0};
  struct mill__sse sse;
  size_t consumed;
  CHECK_INT(mill__sse_init(&sse, 100, &none, NULL), MILL_OK);
  CHECK_INT(mill__sse_feed(&sse, BYTES(every_record), &consumed), MILL_OK);
  CHECK_INT(consumed, sizeof(every_record) - 1);
  CHECK_INT(mill__sse_feed(&sse, NULL, 0, &consumed), MILL_OK);
  CHECK_INT(consumed, 0);
  mill__sse_fini(&sse);
}

static void feed_whole(struct mill__sse *sse, struct log *log, const char *text) {
  CHECK_INT(feed_piece(sse, log, text, strlen(text), 0), MILL_OK);
}

static void check_last_id(const struct mill__sse *sse, const char *expected) {
  mill_slice id = mill__sse_last_event_id(sse);
  CHECK_BYTES(id.ptr, id.len, expected, strlen(expected));
}

/* A reconnect: the id that was in force stays, everything else is forgotten. */
static void test_reset(void) {
  struct log log;
  struct mill__sse sse;
  log_init(&log);
  CHECK_INT(mill__sse_init(&sse, 30, &log_callbacks, &log), MILL_OK);
  check_last_id(&sse, "");
  feed_whole(&sse, &log, "id: 1\ndata: a\n\nid: 2\nevent: t\ndata: 2345678901234567890\nunkn");
  mill__sse_reset(&sse);
  CHECK(!mill__sse_finish(&sse));
  check_last_id(&sse, "1");
  log_clear(&log);
  feed_whole(&sse, &log,
             "\xEF\xBB\xBF"
             "data: 2345678901234567890\nfoo: x\n\n");
  check_text(&log.events, (mill_slice)TEXT(EVENT("", "1", "2345678901234567890")));
  check_text(&log.unknown, (mill_slice)TEXT(UNKNOWN("foo", "x")));

  mill__sse_reset(&sse);
  CHECK_INT(mill__sse_set_last_event_id(&sse, "new", 3), MILL_OK);
  char too_long[31];
  memset(too_long, 'x', sizeof(too_long));
  CHECK_INT(mill__sse_set_last_event_id(&sse, too_long, sizeof(too_long)), MILL_E_LIMIT);
  check_last_id(&sse, "new");
  log_clear(&log);
  feed_whole(&sse, &log, "data: x\n\n");
  check_text(&log.events, (mill_slice)TEXT(EVENT("", "new", "x")));
  mill__sse_fini(&sse);
  log_fini(&log);
}

/* ---- out of memory --------------------------------------------------------------------------- */

static void run_without_memory(void *ctx) {
  static const char input[] = "\xEF\xBB: c\nevent: t\nid: 1\nretry: 5\nfoo: x\ndatx: y\ndata: z\n\n"
                              "id: 2\n\nevent: u\ndata: z\n\n";
  static const struct mill__sse_callbacks none = {0};
  const size_t *piece_len = ctx;
  struct mill__sse sse;
  size_t consumed;
  int rc = mill__sse_init(&sse, 1000, &none, NULL);
  if (rc == MILL_OK)
    rc = mill__sse_set_last_event_id(&sse, "0", 1);
  for (size_t at = 0; at < sizeof(input) - 1 && rc == MILL_OK; at += *piece_len) {
    size_t left = sizeof(input) - 1 - at;
    rc = mill__sse_feed(&sse, input + at, left < *piece_len ? left : *piece_len, &consumed);
    if (rc != MILL_OK) /* it sticks, also when there is memory again */
      CHECK_INT(mill__sse_feed(&sse, "x", 1, &consumed), rc);
  }
  CHECK_INT(rc, test_alloc_failed() ? MILL_E_NOMEM : MILL_OK);
  mill__sse_fini(&sse);
}

static void test_out_of_memory(void) {
  static const size_t piece_lens[] = {1, 2, 3, 7, 1000};
  for (size_t i = 0; i < sizeof(piece_lens) / sizeof(piece_lens[0]); i++)
    test_each_failing_allocation(run_without_memory, (void *)&piece_lens[i]);
}

/* ---- the shared vectors ---------------------------------------------------------------------- */

static void append_json(struct mill__buf *out, const struct json *string) {
  CHECK(string->type == JSON_STRING);
  add(out, string->text, string->len, "");
}

/* [[text, times], ...] */
static void append_parts(struct mill__buf *out, const struct json *parts) {
  for (const struct json *part = parts->child; part != NULL; part = part->next) {
    const struct json *text = part->child;
    for (size_t times = (size_t)text->next->number; times > 0; times--)
      append_json(out, text);
  }
}

static void append_hex(struct mill__buf *out, const struct json *hex) {
  for (size_t i = 0; i < hex->len; i += 2) {
    char pair[] = {hex->text[i], hex->text[i + 1], '\0'};
    CHECK_INT(mill__buf_append_byte(out, (char)strtoul(pair, NULL, 16)), MILL_OK);
  }
}

static void read_input(const struct json *vector, struct mill__buf *out) {
  const struct json *text = json_get(vector, "input"), *hex = json_get(vector, "input_hex");
  mill__buf_clear(out);
  if (text != NULL)
    append_json(out, text);
  else if (hex != NULL)
    append_hex(out, hex);
  else
    append_parts(out, json_need(vector, "input_parts", JSON_ARRAY));
}

static void read_expected(const struct json *vector, struct log *log) {
  const struct json *events = json_need(vector, "events", JSON_ARRAY);
  log_clear(log);
  for (const struct json *event = events->child; event != NULL; event = event->next) {
    const struct json *type = json_need(event, "type", JSON_STRING);
    const struct json *id = json_need(event, "id", JSON_STRING);
    const struct json *parts = json_get(event, "data_parts");
    if (parts != NULL)
      append_parts(&log->data, parts);
    else
      append_json(&log->data, json_need(event, "data", JSON_STRING));
    log_event(log, (mill_slice){type->text, type->len}, (mill_slice){id->text, id->len});
  }
  const struct json *comments = json_get(vector, "comments");
  for (const struct json *c = comments != NULL ? comments->child : NULL; c != NULL; c = c->next)
    on_comment(log, (mill_slice){c->text, c->len});
  const struct json *retry = json_get(vector, "retry");
  if (retry != NULL)
    on_retry(log, (uint64_t)retry->number);
}

/* The vectors give text: what is not UTF-8 stands there as U+FFFD. */
static void check_decoded(mill_slice is, mill_slice expected) {
  struct mill__buf text;
  struct mill__utf8 utf8;
  mill__buf_init(&text, LOG_BYTES);
  mill__utf8_init(&utf8);
  CHECK_INT(mill__utf8_repair(&utf8, is.ptr, is.len, &text), MILL_OK);
  CHECK_INT(mill__utf8_repair_end(&utf8, &text), MILL_OK);
  check_text(&text, expected);
  mill__buf_fini(&text);
}

/* Fed whole, the input gives what the vector says. */
static void check_vector(const struct json *vector, mill_slice input, mill_slice initial_id) {
  struct log log, expected;
  struct mill__sse sse;
  log_init(&log);
  log_init(&expected);
  read_expected(vector, &expected);
  log.unnamed = "message";
  CHECK_INT(mill__sse_init(&sse, NO_LIMIT, &log_callbacks, &log), MILL_OK);
  CHECK_INT(mill__sse_set_last_event_id(&sse, initial_id.ptr, initial_id.len), MILL_OK);
  CHECK_INT(feed_piece(&sse, &log, test_guarded(input.ptr, input.len), input.len, 0), MILL_OK);
  check_decoded(mill__buf_slice(&log.events), mill__buf_slice(&expected.events));
  if (json_get(vector, "comments") != NULL)
    check_decoded(mill__buf_slice(&log.comments), mill__buf_slice(&expected.comments));
  const struct json *last_id = json_need(vector, "last_event_id", JSON_STRING);
  check_decoded(mill__sse_last_event_id(&sse), (mill_slice){last_id->text, last_id->len});
  if (json_get(vector, "any") == NULL) { /* the only thing that may differ is "retry" */
    CHECK_INT(log.has_retry, expected.has_retry);
    CHECK_INT(log.retry_ms, expected.retry_ms);
  }
  mill__sse_fini(&sse);
  log_fini(&log);
  log_fini(&expected);
}

static void test_shared_vectors(const char *path, struct reference *ref) {
  struct json *all = json_read(path);
  struct mill__buf input;
  size_t n_vectors = 0;
  mill__buf_init(&input, LOG_BYTES);
  for (const struct json *vector = all->child; vector != NULL; vector = vector->next) {
    const char *name = json_need(vector, "name", JSON_STRING)->text;
    const struct json *initial = json_get(vector, "initial_last_event_id");
    mill_slice initial_id = {"", 0};
    if (initial != NULL)
      initial_id = (mill_slice){initial->text, initial->len};
    read_input(vector, &input);
    test_case("%s", name);
    check_vector(vector, mill__buf_slice(&input), initial_id);
    check_input(name, mill__buf_slice(&input), initial_id, ref);
    n_vectors++;
  }
  test_case("%s", "");
  CHECK(n_vectors > 200);
  printf("%zu shared vectors\n", n_vectors);
  mill__buf_fini(&input);
  json_free(all);
}

int main(void) {
  struct reference ref;
  test_alloc_install();
  log_init(&ref.log);
  for (size_t i = 0; i < N_VECTORS; i++)
    run_vector(&vectors[i], &ref);
  test_random_inputs(&ref);
  test_limits();
  test_sticky_errors();
  test_no_callbacks();
  test_reset();
  test_out_of_memory();
  const char *path = test_shared(VECTORS);
  if (path != NULL)
    test_shared_vectors(path, &ref);
  log_fini(&ref.log);
  CHECK_INT(test_alloc_live(), 0);
  return path != NULL ? 0 : test_skipped(VECTORS);
}
