/*
 * The event stream parser: the prelude and the headers are gathered, the payload is passed on, and
 * the checksum goes along with all of it.
 */
#include "parse/awsev.h"

#include <assert.h>
#include <string.h>

#include "base/crc32.h"

enum {
  LENGTHS_BYTES = 8, /* of the message and of its headers */
  CRC_BYTES = 4,
  PRELUDE_BYTES = LENGTHS_BYTES + CRC_BYTES,
  OVERHEAD_BYTES = PRELUDE_BYTES + CRC_BYTES
};
#define KEEP_BYTES 4096 /* of a buffer that large headers took */

enum place {
  IN_PRELUDE, /* also between messages */
  IN_HEADERS,
  IN_PAYLOAD,
  IN_CRC
};

/* Big-endian. */
static uint32_t number_at(const char *bytes, int n_bytes) {
  uint32_t number = 0;
  for (int i = 0; i < n_bytes; i++)
    number = number << 8 | (unsigned char)bytes[i];
  return number;
}

/* ---- headers --------------------------------------------------------------------------------- */

/* Take `n` bytes off; false where there are not as many. */
static bool take(mill_slice *from, size_t n, mill_slice *ret_bytes) {
  if (n > from->len)
    return false;
  *ret_bytes = (mill_slice){from->ptr, n};
  *from = (mill_slice){from->ptr + n, from->len - n};
  return true;
}

/* A length of `n_bytes` bytes, and as many bytes behind it. */
static bool take_counted(mill_slice *from, int n_bytes, mill_slice *ret_bytes) {
  mill_slice count;
  return take(from, (size_t)n_bytes, &count) &&
         take(from, number_at(count.ptr, n_bytes), ret_bytes);
}

static bool take_value(mill_slice *from, int type, mill_slice *ret_value) {
  switch (type) {
  case MILL__AWSEV_TRUE:
  case MILL__AWSEV_FALSE:
    return take(from, 0, ret_value);
  case MILL__AWSEV_INT8:
    return take(from, 1, ret_value);
  case MILL__AWSEV_INT16:
    return take(from, 2, ret_value);
  case MILL__AWSEV_INT32:
    return take(from, 4, ret_value);
  case MILL__AWSEV_INT64:
  case MILL__AWSEV_TIMESTAMP:
    return take(from, 8, ret_value);
  case MILL__AWSEV_BYTES:
  case MILL__AWSEV_STRING:
    return take_counted(from, 2, ret_value);
  case MILL__AWSEV_UUID:
    return take(from, 16, ret_value);
  default:
    return false;
  }
}

int mill__awsev_next_header(mill_slice *headers, struct mill__awsev_header *ret_header) {
  mill_slice rest = *headers, type;
  struct mill__awsev_header header;
  if (!rest.len)
    return MILL_END;
  if (!take_counted(&rest, 1, &header.name) || !header.name.len || !take(&rest, 1, &type) ||
      !take_value(&rest, *type.ptr, &header.value))
    return MILL_E_PROTOCOL;
  header.type = (enum mill__awsev_type) * type.ptr;
  *headers = rest;
  *ret_header = header;
  return MILL_OK;
}

static bool is(mill_slice text, const char *word) {
  return text.len == strlen(word) && memcmp(text.ptr, word, text.len) == 0;
}

static enum mill__awsev_kind kind_of(mill_slice message_type) {
  if (is(message_type, "exception"))
    return MILL__AWSEV_EXCEPTION;
  return is(message_type, "error") ? MILL__AWSEV_ERROR : MILL__AWSEV_EVENT;
}

static void take_header(const struct mill__awsev_header *header,
                        struct mill__awsev_message *message) {
  const struct {
    const char *name;
    mill_slice *to;
  } known[] = {
      {":event-type", &message->event_type},     {":exception-type", &message->exception_type},
      {":error-code", &message->error_code},     {":error-message", &message->error_message},
      {":content-type", &message->content_type},
  };
  if (header->type != MILL__AWSEV_STRING)
    return;
  if (is(header->name, ":message-type"))
    message->kind = kind_of(header->value);
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (is(header->name, known[i].name))
      *known[i].to = header->value;
}

static int read_headers(const struct mill__awsev *awsev, struct mill__awsev_message *ret_message) {
  mill_slice rest = {awsev->head.ptr + PRELUDE_BYTES, awsev->head.len - PRELUDE_BYTES};
  const mill_slice none = {"", 0};
  *ret_message = (struct mill__awsev_message){.event_type = none,
                                              .exception_type = none,
                                              .error_code = none,
                                              .error_message = none,
                                              .content_type = none,
                                              .headers = rest};
  struct mill__awsev_header header;
  int rc;
  while ((rc = mill__awsev_next_header(&rest, &header)) == MILL_OK)
    take_header(&header, ret_message);
  return rc == MILL_END ? MILL_OK : rc;
}

/* ---- one function a place: take bytes, leave the outcome in `status`, return where it got to - */

/* Only event() may pause. */
static int no_pause(int rc) {
  assert(rc <= MILL_OK);
  return rc;
}

/* Add to the head up to its length; true when it has that. */
static bool gather_head(struct mill__awsev *awsev, const char **p, const char *end) {
  size_t wanted = awsev->head_bytes - awsev->head.len, there = (size_t)(end - *p);
  size_t n = wanted < there ? wanted : there;
  awsev->status = mill__buf_append(&awsev->head, *p, n);
  *p += n;
  return awsev->status == MILL_OK && n == wanted;
}

/* The prelude is whole: with a right checksum its lengths are what the sender meant. */
static int read_prelude(struct mill__awsev *awsev) {
  const char *prelude = awsev->head.ptr;
  uint32_t crc = mill__crc32(0, prelude, LENGTHS_BYTES);
  if (crc != number_at(prelude + LENGTHS_BYTES, CRC_BYTES))
    return MILL_E_PROTOCOL;
  size_t total = number_at(prelude, 4), headers = number_at(prelude + 4, 4);
  if (total < OVERHEAD_BYTES || headers > total - OVERHEAD_BYTES)
    return MILL_E_PROTOCOL;
  awsev->payload_bytes = total - OVERHEAD_BYTES - headers;
  if (awsev->payload_bytes > awsev->event_bytes || headers > MILL__AWSEV_HEADER_BYTES)
    return MILL_E_LIMIT;
  awsev->crc = mill__crc32(crc, prelude + LENGTHS_BYTES, CRC_BYTES);
  awsev->head_bytes = PRELUDE_BYTES + headers;
  awsev->place = IN_HEADERS;
  return MILL_OK;
}

static int end_headers(struct mill__awsev *awsev) {
  awsev->crc =
      mill__crc32(awsev->crc, awsev->head.ptr + PRELUDE_BYTES, awsev->head_bytes - PRELUDE_BYTES);
  awsev->place = awsev->payload_bytes ? IN_PAYLOAD : IN_CRC;
  return MILL_OK;
}

static const char *in_head(struct mill__awsev *awsev, const char *p, const char *end) {
  if (awsev->place == IN_PRELUDE && gather_head(awsev, &p, end))
    awsev->status = read_prelude(awsev);
  /* A message may have no headers: then nothing more is waited for. */
  if (awsev->place == IN_HEADERS && awsev->status == MILL_OK && gather_head(awsev, &p, end))
    awsev->status = end_headers(awsev);
  return p;
}

static const char *in_payload(struct mill__awsev *awsev, const char *p, const char *end) {
  size_t there = (size_t)(end - p);
  size_t n = awsev->payload_bytes < there ? awsev->payload_bytes : there;
  awsev->crc = mill__crc32(awsev->crc, p, n);
  awsev->payload_bytes -= n;
  awsev->place = awsev->payload_bytes ? IN_PAYLOAD : IN_CRC;
  awsev->status = no_pause(awsev->callbacks->data(awsev->ctx, p, n));
  return p + n;
}

static void begin_message(struct mill__awsev *awsev) {
  mill__buf_shrink(&awsev->head, KEEP_BYTES);
  awsev->head_bytes = PRELUDE_BYTES;
  awsev->payload_bytes = 0;
  awsev->sent_crc = 0;
  awsev->n_sent_crc = 0;
  awsev->place = IN_PRELUDE;
}

static int dispatch(struct mill__awsev *awsev) {
  struct mill__awsev_message message;
  if (awsev->sent_crc != awsev->crc)
    return MILL_E_PROTOCOL;
  int rc = read_headers(awsev, &message);
  if (rc == MILL_OK)
    rc = awsev->callbacks->event(awsev->ctx, &message);
  assert(rc <= MILL_AGAIN);
  begin_message(awsev);
  return rc;
}

static const char *in_crc(struct mill__awsev *awsev, const char *p) {
  awsev->sent_crc = awsev->sent_crc << 8 | (unsigned char)*p;
  if (++awsev->n_sent_crc == CRC_BYTES)
    awsev->status = dispatch(awsev);
  return p + 1;
}

static const char *step(struct mill__awsev *awsev, const char *p, const char *end) {
  switch ((enum place)awsev->place) {
  case IN_PRELUDE:
  case IN_HEADERS:
    return in_head(awsev, p, end);
  case IN_PAYLOAD:
    return in_payload(awsev, p, end);
  case IN_CRC:
    break;
  }
  return in_crc(awsev, p);
}

/* ---- the interface --------------------------------------------------------------------------- */

void mill__awsev_init(struct mill__awsev *awsev, size_t event_bytes,
                      const struct mill__awsev_callbacks *callbacks, void *ctx) {
  *awsev = (struct mill__awsev){
      .callbacks = callbacks, .ctx = ctx, .event_bytes = event_bytes, .head_bytes = PRELUDE_BYTES};
  mill__buf_init(&awsev->head, PRELUDE_BYTES + MILL__AWSEV_HEADER_BYTES);
}

void mill__awsev_fini(struct mill__awsev *awsev) {
  mill__buf_fini(&awsev->head);
}

void mill__awsev_reset(struct mill__awsev *awsev) {
  begin_message(awsev);
  awsev->status = MILL_OK;
}

int mill__awsev_feed(struct mill__awsev *awsev, const char *bytes, size_t len,
                     size_t *ret_consumed) {
  const char *p = bytes, *end = len > 0 ? bytes + len : bytes;
  while (p < end && awsev->status == MILL_OK)
    p = step(awsev, p, end);
  *ret_consumed = (size_t)(p - bytes);
  int rc = awsev->status;
  if (rc == MILL_AGAIN)
    awsev->status = MILL_OK;
  return rc;
}

bool mill__awsev_finish(const struct mill__awsev *awsev) {
  return awsev->place != IN_PRELUDE || awsev->head.len > 0;
}
