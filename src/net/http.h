/*
 * One HTTP exchange of a transfer on a libcurl easy handle. With engine.c the only code that knows
 * libcurl.
 *
 * Owns: the easy handle and what it points to. Thread: the loop. Errors: MILL_E_NOMEM, MILL_E_ARG
 * (libcurl refuses an option), MILL_E_SYSTEM.
 */
#ifndef MILL_NET_HTTP_H
#define MILL_NET_HTTP_H

#include "base/buf.h"

struct mill__http {
  void *easy;        /* CURL; NULL: no exchange is on */
  void *headers;     /* curl_slist */
  char *text;        /* libcurl's error message */
  bool sent;         /* the request went out */
  bool replay;       /* libcurl wanted to send it a second time and was stopped */
  bool opened;       /* a socket was opened for it: the connection is not a kept one */
  bool dead;         /* the kept connection was closed before anything was sent */
  int fd;            /* the request's connection, where `received` is known; else -1 */
  uint64_t received; /* bytes that had come over it before the request */
  bool awaits;       /* what is read under TLS is the answer */
  bool record;       /* a record of data, or of TLS 1.3, began; nothing was told of it since */
  bool begun;        /* part of an answer came, if only of its first line */
  int socket_errno;  /* why a socket could not be opened; 0: none failed */
  bool answered;     /* a first line of an answer came */
};

/*
 * `location` (a URL or a part of one) as it stands in an answer from `current`: without a fragment,
 * and with the user information of `current` where that is of the same origin and not `foreign`.
 * MILL_E_ARG: it is no http or https URL. The caller frees `ret_url`.
 */
int mill__http_resolve_url(const char *current, mill_slice location, bool foreign, char **ret_url,
                           bool *ret_same_origin);
/* The error of MILL_E_SYSTEM from mill__http_start, and of a socket that cannot be opened. */
void mill__http_no_descriptor(mill_error *ret_error);
/* Whether the server is asked for HTTP/2. TLS alone tells whether it speaks it. */
bool mill__http_wants_http2(const mill_stream *stream);
/* Set up the exchange and give it to the engine's multi handle. */
int mill__http_start(mill_stream *stream);
/* Take it away, finished or not. Not from inside a callback of libcurl's. */
void mill__http_stop(mill_stream *stream);
/*
 * Go on with a body that mill__transfer_on_body paused. A CURLcode that is not 0 is the end of the
 * exchange: libcurl hands out what it holds back at once, and reports a refusal of it here only.
 */
int mill__http_resume(mill_stream *stream);
/* What a CURLcode says of the exchange, as an error; MILL_OK for a body that ended cleanly. */
void mill__http_outcome(mill_stream *stream, int curl_code, mill_error *ret_error);

#endif
