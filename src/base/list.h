/*
 * Intrusive doubly linked list: the node lives in the object, so linking never allocates.
 * A list head is a node too; an unlinked node points at itself. Thread: the owner's.
 */
#ifndef MILL_BASE_LIST_H
#define MILL_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct mill__list {
  struct mill__list *prev, *next;
};

#define MILL__CONTAINER(node, type, member) ((type *)((char *)(node)-offsetof(type, member)))

static inline void mill__list_init(struct mill__list *node) {
  node->prev = node->next = node;
}

static inline bool mill__list_empty(const struct mill__list *head) {
  return head->next == head;
}

static inline void mill__list_append(struct mill__list *head, struct mill__list *node) {
  node->prev = head->prev;
  node->next = head;
  head->prev->next = node;
  head->prev = node;
}

/* Also right for a node that is not linked. */
static inline void mill__list_remove(struct mill__list *node) {
  node->prev->next = node->next;
  node->next->prev = node->prev;
  mill__list_init(node);
}

/* The first node, unlinked; NULL when empty. */
static inline struct mill__list *mill__list_pop(struct mill__list *head) {
  if (mill__list_empty(head))
    return NULL;
  struct mill__list *node = head->next;
  mill__list_remove(node);
  return node;
}

#endif
