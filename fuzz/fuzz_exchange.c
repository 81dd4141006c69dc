/*
 * Fuzz target: the whole way of an answer, over a socket, libcurl, the engine's thread, the decoder
 * and the queue to the consumer; see support.h. The bytes behind the settings are what the server
 * sends, one answer a request, with RS (0x1E) between them; each is cut as the run wants it.
 *
 * The consumer is told the same either way: chunks first, then one end. What the engine sends is the
 * same too, and nothing secret goes to another host. No memory, descriptor or transfer is left.
 *
 * A body that begins with GS (0x1D) is packed by the server, by what its head says and else as gzip, so
 * that the fuzzer need not find checksums; one that ends with GS too is cut short.
 *
 * Nothing here waits for time: after each piece the engine goes on until it has nothing to do.
 * Bits: 2 an event source, 4 compression is asked for, the other five choose the format.
 */
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <zlib.h>

#include "base/clock.h"
#include "net/engine.h"
#include "provider/dialect.h"
#include "support.h"

#define BIT_SOURCE 2u
#define BIT_COMPRESSION 4u
#define SEPARATOR '\x1E'
#define PACKED '\x1D'
#define CUT_BYTES 12 /* of the checksum, the length, and what ends the last block */
#define REQUEST_BYTES 65536
#define SOON_MS 100 /* libcurl's timers for what goes on are shorter, the engine's clocks longer */
#define WIDE_BYTES 65536
#define MEMORY_BYTES ((size_t)2 << 20)
#define HOST "fuzz.example"
#define SECRET "hunter2"
#define SECRET_IN_BASE64 "dXNlcjpodW50ZXIy" /* user:hunter2 */

struct exchange {
  struct fuzz_run *run;
  bool is_source;
  mill_engine *engine;
  mill_stream *stream;
  bool over; /* the consumer was told the end */
  int connection;
  struct fuzz_bytes requests;
  bool knows_secret;    /* the server: so it may say it */
  const char *at, *end; /* of what the server will send */
};

/* ---- the server's socket --------------------------------------------------------------------- */

static int listener = -1;
static struct sockaddr_un address = {.sun_family = AF_UNIX};

static void remove_socket(void) {
  unlink(address.sun_path);
}

/* Tables of the dialects are made once and kept: not as part of a run, whose memory is counted. */
static void make_tables(void) {
  const struct mill__json_table *table;
  for (const char *const *format = mill_formats(); *format; format++)
    require(mill__dialect_table(mill__dialect_find(*format), &table) == MILL_OK);
  require(mill__dialect_table(&mill__bedrock_model, &table) == MILL_OK);
}

static void open_listener(void) {
  const char *folder = getenv("TMPDIR");
  int len = snprintf(address.sun_path, sizeof address.sun_path, "%s/millstream-fuzz-%ld",
                     folder ? folder : "/tmp", (long)getpid());
  require(len > 0 && (size_t)len < sizeof address.sun_path);
  remove_socket();
  listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  require(listener >= 0);
  require(bind(listener, (struct sockaddr *)&address, sizeof address) == 0);
  require(listen(listener, 16) == 0);
  atexit(remove_socket);
  make_tables();
}

/* ---- the consumer ---------------------------------------------------------------------------- */

static void tell_error(const struct exchange *exchange, const mill_error *error) {
  struct fuzz_run *run = exchange->run;
  fuzz_tell_number(run, 'E', error->code);
  fuzz_tell_number(run, 'E', error->status);
  fuzz_tell_number(run, 'E', error->byte_offset);
  fuzz_tell_number(run, 'E', error->retry_after_ms >= 0); /* a date is told from the clock */
  fuzz_tell(run, 'E', error->kind, error->kind ? strlen(error->kind) : 0);
  fuzz_tell(run, 'E', error->request_id, error->request_id ? strlen(error->request_id) : 0);
  fuzz_tell(run, 'E', error->body, error->body_len);
  require(error->body_len <= MILL__ERROR_BODY_BYTES);
  require(!error->text || strlen(error->text) <= MILL__ERROR_TEXT_BYTES);
  require(!error->text || exchange->knows_secret || !strstr(error->text, SECRET));
  require(!error->kind || strcmp(error->kind, "descriptors") != 0);
}

static void tell_event(struct fuzz_run *run, const mill_event *event) {
  fuzz_tell_slice(run, 't', event->type);
  fuzz_tell_slice(run, 'e', event->data);
  fuzz_tell_slice(run, 'i', event->id);
  fuzz_tell_number(run, 'n', (int64_t)event->number);
}

static void tell_chunk(struct fuzz_run *run, const mill_chunk *chunk) {
  fuzz_tell_number(run, 'C', chunk->type);
  fuzz_tell_number(run, 'c', chunk->choice);
  fuzz_tell_text(run, 'x', chunk->text);
  fuzz_tell_text(run, 's', chunk->signature);
  fuzz_tell_number(run, 'o', chunk->tool_index);
  fuzz_tell_text(run, 'o', chunk->tool_id);
  fuzz_tell_text(run, 'o', chunk->tool_name);
  fuzz_tell_text(run, 'f', chunk->finish_raw);
  fuzz_tell_text(run, 'u',
                 chunk->type == MILL_CHUNK_USAGE ? chunk->usage.raw : (mill_slice){"", 0});
  tell_event(run, &chunk->event);
}

static void tell_choice(struct fuzz_run *run, const mill_choice *choice) {
  fuzz_tell_number(run, 'm', choice->index);
  fuzz_tell_text(run, 'm', choice->text);
  fuzz_tell_text(run, 'm', choice->reasoning);
  fuzz_tell_text(run, 'm', choice->refusal);
  fuzz_tell_text(run, 'm', choice->finish_raw);
  for (size_t i = 0; i < choice->n_tool_calls; i++)
    fuzz_tell_text(run, 'm', choice->tool_calls[i].arguments);
}

static void tell_end(struct exchange *exchange, int code) {
  struct fuzz_run *run = exchange->run;
  const mill_error *error = mill_stream_error(exchange->stream);
  mill_message message;
  mill_response response;
  require(code < 0 || code == MILL_END);
  require(error->code == (code == MILL_END ? MILL_OK : code));
  tell_error(exchange, error);
  require(mill_stream_message(exchange->stream, &message) == MILL_OK);
  fuzz_tell_text(run, 'm', message.id);
  fuzz_tell_text(run, 'm', message.model);
  for (size_t i = 0; i < message.n_choices; i++)
    tell_choice(run, &message.choices[i]);
  mill_stream_response(exchange->stream, &response);
  fuzz_tell_number(run, 'r', response.status);
  fuzz_tell_number(run, 'r', response.http_version);
  fuzz_tell_slice(run, 'r', response.headers);
  exchange->over = true;
}

/* A server that asks for a wait gets none: only what comes at once can be awaited without a clock. */
static void on_lost(struct exchange *exchange, const mill_error *error) {
  mill_source_status status;
  tell_error(exchange, error);
  mill_stream_source_status(exchange->stream, &status);
  require(status.state == MILL_SOURCE_CONNECTING);
  fuzz_tell_slice(exchange->run, 'j', status.last_event_id);
  if (status.retry_ms > 0 || error->retry_after_ms > 0)
    mill_stream_cancel(exchange->stream);
}

static int next_item(struct exchange *exchange) {
  struct fuzz_run *run = exchange->run;
  mill_item item;
  int code = mill_stream_next_item(exchange->stream, &item);
  if (code != MILL_OK)
    return code;
  fuzz_tell_number(run, 'I', item.type);
  if (item.type == MILL_ITEM_EVENT)
    tell_event(run, &item.event);
  else if (item.type == MILL_ITEM_COMMENT)
    fuzz_tell_slice(run, 'k', item.comment);
  else if (item.type == MILL_ITEM_LOST)
    on_lost(exchange, item.error);
  return code;
}

static int next_chunk(struct exchange *exchange) {
  mill_chunk chunk;
  int code = mill_stream_next(exchange->stream, &chunk);
  if (code == MILL_OK)
    tell_chunk(exchange->run, &chunk);
  return code;
}

static int next(struct exchange *exchange) {
  return exchange->is_source ? next_item(exchange) : next_chunk(exchange);
}

/* Take what is there. False: nothing was. */
static bool consume(struct exchange *exchange) {
  if (exchange->over)
    return false;
  int code = next(exchange);
  if (code == MILL_AGAIN)
    return false;
  if (code != MILL_OK) {
    tell_end(exchange, code);
    require(next(exchange) == MILL_END); /* the end is told once */
  }
  return true;
}

/* ---- the engine ------------------------------------------------------------------------------ */

/* It sleeps, and nothing that has happened will wake it soon. */
static bool is_quiet(mill_engine *engine) {
  struct pollfd events = {.fd = engine->loop.poll_fd, .events = POLLIN};
  mill_engine_before_fork(engine); /* the end of its turn */
  const struct mill__timer *first = mill__timers_first(&engine->timers);
  const int64_t soon_ns = mill__clock_ns() + SOON_MS * MILL_NS_PER_MS;
  bool quiet = !atomic_load(&engine->inbox) && poll(&events, 1, 0) == 0 &&
               (!first || first->deadline_ns > soon_ns);
  mill_engine_after_fork_parent(engine);
  return quiet;
}

/* Nothing to take, and the engine quiet after that: but it may have been at work in between. */
static void settle(struct exchange *exchange) {
  while (consume(exchange) || !is_quiet(exchange->engine) || consume(exchange))
    sched_yield();
}

/* ---- the server ------------------------------------------------------------------------------ */

static void hang_up(struct exchange *exchange) {
  if (exchange->connection >= 0)
    close(exchange->connection);
  exchange->connection = -1;
}

/* One whole request. Where it goes to another origin, nothing secret goes along. */
static void check_request(const struct exchange *exchange, const char *request, size_t len) {
  const char *end = memmem(request, len, "\r\n\r\n", 4);
  require(end != NULL);
  require(memmem(end + 4, len - (size_t)(end + 4 - request), "\r\n\r\n", 4) == NULL);
  const char *host = memmem(request, len, "\r\nHost: ", 8);
  require(host != NULL && host < end);
  if (!exchange->knows_secret && strncasecmp(host + 8, HOST "\r\n", sizeof HOST + 1) != 0) {
    require(memmem(request, len, SECRET, sizeof SECRET - 1) == NULL);
    require(memmem(request, len, SECRET_IN_BASE64, sizeof SECRET_IN_BASE64 - 1) == NULL);
  }
}

/* A handshake is different each time, and nobody here answers it. */
static bool is_tls(const char *request) {
  return request[0] == 0x16;
}

/* A request on the connection that is there, or on a new one. False: there is none. */
static bool receive(struct exchange *exchange) {
  static char request[REQUEST_BYTES];
  ssize_t len = -1;
  if (exchange->connection >= 0)
    len = recv(exchange->connection, request, sizeof request, MSG_DONTWAIT);
  if (len <= 0) {
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
      return false;
    hang_up(exchange);
    exchange->connection = fd;
    len = recv(fd, request, sizeof request, MSG_DONTWAIT);
  }
  require(len > 0 && (size_t)len < sizeof request);
  if (is_tls(request)) {
    hang_up(exchange);
    return true;
  }
  check_request(exchange, request, (size_t)len);
  fuzz_append(&exchange->requests, request, (size_t)len);
  return true;
}

static bool has_request(const struct exchange *exchange) {
  struct pollfd fds[] = {{.fd = listener, .events = POLLIN},
                         {.fd = exchange->connection, .events = POLLIN}};
  char byte;
  if (poll(fds, 2, 0) == 0)
    return false;
  return fds[0].revents != 0 || recv(exchange->connection, &byte, 1, MSG_DONTWAIT | MSG_PEEK) > 0;
}

/* Piece by piece, until the engine asks for something else or the consumer has its end. */
static void send_answer(struct exchange *exchange, const char *bytes, size_t len) {
  for (size_t at = 0, n; at < len && !exchange->over && !has_request(exchange); at += n) {
    n = fuzz_next_cut(exchange->run, len - at);
    if (send(exchange->connection, bytes + at, n, MSG_NOSIGNAL) < 0)
      break; /* the engine has hung up */
    settle(exchange);
  }
}

/* Behind the blank line that ends a head; `len`: there is none. */
static size_t head_bytes(const char *bytes, size_t len) {
  for (size_t i = 0; i + 1 < len; i++)
    if (bytes[i] == '\n' && (bytes[i + 1] == '\n' || (bytes[i + 1] == '\r' && i + 2 < len)))
      return i + (bytes[i + 1] == '\n' ? 2 : 3);
  return len;
}

/* Append it packed, flushed in the middle. */
static void append_packed(struct fuzz_bytes *to, int window_bits, const char *bytes, size_t len) {
  z_stream zlib = {0};
  unsigned char out[1024];
  require(deflateInit2(&zlib, 6, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  for (int half = 0; half < 2; half++) {
    zlib.next_in = (Bytef *)(uintptr_t)(half ? bytes + len / 2 : bytes);
    zlib.avail_in = (unsigned)(half ? len - len / 2 : len / 2);
    do {
      zlib.next_out = out;
      zlib.avail_out = sizeof out;
      deflate(&zlib, half ? Z_FINISH : Z_SYNC_FLUSH);
      fuzz_append(to, out, sizeof out - zlib.avail_out);
    } while (zlib.avail_out == 0);
  }
  deflateEnd(&zlib);
}

static void send_packed(struct exchange *exchange, const char *bytes, size_t len, size_t head) {
  struct fuzz_bytes answer = {0};
  const bool is_cut = len > head + 1 && bytes[len - 1] == PACKED;
  const bool is_deflate = memmem(bytes, head, "deflate", 7) != NULL;
  fuzz_append(&answer, bytes, head);
  append_packed(&answer, is_deflate ? MAX_WBITS : MAX_WBITS + 16, bytes + head + 1,
                len - head - 1 - is_cut);
  send_answer(exchange, answer.ptr, answer.len - (is_cut ? CUT_BYTES : 0));
  free(answer.ptr);
}

/* The next of the script; behind its end one that ends an event source for good. */
static void answer(struct exchange *exchange) {
  static const char last[] = "HTTP/1.1 204 No Content\r\n\r\n";
  const char *bytes = exchange->at;
  size_t left = (size_t)(exchange->end - bytes);
  if (left == 0) {
    send_answer(exchange, last, sizeof last - 1);
    return;
  }
  const char *separator = memchr(bytes, SEPARATOR, left);
  size_t len = separator ? (size_t)(separator - bytes) : left;
  exchange->at += len + (separator != NULL);
  size_t head = head_bytes(bytes, len);
  if (head < len && bytes[head] == PACKED)
    send_packed(exchange, bytes, len, head);
  else
    send_answer(exchange, bytes, len);
}

static void serve(struct exchange *exchange) {
  settle(exchange);
  while (!exchange->over) {
    require(receive(exchange)); /* else it waits for something that will never come */
    if (exchange->connection >= 0)
      answer(exchange);
    if (!exchange->over && !has_request(exchange))
      hang_up(exchange);
    settle(exchange);
  }
  hang_up(exchange);
}

/* ---- what is left out ------------------------------------------------------------------------- */

/*
 * Old versions of libcurl read a head with a NUL byte in another way when it is cut elsewhere. What
 * we make of such a line, the target `response` says.
 */
static bool has_nul_in_head(const char *bytes, size_t len) {
  while (len > 0) {
    const char *separator = memchr(bytes, SEPARATOR, len);
    size_t answer = separator ? (size_t)(separator - bytes) : len, head;
    do {
      head = head_bytes(bytes, answer);
      if (memchr(bytes, 0, head))
        return true;
      answer -= head;
      bytes += head;
      len -= head;
    } while (answer >= 5 && !memcmp(bytes, "HTTP/", 5)); /* that was a 1xx */
    bytes += answer + (separator != NULL);
    len -= answer + (separator != NULL);
  }
  return false;
}

/* ---- a run ----------------------------------------------------------------------------------- */

static void fill_request(mill_request *request, mill_event_source *source,
                         const struct fuzz_run *run, const struct fuzz_input *input) {
  static const mill_header headers[] = {{"X-Api-Key", SECRET}, {"X-Other", "other"}};
  size_t n_formats = 0;
  while (mill_formats()[n_formats])
    n_formats++;
  const bool wide = input->limit >= 128;
  mill_request_init(request);
  request->url = "http://user:" SECRET "@" HOST "/v1/path?query#fragment";
  request->headers = headers;
  request->n_headers = 2;
  request->body = "{}";
  request->body_len = 2;
  request->unix_socket = address.sun_path;
  request->format = mill_formats()[(input->bits >> 3) % n_formats];
  request->timeouts = (mill_timeouts){0};
  request->limits = (mill_limits){.event_bytes = wide ? WIDE_BYTES : 1 + 4 * input->limit,
                                  .buffered_bytes = run->pauses ? 1 : WIDE_BYTES,
                                  .header_bytes = wide ? WIDE_BYTES : 1 + 16 * input->limit,
                                  .json_depth = 12};
  request->max_retries = 0;
  request->compression = (input->bits & BIT_COMPRESSION) != 0;
  *source = (mill_event_source){.reconnect = true, .max_redirects = 3, .comments = true};
  if (input->bits & BIT_SOURCE)
    request->events = source;
}

/* A source that was cancelled during a short wait may have begun another. */
static void drop_connections(void) {
  int fd;
  while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
    close(fd);
}

static int lowest_free_descriptor(void) {
  int fd = dup(listener);
  close(fd);
  return fd;
}

static void tell(struct fuzz_run *run, const struct fuzz_input *input) {
  mill_request request;
  mill_event_source source;
  struct exchange exchange = {
      .run = run, .connection = -1, .at = input->bytes, .end = input->bytes + input->len};
  run->memory_bytes = MEMORY_BYTES;
  if (has_nul_in_head(input->bytes, input->len))
    return;
  fill_request(&request, &source, run, input);
  exchange.knows_secret =
      memmem(input->bytes, input->len, SECRET, sizeof SECRET - 1) ||
      memmem(input->bytes, input->len, SECRET_IN_BASE64, sizeof SECRET_IN_BASE64 - 1);
  exchange.is_source = request.events != NULL;
  const size_t memory = fuzz_memory();
  const int descriptor = lowest_free_descriptor();
  require(mill_engine_new(&exchange.engine) == MILL_OK);
  require(mill_stream_start(exchange.engine, &request, &exchange.stream, NULL) == MILL_OK);
  serve(&exchange);
  fuzz_tell(run, 'Q', exchange.requests.ptr, exchange.requests.len);
  free(exchange.requests.ptr);
  mill_stream_free(exchange.stream);
  mill_engine_free(exchange.engine);
  drop_connections();
  require(fuzz_memory() == memory);
  require(lowest_free_descriptor() == descriptor);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (listener < 0)
    open_listener();
  return fuzz_whole_and_cut(tell, data, size);
}
