/* Checking and copying a request; see request.h. */
#include "net/request.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"

#define HOST_BYTES 256

void mill_request_init(mill_request *request) {
  *request = (mill_request){
      .method = "POST",
      .format = "openai-chat",
      .timeouts = {.connect_ms = 10000, .first_chunk_ms = 300000, .idle_ms = 120000},
      .limits = {.event_bytes = (size_t)64 << 20,
                 .buffered_bytes = (size_t)1 << 20,
                 .header_bytes = (size_t)256 << 10,
                 .json_depth = 512},
      .max_retries = 2,
  };
}

void mill_event_source_init(mill_event_source *source) {
  *source = (mill_event_source){
      .reconnect = true, .initial_retry_ms = 3000, .max_retry_ms = 30000, .max_redirects = 10};
}

/* ---- checks ---------------------------------------------------------------------------------- */

static bool has_control(const char *text) {
  for (; *text; text++)
    if ((unsigned char)*text < 0x20 || *text == 0x7f)
      return true;
  return false;
}

/* RFC 9110, section 5.6.2: token. */
static bool is_token(const char *text) {
  static const char extra[] = "!#$%&'*+-.^_`|~";
  if (!*text)
    return false;
  for (; *text; text++)
    if (!((*text >= '0' && *text <= '9') || (*text >= 'A' && *text <= 'Z') ||
          (*text >= 'a' && *text <= 'z') || strchr(extra, *text)))
      return false;
  return true;
}

/* RFC 9110, section 5.5: no control character but a tab. */
static bool is_field_value(const char *text) {
  for (; *text; text++)
    if (((unsigned char)*text < 0x20 && *text != '\t') || *text == 0x7f)
      return false;
  return true;
}

static const char *skip_scheme(const char *url) {
  if (!strncasecmp(url, "http://", 7))
    return url + 7;
  if (!strncasecmp(url, "https://", 8))
    return url + 8;
  return NULL;
}

static const char *check_url(const char *url) {
  if (!url)
    return "url: is missing";
  if (has_control(url) || strchr(url, ' '))
    return "url: has a space or a control character";
  const char *rest = skip_scheme(url);
  if (!rest)
    return "url: must begin with http:// or https://";
  if (!*rest || strchr("/?#:", *rest))
    return "url: has no host";
  return NULL;
}

static const char *check_headers(const mill_request *request) {
  if (request->n_headers && !request->headers)
    return "headers: is missing, but n_headers is not 0";
  for (size_t i = 0; i < request->n_headers; i++) {
    const mill_header *header = &request->headers[i];
    if (!header->name || !is_token(header->name))
      return "headers: a name is not a token (RFC 9110)";
    if (!header->value || !is_field_value(header->value))
      return "headers: a value has a control character";
  }
  return NULL;
}

static const char *check_numbers(const mill_request *request) {
  const mill_timeouts *timeouts = &request->timeouts;
  if (timeouts->connect_ms < 0 || timeouts->first_chunk_ms < 0 || timeouts->idle_ms < 0 ||
      timeouts->total_ms < 0)
    return "timeouts: must not be negative";
  const mill_limits *limits = &request->limits;
  if (!limits->event_bytes || !limits->buffered_bytes || !limits->header_bytes ||
      !limits->json_depth)
    return "limits: must be positive";
  return NULL;
}

static const char *check_source(const mill_event_source *source) {
  if (source->initial_retry_ms < 0 || source->max_retry_ms < 0)
    return "events: a time to retry after must not be negative";
  if (source->last_event_id && strpbrk(source->last_event_id, "\r\n"))
    return "last_event_id: has a line break";
  return NULL;
}

/* Without a scheme it is an HTTP proxy. */
static const char *check_proxy(const char *proxy) {
  static const char *const schemes[] = {"http",    "https",  "socks",  "socks4",
                                        "socks4a", "socks5", "socks5h"};
  const char *colon = strstr(proxy, "://");
  size_t len = colon ? (size_t)(colon - proxy) : 0;
  bool known = !colon;
  if (has_control(proxy))
    return "proxy: has a control character";
  for (size_t i = 0; i < sizeof schemes / sizeof *schemes && !known; i++)
    known = len == strlen(schemes[i]) && !strncasecmp(proxy, schemes[i], len);
  return known ? NULL : "proxy: is neither HTTP nor SOCKS";
}

static const char *check(const mill_request *request) {
  const char *why = check_url(request->url);
  if (!why && (!request->method || !is_token(request->method)))
    why = "method: is not a token (RFC 9110)";
  if (!why)
    why = check_headers(request);
  if (!why && request->body_len && !request->body)
    why = "body: is missing, but body_len is not 0";
  if (!why)
    why = check_numbers(request);
  if (!why && (!request->format || !mill__dialect_find(request->format)))
    why = "format: is not one of mill_formats()";
  if (!why && request->proxy)
    why = check_proxy(request->proxy);
  if (!why && request->events)
    why = check_source(request->events);
  return why;
}

/* ---- the copy -------------------------------------------------------------------------------- */

/* Hands out pieces of one block; the first pass only adds up (block is NULL). */
struct packer {
  char *block;
  size_t used;
};

static void *pack(struct packer *packer, const void *bytes, size_t len) {
  if (!bytes)
    return NULL;
  char *at = packer->block ? packer->block + packer->used : NULL;
  if (at)
    memcpy(at, bytes, len);
  packer->used += len;
  return at;
}

static const char *pack_text(struct packer *packer, const char *text) {
  return pack(packer, text, text ? strlen(text) + 1 : 0);
}

static void pack_request(struct packer *packer, const mill_request *from,
                         struct mill__request *request) {
  mill_request *to = &request->set;
  /* The array first: the block's beginning is aligned for it. */
  mill_header *headers = pack(packer, from->headers, from->n_headers * sizeof *from->headers);
  for (size_t i = 0; i < from->n_headers; i++) {
    mill_header header = {pack_text(packer, from->headers[i].name),
                          pack_text(packer, from->headers[i].value)};
    if (headers)
      headers[i] = header;
  }
  *to = *from;
  to->headers = headers;
  to->url = pack_text(packer, from->url);
  to->method = pack_text(packer, from->method);
  to->body = pack(packer, from->body, from->body_len);
  to->format = NULL; /* stands in `dialect` */
  to->proxy = pack_text(packer, from->proxy);
  to->no_proxy = pack_text(packer, from->no_proxy);
  to->unix_socket = pack_text(packer, from->unix_socket);
  to->ca_file = pack_text(packer, from->ca_file);
  to->ca_dir = pack_text(packer, from->ca_dir);
  to->cert_file = pack_text(packer, from->cert_file);
  to->key_file = pack_text(packer, from->key_file);
  if (from->events) {
    request->source = *from->events;
    request->source.last_event_id = pack_text(packer, from->events->last_event_id);
    to->events = &request->source;
  }
}

/* "host:port" of a URL in `ret_host`; false where the host is an address or too long for a name. */
static bool host_and_port(const char *url, char *ret_host, size_t size) {
  const char *begin = strstr(url, "://");
  begin = begin ? begin + 3 : url;
  size_t len = strcspn(begin, "/?#");
  for (size_t i = len; i > 0; i--)
    if (begin[i - 1] == '@') { /* user information ends at the last one */
      begin += i;
      len -= i;
      break;
    }
  if (!len || len >= size || *begin == '[')
    return false;
  memcpy(ret_host, begin, len);
  ret_host[len] = '\0';
  char *colon = strrchr(ret_host, ':');
  unsigned char address[4];
  if (colon)
    *colon = '\0';
  bool numeric = inet_pton(AF_INET, ret_host, address) == 1;
  if (colon)
    *colon = ':';
  return !numeric;
}

int mill__request_lookup_key(const mill_request *set, const char *url, char **ret_key) {
  char host[HOST_BYTES];
  if (set->proxy && *set->proxy)
    url = set->proxy; /* its name is the one that counts */
  if (set->unix_socket || !host_and_port(url, host, sizeof host)) {
    *ret_key = NULL;
    return MILL_OK;
  }
  char *key = mill__strdup(host);
  if (!key)
    return MILL_E_NOMEM;
  *ret_key = key;
  return MILL_OK;
}

int mill__request_init(struct mill__request *request, const mill_request *from,
                       const char **ret_why) {
  *request = (struct mill__request){.block = NULL};
  const char *why = check(from);
  if (why) {
    if (ret_why)
      *ret_why = why;
    return MILL_E_ARG;
  }
  struct packer packer = {NULL, 0};
  pack_request(&packer, from, request);
  request->block = mill__malloc(packer.used);
  request->block_size = packer.used;
  if (!request->block)
    return MILL_E_NOMEM;
  packer = (struct packer){request->block, 0};
  pack_request(&packer, from, request);
  request->dialect = from->events ? &mill__events : mill__dialect_find(from->format);
  request->set.stats = mill_stats_ref(from->stats);
  int result = mill__request_lookup_key(&request->set, request->set.url, &request->lookup_key);
  if (result)
    mill__request_fini(request);
  return result;
}

void mill__request_fini(struct mill__request *request) {
  if (!request->block)
    return;
  mill_stats_unref(request->set.stats);
  mill__free(request->lookup_key);
  mill__free_secret(request->block, request->block_size);
  *request = (struct mill__request){.block = NULL};
}

bool mill__request_has_header(const mill_request *set, const char *name) {
  for (size_t i = 0; i < set->n_headers; i++)
    if (!strcasecmp(set->headers[i].name, name))
      return true;
  return false;
}

bool mill__request_asks_compressed(const mill_request *set) {
  return set->compression || mill__request_has_header(set, MILL__ACCEPT_ENCODING);
}
