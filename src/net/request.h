/*
 * A checked, deep copy of a mill_request: what a stream works from, on every attempt.
 * Owns: all its strings, one block. Thread: immutable after init. Errors: MILL_E_ARG and why,
 * MILL_E_NOMEM.
 */
#ifndef MILL_NET_REQUEST_H
#define MILL_NET_REQUEST_H

#include "provider/dialect.h"

#define MILL__ACCEPT_ENCODING "Accept-Encoding"

struct mill__request {
  mill_request set; /* the caller's fields, pointing into `block` */
  const struct mill__dialect *dialect;
  mill_event_source source; /* what set.events points to, where it is not NULL */
  char *lookup_key;         /* "host:port" of the name to look up; NULL: none is needed */
  char *block;              /* cleared before it is freed: it holds keys */
  size_t block_size;
};

int mill__request_init(struct mill__request *request, const mill_request *from,
                       const char **ret_why);
void mill__request_fini(struct mill__request *request);
/* Whether the caller gave a header of this name. */
bool mill__request_has_header(const mill_request *set, const char *name);
/* Whether a compressed answer is asked for, by `compression` or by the caller's own header. */
bool mill__request_asks_compressed(const mill_request *set);
/*
 * The name that a request by `set`, but to `url`, makes libcurl look up; NULL in `ret_key` where
 * none is needed. The caller frees it.
 */
int mill__request_lookup_key(const mill_request *set, const char *url, char **ret_key);

#endif
