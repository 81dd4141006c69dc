/*
 * JSON over yajl: the values at the paths of a table, from any split of the input.
 *
 * The bytes go through a filter (json_filter.c: valid UTF-8, no surrogate escapes, which yajl
 * decodes wrongly), and yajl's callbacks walk a trie of the table's paths (json_table.c).
 *
 * Owns: the yajl handle and every block it allocated, while it has one; the buffers. Thread: the
 * owner's. Limits and errors: see json.h.
 */
#include "parse/json.h"

#include <setjmp.h>
#include <stdalign.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#include "base/alloc.h"
#include "base/list.h"
#include "parse/json_filter.h"
#include "parse/json_table.h"
#include "parse/json_template.h"

/* Memory that is kept from document to document; what a larger one took is given back. */
#define KEEP_BYTES ((size_t)64 * 1024)
/*
 * yajl scans a token that is still open from its beginning with every feed. Behind an open token of
 * this size a piece waits until there is as much again, so that the work stays linear.
 */
#define OPEN_TOKEN_BYTES 4096

/* ---- the parser ----------------------------------------------------------------------------- */

/* An open container that lies on a path. */
struct frame {
  const struct mill__json_node *node;
  bool is_array;
  unsigned n_values; /* elements begun */
  size_t raw_at;     /* RAW wanted: where it begins in the capture */
};

struct mill__json {
  const struct mill__json_table *table;
  unsigned max_depth;
  size_t document_bytes;
  mill__json_fn fn;
  void *ctx;

  struct mill__json_store *store; /* NULL: what it has it keeps */
  struct machine *machine;        /* NULL: to be had */

  /* the document */
  int error;
  bool whole;        /* finish() accepted it */
  size_t n_bytes;    /* taken, behind the filter */
  size_t open_bytes; /* no less than what yajl holds of an open token */

  struct mill__buf waiting; /* see OPEN_TOKEN_BYTES */
  struct mill__json_filter filter;
  struct mill__json_template template;

  /* the position */
  unsigned depth;                       /* open containers */
  unsigned n_live;                      /* how many of them, counted from outside, lie on a path */
  const struct mill__json_node *member; /* where the last key led */
  unsigned index[MILL__JSON_INDEXES];
  bool root_seen;
  size_t root_end; /* offset in the piece */

  /* RAW values that are open: their text is `captured`, then the piece from `capture_from` on */
  const char *piece;
  size_t piece_len;
  unsigned n_raw;
  size_t capture_from;
  struct mill__buf captured;

  struct frame frames[];
};

/* ---- yajl, and memory for it: it checks no allocation ---------------------------------------- */

/* A yajl handle with all of its memory. */
struct machine {
  struct mill__list link; /* in a store */
  struct mill__json *json;
  yajl_handle yajl;
  struct mill__list blocks;
  size_t block_bytes, n_blocks;
  sigjmp_buf no_memory;
};

/*
 * Every block that yajl gets hangs in a list. When there is none to be had, the allocation function
 * leaves yajl by a long jump, and the handle is dropped as a whole: nothing of yajl's is used
 * again. Only yajl's own frames lie between, because no callback is open while yajl allocates.
 */
struct block {
  struct mill__list link;
  size_t size;
  alignas(max_align_t) char bytes[];
};

static void add_block(struct machine *machine, struct block *block, size_t size) {
  block->size = size;
  machine->block_bytes += size;
  mill__list_append(&machine->blocks, &block->link);
  machine->n_blocks++;
}

static void remove_block(struct machine *machine, struct block *block) {
  machine->block_bytes -= block->size;
  mill__list_remove(&block->link);
  machine->n_blocks--;
}

static void yajl_free_block(void *ctx, void *bytes) {
  if (!bytes)
    return;
  struct block *block = MILL__CONTAINER(bytes, struct block, bytes);
  remove_block(ctx, block);
  mill__free(block);
}

static void *yajl_resize_block(void *ctx, void *bytes, size_t size) {
  struct machine *machine = ctx;
  struct block *block = bytes ? MILL__CONTAINER(bytes, struct block, bytes) : NULL;
  size_t old_size = block ? block->size : 0;
  if (block)
    remove_block(machine, block);
  struct block *resized =
      size > SIZE_MAX - sizeof *block ? NULL : mill__realloc(block, sizeof *block + size);
  if (!resized) {
    if (block)
      add_block(machine, block, old_size);
    siglongjmp(machine->no_memory, 1);
  }
  add_block(machine, resized, size);
  return resized->bytes;
}

static void *yajl_new_block(void *ctx, size_t size) {
  return yajl_resize_block(ctx, NULL, size);
}

static void free_machine(struct machine *machine) {
  struct mill__list *link;
  while ((link = mill__list_pop(&machine->blocks)))
    mill__free(MILL__CONTAINER(link, struct block, link));
  mill__free(machine);
}

static void drop_machine(struct mill__json *json) {
  if (json->machine)
    free_machine(json->machine);
  json->machine = NULL;
}

/* ---- machines that nobody uses --------------------------------------------------------------- */

void mill__json_store_init(struct mill__json_store *store) {
  mill__list_init(&store->machines);
  store->n = 0;
  atomic_init(&store->blocks, 0);
}

void mill__json_store_fini(struct mill__json_store *store) {
  struct mill__list *link;
  while ((link = mill__list_pop(&store->machines)))
    free_machine(MILL__CONTAINER(link, struct machine, link));
}

/* Written by one thread. */
static void count_blocks(struct mill__json_store *store, const struct machine *machine, long sign) {
  long before = atomic_load_explicit(&store->blocks, memory_order_relaxed);
  atomic_store_explicit(&store->blocks, before + sign * (1 + (long)machine->n_blocks),
                        memory_order_relaxed);
}

/* Behind a whole document. */
static void lay_machine_aside(struct mill__json *json) {
  struct mill__json_store *store = json->store;
  struct machine *machine = json->machine;
  if (!store || !machine)
    return;
  if (store->n == MILL__JSON_STORE_MACHINES || machine->block_bytes > KEEP_BYTES) {
    drop_machine(json);
    return;
  }
  mill__list_append(&store->machines, &machine->link);
  store->n++;
  count_blocks(store, machine, 1);
  json->machine = NULL;
}

static struct machine *machine_of_store(struct mill__json_store *store) {
  struct mill__list *link = store ? mill__list_pop(&store->machines) : NULL;
  if (!link)
    return NULL;
  store->n--;
  struct machine *machine = MILL__CONTAINER(link, struct machine, link);
  count_blocks(store, machine, -1);
  return machine;
}

/* ---- yajl's callbacks: 1 to go on, 0 to stop ------------------------------------------------ */

static struct mill__json *json_of(void *ctx) {
  return ((struct machine *)ctx)->json;
}

static int stop(struct mill__json *json, int error) {
  json->error = error;
  return 0;
}

/* A value begins: what the table knows about it, NULL for nothing. */
static int begin_value(struct mill__json *json, const struct mill__json_node **ret_node) {
  *ret_node = NULL;
  if (json->root_seen)
    return stop(json, MILL_E_PROTOCOL);
  json->open_bytes = json->piece_len;
  if (json->depth != json->n_live)
    return 1;
  if (!json->depth) {
    *ret_node = &json->table->nodes[0];
    return 1;
  }
  struct frame *frame = &json->frames[json->n_live - 1];
  if (!frame->is_array) {
    *ret_node = json->member;
    return 1;
  }
  const struct mill__json_node *element = frame->node->element;
  if (element && element->level <= MILL__JSON_INDEXES)
    json->index[element->level - 1] = frame->n_values;
  frame->n_values++;
  *ret_node = element;
  return 1;
}

static void end_value(struct mill__json *json) {
  if (json->depth)
    return;
  json->root_seen = true;
  json->root_end = yajl_get_bytes_consumed(json->machine->yajl);
}

static int report(struct mill__json *json, const struct mill__json_node *node,
                  struct mill__json_value *value) {
  value->field = node->field;
  unsigned level = node->level < MILL__JSON_INDEXES ? node->level : MILL__JSON_INDEXES;
  memcpy(value->index, json->index, level * sizeof value->index[0]);
  mill__json_template_report(&json->template, value);
  int error = json->fn(json->ctx, value);
  return error ? stop(json, error) : 1;
}

static int on_scalar(struct mill__json *json, struct mill__json_value *value) {
  const struct mill__json_node *node;
  if (!begin_value(json, &node))
    return 0;
  end_value(json);
  return node && node->want & value->kind ? report(json, node, value) : 1;
}

static int on_null(void *ctx) {
  return on_scalar(json_of(ctx), &(struct mill__json_value){.kind = MILL__JSON_NULL});
}

static int on_boolean(void *ctx, int boolean) {
  return on_scalar(json_of(ctx),
                   &(struct mill__json_value){.kind = MILL__JSON_BOOL, .boolean = boolean});
}

static int on_number(void *ctx, const char *literal, size_t len) {
  struct mill__json *json = json_of(ctx);
  if (len > MILL__JSON_NUMBER_BYTES)
    return stop(json, MILL_E_LIMIT);
  mill__json_template_hole(&json->template);
  return on_scalar(json,
                   &(struct mill__json_value){.kind = MILL__JSON_NUMBER, .text = {literal, len}});
}

static int on_string(void *ctx, const unsigned char *chars, size_t len) {
  struct mill__json *json = json_of(ctx);
  mill__json_template_hole(&json->template);
  return on_scalar(json, &(struct mill__json_value){.kind = MILL__JSON_STRING,
                                                    .text = {(const char *)chars, len}});
}

static int on_key(void *ctx, const unsigned char *key, size_t len) {
  struct mill__json *json = json_of(ctx);
  json->open_bytes = json->piece_len;
  if (json->depth == json->n_live)
    json->member =
        mill__json_node_child(json->frames[json->n_live - 1].node, (const char *)key, len);
  return 1;
}

/* How far the capture of RAW text goes at this moment. */
static size_t captured_bytes(const struct mill__json *json) {
  return json->captured.len + yajl_get_bytes_consumed(json->machine->yajl) - json->capture_from;
}

static void begin_raw(struct mill__json *json, struct frame *frame) {
  if (!json->n_raw++)
    json->capture_from = yajl_get_bytes_consumed(json->machine->yajl) - 1;
  frame->raw_at = captured_bytes(json) - 1;
}

/* The text of the innermost RAW value, which ends here. */
static int end_raw(struct mill__json *json, const struct frame *frame, mill_slice *ret_text) {
  size_t consumed = yajl_get_bytes_consumed(json->machine->yajl);
  const char *bytes = json->piece + json->capture_from;
  size_t len = consumed - json->capture_from;
  if (json->captured.len) {
    int error = mill__buf_append(&json->captured, bytes, len);
    if (error)
      return stop(json, error);
    json->capture_from = consumed;
    bytes = json->captured.ptr;
    len = json->captured.len;
  }
  *ret_text = (mill_slice){bytes + frame->raw_at, len - frame->raw_at};
  json->n_raw--;
  return 1;
}

/* The piece ends inside RAW values: keep what it holds of them. */
static int keep_raw(struct mill__json *json, size_t len) {
  if (!json->n_raw)
    return MILL_OK;
  size_t from = json->capture_from;
  json->capture_from = 0;
  return mill__buf_append(&json->captured, json->piece + from, len - from);
}

static int on_begin(struct mill__json *json, bool is_array) {
  const struct mill__json_node *node;
  if (!begin_value(json, &node))
    return 0;
  if (json->depth++ == json->max_depth)
    return stop(json, MILL_E_LIMIT);
  const unsigned want = MILL__JSON_BEGIN | MILL__JSON_END | MILL__JSON_RAW;
  if (!node || (!(node->want & want) && !(is_array ? node->element : node->child)))
    return 1;
  struct frame *frame = &json->frames[json->n_live++];
  *frame = (struct frame){.node = node, .is_array = is_array};
  if (node->want & MILL__JSON_RAW)
    begin_raw(json, frame);
  if (!(node->want & MILL__JSON_BEGIN))
    return 1;
  return report(json, node,
                &(struct mill__json_value){.kind = MILL__JSON_BEGIN, .is_array = is_array});
}

static int report_end(struct mill__json *json, const struct frame *frame) {
  const struct mill__json_node *node = frame->node;
  struct mill__json_value value = {.is_array = frame->is_array};
  if (node->want & MILL__JSON_RAW) {
    value.kind = MILL__JSON_RAW;
    if (!end_raw(json, frame, &value.text) || !report(json, node, &value))
      return 0;
    if (!json->n_raw)
      mill__buf_clear(&json->captured);
  }
  if (!(node->want & MILL__JSON_END))
    return 1;
  value.kind = MILL__JSON_END;
  value.text = (mill_slice){0};
  return report(json, node, &value);
}

static int on_end(void *ctx) {
  struct mill__json *json = json_of(ctx);
  json->open_bytes = json->piece_len;
  bool live = json->depth-- == json->n_live;
  end_value(json);
  return live ? report_end(json, &json->frames[--json->n_live]) : 1;
}

static int on_begin_map(void *ctx) {
  return on_begin(json_of(ctx), false);
}

static int on_begin_array(void *ctx) {
  return on_begin(json_of(ctx), true);
}

static const yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_boolean,
    .yajl_number = on_number, /* takes the place of the two that overflow */
    .yajl_string = on_string,
    .yajl_start_map = on_begin_map,
    .yajl_map_key = on_key,
    .yajl_end_map = on_end,
    .yajl_start_array = on_begin_array,
    .yajl_end_array = on_end,
};

/* ---- feeding yajl --------------------------------------------------------------------------- */

static bool get_machine(struct mill__json *json) {
  if (json->machine)
    return true;
  struct machine *machine = machine_of_store(json->store);
  if (!machine) {
    machine = mill__malloc(sizeof *machine);
    if (!machine)
      return false;
    machine->yajl = NULL;
    machine->block_bytes = machine->n_blocks = 0;
    mill__list_init(&machine->link);
    mill__list_init(&machine->blocks);
  }
  machine->json = json;
  json->machine = machine;
  return true;
}

static void make_yajl(struct machine *machine) {
  yajl_alloc_funcs functions = {yajl_new_block, yajl_resize_block, yajl_free_block, machine};
  machine->yajl = yajl_alloc(&callbacks, &functions, machine);
  yajl_config(machine->yajl, yajl_allow_multiple_values, 1); /* it serves many documents */
  yajl_config(machine->yajl, yajl_dont_validate_strings, 1); /* the filter did, and strictly */
}

static int run_yajl(struct mill__json *json, const char *bytes, size_t len) {
  if (!get_machine(json) || sigsetjmp(json->machine->no_memory, 0))
    return MILL_E_NOMEM;
  if (!json->machine->yajl)
    make_yajl(json->machine);
  switch (yajl_parse(json->machine->yajl, (const unsigned char *)bytes, len)) {
  case yajl_status_ok:
    return MILL_OK;
  case yajl_status_client_canceled:
    return json->error;
  default:
    return MILL_E_PROTOCOL;
  }
}

static bool all_space(const char *bytes, size_t len) {
  for (size_t i = 0; i < len; i++)
    if (bytes[i] != ' ' && bytes[i] != '\t' && bytes[i] != '\n' && bytes[i] != '\r')
      return false;
  return true;
}

/* What comes before a vertical tab or form feed, which yajl takes for white space. */
static size_t before_false_space(const char *bytes, size_t len) {
  const char *at = memchr(bytes, '\v', len);
  len = at ? (size_t)(at - bytes) : len;
  at = memchr(bytes, '\f', len);
  return at ? (size_t)(at - bytes) : len;
}

static int parse(struct mill__json *json, const char *bytes, size_t len) {
  if (json->root_seen)
    return all_space(bytes, len) ? MILL_OK : MILL_E_PROTOCOL;
  json->piece = bytes;
  json->piece_len = len;
  json->open_bytes += len;
  int error = run_yajl(json, bytes, len);
  if (error)
    return error;
  if (json->root_seen)
    return all_space(bytes + json->root_end, len - json->root_end) ? MILL_OK : MILL_E_PROTOCOL;
  return keep_raw(json, len);
}

static int parse_bounded(struct mill__json *json, const char *bytes, size_t len) {
  if (!len)
    return MILL_OK;
  size_t room = json->document_bytes - json->n_bytes;
  size_t taken = len < room ? len : room;
  size_t good = before_false_space(bytes, taken);
  int error = good ? parse(json, bytes, good) : MILL_OK;
  if (error) {
    size_t consumed =
        json->machine && json->machine->yajl ? yajl_get_bytes_consumed(json->machine->yajl) : 0;
    json->n_bytes += consumed < good ? consumed : good;
    return error;
  }
  json->n_bytes += good;
  if (good < taken)
    return MILL_E_PROTOCOL;
  return taken < len ? MILL_E_LIMIT : MILL_OK;
}

/* ---- feeding the filter's output ------------------------------------------------------------ */

static int filter_some(struct mill__json *json, const char *bytes, size_t len) {
  mill_slice text;
  int error = mill__json_filter_run(&json->filter, bytes, len, &text);
  return error ? error : parse_bounded(json, text.ptr, text.len);
}

/* In pieces that the filter's cap has room for: what is wrong before a limit is told, not the limit. */
static int filter(struct mill__json *json, const char *bytes, size_t len) {
  int error = MILL_OK;
  while (len && !error) {
    size_t some = len <= json->document_bytes ? len : json->document_bytes + 1;
    error = filter_some(json, bytes, some);
    bytes += some;
    len -= some;
  }
  return error;
}

static int filter_waiting(struct mill__json *json) {
  int error = filter(json, json->waiting.ptr, json->waiting.len);
  mill__buf_clear(&json->waiting);
  return error;
}

/* A document cannot end inside a character or an escape: these stand in strings only. */
static int filter_end(struct mill__json *json) {
  int error = json->waiting.len ? filter_waiting(json) : MILL_OK;
  if (!error && (mill__json_filter_is_open(&json->filter)))
    error = MILL_E_PROTOCOL;
  return error;
}

/* ---- the functions of json.h ---------------------------------------------------------------- */

int mill__json_new(const struct mill__json_table *table, unsigned max_depth, size_t document_bytes,
                   mill__json_fn fn, void *ctx, struct mill__json **ret_json) {
  struct mill__json *json = mill__calloc(1, sizeof *json + table->height * sizeof json->frames[0]);
  if (!json)
    return MILL_E_NOMEM;
  json->table = table;
  json->max_depth = max_depth;
  json->document_bytes = document_bytes;
  json->fn = fn;
  json->ctx = ctx;
  /* Repairing a byte gives at most three, and the document's own cap is applied behind it. */
  size_t cap = document_bytes < SIZE_MAX / 4 ? document_bytes * 3 + 64 : SIZE_MAX;
  mill__buf_init(&json->waiting, cap);
  mill__json_filter_init(&json->filter, cap);
  mill__json_template_init(&json->template);
  mill__buf_init(&json->captured, cap);
  *ret_json = json;
  return MILL_OK;
}

void mill__json_share(struct mill__json *json, struct mill__json_store *store) {
  json->store = store;
}

void mill__json_free(struct mill__json *json) {
  if (!json)
    return;
  drop_machine(json);
  mill__buf_fini(&json->waiting);
  mill__json_filter_fini(&json->filter);
  mill__json_template_fini(&json->template);
  mill__buf_fini(&json->captured);
  mill__free(json);
}

void mill__json_reset(struct mill__json *json) {
  /* Only behind a whole document is yajl ready for the next one. */
  if (json->machine && ((json->n_bytes && !json->whole) || json->machine->block_bytes > KEEP_BYTES))
    drop_machine(json);
  json->error = MILL_OK;
  json->whole = false;
  json->n_bytes = json->open_bytes = 0;
  mill__buf_shrink(&json->waiting, KEEP_BYTES);
  mill__json_filter_reset(&json->filter, KEEP_BYTES);
  mill__buf_shrink(&json->captured, KEEP_BYTES);
  json->depth = json->n_live = json->n_raw = 0;
  json->root_seen = false;
}

static int settle(struct mill__json *json, int error) {
  json->error = error;
  if (error)
    drop_machine(json);
  return error;
}

int mill__json_feed(struct mill__json *json, const char *bytes, size_t len) {
  if (json->error || !len)
    return json->error;
  json->whole = false;
  if (!json->waiting.len && (json->open_bytes < OPEN_TOKEN_BYTES || len >= json->open_bytes))
    return settle(json, filter(json, bytes, len));
  int error = mill__buf_append(&json->waiting, bytes, len);
  if (!error && json->waiting.len >= json->open_bytes)
    error = filter_waiting(json);
  return settle(json, error);
}

int mill__json_finish(struct mill__json *json) {
  if (json->error || json->whole)
    return json->error;
  int error = filter_end(json);
  if (!error && !json->root_seen)
    error = parse(json, " ", 1); /* ends a number or a word */
  if (!error && !json->root_seen)
    error = MILL_E_PROTOCOL;
  json->whole = !error;
  if (!error)
    lay_machine_aside(json);
  return settle(json, error);
}

static int parse_whole(struct mill__json *json, mill_slice document) {
  mill__json_template_begin(&json->template, document);
  int error = mill__json_feed(json, document.ptr, document.len);
  if (!error)
    error = mill__json_finish(json);
  mill__json_template_end(&json->template, !error);
  return error;
}

int mill__json_whole(struct mill__json *json, const char *bytes, size_t len) {
  mill_slice document = {bytes, len}, texts[MILL__JSON_TEMPLATE_HOLES];
  if (len > json->document_bytes || !mill__json_template_match(&json->template, document, texts))
    return parse_whole(json, document);
  json->n_bytes = len;
  json->whole = true;
  return settle(json, mill__json_template_replay(&json->template, texts, json->fn, json->ctx));
}

size_t mill__json_error_offset(const struct mill__json *json) {
  return json->n_bytes;
}

bool mill__json_int64(mill_slice literal, int64_t *ret_number) {
  size_t at = literal.len && literal.ptr[0] == '-';
  int sign = at ? -1 : 1;
  if (at == literal.len)
    return false;
  int64_t number = 0;
  for (; at < literal.len; at++) {
    char c = literal.ptr[at];
    if (c < '0' || c > '9')
      return false;
    int digit = sign * (c - '0');
    if (__builtin_mul_overflow(number, 10, &number) ||
        __builtin_add_overflow(number, digit, &number))
      number = sign < 0 ? INT64_MIN : INT64_MAX;
  }
  *ret_number = number;
  return true;
}
