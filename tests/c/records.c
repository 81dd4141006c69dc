/* Runs of the framing parsers; see records.h. */
#include "records.h"

#include <string.h>

#define LOG_BYTES ((size_t)64 << 20)
#define MAX_ENDS 256

struct log {
  struct mill__buf text;
  size_t n_events;
  int answer;         /* of event() */
  const size_t *ends; /* NULL: not checked */
  bool finishing;
  const char *piece; /* the bytes being fed, and where they stand in the input */
  size_t piece_len, piece_offset;
};

static void add(struct log *log, const void *bytes, size_t len) {
  CHECK_INT(mill__buf_append(&log->text, bytes, len), MILL_OK);
}

/* Data comes out of the piece itself, but for a CR that was held back: nothing is copied. */
int records_data(void *ctx, const char *bytes, size_t len) {
  struct log *log = ctx;
  CHECK(len > 0);
  bool inside = bytes >= log->piece && bytes + len <= log->piece + log->piece_len;
  CHECK(inside || (len == 1 && *bytes == '\r'));
  add(log, bytes, len);
  return MILL_OK;
}

/* The head goes in front of the data of its event, which is behind the last record. */
int records_event(void *ctx, mill_slice head) {
  struct log *log = ctx;
  const char *last = log->text.len ? memrchr(log->text.ptr, 0x1E, log->text.len) : NULL;
  size_t at = last != NULL ? (size_t)(last - log->text.ptr) + 1 : 0;
  CHECK_INT(mill__buf_reserve(&log->text, head.len + 2), MILL_OK);
  memmove(log->text.ptr + at + head.len + 1, log->text.ptr + at, log->text.len - at);
  if (head.len > 0)
    memcpy(log->text.ptr + at, head.ptr, head.len);
  log->text.ptr[at + head.len] = 0x1F;
  log->text.len += head.len + 1;
  add(log, "\x1e", 1);
  if (log->ends != NULL && !log->finishing) {
    size_t end = log->ends[log->n_events];
    CHECK(end > log->piece_offset && end <= log->piece_offset + log->piece_len);
  }
  log->n_events++;
  return log->answer;
}

/* Feed one piece, resumed after every pause; a pause stands exactly behind its event. */
static int feed_piece(const struct records_parser *parser, struct log *log, const char *piece,
                      size_t len, size_t offset) {
  for (;;) {
    size_t consumed = SIZE_MAX;
    log->piece = piece;
    log->piece_len = len;
    log->piece_offset = offset;
    int rc = parser->feed(parser->parser, piece, len, &consumed);
    CHECK(consumed <= len);
    if (rc != MILL_AGAIN) {
      CHECK(rc != MILL_OK || consumed == len);
      return rc;
    }
    CHECK_INT(log->answer, MILL_AGAIN);
    if (log->ends != NULL)
      CHECK_INT(offset + consumed, log->ends[log->n_events - 1]);
    piece += consumed;
    len -= consumed;
    offset += consumed;
  }
}

static int feed_run(const struct records_parser *parser, struct log *log,
                    struct test_pieces *pieces) {
  const char *piece;
  size_t len;
  while ((piece = test_next_piece(pieces, &len)) != NULL) {
    int rc = feed_piece(parser, log, piece, len, pieces->offset - len);
    if (rc != MILL_OK)
      return rc;
  }
  return MILL_OK;
}

static void init(const struct records_parser *parser, size_t event_bytes, struct log *log) {
  *log = (struct log){.answer = MILL_OK};
  mill__buf_init(&log->text, LOG_BYTES);
  parser->init(parser->parser, event_bytes ? event_bytes : LOG_BYTES, log);
}

static void fini(const struct records_parser *parser, struct log *log) {
  if (parser->fini != NULL)
    parser->fini(parser->parser);
  mill__buf_fini(&log->text);
}

static void check_run(const struct records_parser *parser, const struct records_case *c,
                      struct test_pieces *pieces, int answer) {
  struct log log;
  init(parser, c->event_bytes, &log);
  log.answer = answer;
  log.ends = c->ends;
  CHECK_INT(feed_run(parser, &log, pieces), c->result);
  if (c->result == MILL_OK) {
    log.finishing = true;
    size_t n_events = log.n_events;
    int finish = parser->finish(parser->parser);
    CHECK_INT(log.n_events > n_events ? finish - answer : finish, c->finish);
  } else {
    size_t consumed = SIZE_MAX; /* it stays an error */
    CHECK_INT(parser->feed(parser->parser, "{}\n", 3, &consumed), c->result);
    CHECK_INT(consumed, 0);
  }
  CHECK_BYTES(log.text.ptr, log.text.len, c->records.ptr, c->records.len);
  fini(parser, &log);
}

void records_check(const struct records_parser *parser, const struct records_case *c) {
  for (int pause = 0; pause <= 1; pause++) {
    struct test_pieces pieces = {.bytes = c->input.ptr, .len = c->input.len};
    while (test_next_run(&pieces)) {
      test_case("%s, %s, %s", c->name, test_run_name(&pieces), pause ? "pausing" : "not pausing");
      check_run(parser, c, &pieces, pause ? MILL_AGAIN : MILL_OK);
    }
  }
  test_case("%s", "");
}

void records_unmark(struct records_case *c) {
  static char input[1 << 16];
  static size_t ends[MAX_ENDS];
  size_t len = 0, n_ends = 0;
  CHECK(c->input.len <= sizeof input);
  for (size_t i = 0; i < c->input.len; i++) {
    if (c->input.ptr[i] != '^') {
      input[len++] = c->input.ptr[i];
      continue;
    }
    CHECK(n_ends < MAX_ENDS);
    ends[n_ends++] = len;
  }
  c->input = (mill_slice){input, len};
  c->ends = n_ends > 0 ? ends : NULL;
}

void records_starve(const struct records_parser *parser, mill_slice input) {
  struct test_pieces pieces = {.bytes = input.ptr, .len = input.len};
  while (test_next_run(&pieces)) {
    struct log log = {.answer = MILL_OK};
    char text[4096];
    /* The log must not need the heap that fails. */
    log.text = (struct mill__buf){.ptr = text, .capacity = sizeof text, .cap = sizeof text};
    parser->init(parser->parser, LOG_BYTES, &log);
    int rc = feed_run(parser, &log, &pieces);
    CHECK(rc == MILL_OK || (rc == MILL_E_NOMEM && test_alloc_failed()));
    CHECK(log.text.ptr == text);
    if (parser->fini != NULL)
      parser->fini(parser->parser);
  }
}

void records_sticky(const struct records_parser *parser, mill_slice input) {
  struct log log;
  size_t consumed;
  init(parser, 0, &log);
  log.answer = MILL_E_CANCELLED;
  log.piece = input.ptr;
  log.piece_len = input.len;
  CHECK_INT(parser->feed(parser->parser, input.ptr, input.len, &consumed), MILL_E_CANCELLED);
  CHECK(consumed < input.len);
  log.answer = MILL_OK;
  CHECK_INT(parser->feed(parser->parser, input.ptr, input.len, &consumed), MILL_E_CANCELLED);
  CHECK_INT(consumed, 0);
  CHECK_INT(log.n_events, 1);
  fini(parser, &log);
}
