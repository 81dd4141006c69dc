/*
 * What a decoder tells, as text that a test can be written in: one line an event, then how the
 * stream ended. Every text is checked to be valid UTF-8.
 *   - id:c1 model:m reasoning0<signature>=Hm text0=Hello tool0.1<id,name>={ usage/3/2/-/-/{...} finish0=stop:end_turn
 *   complete
 */
#ifndef MILL_TESTS_PROVIDER_LOG_H
#define MILL_TESTS_PROVIDER_LOG_H

#include "provider/decoder.h"

struct test_log {
  char text[16384];
  size_t len;
  int answer; /* what the sink returns */
  uint64_t n_events;
  unsigned n_comments;
};

/* A decoder that tells to this log, emptied before; NULL only where memory was made to fail. */
struct mill__decoder *test_log_open(struct test_log *log, const char *format,
                                    const mill_limits *limits);
/* How it ended: `error` is what mill__decoder_finish returned. */
void test_log_end(struct test_log *log, const struct mill__decoder *decoder, int error);

void test_log_put(struct test_log *log, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void test_log_slice(struct test_log *log, const char *label, mill_slice text);

#endif
