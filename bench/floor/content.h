/*
 * The least that a chat client does with the bytes of its stream: find the data lines, parse each
 * with a yajl handle of its own, and take the delta's content.
 *
 * Owns: the beginning of a line that a piece cut. Thread: the owner's. Errors: ends the program.
 */
#ifndef BENCH_FLOOR_CONTENT_H
#define BENCH_FLOOR_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct content {
  void (*text)(void *ctx, const char *text, size_t len);
  void *ctx;
  char *line;
  size_t len, capacity;
  bool done; /* "[DONE]" has come */
};

void content_init(struct content *content, void (*text)(void *, const char *, size_t), void *ctx);
void content_fini(struct content *content);
/* For CURLOPT_WRITEFUNCTION, with the content as CURLOPT_WRITEDATA. */
size_t content_write(char *bytes, size_t size, size_t n, void *content);

/* What the chat endpoint is asked, by every contestant. */
extern const char *const request_body;

/* ---- what all floor programs measure --------------------------------------------------------- */

_Noreturn void die(const char *what);
int64_t now_ns(void); /* CLOCK_MONOTONIC */
int64_t cpu_ns(void); /* of this process, user and system */
long rss_kib(void);
/* The value below which `percent` of the samples lie; sorts them. 0 where there are none. */
int64_t percentile(int64_t *samples, size_t n, double percent);

#endif
