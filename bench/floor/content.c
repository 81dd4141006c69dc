#include "content.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <yajl/yajl_parse.h>

_Noreturn void die(const char *what) {
  fprintf(stderr, "floor: %s\n", what);
  exit(1);
}

/* ---- one event ------------------------------------------------------------------------------- */

struct parse {
  struct content *content;
  bool wanted; /* the last key was "content" */
};

static int on_key(void *ctx, const unsigned char *key, size_t len) {
  struct parse *parse = ctx;
  parse->wanted = len == 7 && memcmp(key, "content", 7) == 0;
  return 1;
}

static int on_string(void *ctx, const unsigned char *text, size_t len) {
  struct parse *parse = ctx;
  if (parse->wanted && len > 0)
    parse->content->text(parse->content->ctx, (const char *)text, len);
  parse->wanted = false;
  return 1;
}

static void parse_event(struct content *content, const char *json, size_t len) {
  static const yajl_callbacks callbacks = {.yajl_map_key = on_key, .yajl_string = on_string};
  struct parse parse = {content, false};
  yajl_handle handle = yajl_alloc(&callbacks, NULL, &parse);
  if (handle == NULL || yajl_parse(handle, (const unsigned char *)json, len) != yajl_status_ok ||
      yajl_complete_parse(handle) != yajl_status_ok)
    die("a chunk is not JSON");
  yajl_free(handle);
}

/* ---- lines ----------------------------------------------------------------------------------- */

static void take_line(struct content *content, const char *line, size_t len) {
  if (len < 6 || memcmp(line, "data: ", 6) != 0)
    return;
  if (len == 12 && memcmp(line + 6, "[DONE]", 6) == 0)
    content->done = true;
  else
    parse_event(content, line + 6, len - 6);
}

static void keep(struct content *content, const char *bytes, size_t len) {
  if (content->capacity - content->len < len) {
    content->capacity = 2 * (content->len + len);
    content->line = realloc(content->line, content->capacity);
    if (content->line == NULL)
      die("out of memory");
  }
  memcpy(content->line + content->len, bytes, len);
  content->len += len;
}

void content_init(struct content *content, void (*text)(void *, const char *, size_t), void *ctx) {
  *content = (struct content){.text = text, .ctx = ctx};
}

void content_fini(struct content *content) {
  free(content->line);
}

static void feed(struct content *content, const char *bytes, size_t len) {
  const char *end = bytes + len, *lf;
  while (bytes < end && (lf = memchr(bytes, '\n', (size_t)(end - bytes))) != NULL) {
    if (content->len > 0) {
      keep(content, bytes, (size_t)(lf - bytes));
      take_line(content, content->line, content->len);
      content->len = 0;
    } else {
      take_line(content, bytes, (size_t)(lf - bytes));
    }
    bytes = lf + 1;
  }
  if (bytes < end)
    keep(content, bytes, (size_t)(end - bytes));
}

size_t content_write(char *bytes, size_t size, size_t n, void *content) {
  feed(content, bytes, size * n);
  return size * n;
}

const char *const request_body =
    "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],\"stream\":true}";

/* ---- measures -------------------------------------------------------------------------------- */

int64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

int64_t cpu_ns(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * INT64_C(1000000000) +
         (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * INT64_C(1000);
}

long rss_kib(void) {
  long pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (file == NULL || fscanf(file, "%*s %ld", &pages) != 1)
    die("no /proc/self/statm");
  fclose(file);
  return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static int compare(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

int64_t percentile(int64_t *samples, size_t n, double percent) {
  if (n == 0)
    return 0;
  qsort(samples, n, sizeof *samples, compare);
  size_t at = (size_t)((double)n * percent / 100);
  return samples[at < n ? at : n - 1];
}
