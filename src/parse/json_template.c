/* What is the same from document to document; see json_template.h. */
#include "parse/json_template.h"

#include <string.h>

#include "base/utf8.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* A string's body or a number's literal in the template. */
struct hole {
  uint16_t begin, end;
  bool is_number;
};

struct report {
  uint16_t field;
  uint8_t kind; /* enum mill__json_kind */
  bool is_array, boolean;
  int8_t hole; /* whose text is its own; -1: none */
  unsigned index[MILL__JSON_INDEXES];
};

static const struct hole *holes_of(const struct mill__json_template *template) {
  return (const struct hole *)(const void *)template->holes.ptr;
}

void mill__json_template_init(struct mill__json_template *template) {
  *template = (struct mill__json_template){.good = false};
  mill__buf_init(&template->document, MILL__JSON_TEMPLATE_BYTES);
  mill__buf_init(&template->holes, MILL__JSON_TEMPLATE_HOLES * sizeof(struct hole));
  mill__buf_init(&template->values, MILL__JSON_TEMPLATE_VALUES * sizeof(struct report));
}

void mill__json_template_fini(struct mill__json_template *template) {
  mill__buf_fini(&template->document);
  mill__buf_fini(&template->holes);
  mill__buf_fini(&template->values);
}

/* ---- matching -------------------------------------------------------------------------------- */

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/* The first quote, backslash, control character or byte beyond ASCII in [p, end), or `end`. */
static const char *find_not_plain(const char *p, const char *end) {
#ifdef __SSE2__
  const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\');
  const __m128i space = _mm_set1_epi8(' ');
  for (; end - p >= 16; p += 16) {
    __m128i block = _mm_loadu_si128((const __m128i *)(const void *)p);
    /* Signed: bytes beyond ASCII are less than a space, too. */
    __m128i hits =
        _mm_or_si128(_mm_cmplt_epi8(block, space),
                     _mm_or_si128(_mm_cmpeq_epi8(block, quote), _mm_cmpeq_epi8(block, backslash)));
    int mask = _mm_movemask_epi8(hits);
    if (mask)
      return p + __builtin_ctz((unsigned)mask);
  }
#endif
  while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= ' ' && (unsigned char)*p < 0x80)
    p++;
  return p;
}

/* Where the string's body that begins at `p` ends; NULL where it is not plain. */
static const char *end_of_string(const char *p, const char *end) {
  const char *begin = p;
  bool ascii = true;
  while ((p = find_not_plain(p, end)) < end && (unsigned char)*p >= 0x80) {
    ascii = false;
    p++;
  }
  if (p == end || *p != '"')
    return NULL;
  size_t len = (size_t)(p - begin);
  return ascii || mill__utf8_valid_prefix(begin, len) == len ? p : NULL;
}

static const char *skip_digits(const char *p, const char *end) {
  while (p < end && is_digit(*p))
    p++;
  return p;
}

/* RFC 8259 section 6. NULL: no number. What follows it must be the template's, so it ends here. */
static const char *end_of_number(const char *p, const char *end) {
  const char *begin = p;
  p += p < end && *p == '-';
  if (p == end || !is_digit(*p))
    return NULL;
  p = *p == '0' ? p + 1 : skip_digits(p, end);
  if (p < end && *p == '.') {
    const char *fraction = ++p;
    if ((p = skip_digits(p, end)) == fraction)
      return NULL;
  }
  if (p < end && (*p == 'e' || *p == 'E')) {
    p++;
    p += p < end && (*p == '+' || *p == '-');
    const char *exponent = p;
    if ((p = skip_digits(p, end)) == exponent)
      return NULL;
  }
  return p - begin > MILL__JSON_NUMBER_BYTES ? NULL : p;
}

static bool match_segment(const char **p, const char *end, const char *expected, size_t len) {
  if ((size_t)(end - *p) < len || memcmp(*p, expected, len) != 0)
    return false;
  *p += len;
  return true;
}

static bool match(struct mill__json_template *template, mill_slice document,
                  mill_slice *ret_texts) {
  const struct hole *holes = holes_of(template);
  const char *p = document.ptr, *end = p + document.len, *expected = template->document.ptr;
  size_t at = 0;
  for (unsigned i = 0; i < template->n_holes; i++) {
    if (!match_segment(&p, end, expected + at, holes[i].begin - at))
      return false;
    const char *text_end = holes[i].is_number ? end_of_number(p, end) : end_of_string(p, end);
    if (!text_end) {
      template->odd = true;
      return false;
    }
    ret_texts[i] = (mill_slice){p, (size_t)(text_end - p)};
    p = text_end;
    at = holes[i].end;
  }
  return match_segment(&p, end, expected + at, template->document.len - at) && p == end;
}

bool mill__json_template_match(struct mill__json_template *template, mill_slice document,
                               mill_slice *ret_texts) {
  template->odd = false;
  bool matches = template->good && match(template, document, ret_texts);
  template->misses = matches ? 0 : template->misses + 1;
  return matches;
}

int mill__json_template_replay(const struct mill__json_template *template, const mill_slice *texts,
                               mill__json_fn fn, void *ctx) {
  const struct report *report = (const struct report *)(const void *)template->values.ptr;
  size_t n = template->values.len / sizeof *report;
  int error = MILL_OK;
  for (size_t i = 0; i < n && !error; i++, report++) {
    struct mill__json_value value = {.field = report->field,
                                     .kind = (enum mill__json_kind)report->kind,
                                     .is_array = report->is_array,
                                     .boolean = report->boolean};
    memcpy(value.index, report->index, sizeof value.index);
    if (report->hole >= 0)
      value.text = texts[report->hole];
    error = fn(ctx, &value);
  }
  return error;
}

/* ---- learning -------------------------------------------------------------------------------- */

/*
 * An escape in a text does not change the shape: the next one may match again. Where documents
 * never do, making a template of each would be for nothing: of one now and then.
 */
static bool learns(const struct mill__json_template *template) {
  return !template->odd && (template->misses <= MILL__JSON_TEMPLATE_MISSES ||
                            template->misses % MILL__JSON_TEMPLATE_PATIENCE == 0);
}

void mill__json_template_begin(struct mill__json_template *template, mill_slice document) {
  template->recording = false;
  if (!learns(template))
    return;
  template->good = false;
  template->n_holes = 0;
  mill__buf_clear(&template->document);
  mill__buf_clear(&template->holes);
  mill__buf_clear(&template->values);
  template->recording =
      mill__buf_append(&template->document, document.ptr, document.len) == MILL_OK;
}

void mill__json_template_hole(struct mill__json_template *template) {
  if (template->recording)
    template->recording = template->n_holes++ < MILL__JSON_TEMPLATE_HOLES;
}

void mill__json_template_report(struct mill__json_template *template,
                                const struct mill__json_value *value) {
  if (!template->recording)
    return;
  struct report report = {.field = value->field,
                          .kind = (uint8_t)value->kind,
                          .is_array = value->is_array,
                          .boolean = value->boolean,
                          .hole = -1};
  if (value->kind == MILL__JSON_STRING || value->kind == MILL__JSON_NUMBER)
    report.hole = (int8_t)(template->n_holes - 1);
  memcpy(report.index, value->index, sizeof report.index);
  /* The text of a container is not one hole's. */
  template->recording =
      value->kind != MILL__JSON_RAW &&mill__buf_append(&template->values, &report, sizeof report) ==
      MILL_OK;
}

/* The quote that ends the string that begins behind `at`, in a valid document. */
static size_t closing_quote(const char *bytes, size_t at) {
  while (bytes[++at] != '"')
    at += bytes[at] == '\\';
  return at;
}

static bool is_key(mill_slice document, size_t behind) {
  while (behind < document.len && strchr(" \t\r\n", document.ptr[behind]))
    behind++;
  return behind < document.len && document.ptr[behind] == ':';
}

/* In a document that was parsed and is valid. */
static bool find_holes(struct mill__json_template *template) {
  mill_slice document = mill__buf_slice(&template->document);
  const char *bytes = document.ptr;
  for (size_t at = 0; at < document.len; at++) {
    struct hole hole = {.begin = (uint16_t)at};
    if (bytes[at] == '"') {
      hole.begin++;
      at = closing_quote(bytes, at);
      if (is_key(document, at + 1))
        continue;
      hole.end = (uint16_t)at;
    } else if (bytes[at] == '-' || is_digit(bytes[at])) {
      while (at < document.len && (is_digit(bytes[at]) || strchr("+-.eE", bytes[at])))
        at++;
      hole.end = (uint16_t)at--;
      hole.is_number = true;
    } else {
      continue;
    }
    if (mill__buf_append(&template->holes, &hole, sizeof hole))
      return false;
  }
  return template->holes.len == template->n_holes * sizeof(struct hole);
}

void mill__json_template_end(struct mill__json_template *template, bool whole) {
  if (template->recording)
    template->good = whole &&find_holes(template);
  template->recording = false;
}
