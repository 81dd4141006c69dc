/*
 * Fuzz target: wherever a chain of redirects leads, it leads to a web server, and takes neither
 * credentials to another origin nor a dropped body's headers along. Nothing here comes in pieces.
 *
 * Behind the settings stand strings, each ended by NUL: the URL of the request, a header's name, and
 * the Locations of the answers. Bits: 2 a POST, 4 a HEAD; the seed chooses the statuses.
 */
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "net/http.h"
#include "net/redirect.h"
#include "net/request.h"
#include "support.h"

#define BIT_POST 2u
#define BIT_HEAD 4u
#define MAX_HOPS 8

static const char *const credentials[] = {"Authorization", "cookie",         "Proxy-Authorization",
                                          "X-Api-Key",     "api-key",        "X-Goog-Api-Key",
                                          "X-Auth-Token",  "X-AMZ-Signature"};
static const char *const of_body[] = {"Content-Type", "content-length", "Content-Encoding"};

/* ---- URLs, as libcurl reads them ------------------------------------------------------------- */

static char *part_of(const char *url, CURLUPart part) {
  CURLU *handle = curl_url();
  char *text = NULL;
  require(handle != NULL);
  require(curl_url_set(handle, CURLUPART_URL, url, 0) == CURLUE_OK);
  curl_url_get(handle, part, &text, CURLU_DEFAULT_PORT);
  curl_url_cleanup(handle);
  return text;
}

static bool same_part(const char *a, const char *b, CURLUPart part) {
  char *one = part_of(a, part), *other = part_of(b, part);
  require(one != NULL && other != NULL);
  bool same = !strcasecmp(one, other);
  curl_free(one);
  curl_free(other);
  return same;
}

static bool has_part(const char *url, CURLUPart part) {
  char *text = part_of(url, part);
  curl_free(text);
  return text != NULL;
}

static void check_url(const char *from, const char *url, bool same_origin, bool foreign) {
  require(!strncasecmp(url, "http://", 7) || !strncasecmp(url, "https://", 8));
  for (const char *p = url; *p; p++)
    require((unsigned char)*p > 0x20 && *p != 0x7f);
  require(!has_part(url, CURLUPART_FRAGMENT));
  require(same_origin ==
          (same_part(from, url, CURLUPART_SCHEME) && same_part(from, url, CURLUPART_HOST) &&
           same_part(from, url, CURLUPART_PORT)));
  if (foreign || !same_origin)
    require(!has_part(url, CURLUPART_USER) && !has_part(url, CURLUPART_PASSWORD));
}

/* ---- headers --------------------------------------------------------------------------------- */

static void check_headers(const struct mill__redirect *redirect, const char *name) {
  mill__redirect_keeps(redirect, name);
  require(mill__redirect_keeps(redirect, "Accept"));
  for (size_t i = 0; i < sizeof credentials / sizeof *credentials; i++)
    require(mill__redirect_keeps(redirect, credentials[i]) == !redirect->foreign);
  for (size_t i = 0; i < sizeof of_body / sizeof *of_body; i++)
    require(mill__redirect_keeps(redirect, of_body[i]) == !redirect->as_get);
}

/* ---- a chain --------------------------------------------------------------------------------- */

struct chain {
  struct mill__redirect redirect;
  mill_request set;
  const char *header;
};

static bool hop(struct chain *chain, const char *location, int status) {
  static const int statuses[] = {301, 302, 303, 307, 308};
  struct mill__redirect *redirect = &chain->redirect;
  const struct mill__redirect before = *redirect;
  const char *from = redirect->url ? redirect->url : chain->set.url;
  char *url, *key;
  bool same_origin;
  int rc = mill__http_resolve_url(from, (mill_slice){location, strlen(location)}, before.foreign,
                                  &url, &same_origin);
  require(rc == MILL_OK || rc == MILL_E_ARG);
  if (rc != MILL_OK)
    return false;
  check_url(from, url, same_origin, before.foreign);
  require(mill__request_lookup_key(&chain->set, url, &key) == MILL_OK);
  require(!key || strstr(url, key) != NULL);
  status = statuses[status % 5];
  require(mill__redirect_is(status));
  mill__redirect_to(redirect, chain->set.method, status, url, key, same_origin);
  require(redirect->count == before.count + 1);
  require(redirect->foreign == (before.foreign || !same_origin));
  require(redirect->as_get || !before.as_get);
  require(!redirect->as_get || strcmp(chain->set.method, "HEAD") != 0);
  require(status < 307 || redirect->as_get == before.as_get);
  check_headers(redirect, chain->header);
  return true;
}

/* The next string that NUL ends; NULL: there is none. */
static const char *next_text(const char **at, const char *end) {
  const char *text = *at, *nul = text < end ? memchr(text, 0, (size_t)(end - text)) : NULL;
  if (!nul)
    return NULL;
  *at = nul + 1;
  return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct fuzz_input input;
  if (!fuzz_read_input(data, size, &input))
    return 0;
  const char *at = input.bytes, *end = at + input.len;
  const char *url = next_text(&at, end), *header = next_text(&at, end), *location;
  struct chain chain = {.header = header};
  struct mill__request request;
  mill_request_init(&chain.set);
  chain.set.url = url;
  chain.set.method = input.bits & BIT_POST ? "POST" : input.bits & BIT_HEAD ? "HEAD" : "GET";
  if (!header || mill__request_init(&request, &chain.set, NULL) != MILL_OK)
    return 0;
  unsigned statuses = input.seed;
  for (int i = 0; i < MAX_HOPS && (location = next_text(&at, end)) != NULL; i++, statuses /= 5)
    if (!hop(&chain, location, (int)(statuses % 5)))
      break;
  mill__redirect_fini(&chain.redirect);
  mill__request_fini(&request);
  return 0;
}
