/* SPDX-License-Identifier: MIT */
/*
 * The pairing heap of timers (Fredman, Sedgewick, Sleator and Tarjan, "The
 * pairing heap: a new form of self-adjusting heap", 1986). No function
 * recurses, because the number of timers is in the hands of clients.
 */
#include "base/timer.h"

#include "base/assert.h"

/* Joins two trees, either of which may be NULL: the root with the later time
 * becomes the first child of the other one. */
static struct km_timer *meld(struct km_timer *a, struct km_timer *b)
{
    if (a == NULL || b == NULL) {
        return a != NULL ? a : b;
    }
    if (b->at < a->at) {
        struct km_timer *t = a;
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

/* Joins siblings in pairs from left to right. Returns the pairs as a stack that
 * is linked by `next`, the last pair on top. */
static struct km_timer *meld_pairs(struct km_timer *first)
{
    struct km_timer *stack = NULL;
    while (first != NULL) {
        struct km_timer *a = first;
        struct km_timer *b = a->next;
        first = b != NULL ? b->next : NULL;
        a->next = NULL;
        if (b != NULL) {
            b->next = NULL;
        }
        struct km_timer *pair = meld(a, b);
        pair->next = stack;
        stack = pair;
    }
    return stack;
}

/* Makes one tree of the children of a removed node: pairs from left to right,
 * and the pairs from right to left. This order is what makes a removal
 * O(log n) amortised. */
static struct km_timer *meld_children(struct km_timer *first)
{
    struct km_timer *tree = NULL;
    struct km_timer *stack = meld_pairs(first);
    while (stack != NULL) {
        struct km_timer *pair = stack;
        stack = pair->next;
        pair->next = NULL;
        tree = meld(tree, pair);
    }
    return tree;
}

void km_timer_heap_add(struct km_timer_heap *heap, struct km_timer *timer,
                       km_ns at)
{
    KM_ASSERT(timer->at == 0);
    timer->at = at > 0 ? at : 1;
    timer->next = NULL;
    timer->prev = NULL;
    timer->child = NULL;
    heap->root = meld(heap->root, timer);
    heap->root->prev = NULL;
}

/* Takes timer, which is not the root, out of the list of its siblings. */
static void unlink_child(struct km_timer *timer)
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

static void remove_linked(struct km_timer_heap *heap, struct km_timer *timer)
{
    struct km_timer *children = meld_children(timer->child);
    if (heap->root == timer) {
        heap->root = children;
    } else {
        KM_ASSERT(timer->prev != NULL);
        unlink_child(timer);
        heap->root = meld(heap->root, children);
    }
    if (heap->root != NULL) {
        heap->root->prev = NULL;
        heap->root->next = NULL;
    }
}

void km_timer_heap_remove(struct km_timer_heap *heap, struct km_timer *timer)
{
    if (timer->at == 0) {
        return;
    }
    remove_linked(heap, timer);
    timer->at = 0;
    timer->next = NULL;
    timer->prev = NULL;
    timer->child = NULL;
}

struct km_timer *km_timer_heap_pop(struct km_timer_heap *heap, km_ns now)
{
    struct km_timer *timer = heap->root;
    if (timer == NULL || timer->at > now) {
        return NULL;
    }
    km_timer_heap_remove(heap, timer);
    return timer;
}

/* -- the check ----------------------------------------------------------- */

/* Returns the node after timer in a walk that goes down first, then right, then
 * up. It returns NULL behind the last node. */
static const struct km_timer *walk(const struct km_timer *timer)
{
    if (timer->child != NULL) {
        return timer->child;
    }
    while (timer->next == NULL) {
        const struct km_timer *parent = timer;
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

size_t km_timer_heap_check(const struct km_timer_heap *heap)
{
    const struct km_timer *root = heap->root;
    size_t count = 0;
    KM_ASSERT(root == NULL || (root->prev == NULL && root->next == NULL));
    for (const struct km_timer *t = root; t != NULL; t = walk(t)) {
        KM_ASSERT(t->at != 0 && t->fire != NULL);
        KM_ASSERT(t->child == NULL || t->child->prev == t);
        KM_ASSERT(t->next == NULL || t->next->prev == t);
        for (const struct km_timer *c = t->child; c != NULL; c = c->next) {
            KM_ASSERT(c->at >= t->at);
        }
        count++;
    }
    return count;
}
