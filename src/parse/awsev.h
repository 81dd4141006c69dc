/*
 * application/vnd.amazon.eventstream: bytes -> messages, incrementally, any split.
 * Source: "Event stream encoding" in Amazon Transcribe's developer guide; Smithy, "Amazon Event
 * Stream Specification".
 *
 * A message: its length and that of its headers (4 bytes each, big-endian), the CRC-32 of these 8
 * bytes, the headers, the payload, the CRC-32 of all before.
 *
 * Owns: the headers of the message under construction. Thread: the owner's. Blocks: never.
 * Limits: `event_bytes` for a payload, MILL__AWSEV_HEADER_BYTES for the headers of a message.
 * Errors: MILL_E_PROTOCOL (a checksum is wrong, lengths contradict each other, headers that are
 * none), MILL_E_LIMIT, MILL_E_NOMEM, or what a callback returned; sticky until _reset.
 *
 * A payload is handed out as it arrives and is not copied: a message is any number of data() calls,
 * then one event(). Only event() says that the checksum was right: until then what data() gave may
 * be damaged.
 *
 * Every callback returns MILL_OK to go on or a negative MILL_E_* code to stop; event() may also
 * return MILL_AGAIN: feed() then returns MILL_AGAIN at once, `consumed` just behind that message,
 * and is called again with the rest. Slices are valid inside the callback only.
 */
#ifndef MILL_PARSE_AWSEV_H
#define MILL_PARSE_AWSEV_H

#include "base/buf.h"

#define MILL__AWSEV_HEADER_BYTES ((size_t)128 * 1024) /* as the services have it */

enum mill__awsev_type {
  MILL__AWSEV_TRUE, /* true and false have no value */
  MILL__AWSEV_FALSE,
  MILL__AWSEV_INT8, /* integers: big-endian */
  MILL__AWSEV_INT16,
  MILL__AWSEV_INT32,
  MILL__AWSEV_INT64,
  MILL__AWSEV_BYTES,
  MILL__AWSEV_STRING,
  MILL__AWSEV_TIMESTAMP, /* 64 bits: milliseconds since 1970 */
  MILL__AWSEV_UUID
};

struct mill__awsev_header {
  mill_slice name;
  enum mill__awsev_type type;
  mill_slice value;
};

/* Take the first header off `headers`. MILL_END: it was empty. MILL_E_PROTOCOL: no header. */
int mill__awsev_next_header(mill_slice *headers, struct mill__awsev_header *ret_header);

enum mill__awsev_kind { MILL__AWSEV_EVENT, MILL__AWSEV_EXCEPTION, MILL__AWSEV_ERROR };

/* What the headers say; empty where they do not. Bytes as they came. */
struct mill__awsev_message {
  enum mill__awsev_kind kind;           /* ":message-type"; an unknown one is an event */
  mill_slice event_type;                /* ":event-type" */
  mill_slice exception_type;            /* ":exception-type" */
  mill_slice error_code, error_message; /* ":error-code", ":error-message" */
  mill_slice content_type;              /* ":content-type" */
  mill_slice headers;                   /* all of them: see mill__awsev_next_header */
};

struct mill__awsev_callbacks {
  int (*data)(void *ctx, const char *bytes, size_t len);
  int (*event)(void *ctx, const struct mill__awsev_message *message);
};

/* Only awsev.c touches the fields; the struct is here to be embedded. */
struct mill__awsev {
  const struct mill__awsev_callbacks *callbacks;
  void *ctx;
  size_t event_bytes;

  struct mill__buf head; /* the prelude and the headers, so far */
  size_t head_bytes;     /* their length, as far as it is known */
  size_t payload_bytes;  /* that are still to come */
  uint32_t crc;          /* of what has come */
  uint32_t sent_crc;     /* the message's own, as far as it has come */
  uint8_t n_sent_crc;    /* bytes of it */

  int status;    /* sticky */
  uint8_t place; /* enum place of awsev.c */
};

/* Allocates nothing. Borrows `callbacks` until _fini. */
void mill__awsev_init(struct mill__awsev *awsev, size_t event_bytes,
                      const struct mill__awsev_callbacks *callbacks, void *ctx);
void mill__awsev_fini(struct mill__awsev *awsev);
/* Back to the start of a stream. */
void mill__awsev_reset(struct mill__awsev *awsev);
/* Feed a piece. `ret_consumed` is `len` unless it stopped before; it is always written. */
int mill__awsev_feed(struct mill__awsev *awsev, const char *bytes, size_t len,
                     size_t *ret_consumed);
/* The input ended. True where it ended inside a message: that one is not dispatched. */
bool mill__awsev_finish(const struct mill__awsev *awsev);

#endif
