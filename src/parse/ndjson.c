/* The line parser: only line ends are searched for, in each piece once. */
#include "parse/ndjson.h"

#include <assert.h>
#include <string.h>

enum place {
  AT_LINE, /* nothing but white space since the last line */
  IN_LINE,
  AFTER_CR /* in a line, behind a CR that an LF would make its end */
};

static bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Hand out data up to the limit: whatever the pieces, the reader sees the same bytes before it. */
static int give_data(struct mill__ndjson *ndjson, const char *bytes, size_t len) {
  size_t room = ndjson->event_bytes - ndjson->data_bytes;
  size_t n = len < room ? len : room;
  ndjson->data_bytes += n;
  int rc = n > 0 ? ndjson->callbacks->data(ndjson->ctx, bytes, n) : MILL_OK;
  assert(rc <= MILL_OK); /* only event() may pause */
  if (rc != MILL_OK)
    return rc;
  return n < len ? MILL_E_LIMIT : MILL_OK;
}

static int dispatch(struct mill__ndjson *ndjson) {
  ndjson->place = AT_LINE;
  ndjson->data_bytes = 0;
  int rc = ndjson->callbacks->event(ndjson->ctx);
  assert(rc <= MILL_AGAIN);
  return rc;
}

/* ---- one function a place: take bytes, leave the outcome in `status`, return where it got to - */

static const char *at_line(struct mill__ndjson *ndjson, const char *p, const char *end) {
  while (p < end && is_space(*p))
    p++;
  if (p < end)
    ndjson->place = IN_LINE;
  return p;
}

static const char *in_line(struct mill__ndjson *ndjson, const char *p, const char *end) {
  const char *lf = memchr(p, '\n', (size_t)(end - p));
  const char *stop = lf != NULL ? lf : end;
  bool cr = stop > p && stop[-1] == '\r';
  ndjson->status = give_data(ndjson, p, (size_t)(stop - p) - cr);
  if (ndjson->status != MILL_OK)
    return stop;
  if (lf == NULL) {
    ndjson->place = cr ? AFTER_CR : IN_LINE;
    return end;
  }
  ndjson->status = dispatch(ndjson);
  return lf + 1;
}

static const char *after_cr(struct mill__ndjson *ndjson, const char *p) {
  if (*p == '\n') {
    ndjson->status = dispatch(ndjson);
    return p + 1;
  }
  ndjson->place = IN_LINE;
  ndjson->status = give_data(ndjson, "\r", 1);
  return p;
}

static const char *step(struct mill__ndjson *ndjson, const char *p, const char *end) {
  switch ((enum place)ndjson->place) {
  case AT_LINE:
    return at_line(ndjson, p, end);
  case AFTER_CR:
    return after_cr(ndjson, p);
  case IN_LINE:
    break;
  }
  return in_line(ndjson, p, end);
}

/* ---- the interface --------------------------------------------------------------------------- */

void mill__ndjson_init(struct mill__ndjson *ndjson, size_t event_bytes,
                       const struct mill__ndjson_callbacks *callbacks, void *ctx) {
  *ndjson = (struct mill__ndjson){.callbacks = callbacks, .ctx = ctx, .event_bytes = event_bytes};
}

void mill__ndjson_reset(struct mill__ndjson *ndjson) {
  mill__ndjson_init(ndjson, ndjson->event_bytes, ndjson->callbacks, ndjson->ctx);
}

int mill__ndjson_feed(struct mill__ndjson *ndjson, const char *bytes, size_t len,
                      size_t *ret_consumed) {
  const char *p = bytes, *end = len > 0 ? bytes + len : bytes;
  while (p < end && ndjson->status == MILL_OK)
    p = step(ndjson, p, end);
  *ret_consumed = (size_t)(p - bytes);
  int rc = ndjson->status;
  if (rc == MILL_AGAIN)
    ndjson->status = MILL_OK;
  return rc;
}

int mill__ndjson_finish(struct mill__ndjson *ndjson) {
  if (ndjson->status != MILL_OK || ndjson->place == AT_LINE)
    return ndjson->status;
  int rc = dispatch(ndjson);
  ndjson->status = rc == MILL_AGAIN ? MILL_OK : rc;
  return rc;
}
