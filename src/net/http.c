/* One HTTP exchange on a libcurl easy handle; see http.h. */
#include "net/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

#include "base/alloc.h"
#include "net/engine.h"
#include "net/retry.h"

#define UPLOAD_BUFFER_BYTES                                                                        \
  16384L /* the least that libcurl takes; its default is 64 KiB a transfer */
#define CROWD_BUFFER_BYTES 1024L /* to read into, the least there is; the default is 16 KiB */
#define TOO_LARGE 100            /* CURLE_TOO_LARGE, in libcurl's headers since 8.6 */
#define LAST_EVENT_ID "Last-Event-ID"
#define TLS_HEADER_BYTES 5 /* of a record */
#define TLS_APPLICATION_DATA 23
#define NO_LIMIT_MS 86400000L /* our own clocks are in charge */

/* ---- callbacks: on the loop, from inside libcurl --------------------------------------------- */

static curl_socket_t on_open_socket(void *user, curlsocktype purpose, struct curl_sockaddr *addr) {
  mill_stream *stream = user;
  (void)purpose;
  int fd = mill__loop_socket(&stream->engine->loop, addr->family, addr->socktype, addr->protocol);
  if (fd < 0) {
    stream->transfer.http.socket_errno = errno;
    return CURL_SOCKET_BAD;
  }
  stream->transfer.http.opened = true;
  if (!stream->transfer.http.sent) /* libcurl's own second attempt is not ours */
    stream->transfer.http.fd = fd;
  mill__transfer_on_socket(stream);
  return fd;
}

/* A connection outlives its transfer: this gets the engine. */
static int on_close_socket(void *user, curl_socket_t fd) {
  mill_engine *engine = user;
  mill__loop_close(&engine->loop, fd);
  return 0;
}

static bool begins(const char *url, const char *scheme) {
  return url && !strncasecmp(url, scheme, strlen(scheme));
}

/* What lies on the socket is HTTP: there is no TLS. */
static bool is_plain(const struct mill__http *http, const char *proxy) {
  const char *url = "";
  curl_easy_getinfo(http->easy, CURLINFO_EFFECTIVE_URL, &url);
  return !begins(url, "https:") && !begins(proxy, "https:");
}

/*
 * libcurl tells of an answer when its first line is whole. Whether a connection broke inside that
 * line, the socket's count of bytes says; not under TLS, which has bytes of its own: see on_debug.
 */
static void count_from_here(struct mill__http *http, bool plain) {
  if (!plain)
    http->fd = -1;
  if (http->fd >= 0)
    http->received = mill__loop_received(http->fd);
}

/* The request's connection is closed. */
static void count_to_here(mill_stream *stream) {
  struct mill__http *http = &stream->transfer.http;
  const struct mill__loop *loop = &stream->engine->loop;
  if (http->fd >= 0 && (size_t)http->fd < loop->n_slots)
    http->begun |= loop->slots[http->fd].received > http->received;
  http->fd = -1;
}

/*
 * The server has closed the kept connection that the request is about to go out on, or has sent what
 * nobody asked for, which would be taken for the answer. Some versions of libcurl look no more than
 * once a second.
 */
static bool is_dead(int fd, bool plain) {
  struct pollfd pollfd = {.fd = fd, .events = (short)(POLLRDHUP | (plain ? POLLIN : 0))};
  return fd >= 0 && poll(&pollfd, 1, 0) == 1;
}

/*
 * Called when the connection stands and the request is about to go out. A second call means that
 * libcurl sends the request again by itself, because a connection that it used again was dead: for
 * a POST that the server may have read, that is not its decision but retry.c's.
 */
static int on_request(void *user, char *remote_ip, char *local_ip, int remote_port,
                      int local_port) {
  (void)remote_ip, (void)local_ip;
  mill_stream *stream = user;
  struct mill__http *http = &stream->transfer.http;
  if (http->sent) {
    count_to_here(stream); /* before another connection gets its number */
    http->replay = true;
    return CURL_PREREQFUNC_ABORT;
  }
  /* libcurl has no socket to tell before the exchange is over. */
  http->fd = mill__loop_find(&stream->engine->loop, http->fd, local_port, remote_port);
  bool plain = is_plain(http, stream->request.set.proxy);
  if (!http->opened && is_dead(http->fd, plain)) {
    http->dead = true;
    return CURL_PREREQFUNC_ABORT;
  }
  http->sent = true;
  count_from_here(http, plain);
  mill__transfer_on_sent(stream);
  return CURL_PREREQFUNC_OK;
}

/* "POST /v1 HTTP/1.1": a server of HTTP/2 sends more than answers. */
static bool is_http1(const char *request, size_t len) {
  const char *end = memchr(request, '\r', len);
  return end && end - request > 9 && !memcmp(end - 9, " HTTP/1.1", 9);
}

/*
 * Under TLS the records tell whether part of an answer came: libcurl hands out the header of each,
 * and with TLS 1.3 the type of what was in it, for which 1.2 has the header alone.
 */
static void on_record(struct mill__http *http, const char *bytes, size_t len) {
  if (len == TLS_HEADER_BYTES) {
    http->begun |= http->record;
    http->record = *bytes == TLS_APPLICATION_DATA;
  } else if (len == 1) {
    http->begun |= *bytes == TLS_APPLICATION_DATA;
    http->record = false;
  }
}

static int on_debug(CURL *easy, curl_infotype type, char *bytes, size_t len, void *user) {
  (void)easy;
  struct mill__http *http = user;
  if (type == CURLINFO_HEADER_OUT)
    http->awaits |= http->sent && is_http1(bytes, len);
  else if (type == CURLINFO_SSL_DATA_IN && http->awaits)
    on_record(http, bytes, len);
  return 0;
}

static size_t on_header(char *line, size_t size, size_t n, void *user) {
  mill_stream *stream = user;
  struct mill__http *http = &stream->transfer.http;
  if (!http->answered)
    curl_easy_setopt(http->easy, CURLOPT_VERBOSE, 0L);
  http->answered = true;
  return mill__transfer_on_head_line(stream, line, size * n) ? size * n : 0;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *user) {
  switch (mill__transfer_on_body(user, bytes, size * n)) {
  case MILL__BODY_TAKEN:
    return size * n;
  case MILL__BODY_PAUSE:
    return CURL_WRITEFUNC_PAUSE;
  default:
    return CURL_WRITEFUNC_ERROR;
  }
}

/* ---- setting up ------------------------------------------------------------------------------ */

/* Collects the first failure, so that a list of options needs one check. */
struct options {
  CURL *easy;
  CURLcode result;
};

static void note(struct options *options, CURLcode result) {
  if (!options->result)
    options->result = result;
}

#define SET(options, option, value)                                                                \
  note((options), curl_easy_setopt((options)->easy, option, value))

static bool is_https(const mill_stream *stream) {
  const struct mill__redirect *redirect = &stream->transfer.source.redirect;
  const char *url = redirect->url ? redirect->url : stream->request.set.url;
  return begins(url, "https:");
}

static void set_callbacks(struct options *options, mill_stream *stream) {
  SET(options, CURLOPT_PRIVATE, stream);
  SET(options, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
  SET(options, CURLOPT_OPENSOCKETDATA, stream);
  SET(options, CURLOPT_CLOSESOCKETFUNCTION, on_close_socket);
  SET(options, CURLOPT_CLOSESOCKETDATA, stream->engine);
  SET(options, CURLOPT_PREREQFUNCTION, on_request);
  SET(options, CURLOPT_PREREQDATA, stream);
  SET(options, CURLOPT_HEADERFUNCTION, on_header);
  SET(options, CURLOPT_HEADERDATA, stream);
  SET(options, CURLOPT_WRITEFUNCTION, on_body);
  SET(options, CURLOPT_WRITEDATA, stream);
  SET(options, CURLOPT_ERRORBUFFER, stream->transfer.http.text);
  SET(options, CURLOPT_DEBUGFUNCTION, on_debug); /* else libcurl writes to stderr */
  SET(options, CURLOPT_DEBUGDATA, &stream->transfer.http);
  /* TLS to a proxy has records of the server's in its own. */
  bool has_records = is_https(stream) && !begins(stream->request.set.proxy, "https:");
  SET(options, CURLOPT_VERBOSE, has_records ? 1L : 0L);
}

bool mill__http_wants_http2(const mill_stream *stream) {
  enum mill_http2 http2 = stream->request.set.http2;
  bool on = http2 == MILL_HTTP2_ON || (http2 == MILL_HTTP2_AUTO && stream->engine->http2_auto);
  return on && is_https(stream);
}

static void set_behaviour(struct options *options, const mill_stream *stream) {
  const mill_engine *engine = stream->engine;
  SET(options, CURLOPT_NOSIGNAL, 1L);
  SET(options, CURLOPT_QUICK_EXIT, 1L); /* do not wait for a look-up's thread */
  SET(options, CURLOPT_PROTOCOLS_STR, "http,https");
  SET(options, CURLOPT_FOLLOWLOCATION, 0L);
  SET(options, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
  SET(options, CURLOPT_CONNECTTIMEOUT_MS, NO_LIMIT_MS);
  /* A leader asks anew: what the cache has would not last as long as its followers count on. */
  SET(options, CURLOPT_DNS_CACHE_TIMEOUT,
      stream->transfer.resolve.leads ? MILL__RESOLVE_TTL_S : MILL__RESOLVE_TTL_S + 10L);
  SET(options, CURLOPT_MAXAGE_CONN, (long)(MILL__ENGINE_KEEPALIVE_MS / 1000));
  SET(options, CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BUFFER_BYTES);
  if (engine->n_transfers >= MILL__ENGINE_CROWD)
    SET(options, CURLOPT_BUFFERSIZE, CROWD_BUFFER_BYTES);
  SET(options, CURLOPT_TCP_KEEPALIVE, 1L);
  SET(options, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  SET(options, CURLOPT_SHARE, engine->share);
  bool on = mill__http_wants_http2(stream);
  SET(options, CURLOPT_HTTP_VERSION,
      on ? (long)CURL_HTTP_VERSION_2TLS : (long)CURL_HTTP_VERSION_1_1);
  /* No CURLOPT_PIPEWAIT: where a server turns out to speak HTTP/1.1, libcurl 8.14 lets those that
   * waited for its first connection wait until the first transfer is over. Here they wait in
   * mill__transfer_on_socket. */
  /* A kept connection that turns out dead would cost an event source one of its waits. */
  bool own = stream->transfer.fresh || (stream->request.set.events && !on);
  SET(options, CURLOPT_FRESH_CONNECT, own ? 1L : 0L);
  /* Which Unix socket is used again nobody tells, so that on_request could not look at it. */
  SET(options, CURLOPT_FORBID_REUSE, stream->request.set.unix_socket && !on ? 1L : 0L);
}

static void set_request(struct options *options, const mill_request *set,
                        const struct mill__redirect *redirect) {
  const char *method = redirect->as_get ? "GET" : set->method;
  const char *body = redirect->as_get ? NULL : set->body;
  SET(options, CURLOPT_URL, redirect->url ? redirect->url : set->url);
  if (body || !strcmp(method, "POST")) {
    SET(options, CURLOPT_POST, 1L);
    SET(options, CURLOPT_POSTFIELDSIZE_LARGE, body ? (curl_off_t)set->body_len : 0);
    SET(options, CURLOPT_POSTFIELDS, body ? body : "");
  } else if (!strcmp(method, "HEAD")) {
    SET(options, CURLOPT_NOBODY, 1L);
  }
  if (strcmp(method, "GET") != 0 || body)
    SET(options, CURLOPT_CUSTOMREQUEST, method);
}

static void set_way(struct options *options, const mill_request *set, bool foreign) {
  if (set->proxy) {
    SET(options, CURLOPT_PROXY, set->proxy);
    SET(options, CURLOPT_NOPROXY, set->no_proxy ? set->no_proxy : "");
  }
  if (set->unix_socket)
    SET(options, CURLOPT_UNIX_SOCKET_PATH, set->unix_socket);
  SET(options, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
  SET(options, CURLOPT_PROXY_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
  SET(options, CURLOPT_SSL_VERIFYPEER, set->insecure ? 0L : 1L);
  SET(options, CURLOPT_SSL_VERIFYHOST, set->insecure ? 0L : 2L);
  SET(options, CURLOPT_PROXY_SSL_VERIFYPEER, set->insecure ? 0L : 1L);
  SET(options, CURLOPT_PROXY_SSL_VERIFYHOST, set->insecure ? 0L : 2L);
  if (set->ca_file || set->ca_dir) {
    SET(options, CURLOPT_CAINFO, set->ca_file);
    SET(options, CURLOPT_CAPATH, set->ca_dir);
    SET(options, CURLOPT_PROXY_CAINFO, set->ca_file);
    SET(options, CURLOPT_PROXY_CAPATH, set->ca_dir);
  }
  if (set->cert_file && !foreign)
    SET(options, CURLOPT_SSLCERT, set->cert_file);
  if (set->key_file && !foreign)
    SET(options, CURLOPT_SSLKEY, set->key_file);
}

static bool append_line(struct curl_slist **list, const char *line) {
  struct curl_slist *longer = curl_slist_append(*list, line);
  if (longer)
    *list = longer;
  return longer;
}

static bool add_header(struct curl_slist **list, const char *name, const char *value) {
  size_t size = strlen(name) + strlen(value) + 3;
  char *line = mill__malloc(size);
  if (!line)
    return false;
  /* "Name;" is how libcurl is told to send a header without a value. */
  snprintf(line, size, *value ? "%s: %s" : "%s;", name, value);
  bool ok = append_line(list, line);
  mill__free_secret(line, size);
  return ok;
}

/* What an event source says beside the caller's headers. */
static bool add_source_headers(struct curl_slist **list, const mill_stream *stream) {
  const mill_request *set = &stream->request.set;
  bool has_body = set->body && !stream->transfer.source.redirect.as_get;
  struct mill__buf id;
  mill__buf_init(&id, SIZE_MAX);
  bool ok = !mill__source_last_event_id(&stream->transfer.source, &id);
  if (ok && id.len)
    ok = add_header(list, LAST_EVENT_ID, id.ptr);
  mill__buf_fini(&id);
  if (ok && !mill__request_has_header(set, "Cache-Control"))
    ok = add_header(list, "Cache-Control", "no-cache"); /* Fetch, of the mode "no-store" */
  /* Nobody but the caller knows what the body is; libcurl would take it for a form's. */
  if (ok && has_body && !mill__request_has_header(set, "Content-Type"))
    ok = append_line(list, "Content-Type:");
  return ok;
}

/* The caller's header goes out as it is. */
static bool is_sent(const mill_stream *stream, const char *name) {
  const struct mill__source *source = &stream->transfer.source;
  return mill__redirect_keeps(&source->redirect, name) &&
         !(source->last_id.len && !strcasecmp(name, LAST_EVENT_ID));
}

static bool make_headers(mill_stream *stream) {
  const mill_request *set = &stream->request.set;
  struct curl_slist *list = NULL;
  /* "Expect:" without a value takes libcurl's own 100-continue away, which stalls large bodies. */
  bool ok = append_line(&list, "Expect:");
  if (ok && !mill__request_has_header(set, "Accept"))
    ok = add_header(&list, "Accept", stream->request.dialect->content_types[0]);
  if (ok && !mill__request_has_header(set, "User-Agent"))
    ok = add_header(&list, "User-Agent", "millstream/" MILL_VERSION);
  if (ok && set->compression && !mill__request_has_header(set, MILL__ACCEPT_ENCODING))
    ok = add_header(&list, MILL__ACCEPT_ENCODING, "gzip, deflate");
  if (ok && set->events)
    ok = add_source_headers(&list, stream);
  else if (ok && set->body && !mill__request_has_header(set, "Content-Type"))
    ok = add_header(&list, "Content-Type", "application/json");
  for (size_t i = 0; ok && i < set->n_headers; i++)
    if (is_sent(stream, set->headers[i].name))
      ok = add_header(&list, set->headers[i].name, set->headers[i].value);
  stream->transfer.http.headers = list;
  return ok;
}

/* The lines hold keys. */
static void free_headers(struct curl_slist *list) {
  for (const struct curl_slist *line = list; line; line = line->next)
    explicit_bzero(line->data, strlen(line->data));
  curl_slist_free_all(list);
}

static void release(struct mill__http *http) {
  if (http->easy)
    curl_easy_cleanup(http->easy);
  free_headers(http->headers);
  mill__free(http->text);
  *http = (struct mill__http){.fd = -1};
}

int mill__http_start(mill_stream *stream) {
  struct mill__http *http = &stream->transfer.http;
  const struct mill__redirect *redirect = &stream->transfer.source.redirect;
  int result = mill__engine_open(stream->engine);
  if (result)
    return result;
  *http = (struct mill__http){.fd = -1, .text = mill__calloc(1, CURL_ERROR_SIZE)};
  struct options options = {curl_easy_init(), CURLE_OK};
  http->easy = options.easy;
  if (!http->text || !http->easy || !make_headers(stream)) {
    release(http);
    return MILL_E_NOMEM;
  }
  set_callbacks(&options, stream);
  set_behaviour(&options, stream);
  set_request(&options, &stream->request.set, redirect);
  set_way(&options, &stream->request.set, redirect->foreign);
  SET(&options, CURLOPT_HTTPHEADER, http->headers);
  if (options.result || curl_multi_add_handle(stream->engine->multi, http->easy)) {
    release(http);
    return options.result == CURLE_OUT_OF_MEMORY || !options.result ? MILL_E_NOMEM : MILL_E_ARG;
  }
  return MILL_OK;
}

void mill__http_stop(mill_stream *stream) {
  struct mill__http *http = &stream->transfer.http;
  if (http->easy)
    curl_multi_remove_handle(stream->engine->multi, http->easy);
  release(http);
}

int mill__http_resume(mill_stream *stream) {
  if (!stream->transfer.http.easy)
    return CURLE_OK;
  CURLcode code = curl_easy_pause(stream->transfer.http.easy, CURLPAUSE_CONT);
  /* No connection any more: the exchange is over, and its result on its way to the engine. */
  return code == CURLE_BAD_FUNCTION_ARGUMENT ? CURLE_OK : code;
}

/* ---- URLs ------------------------------------------------------------------------------------ */

/* NULL where the URL has no such part. */
static int part_of(CURLU *url, CURLUPart part, char **ret_text) {
  *ret_text = NULL;
  CURLUcode code = curl_url_get(url, part, ret_text, CURLU_DEFAULT_PORT);
  return code == CURLUE_OUT_OF_MEMORY ? MILL_E_NOMEM : MILL_OK;
}

static int compare_part(CURLU *a, CURLU *b, CURLUPart part, bool *same) {
  char *one, *other;
  int result = part_of(a, part, &one);
  if (result)
    return result;
  result = part_of(b, part, &other);
  *same = *same && one && other && !strcasecmp(one, other);
  curl_free(one);
  curl_free(other);
  return result;
}

static int compare_origins(CURLU *a, CURLU *b, bool *ret_same) {
  bool same = true;
  int result = compare_part(a, b, CURLUPART_SCHEME, &same);
  if (!result)
    result = compare_part(a, b, CURLUPART_HOST, &same);
  if (!result)
    result = compare_part(a, b, CURLUPART_PORT, &same);
  *ret_same = same;
  return result;
}

/* MILL_E_ARG where the URL is neither http nor https. */
static int check_web(CURLU *url) {
  char *scheme;
  int result = part_of(url, CURLUPART_SCHEME, &scheme);
  if (!result && !(scheme && (!strcasecmp(scheme, "http") || !strcasecmp(scheme, "https"))))
    result = MILL_E_ARG;
  curl_free(scheme);
  return result;
}

/* What a URL says of the user, who is no other's to name, becomes that of `from`; NULL: of nobody. */
static bool set_user(CURLU *url, CURLU *from) {
  static const CURLUPart parts[] = {CURLUPART_USER, CURLUPART_PASSWORD};
  bool ok = true;
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    char *text = NULL;
    if (from)
      curl_url_get(from, parts[i], &text, 0);
    ok = ok && !curl_url_set(url, parts[i], text, 0);
    curl_free(text);
  }
  return ok;
}

static int copy_url(CURLU *url, char **ret_url) {
  char *text = NULL, *copy = NULL;
  CURLUcode code = curl_url_get(url, CURLUPART_URL, &text, 0);
  if (!code)
    copy = mill__strdup(text);
  curl_free(text);
  if (!copy)
    return code && code != CURLUE_OUT_OF_MEMORY ? MILL_E_ARG : MILL_E_NOMEM;
  *ret_url = copy;
  return MILL_OK;
}

/* `to` becomes where `location` leads from `current`, which `from` becomes. */
static int follow_location(CURLU *from, CURLU *to, const char *current, const char *location) {
  CURLUcode code = curl_url_set(from, CURLUPART_URL, current, 0);
  if (!code)
    code = curl_url_set(to, CURLUPART_URL, current, 0);
  if (!code)
    code = curl_url_set(to, CURLUPART_URL, location, CURLU_URLENCODE | CURLU_ALLOW_SPACE);
  if (!code)
    code = curl_url_set(to, CURLUPART_FRAGMENT, NULL, 0);
  if (code == CURLUE_OUT_OF_MEMORY)
    return MILL_E_NOMEM;
  return code ? MILL_E_ARG : check_web(to);
}

int mill__http_resolve_url(const char *current, mill_slice location, bool foreign, char **ret_url,
                           bool *ret_same_origin) {
  CURLU *from = curl_url(), *to = curl_url();
  char *text = mill__strndup(location.ptr, location.len);
  int result = from && to && text ? MILL_OK : MILL_E_NOMEM;
  if (!result)
    result = follow_location(from, to, current, text);
  bool same = false;
  if (!result)
    result = compare_origins(from, to, &same);
  if (!result && !set_user(to, same && !foreign ? from : NULL))
    result = MILL_E_NOMEM;
  if (!result)
    result = copy_url(to, ret_url);
  if (!result)
    *ret_same_origin = same;
  mill__free(text);
  curl_url_cleanup(from);
  curl_url_cleanup(to);
  return result;
}

/* ---- what became of it ----------------------------------------------------------------------- */

static const struct mill__response *head_of(const mill_stream *stream) {
  return stream->transfer.head ? stream->transfer.head : atomic_load(&stream->response);
}

/* The answer itself is the error: status, the provider's words, the body. */
static void describe_answer(mill_stream *stream, mill_error *error) {
  const struct mill__response *head = head_of(stream);
  static const char *const id_names[] = {"x-request-id", "request-id", "x-amzn-requestid",
                                         "apim-request-id", "cf-ray"};
  for (size_t i = 0; i < sizeof id_names / sizeof *id_names && !error->request_id; i++)
    mill__error_set_request_id(error, mill__response_field(head, id_names[i]));
  error->retry_after_ms = mill__retry_after_ms_field(mill__response_field(head, "retry-after-ms"));
  if (error->retry_after_ms < 0)
    error->retry_after_ms =
        mill__retry_after_ms(mill__response_field(head, "Retry-After"), (int64_t)time(NULL));
  if (stream->transfer.body.len)
    mill__error_set_body(error, mill__buf_slice(&stream->transfer.body));
}

static void provider_error_init(struct mill__provider_error *error) {
  *error = (struct mill__provider_error){.seen = false};
  mill__buf_init(&error->message, MILL__ERROR_BODY_BYTES);
  mill__buf_init(&error->kind, MILL__ERROR_BODY_BYTES);
}

static void provider_error_fini(struct mill__provider_error *error) {
  mill__buf_fini(&error->message);
  mill__buf_fini(&error->kind);
}

static const char *text_of(const struct mill__buf *buf) {
  return buf->len ? buf->ptr : "";
}

static void set_provider_error(mill_stream *stream, mill_error *error, int code, int status,
                               const struct mill__provider_error *from) {
  int len = (int)(from->message.len < 800 ? from->message.len : 800);
  if (code == MILL_E_STATUS)
    mill__error_set(error, code, "the server answered with status %d: %.*s", status, len,
                    text_of(&from->message));
  else
    mill__error_set(error, code, "the server sent an error%s: %.*s",
                    stream->transfer.queued ? " inside the stream" : "", len,
                    text_of(&from->message));
  error->status = status;
  mill__error_set_kind(error, text_of(&from->kind), from->kind.len);
  describe_answer(stream, error);
}

#define PROXY_ADVICE "the proxy refused; check its address and credentials"

/* An answer that is no stream: an error status, or something else than what was asked for. */
static void outcome_of_answer(mill_stream *stream, mill_error *error) {
  const struct mill__response *head = head_of(stream);
  const struct mill__buf *body = &stream->transfer.body;
  struct mill__provider_error said;
  provider_error_init(&said);
  bool is_error =
      body->len && mill__dialect_error_body(stream->request.dialect, body->ptr, body->len, &said);
  mill_slice type = mill__response_media_type(head);
  if (head->status == 407) {
    mill__error_set(error, MILL_E_CONNECT, "no connection: " PROXY_ADVICE " (status 407)");
    mill__error_set_kind(error, "proxy", 5);
    error->permanent = true;
    error->status = head->status;
    describe_answer(stream, error);
  } else if (head->status >= 400 && is_error) {
    set_provider_error(stream, error, MILL_E_STATUS, head->status, &said);
  } else if (stream->request.set.events &&
             (head->status == 204 || mill__redirect_is(head->status))) {
    ; /* source.c knows what that means */
  } else if (head->status >= 300) {
    mill_slice location = mill__response_field(head, "Location");
    if (head->status < 400)
      mill__error_set(error, MILL_E_STATUS,
                      "the server redirects (%d) to %.*s: a redirect is not followed here; put the "
                      "final address into base_url",
                      head->status, (int)(location.len < 300 ? location.len : 300), location.ptr);
    else
      mill__error_set(error, MILL_E_STATUS, "the server answered with status %d and %.*s",
                      head->status, type.len ? (int)type.len : 12,
                      type.len ? type.ptr : "no JSON body");
    error->status = head->status;
    describe_answer(stream, error);
  } else if (is_error) {
    set_provider_error(stream, error, MILL_E_PROVIDER, said.status, &said);
  } else if (stream->request.set.events && head->status != 200) {
    mill__error_set(error, MILL_E_PROTOCOL,
                    "the server answered %d: an event stream begins with status 200", head->status);
    error->status = head->status;
    describe_answer(stream, error);
  } else {
    mill__error_set(error, MILL_E_PROTOCOL,
                    "the server answered %d with %.*s, not with a stream (%s): check that the "
                    "address is right and that the request asks for streaming",
                    head->status, type.len ? (int)type.len : 21,
                    type.len ? type.ptr : "no stream of the kind",
                    stream->request.dialect->content_types[0]);
    error->status = head->status;
    describe_answer(stream, error);
  }
  provider_error_fini(&said);
}

struct connect_failure {
  CURLcode code;
  const char *kind, *advice;
};

static const struct connect_failure CONNECT_FAILURES[] = {
    {CURLE_COULDNT_RESOLVE_HOST, "dns", "the host name does not resolve; check its spelling"},
    {CURLE_COULDNT_RESOLVE_PROXY, "proxy", "the proxy's name does not resolve; check `proxy`"},
    {CURLE_COULDNT_CONNECT, "refused", "nothing answers there; is the server running?"},
    {CURLE_PROXY, "proxy", PROXY_ADVICE},
    {CURLE_SSL_CONNECT_ERROR, "tls", "the TLS handshake failed; is this an https server?"},
    {CURLE_PEER_FAILED_VERIFICATION, "tls",
     "the certificate is not trusted; check the host name, or give your CA as `verify`"},
    {CURLE_SSL_CACERT_BADFILE, "tls", "the CA file cannot be read; check `verify`"},
    {CURLE_SSL_CERTPROBLEM, "tls", "the client certificate cannot be used; check `cert`"},
    {CURLE_SSL_ISSUER_ERROR, "tls", "the issuer check failed"},
    {CURLE_SSL_CIPHER, "tls", "no common TLS cipher"},
    {CURLE_URL_MALFORMAT, "url", "the URL is malformed; check base_url"},
    {CURLE_INTERFACE_FAILED, "network", "the network interface failed"},
    {CURLE_OPERATION_TIMEDOUT, "timeout", "the network did not answer in time"},
};

static bool is_refused_by_socks(CURL *easy) {
  long reason = CURLPX_OK;
  curl_easy_getinfo(easy, CURLINFO_PROXY_ERROR, &reason);
  return reason == CURLPX_NO_AUTH || reason == CURLPX_USER_REJECTED;
}

/* The same settings would fail the same way again. */
static bool is_permanent(CURL *easy, CURLcode code, long tunnel_status) {
  switch (code) {
  case CURLE_URL_MALFORMAT:
  case CURLE_PEER_FAILED_VERIFICATION:
  case CURLE_SSL_CACERT_BADFILE:
  case CURLE_SSL_CERTPROBLEM:
  case CURLE_SSL_CIPHER:
  case CURLE_SSL_ISSUER_ERROR:
    return true;
  case CURLE_PROXY:
    return is_refused_by_socks(easy);
  default:
    return tunnel_status >= 300 && !mill__retry_status((int)tunnel_status);
  }
}

void mill__http_no_descriptor(mill_error *ret_error) {
  mill__error_set(ret_error, MILL_E_CONNECT,
                  "no connection: no file descriptor is left for a socket; "
                  "raise the limit (ulimit -n)");
  mill__error_set_kind(ret_error, "descriptors", 11);
}

/* No connection: libcurl's words, and what to do. */
static void outcome_of_connecting(mill_stream *stream, CURLcode code, mill_error *error) {
  int socket_errno = code == CURLE_COULDNT_CONNECT ? stream->transfer.http.socket_errno : 0;
  if (code == CURLE_OUT_OF_MEMORY || socket_errno == ENOMEM) {
    mill__error_set(error, MILL_E_NOMEM, "out of memory while the connection was set up");
    return;
  }
  if (socket_errno == EMFILE || socket_errno == ENFILE) {
    mill__http_no_descriptor(error);
    return;
  }
  struct connect_failure failure = {code, "network", "check the address and the network"};
  for (size_t i = 0; i < sizeof CONNECT_FAILURES / sizeof *CONNECT_FAILURES; i++)
    if (CONNECT_FAILURES[i].code == code)
      failure = CONNECT_FAILURES[i];
  long tunnel_status = 0;
  if (stream->transfer.http.easy)
    curl_easy_getinfo(stream->transfer.http.easy, CURLINFO_HTTP_CONNECTCODE, &tunnel_status);
  if (tunnel_status >= 300)
    failure = (struct connect_failure){code, "proxy", PROXY_ADVICE};
  const char *said = stream->transfer.http.text;
  mill__error_set(error, MILL_E_CONNECT, "no connection: %s (%s)", failure.advice,
                  said && *said ? said : curl_easy_strerror(code));
  mill__error_set_kind(error, failure.kind, strlen(failure.kind));
  error->permanent = is_permanent(stream->transfer.http.easy, code, tunnel_status);
}

#define OUT_OF_MEMORY "out of memory in libcurl"

/* The request went out and no whole line of an answer came back. */
static void outcome_of_silence(mill_stream *stream, CURLcode code, mill_error *error) {
  count_to_here(stream);
  stream->transfer.http.begun |= stream->transfer.http.record;
  if (code == CURLE_OUT_OF_MEMORY) {
    mill__error_set(error, MILL_E_NOMEM, OUT_OF_MEMORY);
    return;
  }
  if (code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_WEIRD_SERVER_REPLY) {
    mill__error_set(error, MILL_E_PROTOCOL, "the server's answer is not HTTP/1.1 or HTTP/2 (%s)",
                    stream->transfer.http.text);
    return;
  }
  if (stream->transfer.http.begun) {
    mill__error_set(error, MILL_E_INTERRUPTED,
                    "the connection broke inside the first line of the answer");
    return;
  }
  mill__error_set(error, MILL_E_CONNECT, "the server closed the connection before it answered%s",
                  stream->transfer.http.replay ? " (a kept connection turned out dead)" : "");
  mill__error_set_kind(error, "closed", 6);
}

#define HEADERS_TOO_LARGE "the headers are larger, or more, than libcurl takes"

/* The exchange broke off while or after the head came. */
static void outcome_of_break(mill_stream *stream, CURLcode code, mill_error *error) {
  const char *said = stream->transfer.http.text;
  switch (code) {
  case CURLE_BAD_CONTENT_ENCODING:
  case CURLE_WEIRD_SERVER_REPLY:
  case CURLE_HTTP2:
    mill__error_set(error, MILL_E_PROTOCOL, "the answer breaks its protocol (%s)", said);
    return;
  case CURLE_OUT_OF_MEMORY:
    mill__error_set(error, MILL_E_NOMEM, OUT_OF_MEMORY);
    return;
  case CURLE_RECV_ERROR: /* libcurl has no code of their own for these */
    if (strstr(said, "Too large response headers")) {
      mill__error_set(error, MILL_E_LIMIT, HEADERS_TOO_LARGE);
      return;
    }
    if (strstr(said, "chunk") || strstr(said, "hexadecimal")) {
      mill__error_set(error, MILL_E_PROTOCOL, "the answer's chunked encoding is broken (%s)", said);
      return;
    }
    break;
  default:
    break;
  }
  mill__error_set(error, MILL_E_INTERRUPTED,
                  "the connection broke before the end of the answer (%s)",
                  *said  ? said
                  : code ? curl_easy_strerror(code)
                         : "the server closed it");
}

/* HTTP says that the body is whole, and what is packed in it says that it is not. */
static bool is_cut(const mill_stream *stream) {
  const struct mill__inflate *inflater = stream->transfer.inflater;
  return inflater && !mill__inflate_is_whole(inflater);
}

static void outcome_of_stream(mill_stream *stream, CURLcode code, mill_error *error) {
  struct mill__decoder *decoder = stream->transfer.decoder;
  const struct mill__provider_error *said = mill__decoder_provider_error(decoder);
  if (said->seen) {
    set_provider_error(stream, error, MILL_E_PROVIDER, said->status, said);
    return;
  }
  if (mill__decoder_complete(decoder))
    return;
  if (code) {
    outcome_of_break(stream, code, error);
    return;
  }
  int result = mill__decoder_finish(decoder);
  if (stream->request.set.events)
    result = MILL_OK; /* it may end anywhere, and an event that is not whole is none */
  if (result == MILL_E_PROVIDER)
    set_provider_error(stream, error, result, said->status, said);
  else if (is_cut(stream))
    mill__error_set(error, MILL_E_INTERRUPTED,
                    "the compressed answer ended before the end of what was compressed");
  else if (result == MILL_E_INTERRUPTED)
    mill__error_set(error, result,
                    stream->transfer.queued
                        ? "the answer ended without its terminator: it may be incomplete"
                        : "the answer ended before its first event; the request may be too long "
                          "for the model, or the server failed");
  else if (result)
    mill__error_set(error, result, "%s at the end of the answer", mill_error_text(result));
}

/* An HTTP/2 session that broke: libcurl would use its connection again, and again in vain. */
static void end_connection(CURL *easy) {
  curl_socket_t fd = CURL_SOCKET_BAD;
  if (!curl_easy_getinfo(easy, CURLINFO_ACTIVESOCKET, &fd) && fd != CURL_SOCKET_BAD)
    shutdown(fd, SHUT_RDWR);
}

void mill__http_outcome(mill_stream *stream, int curl_code, mill_error *ret_error) {
  struct mill__transfer *transfer = &stream->transfer;
  const struct mill__response *head = transfer->head;
  CURLcode code = (CURLcode)curl_code;
  if (code == CURLE_HTTP2)
    end_connection(transfer->http.easy);
  if (transfer->failure.code) {
    mill__error_move(ret_error, &transfer->failure);
    if (head_of(stream))
      describe_answer(stream, ret_error);
  } else if (transfer->decoder) {
    outcome_of_stream(stream, code, ret_error);
  } else if (!transfer->http.sent) {
    outcome_of_connecting(stream, code, ret_error);
  } else if (!transfer->http.answered) {
    outcome_of_silence(stream, code, ret_error);
  } else if (!head->complete) {
    if (code == CURLE_OUT_OF_MEMORY || (int)code == TOO_LARGE) /* 7.88, later */
      mill__error_set(ret_error, MILL_E_LIMIT, HEADERS_TOO_LARGE);
    else
      outcome_of_break(stream, code, ret_error);
  } else {
    outcome_of_answer(stream, ret_error);
  }
}
