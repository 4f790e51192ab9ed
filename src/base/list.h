/* SPDX-License-Identifier: MIT */
/*
 * An intrusive, circular, doubly linked list.
 *
 * The node is a member of the structure that is in the list, and
 * KM_CONTAINER_OF (base/container.h) finds that structure.
 *
 *     struct km_list queue;
 *     km_list_init(&queue);
 *     km_list_push_back(&queue, &job->node);
 *     struct km_list *first = km_list_pop_front(&queue);
 *
 *     +--> head <--> a <--> b <--> c <--+       an empty list is a head that
 *     +---------------------------------+       points to itself
 *
 * A node that is in no list points to itself (km_list_init, km_list_remove), so
 * that removing it once more does no harm.
 *
 * Cost: every function is O(1). Threads: one owner, or the owner's lock.
 * Errors: none, because nothing is allocated. Ownership: the list owns no node;
 * a node must stay where it is while it is in a list.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct km_list {
    struct km_list *next;
    struct km_list *prev;
};

/* Makes an empty list of a head, or a node that is in no list. */
static inline void km_list_init(struct km_list *head)
{
    head->next = head;
    head->prev = head;
}

/* Returns whether the list has no node. */
static inline bool km_list_empty(const struct km_list *head)
{
    return head->next == head;
}

/* Puts node, which is in no list, in front of pos, which is in one. */
static inline void km_list_insert_before(struct km_list *pos,
                                         struct km_list *node)
{
    node->prev = pos->prev;
    node->next = pos;
    pos->prev->next = node;
    pos->prev = node;
}

/* Appends node, which is in no list. */
static inline void km_list_push_back(struct km_list *head, struct km_list *node)
{
    km_list_insert_before(head, node);
}

/* Puts node, which is in no list, at the front. */
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

/* Returns the first node without taking it out, or NULL. */
static inline struct km_list *km_list_first(const struct km_list *head)
{
    return km_list_empty(head) ? NULL : head->next;
}

/* Takes the first node out and returns it. Returns NULL if the list is
 * empty. */
static inline struct km_list *km_list_pop_front(struct km_list *head)
{
    struct km_list *node = km_list_first(head);
    if (node != NULL) {
        km_list_remove(node);
    }
    return node;
}

/* Moves every node of `from` to the end of `to`, and leaves `from` empty. */
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

/* Visits each node from the front. The body may remove the node that it visits,
 * but no other; tmp remembers the next one. */
#define KM_LIST_FOREACH(node, tmp, head)                                       \
    for ((node) = (head)->next, (tmp) = (node)->next; (node) != (head);        \
         (node) = (tmp), (tmp) = (node)->next)
