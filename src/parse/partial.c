/* The parser of growing JSON: its interface, what it reports, and what stands between tokens. */
#include "parse/partial.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"

#define DEFAULT_TEXT_BYTES ((size_t)64 << 20)
#define DEFAULT_DEPTH 512
#define FIRST_LEVELS 16
#define PIECE_BYTES 8192 /* more than partial_string.c ever makes of one step */
#define KEEP_BYTES 4096  /* of a buffer that one long key made large */

/* ---- what is reported ------------------------------------------------------------------------- */

uint64_t mill__partial_offset(const struct mill_partial *partial, const char *at) {
  return partial->fed + (uint64_t)(at - partial->piece);
}

void mill__partial_fail(struct mill_partial *partial, int code, uint64_t offset,
                        const char *error) {
  if (partial->status != MILL_OK)
    return;
  partial->status = code;
  partial->error_offset = offset;
  partial->error = error;
}

void mill__partial_check(struct mill_partial *partial, int rc, uint64_t offset,
                         const char *too_long) {
  if (rc != MILL_OK)
    mill__partial_fail(partial, rc, offset, rc == MILL_E_LIMIT ? too_long : "out of memory");
}

const char *mill__partial_refuse(struct mill_partial *partial, const char *at, const char *error) {
  mill__partial_fail(partial, MILL_E_PROTOCOL, mill__partial_offset(partial, at), error);
  return at;
}

static void report(struct mill_partial *partial, const mill_partial_change *change) {
  if (partial->status != MILL_OK)
    return;
  int rc = partial->fn(partial->ctx, change);
  assert(rc <= MILL_OK);
  if (rc != MILL_OK)
    mill__partial_fail(partial, rc, change->offset, "the reader of the changes stopped");
}

void mill__partial_repair(struct mill_partial *partial, enum mill_repair repair, uint64_t offset) {
  report(partial, &(mill_partial_change){.kind = MILL_PARTIAL_REPAIR,
                                         .repair = repair,
                                         .depth = partial->depth,
                                         .offset = offset});
}

static struct mill__partial_level *innermost(const struct mill_partial *partial) {
  return partial->depth > 0 ? &partial->levels[partial->depth - 1] : NULL;
}

/* An object in an array is reported with its first member or its end. */
static void report_held(struct mill_partial *partial) {
  if (!partial->held)
    return;
  partial->held = false;
  report(partial, &(mill_partial_change){.kind = MILL_PARTIAL_OBJECT,
                                         .index = partial->levels[partial->depth - 2].count - 1,
                                         .depth = partial->depth - 1,
                                         .offset = partial->held_offset});
}

void mill__partial_value(struct mill_partial *partial, enum mill_partial_kind kind, mill_slice text,
                         uint64_t offset) {
  report_held(partial);
  struct mill__partial_level *parent = innermost(partial);
  mill_partial_change change = {
      .kind = kind, .text = text, .depth = partial->depth, .offset = offset};
  if (parent != NULL && parent->is_array)
    change.index = parent->count++;
  else if (parent != NULL)
    change.key = partial->key.len > 0 ? mill__buf_slice(&partial->key) : (mill_slice){"", 0};
  report(partial, &change);
}

void mill__partial_grow(struct mill_partial *partial, const char *text, size_t len) {
  if (len == 0)
    return;
  if (!partial->in_key) {
    report(partial, &(mill_partial_change){
                        .kind = MILL_PARTIAL_TEXT, .text = {text, len}, .depth = partial->depth});
    return;
  }
  int rc = mill__buf_append(&partial->key, text, len);
  mill__partial_check(partial, rc, partial->token_offset, "a key is too long");
}

void mill__partial_end_value(struct mill_partial *partial) {
  partial->done = partial->depth == 0;
  partial->place = partial->done ? BEHIND_ROOT : BEHIND_VALUE;
}

static void report_end(struct mill_partial *partial, uint64_t offset) {
  report(partial, &(mill_partial_change){
                      .kind = MILL_PARTIAL_END, .depth = partial->depth, .offset = offset});
}

void mill__partial_end_string(struct mill_partial *partial, uint64_t offset) {
  mill__partial_end_text(partial);
  mill__buf_clear(&partial->token);
  if (partial->in_key) {
    partial->in_key = false;
    partial->place = AT_COLON;
    return;
  }
  report_end(partial, offset);
  mill__partial_end_value(partial);
}

void mill__partial_end_container(struct mill_partial *partial, uint64_t offset) {
  report_held(partial);
  partial->n_arrays -= innermost(partial)->is_array;
  partial->depth--;
  report_end(partial, offset);
  mill__partial_end_value(partial);
}

/* Room for one more level, or false with the status set. */
static bool reserve_level(struct mill_partial *partial, uint64_t offset) {
  if (partial->depth == partial->options.max_depth) {
    mill__partial_fail(partial, MILL_E_LIMIT, offset, "containers are nested too deeply");
    return false;
  }
  if (partial->depth < partial->capacity)
    return true;
  size_t capacity = partial->capacity > 0 ? 2 * partial->capacity : FIRST_LEVELS;
  void *levels = mill__realloc(partial->levels, capacity * sizeof *partial->levels);
  if (levels == NULL) {
    mill__partial_check(partial, MILL_E_NOMEM, offset, NULL);
    return false;
  }
  partial->levels = levels;
  partial->capacity = capacity;
  return true;
}

void mill__partial_open(struct mill_partial *partial, char bracket, uint64_t offset) {
  const bool is_array = bracket == '[';
  if (!reserve_level(partial, offset))
    return;
  struct mill__partial_level *parent = innermost(partial);
  if (!is_array && parent != NULL && parent->is_array) {
    assert(!partial->held); /* the array began, and what was held with it */
    parent->count++;
    partial->held = true;
    partial->held_offset = offset;
  } else {
    mill__partial_value(partial, is_array ? MILL_PARTIAL_ARRAY : MILL_PARTIAL_OBJECT,
                        (mill_slice){"", 0}, offset);
  }
  partial->levels[partial->depth++] = (struct mill__partial_level){.is_array = is_array};
  partial->n_arrays += is_array;
  partial->place = is_array ? AT_FIRST_VALUE : AT_FIRST_KEY;
}

/* ---- commas and closers ----------------------------------------------------------------------- */

static bool is_in_array(const struct mill_partial *partial) {
  return innermost(partial)->is_array;
}

/* Behind a key, its colon or a comma, something must follow. */
static bool dangles(const struct mill_partial *partial) {
  return partial->place == AT_COLON || partial->place == AT_VALUE || partial->place == AT_KEY;
}

static void repair_dangling(struct mill_partial *partial, uint64_t offset) {
  if (!dangles(partial))
    return;
  bool key = partial->place == AT_COLON || (partial->place == AT_VALUE && !is_in_array(partial));
  mill__partial_repair(partial, key ? MILL_REPAIR_MISSING_VALUE : MILL_REPAIR_TRAILING_COMMA,
                       offset);
}

static bool is_any_open(const struct mill_partial *partial, bool array) {
  return array ? partial->n_arrays > 0 : partial->depth > partial->n_arrays;
}

static void close_missing(struct mill_partial *partial, uint64_t offset) {
  mill__partial_repair(partial, MILL_REPAIR_MISSING_CLOSER, offset);
  mill__partial_end_container(partial, offset);
}

static const char *take_closer(struct mill_partial *partial, const char *at) {
  const bool array = *at == ']';
  const uint64_t offset = mill__partial_offset(partial, at);
  bool fits = is_in_array(partial) == array && !dangles(partial);
  if (!fits && !partial->options.lenient)
    return mill__partial_refuse(partial, at, "a closing bracket where none can be");
  if (!is_any_open(partial, array)) {
    mill__partial_repair(partial, MILL_REPAIR_STRAY_CLOSER, offset);
    return at + 1;
  }
  repair_dangling(partial, offset);
  while (is_in_array(partial) != array)
    close_missing(partial, offset);
  mill__partial_end_container(partial, offset + 1);
  return at + 1;
}

static const char *take_comma(struct mill_partial *partial, const char *at) {
  const uint64_t offset = mill__partial_offset(partial, at);
  const bool array = is_in_array(partial);
  if (partial->place != BEHIND_VALUE) {
    if (!partial->options.lenient)
      return mill__partial_refuse(partial, at, "a comma where none can be");
    bool behind_key = partial->place == AT_COLON || (partial->place == AT_VALUE && !array);
    mill__partial_repair(partial, behind_key ? MILL_REPAIR_MISSING_VALUE : MILL_REPAIR_EXTRA_COMMA,
                         offset);
    if (!behind_key)
      return at + 1;
  }
  partial->place = array ? AT_VALUE : AT_KEY;
  return at + 1;
}

/* ---- values and keys -------------------------------------------------------------------------- */

static bool is_quote(const struct mill_partial *partial, char c) {
  return c == '"' || (c == '\'' && partial->options.lenient);
}

static void begin_quoted(struct mill_partial *partial, const char *at, bool is_key) {
  const uint64_t offset = mill__partial_offset(partial, at);
  if (*at == '\'')
    mill__partial_repair(partial, MILL_REPAIR_SINGLE_QUOTES, offset);
  mill__partial_begin_string(partial, *at, is_key, offset);
}

static const char *begin_value(struct mill_partial *partial, const char *at) {
  if (*at == '{' || *at == '[') {
    mill__partial_open(partial, *at, mill__partial_offset(partial, at));
    return at + 1;
  }
  if (is_quote(partial, *at)) {
    begin_quoted(partial, at, false);
    return at + 1;
  }
  if (mill__partial_begin_scalar(partial, at))
    return at;
  return mill__partial_refuse(partial, at, "no value where one must be");
}

static const char *begin_key(struct mill_partial *partial, const char *at) {
  if (is_quote(partial, *at)) {
    begin_quoted(partial, at, true);
    return at + 1;
  }
  bool is_word = mill__partial_is_word_start(*at) || mill__partial_is_digit(*at);
  if (!partial->options.lenient || !is_word)
    return mill__partial_refuse(partial, at, "no key in quotes where one must be");
  mill__partial_repair(partial, MILL_REPAIR_BARE_KEY, mill__partial_offset(partial, at));
  mill__buf_clear(&partial->key);
  partial->token_offset = mill__partial_offset(partial, at);
  partial->in_key = true;
  partial->place = IN_BARE_KEY;
  return at;
}

static const char *take_colon(struct mill_partial *partial, const char *at) {
  partial->place = AT_VALUE;
  if (*at == ':')
    return at + 1;
  if (!partial->options.lenient)
    return mill__partial_refuse(partial, at, "no colon behind a key");
  mill__partial_repair(partial, MILL_REPAIR_MISSING_COLON, mill__partial_offset(partial, at));
  return at;
}

/* Behind a value stands neither a comma nor a closer. */
static const char *miss_comma(struct mill_partial *partial, const char *at) {
  bool follows = is_in_array(partial) || is_quote(partial, *at);
  if (!partial->options.lenient || !follows)
    return mill__partial_refuse(partial, at, "no comma and no closing bracket behind a value");
  mill__partial_repair(partial, MILL_REPAIR_MISSING_COMMA, mill__partial_offset(partial, at));
  partial->place = is_in_array(partial) ? AT_VALUE : AT_KEY;
  return at;
}

static const char *begin_comment(struct mill_partial *partial, const char *at) {
  mill__partial_repair(partial, MILL_REPAIR_COMMENT, mill__partial_offset(partial, at));
  partial->back = partial->place;
  partial->place = *at == '#' ? IN_LINE_COMMENT : AT_COMMENT;
  return at + 1;
}

static const char *take_token(struct mill_partial *partial, const char *at, const char *end) {
  if (mill__partial_is_space(*at))
    return at + 1;
  if (partial->options.lenient && (*at == '/' || *at == '#'))
    return begin_comment(partial, at);
  if (*at == ',')
    return take_comma(partial, at);
  if (*at == '}' || *at == ']')
    return take_closer(partial, at);
  switch ((enum mill__partial_place)partial->place) {
  case AT_FIRST_KEY:
  case AT_KEY:
    return begin_key(partial, at);
  case AT_COLON:
    return take_colon(partial, at);
  case BEHIND_VALUE:
    return miss_comma(partial, at);
  default:
    return begin_value(partial, at);
  }
}

/* ---- comments --------------------------------------------------------------------------------- */

static const char *in_comment(struct mill_partial *partial, const char *at) {
  const char c = *at;
  switch ((enum mill__partial_place)partial->place) {
  case AT_COMMENT:
    if (c != '/' && c != '*')
      return mill__partial_refuse(partial, at, "a slash that begins no comment");
    partial->place = c == '/' ? IN_LINE_COMMENT : IN_BLOCK_COMMENT;
    break;
  case IN_LINE_COMMENT:
    if (c == '\n')
      partial->place = partial->back;
    break;
  case AT_COMMENT_END:
    if (c == '/')
      partial->place = partial->back;
    else if (c != '*')
      partial->place = IN_BLOCK_COMMENT;
    break;
  default:
    if (c == '*')
      partial->place = AT_COMMENT_END;
  }
  return at + 1;
}

/* ---- the end ---------------------------------------------------------------------------------- */

/* What is cut: a token that is whole counts, one that is not is left out. */
static void end_token(struct mill_partial *partial, uint64_t offset) {
  switch ((enum mill__partial_place)partial->place) {
  case IN_STRING:
  case IN_ESCAPE:
  case IN_UNICODE:
    mill__partial_repair(
        partial, partial->in_key ? MILL_REPAIR_MISSING_VALUE : MILL_REPAIR_MISSING_CLOSER, offset);
    if (!partial->in_key)
      mill__partial_end_string(partial, offset);
    break;
  case AT_QUOTE:
    mill__partial_end_string(partial, partial->quote_offset + 1);
    break;
  case IN_NUMBER:
  case IN_WORD:
    if (!mill__partial_end_scalar(partial))
      mill__partial_repair(partial, MILL_REPAIR_MISSING_VALUE, partial->token_offset);
    break;
  case IN_BARE_KEY:
    mill__partial_repair(partial, MILL_REPAIR_MISSING_VALUE, offset);
    break;
  case AT_COMMENT:
  case IN_LINE_COMMENT:
  case IN_BLOCK_COMMENT:
  case AT_COMMENT_END:
    partial->place = partial->back;
    repair_dangling(partial, offset);
    break;
  default:
    repair_dangling(partial, offset);
  }
}

static bool is_scalar_at_start(const struct mill_partial *partial) {
  return partial->depth == 0 && (partial->place == IN_NUMBER || partial->place == IN_WORD ||
                                 partial->place == BEHIND_TOKEN);
}

static bool is_in_root(const struct mill_partial *partial) {
  return partial->depth > 0 || partial->place == IN_STRING || partial->place == IN_ESCAPE ||
         partial->place == IN_UNICODE;
}

static void end_text(struct mill_partial *partial) {
  const uint64_t offset = partial->fed;
  if (is_scalar_at_start(partial))
    mill__partial_end_scalar(partial);
  if (partial->done)
    mill__partial_end_outside(partial);
  if (partial->done || partial->status != MILL_OK)
    return;
  if (!is_in_root(partial)) {
    mill__partial_fail(partial, MILL_E_PROTOCOL, offset, "no JSON value in the text");
    return;
  }
  if (!partial->options.lenient) {
    mill__partial_fail(partial, MILL_E_PROTOCOL, offset, "the JSON value is cut");
    return;
  }
  end_token(partial, offset);
  while (partial->depth > 0 && partial->status == MILL_OK)
    close_missing(partial, offset);
}

/* ---- the interface ---------------------------------------------------------------------------- */

static const char *step(struct mill_partial *partial, const char *at, const char *end) {
  switch ((enum mill__partial_place)partial->place) {
  case AT_FIRST_VALUE:
  case AT_VALUE:
  case AT_FIRST_KEY:
  case AT_KEY:
  case AT_COLON:
  case BEHIND_VALUE:
    return take_token(partial, at, end);
  case IN_STRING:
  case IN_ESCAPE:
  case IN_UNICODE:
  case AT_QUOTE:
    return mill__partial_in_string(partial, at, end);
  case IN_NUMBER:
  case IN_WORD:
    return mill__partial_in_scalar(partial, at, end);
  case IN_BARE_KEY:
    return mill__partial_in_bare_key(partial, at, end);
  case AT_COMMENT:
  case IN_LINE_COMMENT:
  case IN_BLOCK_COMMENT:
  case AT_COMMENT_END:
    return in_comment(partial, at);
  case AT_START:
  case AT_LINE:
  case IN_TEXT:
  case IN_FENCE:
  case IN_INFO:
  case AT_OPENER:
  case BEHIND_TOKEN:
  case BEHIND_ROOT:
  case BEHIND_SPACE:
    break;
  }
  return mill__partial_outside(partial, at, end);
}

void mill_partial_options_init(mill_partial_options *options) {
  *options = (mill_partial_options){
      .roots = MILL_PARTIAL_ROOT_ANY, .text_bytes = DEFAULT_TEXT_BYTES, .max_depth = DEFAULT_DEPTH};
}

int mill_partial_new(const mill_partial_options *options, mill_partial_fn *fn, void *ctx,
                     mill_partial **ret_partial) {
  if (options->roots == 0 || options->roots > MILL_PARTIAL_ROOT_ANY || options->max_depth == 0 ||
      options->text_bytes == 0)
    return MILL_E_ARG;
  struct mill_partial *partial = mill__calloc(1, sizeof *partial);
  if (partial == NULL)
    return MILL_E_NOMEM;
  partial->options = *options;
  partial->fn = fn;
  partial->ctx = ctx;
  mill__buf_init(&partial->key, MILL_PARTIAL_KEY_BYTES);
  mill__buf_init(&partial->token, MILL_PARTIAL_TOKEN_BYTES);
  mill__buf_init(&partial->text, PIECE_BYTES);
  mill_partial_reset(partial);
  *ret_partial = partial;
  return MILL_OK;
}

void mill_partial_free(mill_partial *partial) {
  if (partial == NULL)
    return;
  mill__buf_fini(&partial->key);
  mill__buf_fini(&partial->token);
  mill__buf_fini(&partial->text);
  mill__free(partial->levels);
  mill__free(partial);
}

void mill_partial_reset(mill_partial *partial) {
  mill__buf_shrink(&partial->key, KEEP_BYTES);
  mill__buf_clear(&partial->token);
  mill__buf_clear(&partial->text);
  *partial = (struct mill_partial){.options = partial->options,
                                   .fn = partial->fn,
                                   .ctx = partial->ctx,
                                   .levels = partial->levels,
                                   .capacity = partial->capacity,
                                   .key = partial->key,
                                   .token = partial->token,
                                   .text = partial->text,
                                   .place = AT_START};
}

int mill_partial_feed(mill_partial *partial, const char *bytes, size_t len) {
  if (partial->finished)
    return partial->status != MILL_OK ? partial->status : MILL_E_ARG;
  size_t room = partial->options.text_bytes - (size_t)partial->fed;
  size_t n = len < room ? len : room;
  const char *at = bytes, *end = n > 0 ? bytes + n : bytes;
  partial->piece = bytes;
  while (at < end && partial->status == MILL_OK)
    at = step(partial, at, end);
  partial->fed += n;
  if (n < len)
    mill__partial_fail(partial, MILL_E_LIMIT, partial->fed, "the text is too long");
  return partial->status;
}

int mill_partial_finish(mill_partial *partial) {
  if (!partial->finished && partial->status == MILL_OK)
    end_text(partial);
  partial->finished = true;
  return partial->status;
}

bool mill_partial_done(const mill_partial *partial) {
  return partial->done;
}

const char *mill_partial_error(const mill_partial *partial, uint64_t *ret_offset) {
  if (partial->status != MILL_OK)
    *ret_offset = partial->error_offset;
  return partial->error;
}

const char *mill_repair_name(enum mill_repair repair) {
  static const char *const names[] = {
#define MILL_REPAIR_NAME(name, word, text) word,
      MILL_REPAIRS(MILL_REPAIR_NAME)
#undef MILL_REPAIR_NAME
  };
  return (unsigned)repair < MILL_REPAIR_COUNT ? names[repair] : NULL;
}
