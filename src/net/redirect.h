/*
 * What a redirect makes of a request. Pure: no I/O, no URL parsing.
 * Source: WHATWG Fetch, "HTTP-redirect fetch"; which headers are credentials is ours.
 */
#ifndef MILL_NET_REDIRECT_H
#define MILL_NET_REDIRECT_H

#include "millstream/millstream.h"

/* Where redirects have led so far. All zero: nowhere, the request is the caller's. */
struct mill__redirect {
  char *url;        /* owned; NULL: the request's own */
  char *lookup_key; /* owned; of `url`, as mill__request.lookup_key */
  unsigned count;
  bool as_get;  /* the method became GET, and the body was dropped */
  bool foreign; /* another origin was met: no credentials from there on */
};

void mill__redirect_fini(struct mill__redirect *redirect); /* all zero again */
bool mill__redirect_is(int status);
/*
 * Go on to `url` with `lookup_key` (both taken over) after an answer of `status` to a request by
 * `method`, the caller's.
 */
void mill__redirect_to(struct mill__redirect *redirect, const char *method, int status, char *url,
                       char *lookup_key, bool same_origin);
/* The caller's header goes along. */
bool mill__redirect_keeps(const struct mill__redirect *redirect, const char *name);

#endif
