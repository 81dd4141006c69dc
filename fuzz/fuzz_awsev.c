/*
 * Fuzz target: the AWS event stream parser gives the same messages, however its input is cut and
 * whether or not the reader pauses; and its header reader stays within the headers.
 *
 * The first four bytes of an input are settings: the limit, the seed of the cuts (two), and bits:
 * 1 the reader pauses, 2 the checksums are made right first, without which none would be.
 */
#include <stdlib.h>
#include <string.h>

#include "base/crc32.h"
#include "parse/awsev.h"

#define SETTINGS_BYTES 4
#define LOG_BYTES ((size_t)1 << 30)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The records of one run: a letter, the length, the bytes. Data that is not told yet is apart. */
struct log {
  struct mill__buf records, data;
  bool pause;
};

static void require(bool condition) {
  if (!condition)
    abort();
}

static void append(struct mill__buf *buf, const void *bytes, size_t len) {
  require(mill__buf_append(buf, bytes, len) == MILL_OK);
}

static void record(struct log *log, char letter, const void *bytes, size_t len) {
  append(&log->records, &letter, 1);
  append(&log->records, &len, sizeof len);
  append(&log->records, bytes, len);
}

static int on_data(void *ctx, const char *bytes, size_t len) {
  require(len > 0);
  append(&((struct log *)ctx)->data, bytes, len);
  return MILL_OK;
}

static void record_headers(struct log *log, mill_slice headers) {
  struct mill__awsev_header header;
  int rc;
  while ((rc = mill__awsev_next_header(&headers, &header)) == MILL_OK) {
    record(log, 'n', header.name.ptr, header.name.len);
    record(log, (char)('0' + header.type), header.value.ptr, header.value.len);
  }
  require(rc == MILL_END && headers.len == 0); /* broken ones are not told */
}

static int on_event(void *ctx, const struct mill__awsev_message *message) {
  struct log *log = ctx;
  record(log, 'k', &message->kind, sizeof message->kind);
  record(log, 'e', message->event_type.ptr, message->event_type.len);
  record(log, 'x', message->exception_type.ptr, message->exception_type.len);
  record(log, 'c', message->error_code.ptr, message->error_code.len);
  record(log, 'm', message->error_message.ptr, message->error_message.len);
  record(log, 't', message->content_type.ptr, message->content_type.len);
  record_headers(log, message->headers);
  record(log, 'd', log->data.ptr, log->data.len);
  mill__buf_clear(&log->data);
  return log->pause ? MILL_AGAIN : MILL_OK;
}

static const struct mill__awsev_callbacks callbacks = {on_data, on_event};

/* ---- checksums ------------------------------------------------------------------------------- */

static size_t number_at(const char *bytes) {
  size_t number = 0;
  for (int i = 0; i < 4; i++)
    number = number << 8 | (unsigned char)bytes[i];
  return number;
}

static void put_number(char *at, uint32_t number) {
  for (int i = 0; i < 4; i++)
    at[i] = (char)(number >> (24 - 8 * i));
}

/* As far as there are frames whose length can be. */
static void make_right(char *bytes, size_t len) {
  while (len >= 16) {
    size_t total = number_at(bytes);
    put_number(bytes + 8, mill__crc32(0, bytes, 8));
    if (total < 16 || total > len)
      return;
    put_number(bytes + total - 4, mill__crc32(0, bytes, total - 4));
    bytes += total;
    len -= total;
  }
}

/* ---- runs ------------------------------------------------------------------------------------ */

/* Feed a piece of its own memory, so that a sanitizer sees a byte too far. */
static int feed_piece(struct mill__awsev *awsev, const struct log *log, const char *bytes,
                      size_t len) {
  char *piece = malloc(len);
  size_t at = 0, consumed;
  int rc;
  require(piece != NULL);
  memcpy(piece, bytes, len);
  do {
    rc = mill__awsev_feed(awsev, piece + at, len - at, &consumed);
    require(consumed <= len - at);
    at += consumed;
    require(rc != MILL_AGAIN || log->pause);
  } while (rc == MILL_AGAIN);
  require(rc != MILL_OK || at == len);
  free(piece);
  return rc;
}

/* The outcome goes into the log as its last records. `cuts` 0: whole. */
static void run(struct log *log, size_t limit, const char *bytes, size_t len, unsigned cuts) {
  struct mill__awsev awsev;
  mill__awsev_init(&awsev, limit, &callbacks, log);
  int rc = MILL_OK;
  for (size_t at = 0, n; at < len && rc == MILL_OK; at += n) {
    n = len - at;
    if (cuts != 0) {
      cuts = cuts * 1103515245u + 12345u;
      size_t wanted = 1 + (cuts >> 16) % 9 * ((cuts >> 24) % 5);
      n = wanted < n ? wanted : n;
    }
    rc = feed_piece(&awsev, log, bytes + at, n);
  }
  bool unfinished = rc == MILL_OK && mill__awsev_finish(&awsev);
  record(log, 'D', log->data.ptr, log->data.len);
  record(log, 'R', &rc, sizeof rc);
  record(log, 'F', &unfinished, sizeof unfinished);
  mill__awsev_fini(&awsev);
}

static void log_init(struct log *log, bool pause) {
  *log = (struct log){.pause = pause};
  mill__buf_init(&log->records, LOG_BYTES);
  mill__buf_init(&log->data, LOG_BYTES);
}

static void log_fini(struct log *log) {
  mill__buf_fini(&log->records);
  mill__buf_fini(&log->data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size <= SETTINGS_BYTES)
    return 0;
  size_t limit = data[0] < 128 ? data[0] : (size_t)1 << 20;
  unsigned cuts = 1u | (unsigned)data[1] << 1 | (unsigned)data[2] << 9;
  size_t len = size - SETTINGS_BYTES;
  char *stream = malloc(len);
  require(stream != NULL);
  memcpy(stream, data + SETTINGS_BYTES, len);
  if (data[3] & 2)
    make_right(stream, len);

  struct log whole, cut;
  log_init(&whole, false);
  log_init(&cut, data[3] & 1);
  run(&whole, limit, stream, len, 0);
  run(&cut, limit, stream, len, cuts);
  require(whole.records.len == cut.records.len);
  require(memcmp(whole.records.ptr, cut.records.ptr, cut.records.len) == 0);
  log_fini(&whole);
  log_fini(&cut);
  free(stream);
  return 0;
}
