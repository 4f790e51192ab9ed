/* SPDX-License-Identifier: MIT */
/* The pairing heap of a loop's timers. No recursion: the number of timers is
 * in the hands of clients. */
#include "net/timer_heap.h"

#include "base/assert.h"

/* Joins two trees; either may be NULL. */
static struct km_loop_timer *meld(struct km_loop_timer *a,
                                  struct km_loop_timer *b)
{
    if (a == NULL || b == NULL) {
        return a != NULL ? a : b;
    }
    if (b->at < a->at) {
        struct km_loop_timer *t = a;
        a = b;
        b = t;
    }
    b->prev = a;
    b->next = a->child;
    if (b->next != NULL) {
        b->next->prev = b;
    }
    a->child = b;
    return a;
}

/* Left to right in pairs, onto a stack linked by next. */
static struct km_loop_timer *meld_pairs(struct km_loop_timer *first)
{
    struct km_loop_timer *stack = NULL;
    while (first != NULL) {
        struct km_loop_timer *a = first;
        struct km_loop_timer *b = a->next;
        first = b != NULL ? b->next : NULL;
        a->next = NULL;
        if (b != NULL) {
            b->next = NULL;
        }
        struct km_loop_timer *pair = meld(a, b);
        pair->next = stack;
        stack = pair;
    }
    return stack;
}

/* The children of a removed node, as one tree. */
static struct km_loop_timer *meld_children(struct km_loop_timer *first)
{
    struct km_loop_timer *tree = NULL;
    struct km_loop_timer *stack = meld_pairs(first);
    while (stack != NULL) {
        struct km_loop_timer *pair = stack;
        stack = pair->next;
        pair->next = NULL;
        tree = meld(tree, pair);
    }
    return tree;
}

void km_timer_heap_push(struct km_loop_timer **root,
                        struct km_loop_timer *timer)
{
    timer->next = NULL;
    timer->prev = NULL;
    timer->child = NULL;
    *root = meld(*root, timer);
    (*root)->prev = NULL;
}

static void unlink_child(struct km_loop_timer *timer)
{
    if (timer->prev->child == timer) {
        timer->prev->child = timer->next;
    } else {
        timer->prev->next = timer->next;
    }
    if (timer->next != NULL) {
        timer->next->prev = timer->prev;
    }
}

void km_timer_heap_remove(struct km_loop_timer **root,
                          struct km_loop_timer *timer)
{
    struct km_loop_timer *children = meld_children(timer->child);
    if (*root == timer) {
        *root = children;
    } else {
        KM_ASSERT(timer->prev != NULL);
        unlink_child(timer);
        *root = meld(*root, children);
    }
    if (*root != NULL) {
        (*root)->prev = NULL;
        (*root)->next = NULL;
    }
    timer->next = NULL;
    timer->prev = NULL;
    timer->child = NULL;
}

/* The node after timer in a walk that goes down, then right, then up. */
static const struct km_loop_timer *walk(const struct km_loop_timer *timer)
{
    if (timer->child != NULL) {
        return timer->child;
    }
    while (timer->next == NULL) {
        const struct km_loop_timer *parent = timer;
        while (parent->prev != NULL && parent->prev->child != parent) {
            parent = parent->prev;
        }
        if (parent->prev == NULL) {
            return NULL;
        }
        timer = parent->prev;
    }
    return timer->next;
}

size_t km_timer_heap_check(const struct km_loop_timer *root)
{
    size_t count = 0;
    KM_ASSERT(root == NULL || (root->prev == NULL && root->next == NULL));
    for (const struct km_loop_timer *t = root; t != NULL; t = walk(t)) {
        KM_ASSERT(t->child == NULL || t->child->prev == t);
        KM_ASSERT(t->next == NULL || t->next->prev == t);
        for (const struct km_loop_timer *c = t->child; c; c = c->next) {
            KM_ASSERT(c->at >= t->at);
        }
        count++;
    }
    return count;
}
