/*
 * The event stream parser: one switch over the places where a piece can be cut.
 *
 * Only line ends are searched for, in each piece once. The value of a data line goes straight to
 * the callback; any other line is looked at when it is whole: in place, or in `line` where pieces
 * cut it.
 */
#include "parse/sse.h"

#include <assert.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define DATA "data:"
#define DATA_LEN 5
#define BOM "\xEF\xBB\xBF"
#define BOM_LEN 3
#define KEEP_BYTES 4096 /* of a buffer that one long line made large */

/* Where the parser stands. In the first two, `matched` bytes of what is expected have come. */
enum place {
  AT_START, /* before the first byte: a BOM is dropped */
  AT_LINE,  /* at a line's beginning, up to where it is or is not "data:" */
  AFTER_CR, /* an LF here belongs to the CR before it */
  IN_LINE,  /* in a line that is not a data line */
  AT_VALUE, /* behind "data:", one space is dropped */
  IN_VALUE  /* in the value of a data line */
};

static bool is_eol(char c) {
  return c == '\n' || c == '\r';
}

/*
 * True where one of eight bytes is CR or LF: xor makes that byte zero, and taking 1 from every byte
 * sets the top bit of a zero byte (false hits stand only behind a true one).
 */
static bool word_has_eol(uint64_t word) {
  const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
  uint64_t lf = word ^ (ones * '\n'), cr = word ^ (ones * '\r');
  return ((((lf - ones) & ~lf) | ((cr - ones) & ~cr)) & tops) != 0;
}

/* The first CR or LF in [p, end), or `end`. */
static const char *find_eol(const char *p, const char *end) {
#ifdef __SSE2__
  const __m128i lf = _mm_set1_epi8('\n'), cr = _mm_set1_epi8('\r');
  for (; end - p >= 16; p += 16) {
    __m128i block = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i hits = _mm_or_si128(_mm_cmpeq_epi8(block, lf), _mm_cmpeq_epi8(block, cr));
    int mask = _mm_movemask_epi8(hits);
    if (mask != 0)
      return p + __builtin_ctz((unsigned)mask);
  }
#endif
  for (; end - p >= 8; p += 8) {
    uint64_t word;
    memcpy(&word, p, 8);
    if (word_has_eol(word))
      break;
  }
  while (p < end && !is_eol(*p))
    p++;
  return p;
}

/* Only event() may pause. */
static int no_pause(int rc) {
  assert(rc <= MILL_OK);
  return rc;
}

/* The byte at `p` ends a line. */
static const char *end_line(struct mill__sse *sse, const char *p) {
  sse->place = *p == '\r' ? AFTER_CR : AT_LINE;
  sse->matched = 0;
  return p + 1;
}

/* How far [p, end) goes on with `expected`; `matched` counts over the pieces. */
static const char *match(struct mill__sse *sse, const char *p, const char *end,
                         const char *expected, size_t len) {
  while (p < end && sse->matched < len && *p == expected[sse->matched]) {
    sse->matched++;
    p++;
  }
  return p;
}

/* ---- whole lines ----------------------------------------------------------------------------- */

static void commit_id(struct mill__sse *sse) {
  struct mill__buf previous = sse->last_id;
  sse->last_id = sse->id;
  sse->id = previous;
  sse->has_id = false;
  mill__buf_shrink(&sse->id, KEEP_BYTES);
}

/* Source: 9.2.6, "dispatch the event". The id is taken over also where there is no data. */
static int dispatch(struct mill__sse *sse) {
  int rc = MILL_OK;
  bool had_id = sse->has_id;
  if (had_id)
    commit_id(sse);
  mill_slice id = mill__buf_slice(&sse->last_id);
  if (sse->has_data && sse->callbacks->event != NULL)
    rc = sse->callbacks->event(sse->ctx, mill__buf_slice(&sse->type), id);
  else if (!sse->has_data && had_id && sse->callbacks->id != NULL)
    rc = no_pause(sse->callbacks->id(sse->ctx, id));
  assert(rc <= MILL_AGAIN);
  mill__buf_shrink(&sse->type, KEEP_BYTES);
  sse->has_data = false;
  sse->data_bytes = 0;
  return rc;
}

static int replace(struct mill__buf *buf, mill_slice value) {
  mill__buf_clear(buf);
  return mill__buf_append(buf, value.ptr, value.len);
}

static int take_id(struct mill__sse *sse, mill_slice value) {
  if (value.len > 0 && memchr(value.ptr, '\0', value.len) != NULL)
    return MILL_OK;
  sse->has_id = true;
  return replace(&sse->id, value);
}

static int take_retry(struct mill__sse *sse, mill_slice value) {
  uint64_t retry_ms = 0;
  for (size_t i = 0; i < value.len; i++) {
    if (value.ptr[i] < '0' || value.ptr[i] > '9')
      return MILL_OK;
    retry_ms = retry_ms * 10 + (uint64_t)(value.ptr[i] - '0');
    if (retry_ms > MILL__SSE_RETRY_MAX_MS)
      retry_ms = MILL__SSE_RETRY_MAX_MS;
  }
  if (value.len == 0 || sse->callbacks->retry == NULL)
    return MILL_OK;
  return no_pause(sse->callbacks->retry(sse->ctx, retry_ms));
}

static bool is(mill_slice name, const char *known) {
  return name.len == strlen(known) && memcmp(name.ptr, known, name.len) == 0;
}

/* Source: 9.2.6, "process the field". "data" never comes here. */
static int take_field(struct mill__sse *sse, mill_slice name, mill_slice value) {
  if (is(name, "event"))
    return replace(&sse->type, value);
  if (is(name, "id"))
    return take_id(sse, value);
  if (is(name, "retry"))
    return take_retry(sse, value);
  if (sse->callbacks->unknown == NULL)
    return MILL_OK;
  return no_pause(sse->callbacks->unknown(sse->ctx, name, value));
}

static int take_comment(struct mill__sse *sse, mill_slice text) {
  if (sse->callbacks->comment == NULL)
    return MILL_OK;
  return no_pause(sse->callbacks->comment(sse->ctx, text));
}

/* A line, whole, not empty, and not a data line. */
static int take_line(struct mill__sse *sse, const char *line, size_t len) {
  if (len > sse->event_bytes)
    return MILL_E_LIMIT;
  const char *end = line + len;
  const char *colon = memchr(line, ':', len);
  if (colon == line)
    return take_comment(sse, (mill_slice){line + 1, len - 1});
  if (colon == NULL)
    return take_field(sse, (mill_slice){line, len}, (mill_slice){end, 0});
  const char *value = colon + 1;
  if (value < end && *value == ' ')
    value++;
  return take_field(sse, (mill_slice){line, (size_t)(colon - line)},
                    (mill_slice){value, (size_t)(end - value)});
}

/* A line whose beginning is in `line`. */
static int take_cut_line(struct mill__sse *sse, const char *rest, size_t len) {
  int rc = mill__buf_append(&sse->line, rest, len);
  if (rc == MILL_OK)
    rc = take_line(sse, sse->line.ptr, sse->line.len);
  mill__buf_shrink(&sse->line, KEEP_BYTES);
  return rc;
}

/* ---- data lines ------------------------------------------------------------------------------ */

/* Hand out data up to the limit: whatever the pieces, the reader sees the same bytes before it. */
static int give_data(struct mill__sse *sse, const char *bytes, size_t len) {
  size_t room = sse->event_bytes - sse->data_bytes;
  size_t n = len < room ? len : room;
  sse->data_bytes += n;
  if (n > 0 && sse->callbacks->data != NULL) {
    int rc = no_pause(sse->callbacks->data(sse->ctx, bytes, n));
    if (rc != MILL_OK)
      return rc;
  }
  return n < len ? MILL_E_LIMIT : MILL_OK;
}

static int begin_data(struct mill__sse *sse) {
  int rc = sse->has_data ? give_data(sse, "\n", 1) : MILL_OK;
  sse->has_data = true;
  return rc;
}

/* ---- one function a place: take bytes, leave the outcome in `status`, return where it got to - */

static const char *at_start(struct mill__sse *sse, const char *p, const char *end) {
  p = match(sse, p, end, BOM, BOM_LEN);
  if (p == end && sse->matched < BOM_LEN)
    return p;
  if (sse->matched == 0 || sse->matched == BOM_LEN) {
    sse->place = AT_LINE;
  } else {
    sse->status = mill__buf_append(&sse->line, BOM, sse->matched);
    sse->place = IN_LINE;
  }
  sse->matched = 0;
  return p;
}

/* `start` is where the line begins in this piece; up to `p` it is known to have no end. */
static const char *in_line(struct mill__sse *sse, const char *start, const char *p,
                           const char *end) {
  const char *eol = find_eol(p, end);
  size_t len = (size_t)(eol - start);
  if (eol == end) {
    sse->place = IN_LINE;
    sse->status = mill__buf_append(&sse->line, start, len);
    return eol;
  }
  sse->status = sse->line.len > 0 ? take_cut_line(sse, start, len) : take_line(sse, start, len);
  return end_line(sse, eol);
}

static const char *at_line(struct mill__sse *sse, const char *p, const char *end) {
  const char *start = p;
  bool cut = sse->matched > 0;
  p = match(sse, p, end, DATA, DATA_LEN);
  if (sse->matched == DATA_LEN) {
    sse->place = AT_VALUE;
    sse->status = begin_data(sse);
    return p;
  }
  if (p == end)
    return p;
  if (is_eol(*p) && (sse->matched == 0 || sse->matched == DATA_LEN - 1)) {
    sse->status = sse->matched == 0 ? dispatch(sse) : begin_data(sse);
    return end_line(sse, p);
  }
  if (cut) {
    sse->status = mill__buf_append(&sse->line, DATA, sse->matched);
    if (sse->status != MILL_OK)
      return p;
    start = p;
  }
  return in_line(sse, start, p, end);
}

static const char *in_value(struct mill__sse *sse, const char *p, const char *end) {
  const char *eol = find_eol(p, end);
  sse->status = give_data(sse, p, (size_t)(eol - p));
  return eol < end ? end_line(sse, eol) : eol;
}

static const char *step(struct mill__sse *sse, const char *p, const char *end) {
  switch ((enum place)sse->place) {
  case AT_START:
    return at_start(sse, p, end);
  case AFTER_CR:
    sse->place = AT_LINE;
    return *p == '\n' ? p + 1 : p;
  case AT_LINE:
    return at_line(sse, p, end);
  case IN_LINE:
    return in_line(sse, p, p, end);
  case AT_VALUE:
    sse->place = IN_VALUE;
    return *p == ' ' ? p + 1 : p;
  case IN_VALUE:
    break;
  }
  return in_value(sse, p, end);
}

/* ---- the interface --------------------------------------------------------------------------- */

int mill__sse_init(struct mill__sse *sse, size_t event_bytes,
                   const struct mill__sse_callbacks *callbacks, void *ctx) {
  *sse = (struct mill__sse){
      .callbacks = callbacks, .ctx = ctx, .event_bytes = event_bytes, .place = AT_START};
  mill__buf_init(&sse->line, event_bytes);
  mill__buf_init(&sse->type, event_bytes);
  mill__buf_init(&sse->id, event_bytes);
  mill__buf_init(&sse->last_id, event_bytes);
  return MILL_OK;
}

void mill__sse_fini(struct mill__sse *sse) {
  mill__buf_fini(&sse->line);
  mill__buf_fini(&sse->type);
  mill__buf_fini(&sse->id);
  mill__buf_fini(&sse->last_id);
}

void mill__sse_reset(struct mill__sse *sse) {
  mill__buf_shrink(&sse->line, KEEP_BYTES);
  mill__buf_shrink(&sse->type, KEEP_BYTES);
  sse->data_bytes = 0;
  sse->status = MILL_OK;
  sse->place = AT_START;
  sse->matched = 0;
  sse->has_data = false;
  sse->has_id = false;
}

int mill__sse_set_last_event_id(struct mill__sse *sse, const char *id, size_t len) {
  sse->has_id = false;
  int rc = replace(&sse->id, (mill_slice){id, len});
  if (rc == MILL_OK)
    commit_id(sse);
  return rc;
}

mill_slice mill__sse_last_event_id(const struct mill__sse *sse) {
  return mill__buf_slice(&sse->last_id);
}

int mill__sse_feed(struct mill__sse *sse, const char *bytes, size_t len, size_t *ret_consumed) {
  const char *p = bytes, *end = len > 0 ? bytes + len : bytes;
  while (p < end && sse->status == MILL_OK)
    p = step(sse, p, end);
  *ret_consumed = (size_t)(p - bytes);
  int rc = sse->status;
  if (rc == MILL_AGAIN)
    sse->status = MILL_OK;
  return rc;
}

mill_slice mill__sse_line(const struct mill__sse *sse) {
  return mill__buf_slice(&sse->line);
}

bool mill__sse_finish(const struct mill__sse *sse) {
  bool in_a_line =
      sse->matched > 0 || sse->place == IN_LINE || sse->place == AT_VALUE || sse->place == IN_VALUE;
  return in_a_line || sse->has_data || sse->has_id || sse->type.len > 0;
}
