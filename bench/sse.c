/*
 * How fast the event stream parser is, beside a plain memchr pass over the same bytes: MB/s, the
 * best of some rounds. Each input comes in two sizes: where the time grows faster than the input,
 * the second line of a pair is the slower one.
 *
 * Owns: the input of one row at a time. Thread: one. Limits: 64 MB an input.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "parse/sse.h"

#define MB ((size_t)1000 * 1000)
#define SMALL (4 * MB)
#define LARGE (64 * MB)
#define NO_LIMIT ((size_t)1 << 30)
#define ROUNDS 5
#define EVENT_BYTES 300

/* What an input is made of: `head` once, `unit` over and over, `tail` once. */
struct input {
  const char *name;
  const char *head, *unit, *tail;
  size_t piece; /* bytes a feed */
};

struct text {
  char *ptr;
  size_t len;
};

static char event[EVENT_BYTES + 1];

/* A chat chunk's size: one long data line, then the blank one. */
static void make_event(void) {
  memset(event, 'x', EVENT_BYTES);
  memcpy(event, "data: ", 6);
  memcpy(event + EVENT_BYTES - 2, "\n\n", 3);
}

static void add(struct text *text, const char *bytes) {
  size_t len = strlen(bytes);
  memcpy(text->ptr + text->len, bytes, len);
  text->len += len;
}

static struct text make_text(const struct input *input, size_t size) {
  struct text text = {malloc(size + 1024), 0};
  if (text.ptr == NULL)
    abort();
  add(&text, input->head);
  while (text.len < size)
    add(&text, input->unit);
  add(&text, input->tail);
  return text;
}

/* ---- what is measured ------------------------------------------------------------------------ */

/* Looks at what it is given as a reader would, so that nothing can be left out. */
static size_t seen;

static int on_data(void *ctx, const char *bytes, size_t len) {
  seen += len + (unsigned char)*bytes;
  return MILL_OK;
}

static int on_event(void *ctx, mill_slice type, mill_slice id) {
  seen += type.len + id.len + 1;
  return MILL_OK;
}

static const struct mill__sse_callbacks callbacks = {.data = on_data, .event = on_event};

static void parse(const struct text *text, size_t piece) {
  struct mill__sse sse;
  size_t consumed;
  if (mill__sse_init(&sse, NO_LIMIT, &callbacks, NULL) != MILL_OK)
    abort();
  for (size_t at = 0; at < text->len; at += piece) {
    size_t len = text->len - at < piece ? text->len - at : piece;
    if (mill__sse_feed(&sse, text->ptr + at, len, &consumed) != MILL_OK)
      abort();
  }
  mill__sse_fini(&sse);
}

/* Finds every LF, in the same pieces. */
static void scan(const struct text *text, size_t piece) {
  for (size_t at = 0; at < text->len; at += piece) {
    const char *p = text->ptr + at;
    const char *end = p + (text->len - at < piece ? text->len - at : piece);
    while (p < end && (p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
      seen++;
      p++;
    }
  }
}

static double mb_per_s(void (*pass)(const struct text *, size_t), const struct text *text,
                       size_t piece) {
  int64_t best_ns = INT64_MAX;
  for (int i = 0; i < ROUNDS; i++) {
    int64_t begin = mill__clock_ns();
    pass(text, piece);
    int64_t took = mill__clock_ns() - begin;
    if (took < best_ns)
      best_ns = took;
  }
  return (double)text->len * 1e3 / (double)(best_ns > 0 ? best_ns : 1);
}

static void measure(const struct input *input, size_t size) {
  struct text text = make_text(input, size);
  double parser = mb_per_s(parse, &text, input->piece);
  double plain = mb_per_s(scan, &text, input->piece);
  printf("%-34s %3zu MB %9.0f MB/s %9.0f MB/s %6.2f\n", input->name, size / MB, parser, plain,
         parser / plain);
  free(text.ptr);
}

int main(void) {
  make_event();
  const size_t read = 16384; /* what a socket gives at a time */
  const struct input inputs[] = {
      {"300-byte events", "", event, "", read},
      {"300-byte events, one piece", "", event, "", LARGE + EVENT_BYTES},
      {"300-byte events, 1-byte pieces", "", event, "", 1},
      {"typed events with ids", "", "event: add\nid: 1234\ndata: {\"n\": 1}\n\n", "", read},
      {"keep-alives", "", ": ping\n\n", "", read},
      {"LF storm", "", "\n", "", read},
      {"CR storm", "", "\r", "", read},
      {"CRLF storm", "", "\r\n", "", read},
      {"LF storm, 1-byte pieces", "", "\n", "", 1},
      {"empty data lines", "", "data\n", "", read},
      {"one data line", "data: ", "xxxxxxxx", "\n\n", read},
      {"one data line, 1-byte pieces", "data: ", "xxxxxxxx", "\n\n", 1},
      {"one comment", ":", "xxxxxxxx", "\n\n", read},
      {"one comment, 1-byte pieces", ":", "xxxxxxxx", "\n\n", 1},
      {"one unknown field", "", "xxxxxxxx", "\n\n", read},
  };
  printf("%-34s %6s %14s %14s %6s\n", "", "", "parser", "memchr", "ratio");
  for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++) {
    measure(&inputs[i], SMALL);
    measure(&inputs[i], LARGE);
  }
  return seen == 0; /* never: it keeps the compiler from leaving work out */
}
