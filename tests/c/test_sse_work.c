/*
 * How much the event stream parser moves about: on the longest lines, a byte at a time, what it
 * asks of the allocator in all is a constant times the input, and for data lines next to nothing.
 * (A block that grows is counted anew, as if all of it were copied.)
 */
#include <stdlib.h>
#include <string.h>

#include "millstream/millstream.h"
#include "parse/sse.h"
#include "support.h"

#define INPUT_BYTES ((size_t)4 << 20)
#define NO_LIMIT ((size_t)1 << 30)

static size_t asked; /* bytes, over all calls */

static void *counting_malloc(size_t size) {
  asked += size;
  return malloc(size);
}

static void *counting_realloc(void *block, size_t size) {
  asked += size;
  return realloc(block, size);
}

static const mill_allocator counting = {counting_malloc, counting_realloc, free};

static int on_data(void *ctx, const char *bytes, size_t len) {
  return MILL_OK;
}

static int on_comment(void *ctx, mill_slice text) {
  return MILL_OK;
}

static const struct mill__sse_callbacks callbacks = {.data = on_data, .comment = on_comment};

/* `head`, then `unit` over and over, a byte a feed. Returns what was asked for. */
static size_t work_on(const char *head, const char *unit) {
  struct mill__sse sse;
  size_t consumed, unit_len = strlen(unit);
  asked = 0;
  CHECK_INT(mill__sse_init(&sse, NO_LIMIT, &callbacks, NULL), MILL_OK);
  CHECK_INT(mill__sse_feed(&sse, head, strlen(head), &consumed), MILL_OK);
  for (size_t i = 0; i < INPUT_BYTES; i++)
    CHECK_INT(mill__sse_feed(&sse, unit + i % unit_len, 1, &consumed), MILL_OK);
  CHECK_INT(mill__sse_feed(&sse, "\n\n", 2, &consumed), MILL_OK);
  mill__sse_fini(&sse);
  return asked;
}

int main(void) {
  static const struct {
    const char *head, *unit;
    size_t most;
  } inputs[] = {
      {"data:", "x", 1024},
      {"", "data: x\n", 1024},
      {"", "\n", 1024},
      {"", "\r", 1024},
      {"", "\r\n", 1024},
      {"", "data: x\n\n", 1024},
      {"", ": ping\n\n", 1024},
      {"", "id: 1\n", 1024},
      {":", "x", 5 * INPUT_BYTES},
      {"id:", "x", 10 * INPUT_BYTES}, /* the line, and the id */
      {"event:", "x", 10 * INPUT_BYTES},
      {"", "x", 5 * INPUT_BYTES},
  };
  mill_set_allocator(&counting);
  for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++) {
    size_t work = work_on(inputs[i].head, inputs[i].unit);
    test_case("\"%s\", then \"%s\": %zu bytes", inputs[i].head, inputs[i].unit, work);
    CHECK(work <= inputs[i].most);
  }
  CHECK(work_on(":", "x") >= INPUT_BYTES); /* the counting counts */
  return 0;
}
