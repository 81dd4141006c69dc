/*
 * The floor of one stream: libcurl's easy interface, and a yajl handle an event.
 *
 *     floor_easy one URL             CPU for all chunks of one stream
 *     floor_easy first URL REQUESTS  time to the first content on a connection that is kept
 *
 * Prints one line of JSON.
 */
#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "content.h"

struct stream {
  struct content content;
  uint64_t chunks;
  int64_t first_ns; /* when the first content came */
};

static void on_text(void *ctx, const char *text, size_t len) {
  struct stream *stream = ctx;
  if (stream->chunks++ == 0)
    stream->first_ns = now_ns();
}

static CURL *make_handle(const char *url) {
  CURL *easy = curl_easy_init();
  struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
  if (easy == NULL || headers == NULL)
    die("out of memory");
  curl_easy_setopt(easy, CURLOPT_URL, url);
  curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request_body);
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers); /* kept until the program ends */
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, content_write);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  return easy;
}

static void read_stream(CURL *easy, struct stream *stream) {
  *stream = (struct stream){.chunks = 0};
  content_init(&stream->content, on_text, stream);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &stream->content);
  CURLcode code = curl_easy_perform(easy);
  if (code != CURLE_OK || !stream->content.done)
    die(code != CURLE_OK ? curl_easy_strerror(code) : "the stream was cut");
  content_fini(&stream->content);
}

static void measure_one(CURL *easy) {
  struct stream stream;
  int64_t begin = now_ns(), cpu = cpu_ns();
  read_stream(easy, &stream);
  printf("{\"chunks\": %" PRIu64 ", \"cpu_s\": %.6f, \"wall_s\": %.6f}\n", stream.chunks,
         (double)(cpu_ns() - cpu) / 1e9, (double)(now_ns() - begin) / 1e9);
}

static void measure_first(CURL *easy, size_t requests) {
  int64_t *samples = calloc(requests, sizeof *samples);
  if (samples == NULL)
    die("out of memory");
  struct stream stream;
  read_stream(easy, &stream);
  for (size_t i = 0; i < requests; i++) {
    int64_t begin = now_ns();
    read_stream(easy, &stream);
    samples[i] = stream.first_ns - begin;
  }
  printf("{\"first_chunk_us\": %.1f}\n", (double)percentile(samples, requests, 50) / 1e3);
  free(samples);
}

int main(int argc, char **argv) {
  if (argc < 3)
    die("usage: floor_easy one URL | first URL REQUESTS");
  curl_global_init(CURL_GLOBAL_DEFAULT);
  CURL *easy = make_handle(argv[2]);
  if (strcmp(argv[1], "one") == 0)
    measure_one(easy);
  else
    measure_first(easy, argc > 3 ? strtoul(argv[3], NULL, 10) : 1);
  curl_easy_cleanup(easy);
  return 0;
}
