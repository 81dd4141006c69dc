/* The head of an HTTP answer; see response.h. */
#include "net/response.h"

#include <string.h>
#include <strings.h>

#include "base/alloc.h"

int mill__response_new(size_t header_bytes, struct mill__response **ret_response) {
  struct mill__response *response = mill__calloc(1, sizeof *response);
  if (!response)
    return MILL_E_NOMEM;
  response->content_length = -1;
  mill__buf_init(&response->headers, header_bytes);
  *ret_response = response;
  return MILL_OK;
}

void mill__response_free(struct mill__response *response) {
  while (response) {
    struct mill__response *older = response->older;
    mill__buf_fini(&response->headers);
    mill__free(response);
    response = older;
  }
}

bool mill__slice_equals_nocase(mill_slice slice, const char *text) {
  return slice.len == strlen(text) && !strncasecmp(slice.ptr, text, slice.len);
}

static int fail(struct mill__response *response, int code, const char *why) {
  response->why = why;
  return code;
}

static bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static mill_slice trim(mill_slice text) {
  while (text.len && is_space(text.ptr[text.len - 1]))
    text.len--;
  while (text.len && is_space(*text.ptr))
    text.ptr++, text.len--;
  return text;
}

/* "HTTP/1.1 200 OK": libcurl has checked the form, so only the numbers are read. */
static int status_line(struct mill__response *response, mill_slice line) {
  const char *space = memchr(line.ptr, ' ', line.len);
  const char *end = line.ptr + line.len;
  int status = 0;
  if (space)
    for (const char *p = space + 1; p < end && *p >= '0' && *p <= '9' && status < 1000; p++)
      status = status * 10 + (*p - '0');
  if (status < 100 || status > 999)
    return fail(response, MILL_E_PROTOCOL, "the status line has no valid status");
  if (response->status >= 100 && response->status < 200 &&
      ++response->n_informational > MILL__RESPONSE_INFORMATIONAL)
    return fail(response, MILL_E_PROTOCOL, "too many 1xx answers before the final one");
  mill_slice version = {line.ptr + 5, (size_t)(space - line.ptr - 5)};
  response->http_version = 11;
  if (mill__slice_equals_nocase(version, "1.0"))
    response->http_version = 10;
  else if (version.len && *version.ptr == '2')
    response->http_version = 20;
  response->status = status;
  response->content_length = -1;
  mill__buf_clear(&response->headers);
  return MILL_OK;
}

static int content_length(struct mill__response *response, mill_slice value) {
  int64_t length = 0;
  if (!value.len)
    return fail(response, MILL_E_PROTOCOL, "Content-Length is empty");
  for (size_t i = 0; i < value.len; i++) {
    char digit = value.ptr[i];
    if (digit < '0' || digit > '9' || length > INT64_MAX / 10 - 1)
      return fail(response, MILL_E_PROTOCOL, "Content-Length is not a number");
    length = length * 10 + (digit - '0');
  }
  if (response->content_length >= 0 && response->content_length != length)
    return fail(response, MILL_E_PROTOCOL, "two different Content-Length headers");
  response->content_length = length;
  return MILL_OK;
}

static bool split_field(mill_slice line, mill_slice *ret_name, mill_slice *ret_value) {
  const char *colon = memchr(line.ptr, ':', line.len);
  if (!colon)
    return false;
  *ret_name = trim((mill_slice){line.ptr, (size_t)(colon - line.ptr)});
  *ret_value = trim((mill_slice){colon + 1, line.len - (size_t)(colon + 1 - line.ptr)});
  return true;
}

static int field_line(struct mill__response *response, mill_slice line) {
  mill_slice name, value;
  if (memchr(line.ptr, 0, line.len))
    return fail(response, MILL_E_PROTOCOL, "a header holds a NUL byte");
  if (split_field(line, &name, &value) && mill__slice_equals_nocase(name, "Content-Length")) {
    int result = content_length(response, value);
    if (result)
      return result;
  }
  int result = mill__buf_append(&response->headers, line.ptr, line.len);
  if (result == MILL_E_LIMIT)
    response->why = "the headers are larger than limits.header_bytes";
  return result;
}

int mill__response_line(struct mill__response *response, const char *line, size_t len) {
  if (response->complete)
    return MILL_OK; /* a trailer of a chunked body */
  response->seen_bytes += len;
  if (response->seen_bytes > response->headers.cap)
    return fail(response, MILL_E_LIMIT, "the headers are larger than limits.header_bytes");
  mill_slice text = {line, len};
  if (len >= 5 && !memcmp(line, "HTTP/", 5))
    return status_line(response, text);
  if (trim(text).len)
    return field_line(response, text);
  response->complete = response->status >= 200 || response->status == 101;
  return MILL_OK;
}

/* The next field of this name from `*at` on, which moves behind it; false: there is none. */
static bool next_field(const struct mill__response *response, const char *name, size_t *at,
                       mill_slice *ret_value) {
  while (*at < response->headers.len) {
    const char *line = response->headers.ptr + *at;
    size_t left = response->headers.len - *at;
    const char *newline = memchr(line, '\n', left);
    mill_slice key, field = {line, newline ? (size_t)(newline + 1 - line) : left};
    *at += field.len;
    if (split_field(field, &key, ret_value) && mill__slice_equals_nocase(key, name))
      return true;
  }
  return false;
}

mill_slice mill__response_field(const struct mill__response *response, const char *name) {
  mill_slice value;
  size_t at = 0;
  return next_field(response, name, &at, &value) ? value : (mill_slice){"", 0};
}

mill_slice mill__response_media_type(const struct mill__response *response) {
  mill_slice value = mill__response_field(response, "Content-Type");
  const char *semicolon = value.len ? memchr(value.ptr, ';', value.len) : NULL;
  if (semicolon)
    value.len = (size_t)(semicolon - value.ptr);
  return trim(value);
}

static enum mill__coding coding_of(mill_slice token) {
  if (!token.len || mill__slice_equals_nocase(token, "identity"))
    return MILL__CODING_NONE;
  if (mill__slice_equals_nocase(token, "gzip") || mill__slice_equals_nocase(token, "x-gzip"))
    return MILL__CODING_GZIP;
  return mill__slice_equals_nocase(token, "deflate") ? MILL__CODING_DEFLATE : MILL__CODING_UNKNOWN;
}

/* One behind the other is none that is known. */
static enum mill__coding add_codings(enum mill__coding coding, mill_slice list) {
  while (list.len) {
    const char *comma = memchr(list.ptr, ',', list.len);
    size_t len = comma ? (size_t)(comma - list.ptr) : list.len, next = len + (comma != NULL);
    enum mill__coding more = coding_of(trim((mill_slice){list.ptr, len}));
    if (coding && more)
      return MILL__CODING_UNKNOWN;
    coding = more ? more : coding;
    list = (mill_slice){list.ptr + next, list.len - next};
  }
  return coding;
}

enum mill__coding mill__response_coding(const struct mill__response *response) {
  enum mill__coding coding = MILL__CODING_NONE;
  mill_slice value;
  for (size_t at = 0; next_field(response, "Content-Encoding", &at, &value);)
    coding = add_codings(coding, value);
  return coding;
}
