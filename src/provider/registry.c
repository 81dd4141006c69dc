/* The list of all dialects. */
#include <stdatomic.h>
#include <string.h>

#include "provider/dialect.h"

#define DIALECT(symbol, name) &mill__##symbol,
static const struct mill__dialect *const dialects[] = {MILL__DIALECTS(DIALECT)
                                                           MILL__INNER_DIALECTS(DIALECT)};
enum { N_DIALECTS = sizeof dialects / sizeof *dialects };

const struct mill__dialect *mill__dialect_find(const char *name) {
  const char *const *names = mill_formats();
  for (size_t i = 0; names[i]; i++)
    if (strcmp(names[i], name) == 0)
      return dialects[i];
  return NULL;
}

const char *const *mill_formats(void) {
#define NAME(symbol, name) name,
  static const char *const names[] = {MILL__DIALECTS(NAME) NULL};
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
