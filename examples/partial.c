/*
 * Shows the JSON of a text while it comes in on standard input, one change a line:
 *
 *   echo 'Here: {"title": "Mill", "rows": [1, {"a": true}]} Done.' | partial
 *
 * What cannot be JSON is repaired where it can be. Built by meson; against an installed library:
 *
 *   cc partial.c $(pkg-config --cflags --libs millstream) -o partial
 */
#include <millstream/partial.h>
#include <stdio.h>
#include <unistd.h>

static const char *const names[] = {"object", "array", "string", "text",
                                    "number", "true",  "false",  "null"};

/* Where the value goes to in the container that it is in. */
static void print_place(const mill_partial_change *change) {
  printf("%*s", 2 * (int)change->depth, "");
  if (change->key.ptr)
    printf("%.*s: ", (int)change->key.len, change->key.ptr);
  else if (change->depth > 0)
    printf("%zu: ", change->index);
}

/* Called from mill_partial_feed; anything but MILL_OK ends it. */
static int on_change(void *ctx, const mill_partial_change *change) {
  (void)ctx;
  if (change->kind == MILL_PARTIAL_REPAIR) {
    printf("repaired at byte %llu: %s\n", (unsigned long long)change->offset,
           mill_repair_name(change->repair));
    return MILL_OK;
  }
  if (change->kind == MILL_PARTIAL_END || change->kind == MILL_PARTIAL_TEXT)
    printf("%*s", 2 * (int)change->depth, "");
  else
    print_place(change);
  fputs(change->kind == MILL_PARTIAL_END ? "end" : names[change->kind], stdout);
  if (change->kind == MILL_PARTIAL_TEXT || change->kind == MILL_PARTIAL_NUMBER)
    printf(" %.*s", (int)change->text.len, change->text.ptr);
  putchar('\n');
  return MILL_OK;
}

static int read_all(mill_partial *partial) {
  char bytes[4096];
  ssize_t n;
  int code = MILL_OK;
  while (code == MILL_OK && (n = read(STDIN_FILENO, bytes, sizeof bytes)) > 0) {
    code = mill_partial_feed(partial, bytes, (size_t)n);
    fflush(stdout);
  }
  return code == MILL_OK ? mill_partial_finish(partial) : code;
}

int main(void) {
  mill_partial_options options;
  mill_partial *partial;
  mill_partial_options_init(&options);
  options.lenient = true;
  if (mill_partial_new(&options, on_change, NULL, &partial) != MILL_OK)
    return 1;
  int code = read_all(partial);
  uint64_t offset = 0;
  const char *why = mill_partial_error(partial, &offset);
  if (why)
    fprintf(stderr, "%s (at byte %llu)\n", why, (unsigned long long)offset);
  mill_partial_free(partial);
  return code == MILL_OK ? 0 : 1;
}
