/*
 * The compiled form of a table of JSON paths: a trie that json.c walks while it parses.
 * Owns: its nodes; borrows the path strings. Thread: immutable once made, shared by any number.
 */
#ifndef MILL_PARSE_JSON_TABLE_H
#define MILL_PARSE_JSON_TABLE_H

#include "parse/json.h"

struct mill__json_node {
  mill_slice key;                             /* under an object */
  const struct mill__json_node *child, *next; /* the members that lie on a path */
  const struct mill__json_node *element;      /* what "[]" leads to */
  uint16_t field, want;
  unsigned level; /* how many "[]" lead here */
};

struct mill__json_table {
  unsigned height; /* containers above the deepest value */
  size_t n_nodes;
  struct mill__json_node nodes[]; /* the document itself first */
};

/* The member of that name, where it lies on a path; NULL. */
const struct mill__json_node *mill__json_node_child(const struct mill__json_node *parent,
                                                    const char *key, size_t len);

#endif
