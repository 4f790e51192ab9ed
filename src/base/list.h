/* SPDX-License-Identifier: MIT */
/*
 * An intrusive, circular, doubly linked list. A node that is in no list is
 * zeroed or points to itself after km_list_init.
 * Thread-safety: the owner's lock. Cost: O(1) each.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct km_list {
    struct km_list *next;
    struct km_list *prev;
};

/* Makes head an empty list, or node one that is in no list. */
static inline void km_list_init(struct km_list *head)
{
    head->next = head;
    head->prev = head;
}

static inline bool km_list_empty(const struct km_list *head)
{
    return head->next == head;
}

static inline void km_list_insert_before(struct km_list *pos,
                                         struct km_list *node)
{
    node->prev = pos->prev;
    node->next = pos;
    pos->prev->next = node;
    pos->prev = node;
}

static inline void km_list_push_back(struct km_list *head, struct km_list *node)
{
    km_list_insert_before(head, node);
}

static inline void km_list_push_front(struct km_list *head,
                                      struct km_list *node)
{
    km_list_insert_before(head->next, node);
}

/* Takes node out of its list; it then points to itself. */
static inline void km_list_remove(struct km_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    km_list_init(node);
}

static inline struct km_list *km_list_first(const struct km_list *head)
{
    return km_list_empty(head) ? NULL : head->next;
}

/* First node, taken out; NULL when empty. */
static inline struct km_list *km_list_pop_front(struct km_list *head)
{
    struct km_list *node = km_list_first(head);
    if (node != NULL) {
        km_list_remove(node);
    }
    return node;
}

/* Moves every node of from to the end of to; from is empty then. */
static inline void km_list_splice(struct km_list *to, struct km_list *from)
{
    if (km_list_empty(from)) {
        return;
    }
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    km_list_init(from);
}

/* node is removable inside the body. */
#define KM_LIST_FOREACH(node, tmp, head)                                       \
    for ((node) = (head)->next, (tmp) = (node)->next; (node) != (head);        \
         (node) = (tmp), (tmp) = (node)->next)
