/*
 * Runs of a framing parser: however an input is cut, and whether or not the reader pauses, the same
 * records come out of it, each as soon as its last byte is in.
 */
#ifndef MILL_TESTS_RECORDS_H
#define MILL_TESTS_RECORDS_H

#include "support.h"

/* A parser under test, behind one face; its callbacks are records_data and records_event. */
struct records_parser {
  void *parser;
  void (*init)(void *parser, size_t event_bytes, void *ctx);
  void (*fini)(void *parser); /* NULL: nothing to free */
  int (*feed)(void *parser, const char *bytes, size_t len, size_t *ret_consumed);
  int (*finish)(void *parser); /* what it says of the end of the input */
};

#define RECORD(head, data) head "\x1f" data "\x1e"

/* An input, and what must come of it. */
struct records_case {
  const char *name;
  mill_slice input;
  mill_slice records; /* RECORDs, then data of an event that does not end */
  int result;         /* of the feed that stopped it, else MILL_OK */
  int finish;         /* where nothing stopped it */
  size_t event_bytes; /* 0: no limit */
  /* Offsets behind the last byte of each event; NULL: not checked. */
  const size_t *ends;
};

/* For the parser's callbacks: `ctx` is what init got. */
int records_data(void *ctx, const char *bytes, size_t len);
int records_event(void *ctx, mill_slice head);

/* All runs of a case. */
void records_check(const struct records_parser *parser, const struct records_case *c);
/*
 * The input of a case without the '^' in it, each of which stands behind an event's last byte:
 * `input` and `ends` of it are set, and good until the next call. Without any, ends are not checked.
 */
void records_unmark(struct records_case *c);
/* One run with failing allocations: whatever was told before is a part of what a whole run tells. */
void records_starve(const struct records_parser *parser, mill_slice input);
/* The parser stops for good where its reader says so. */
void records_sticky(const struct records_parser *parser, mill_slice input);

#endif
