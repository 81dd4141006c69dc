/*
 * What callgrind counts the instructions of: one piece of work of the core, over and over, without
 * network or other threads. bench/instructions.py runs it and keeps the counts.
 *
 *     instructions NAME     one of those in `works`; without a name it lists them
 *
 * Each piece of work reads the same 2000 events, once to warm up, once inside counted(), the only
 * function that callgrind looks at.
 *
 * Owns: the input. Thread: one (the engine's sleeps). Limits: none. Errors: ends the program.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/stream.h"
#include "parse/sse.h"
#include "provider/decoder.h"
#include "provider/dialect.h"

#define EVENTS 2000
#define EVENT_ROOM 1024
#define READ_BYTES 16384 /* what a socket gives at a time */

static const mill_limits limits = {
    .event_bytes = 1 << 20, .buffered_bytes = 1 << 20, .header_bytes = 1 << 18, .json_depth = 512};

static _Noreturn void die(const char *what) {
  fprintf(stderr, "instructions: %s\n", what);
  exit(1);
}

static void check(int result) {
  if (result < 0)
    die(mill_error_text(result));
}

/* ---- input ----------------------------------------------------------------------------------- */

static char input[EVENTS * EVENT_ROOM];
static size_t input_len;

/* Chat chunks as a server sends them: alike but for the text and the padding. */
static int chat_event(char *out, int i) {
  return snprintf(out, EVENT_ROOM,
                  "data: {\"id\":\"chatcmpl-Kq3VtZx8mWcYpL0RbNfJd5Hs2EaUg\",\"object\":"
                  "\"chat.completion.chunk\",\"created\":1760000000,\"model\":"
                  "\"bench-4-2026-01-01\",\"system_fingerprint\":\"fp_0a1b2c3d4e\",\"choices\":"
                  "[{\"index\":0,\"delta\":{\"content\":\" word%d\"},\"logprobs\":null,"
                  "\"finish_reason\":null}],\"usage\":null,\"obfuscation\":\"%.*s\"}\n\n",
                  i, 1 + i % 10, "q7Hs0Zk2Vb");
}

/* The same, but no two in a row have the same members. */
static int changing_event(char *out, int i) {
  static const char *const extras[] = {"\"a\":1,", "", "\"b\":{\"c\":[1,2]},", "\"d\":\"e\","};
  return snprintf(out, EVENT_ROOM,
                  "data: {%s\"id\":\"chatcmpl-Kq3VtZx8mWcYpL0RbNfJd5Hs2EaUg\",\"object\":"
                  "\"chat.completion.chunk\",\"created\":1760000000,\"model\":"
                  "\"bench-4-2026-01-01\",\"system_fingerprint\":\"fp_0a1b2c3d4e\",\"choices\":"
                  "[{\"index\":0,\"delta\":{\"content\":\" word%d\"},\"logprobs\":null,"
                  "\"finish_reason\":null}],\"usage\":null,\"obfuscation\":\"%.*s\"}\n\n",
                  extras[i % 4], i, 1 + i % 10, "q7Hs0Zk2Vb");
}

static int message_event(char *out, int i) {
  return snprintf(out, EVENT_ROOM,
                  "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
                  "\"delta\":{\"type\":\"text_delta\",\"text\":\" word%d\"}}\n\n",
                  i);
}

static void make_input(int (*event)(char *, int)) {
  for (int i = 0; i < EVENTS; i++)
    input_len += (size_t)event(input + input_len, i);
}

/* ---- what is counted ------------------------------------------------------------------------- */

/* Callgrind is told to count this; its name is in instructions.py too. */
static void counted(void (*feed)(void *), void *ctx) {
  feed(ctx);
  __asm__ volatile("" ::: "memory"); /* no tail call: it would be counted as the caller's */
}

static void measure(void (*feed)(void *), void *ctx) {
  void (*volatile count)(void (*)(void *), void *) = counted; /* neither inlined nor cloned */
  feed(ctx);
  count(feed, ctx);
}

/* ---- SSE ------------------------------------------------------------------------------------- */

static size_t seen; /* keeps the compiler from leaving work out */

static int on_data(void *ctx, const char *bytes, size_t len) {
  seen += len;
  return MILL_OK;
}

static int on_sse_event(void *ctx, mill_slice type, mill_slice id) {
  seen++;
  return MILL_OK;
}

static void feed_sse(void *ctx) {
  size_t consumed;
  for (size_t at = 0; at < input_len; at += READ_BYTES) {
    size_t left = input_len - at;
    check(mill__sse_feed(ctx, input + at, left < READ_BYTES ? left : READ_BYTES, &consumed));
  }
}

static void with_sse(void) {
  static const struct mill__sse_callbacks callbacks = {.data = on_data, .event = on_sse_event};
  struct mill__sse sse;
  check(mill__sse_init(&sse, limits.event_bytes, &callbacks, NULL));
  measure(feed_sse, &sse);
  mill__sse_fini(&sse);
}

/* ---- decoder --------------------------------------------------------------------------------- */

static int on_event(void *ctx, const mill_event *event, const struct mill__meta *meta,
                    const struct mill__delta *deltas, size_t n_deltas) {
  seen += n_deltas;
  return MILL_OK;
}

static void feed_decoder(void *ctx) {
  size_t consumed;
  for (size_t at = 0; at < input_len; at += READ_BYTES) {
    size_t left = input_len - at;
    check(mill__decoder_feed(ctx, input + at, left < READ_BYTES ? left : READ_BYTES, &consumed));
  }
}

static void with_decoder(const char *dialect) {
  const struct mill__sink sink = {.event = on_event};
  struct mill__decoder *decoder;
  check(mill__decoder_new(mill__dialect_find(dialect), &limits, &sink, &decoder));
  measure(feed_decoder, decoder);
  mill__decoder_free(decoder);
}

static void with_chat(void) {
  with_decoder("openai-chat");
}

static void with_messages(void) {
  with_decoder("anthropic-messages");
}

/* ---- the whole way: decoder, record, queue, what the consumer takes -------------------------- */

/* A stream without a transfer: the engine only lends it the flag that it was not forked. */
struct path {
  mill_stream stream;
  struct mill__decoder *decoder;
};

static int on_path_event(void *ctx, const mill_event *event, const struct mill__meta *meta,
                         const struct mill__delta *deltas, size_t n_deltas) {
  struct path *path = ctx;
  return mill__record_put(&path->stream.queue, event, meta, deltas, n_deltas);
}

static void feed_path(void *ctx) {
  struct path *path = ctx;
  mill_chunk chunk;
  size_t consumed;
  for (size_t at = 0; at < input_len; at += READ_BYTES) {
    size_t left = input_len - at;
    check(mill__decoder_feed(path->decoder, input + at, left < READ_BYTES ? left : READ_BYTES,
                             &consumed));
    int result;
    while ((result = mill_stream_next(&path->stream, &chunk)) == MILL_OK)
      seen += chunk.text.len;
    check(result);
  }
}

static void with_path(void) {
  static struct path path;
  struct mill__queue_store store;
  const struct mill__sink sink = {.event = on_path_event, .ctx = &path};
  check(mill_engine_new(&path.stream.engine));
  mill__queue_store_init(&store);
  mill__queue_init(&path.stream.queue, &store);
  mill__message_init(&path.stream.message);
  path.stream.request.set.limits = limits;
  check(mill__decoder_new(mill__dialect_find("openai-chat"), &limits, &sink, &path.decoder));
  measure(feed_path, &path);
  mill__decoder_free(path.decoder);
  mill__queue_fini(&path.stream.queue);
  mill__queue_store_fini(&store);
  mill__message_fini(&path.stream.message);
  mill_engine_free(path.stream.engine);
}

/* ---- program --------------------------------------------------------------------------------- */

static const struct work {
  const char *name;
  int (*event)(char *out, int i);
  void (*with)(void);
} works[] = {
    {"sse", chat_event, with_sse},
    {"decoder", chat_event, with_chat},
    {"decoder-changing", changing_event, with_chat},
    {"decoder-anthropic", message_event, with_messages},
    {"path", chat_event, with_path},
};

#define N_WORKS (sizeof works / sizeof *works)

int main(int argc, char **argv) {
  for (size_t i = 0; i < N_WORKS; i++) {
    if (argc < 2) {
      printf("%s %d\n", works[i].name, EVENTS);
    } else if (strcmp(argv[1], works[i].name) == 0) {
      make_input(works[i].event);
      works[i].with();
      return seen == 0;
    }
  }
  return argc < 2 ? 0 : 2;
}
