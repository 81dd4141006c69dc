/*
 * Fuzz target: the head of an answer, line by line; see support.h. Two runs must tell the same,
 * although the second asks for fields between the lines. Lines are whole, as libcurl hands them out.
 */
#include <stdlib.h>
#include <string.h>

#include "net/response.h"
#include "support.h"

static const char *const names[] = {"Content-Type", "Retry-After", "X-Request-Id", "Location",
                                    "Content-Length"};

static bool is_inside(const struct mill__response *response, mill_slice value) {
  const struct mill__buf *headers = &response->headers;
  return value.len == 0 ||
         (value.ptr >= headers->ptr && value.ptr + value.len <= headers->ptr + headers->len);
}

static void tell_fields(struct fuzz_run *run, const struct mill__response *response) {
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    mill_slice value = mill__response_field(response, names[i]);
    require(is_inside(response, value));
    require(value.len == 0 || memchr(value.ptr, '\n', value.len) == NULL);
    fuzz_tell_slice(run, 'f', value);
  }
  mill_slice type = mill__response_media_type(response);
  require(is_inside(response, type));
  require(type.len == 0 || memchr(type.ptr, ';', type.len) == NULL);
  fuzz_tell_slice(run, 'm', type);
}

static int add_line(struct mill__response *response, const char *bytes, size_t len) {
  char *line = malloc(len); /* of its own memory, so that a sanitizer sees a byte too far */
  require(line != NULL);
  memcpy(line, bytes, len);
  int rc = mill__response_line(response, line, len);
  free(line);
  return rc;
}

static int add_lines(struct fuzz_run *run, struct mill__response *response, const char *bytes,
                     size_t len) {
  int rc = MILL_OK;
  for (const char *at = bytes, *end = bytes + len; at < end && rc == MILL_OK;) {
    const char *lf = memchr(at, '\n', (size_t)(end - at));
    const char *next = lf ? lf + 1 : end;
    rc = add_line(response, at, (size_t)(next - at));
    at = next;
    if (run->cuts != 0) {
      struct fuzz_run unheard = {0};
      tell_fields(&unheard, response);
      free(unheard.log.ptr);
    }
  }
  return rc;
}

static void tell(struct fuzz_run *run, const struct fuzz_input *input) {
  struct mill__response *response;
  run->memory_bytes = sizeof *response + input->limit;
  require(mill__response_new(input->limit, &response) == MILL_OK);
  int rc = add_lines(run, response, input->bytes, input->len);
  require(rc == MILL_OK || rc == MILL_E_LIMIT || rc == MILL_E_PROTOCOL);
  require((rc == MILL_OK) == (response->why == NULL));
  require(response->headers.len <= input->limit);
  require(response->status == 0 || (response->status >= 100 && response->status <= 999));
  require(!response->complete || response->status >= 200 || response->status == 101);
  require(memchr(mill__buf_slice(&response->headers).ptr, 0, response->headers.len) == NULL);
  require(response->n_informational <= MILL__RESPONSE_INFORMATIONAL + 1);
  fuzz_tell_number(run, 'R', rc);
  fuzz_tell_number(run, 's', response->status);
  fuzz_tell_number(run, 'v', response->http_version);
  fuzz_tell_number(run, 'l', response->content_length);
  fuzz_tell_slice(run, 'h', mill__buf_slice(&response->headers));
  tell_fields(run, response);
  mill__response_free(response);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  return fuzz_whole_and_cut(tell, data, size);
}
