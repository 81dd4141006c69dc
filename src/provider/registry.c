/* The list of all dialects. */
#include <stdatomic.h>
#include <string.h>

#include "provider/dialect.h"

static const struct mill__dialect *const dialects[] = {&mill__openai_chat};
enum { N_DIALECTS = sizeof dialects / sizeof *dialects };

const struct mill__dialect *mill__dialect_find(const char *name) {
  for (size_t i = 0; i < N_DIALECTS; i++)
    if (strcmp(dialects[i]->name, name) == 0)
      return dialects[i];
  return NULL;
}

const char *const *mill_formats(void) {
  static const char *const names[N_DIALECTS + 1] = {"openai-chat"};
  return names;
}

/* Streams start on several threads: of tables compiled at once, the first stays. */
static int compile(const struct mill__dialect *dialect, struct mill__json_table *_Atomic *shared) {
  struct mill__json_table *table, *none = NULL;
  int error = mill__json_table_new(dialect->paths, dialect->n_paths, &table);
  if (!error && !atomic_compare_exchange_strong(shared, &none, table))
    mill__json_table_free(table);
  return error;
}

int mill__dialect_table(const struct mill__dialect *dialect,
                        const struct mill__json_table **ret_table) {
  static struct mill__json_table *_Atomic tables[N_DIALECTS];
  size_t i = 0;
  while (dialects[i] != dialect)
    i++;
  int error = atomic_load(&tables[i]) ? MILL_OK : compile(dialect, &tables[i]);
  if (!error)
    *ret_table = atomic_load(&tables[i]);
  return error;
}
