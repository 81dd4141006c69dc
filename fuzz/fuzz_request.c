/*
 * Fuzz target: what is accepted as a request has nothing in it that could become a second one, and
 * its copy owes nothing to the original. Nothing here comes in pieces.
 *
 * Behind the settings stand strings, each ended by NUL: the URL, the method, a proxy, a last event
 * id, then names and values of headers; at last the body. Bits: 2 a proxy, 4 an id, 8 a socket.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "net/request.h"
#include "support.h"

#define BIT_PROXY 2u
#define BIT_ID 4u
#define BIT_SOCKET 8u
#define MAX_HEADERS 4
#define N_TEXTS (4 + 2 * MAX_HEADERS)

/* The caller's request: memory that is overwritten as soon as it was copied. */
struct original {
  char *texts[N_TEXTS];
  size_t n_texts;
  mill_header headers[MAX_HEADERS];
  char *body;
  size_t body_len;
  mill_event_source source;
  mill_request request;
};

static char *copy(const char *bytes, size_t len) {
  char *text = malloc(len + 1);
  require(text != NULL);
  memcpy(text, bytes, len);
  text[len] = '\0';
  return text;
}

static void split(struct original *original, const struct fuzz_input *input) {
  const char *at = input->bytes, *end = at + input->len;
  for (; original->n_texts < N_TEXTS; original->n_texts++) {
    const char *nul = at < end ? memchr(at, 0, (size_t)(end - at)) : NULL;
    if (!nul)
      break;
    original->texts[original->n_texts] = copy(at, (size_t)(nul - at));
    at = nul + 1;
  }
  original->body_len = (size_t)(end - at);
  original->body = copy(at, original->body_len);
}

static void fill(struct original *original, unsigned bits) {
  mill_request *request = &original->request;
  char **texts = original->texts;
  mill_request_init(request);
  mill_event_source_init(&original->source);
  request->url = texts[0];
  request->method = texts[1];
  if (bits & BIT_PROXY)
    request->proxy = texts[2];
  if (bits & BIT_SOCKET)
    request->unix_socket = "/nowhere";
  original->source.last_event_id = texts[3];
  if (bits & BIT_ID)
    request->events = &original->source;
  for (size_t i = 4; i + 1 < original->n_texts; i += 2)
    original->headers[request->n_headers++] = (mill_header){texts[i], texts[i + 1]};
  request->headers = original->headers;
  request->body = original->body;
  request->body_len = original->body_len;
}

/* ---- what holds for an accepted request ------------------------------------------------------- */

/* A tab is no break: it may stand in a header's value. */
static bool breaks(const char *text) {
  for (; *text; text++)
    if (((unsigned char)*text < 0x20 && *text != '\t') || *text == 0x7f)
      return true;
  return false;
}

static void check_lookup_key(const struct mill__request *request) {
  const char *key = request->lookup_key;
  if (!key)
    return;
  const mill_request *set = &request->set;
  const char *url = set->proxy && *set->proxy ? set->proxy : set->url;
  require(!set->unix_socket);
  require(*key && strpbrk(key, "/?#@[") != key && !strchr(key, '@'));
  require(strstr(url, key) != NULL);
}

static void check_accepted(const struct mill__request *request) {
  const mill_request *set = &request->set;
  require(!strncasecmp(set->url, "http://", 7) || !strncasecmp(set->url, "https://", 8));
  require(!breaks(set->url) && !strpbrk(set->url, " \t"));
  require(*set->method && !breaks(set->method) && !strpbrk(set->method, " \t:/"));
  require(!set->proxy || !breaks(set->proxy));
  for (size_t i = 0; i < set->n_headers; i++) {
    require(*set->headers[i].name && !breaks(set->headers[i].name));
    require(!strpbrk(set->headers[i].name, " \t:;\"()"));
    require(!breaks(set->headers[i].value));
  }
  if (set->events && set->events->last_event_id)
    require(!strpbrk(set->events->last_event_id, "\r\n"));
  check_lookup_key(request);
}

/* ---- the copy -------------------------------------------------------------------------------- */

static struct fuzz_bytes listing(const mill_request *set) {
  struct fuzz_bytes list = {0};
  const char *texts[N_TEXTS] = {
      set->url, set->method, set->proxy ? set->proxy : "",
      set->events && set->events->last_event_id ? set->events->last_event_id : ""};
  for (size_t i = 0; i < set->n_headers; i++) {
    texts[4 + 2 * i] = set->headers[i].name;
    texts[5 + 2 * i] = set->headers[i].value;
  }
  for (size_t i = 0; i < 4 + 2 * set->n_headers; i++)
    fuzz_append(&list, texts[i], strlen(texts[i]) + 1);
  fuzz_append(&list, set->body, set->body_len);
  return list;
}

static void discard(struct original *original) {
  for (size_t i = 0; i < original->n_texts; i++) {
    memset(original->texts[i], '!', strlen(original->texts[i]));
    free(original->texts[i]);
  }
  memset(original->body, '!', original->body_len);
  free(original->body);
  memset(original, 0, sizeof *original);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct fuzz_input input;
  struct original original = {.n_texts = 0};
  struct mill__request request;
  if (!fuzz_read_input(data, size, &input))
    return 0;
  const char *why = NULL;
  split(&original, &input);
  fill(&original, input.bits);
  int rc = mill__request_init(&request, &original.request, &why);
  require(rc == MILL_OK || rc == MILL_E_ARG);
  require((rc == MILL_OK) == (why == NULL));
  if (rc == MILL_OK) {
    struct fuzz_bytes before = listing(&original.request);
    discard(&original);
    struct fuzz_bytes after = listing(&request.set);
    require(before.len == after.len && memcmp(before.ptr, after.ptr, before.len) == 0);
    check_accepted(&request);
    free(before.ptr);
    free(after.ptr);
  } else {
    discard(&original);
  }
  mill__request_fini(&request);
  return 0;
}
