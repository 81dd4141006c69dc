/* A table of JSON paths becomes a trie; see json_table.h. */
#include "parse/json_table.h"

#include <string.h>

#include "base/alloc.h"

/* Nodes that a path can need, its own included. */
static size_t path_steps(const char *path) {
  size_t steps = 1;
  for (; *path; path++)
    steps += *path == '.' || *path == '[';
  return steps;
}

static struct mill__json_node *new_node(struct mill__json_table *table, unsigned level) {
  struct mill__json_node *node = &table->nodes[table->n_nodes++];
  node->level = level;
  return node;
}

const struct mill__json_node *mill__json_node_child(const struct mill__json_node *parent,
                                                    const char *key, size_t len) {
  for (const struct mill__json_node *child = parent->child; child; child = child->next)
    if (child->key.len == len && memcmp(child->key.ptr, key, len) == 0)
      return child;
  return NULL;
}

static struct mill__json_node *add_child(struct mill__json_table *table,
                                         struct mill__json_node *parent, const char *key,
                                         size_t len) {
  const struct mill__json_node *known = mill__json_node_child(parent, key, len);
  if (known)
    return (struct mill__json_node *)known;
  struct mill__json_node *child = new_node(table, parent->level);
  child->key = (mill_slice){key, len};
  child->next = parent->child;
  parent->child = child;
  return child;
}

static struct mill__json_node *add_element(struct mill__json_table *table,
                                           struct mill__json_node *parent) {
  if (!parent->element)
    parent->element = new_node(table, parent->level + 1);
  return (struct mill__json_node *)parent->element;
}

static void add_path(struct mill__json_table *table, const struct mill__json_path *row) {
  struct mill__json_node *node = &table->nodes[0];
  unsigned height = 1;
  for (const char *at = row->path; *at; height++) {
    if (*at == '[') {
      node = add_element(table, node);
      at += 2;
    } else {
      size_t len = strcspn(at, ".[");
      node = add_child(table, node, at, len);
      at += len;
    }
    at += *at == '.';
  }
  node->field = row->field;
  node->want = row->want;
  if (height > table->height)
    table->height = height;
}

int mill__json_table_new(const struct mill__json_path *paths, size_t n_paths,
                         struct mill__json_table **ret_table) {
  size_t n_nodes = 1;
  for (size_t i = 0; i < n_paths; i++)
    n_nodes += path_steps(paths[i].path);
  struct mill__json_table *table =
      mill__calloc(1, sizeof *table + n_nodes * sizeof(struct mill__json_node));
  if (!table)
    return MILL_E_NOMEM;
  new_node(table, 0);
  for (size_t i = 0; i < n_paths; i++)
    add_path(table, &paths[i]);
  *ret_table = table;
  return MILL_OK;
}

void mill__json_table_free(struct mill__json_table *table) {
  mill__free(table);
}
