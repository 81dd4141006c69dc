/*
 * The head of an HTTP answer, line by line as libcurl hands it out. Pure.
 * Owns: the header block. Thread: the loop until `complete`; immutable and any thread after that.
 * Limits: `header_bytes` over all answers of a request, MILL__RESPONSE_INFORMATIONAL 1xx answers.
 * Errors: MILL_E_LIMIT, MILL_E_PROTOCOL, MILL_E_NOMEM; the reason in `why`.
 */
#ifndef MILL_NET_RESPONSE_H
#define MILL_NET_RESPONSE_H

#include "base/buf.h"
#include "net/inflate.h"

#define MILL__RESPONSE_INFORMATIONAL 16 /* 1xx answers before the final one */

struct mill__response {
  int status;               /* of the answer being read; 0: none yet */
  int http_version;         /* 10, 11, 20 */
  struct mill__buf headers; /* "Name: value\r\n" lines of the answer being read */
  bool complete;            /* the final answer's head is whole */
  int64_t content_length;   /* -1: not given */
  const char *why;
  size_t seen_bytes;
  unsigned n_informational;
  struct mill__response *older; /* the answer to the attempt before this */
};

int mill__response_new(size_t header_bytes, struct mill__response **ret_response);
/* Frees the older ones too. NULL is allowed. */
void mill__response_free(struct mill__response *response);
int mill__response_line(struct mill__response *response, const char *line, size_t len);
/* A field's value by its name, any case; empty where it is not there. The first one wins. */
mill_slice mill__response_field(const struct mill__response *response, const char *name);
/* The media type in Content-Type without its parameters; empty where none is given. */
mill_slice mill__response_media_type(const struct mill__response *response);
/* How the body is compressed: by all that Content-Encoding names, in one field or in several. */
enum mill__coding mill__response_coding(const struct mill__response *response);
bool mill__slice_equals_nocase(mill_slice slice, const char *text);

#endif
