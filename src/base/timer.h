/* SPDX-License-Identifier: MIT */
/*
 * Timers, and a heap that finds the earliest of them.
 *
 * A timer is a member of the structure whose time it keeps, and `fire` finds
 * that structure with KM_CONTAINER_OF. Loops (net/loop.h) and pools
 * (base/pool.h) each have a heap; the heap itself knows no clock and calls
 * nothing.
 *
 *     struct km_timer_heap heap = {NULL};
 *     km_timer_heap_add(&heap, &call->timer, deadline);
 *     while ((timer = km_timer_heap_pop(&heap, now)) != NULL) {
 *         timer->fire(timer);
 *     }
 *
 * Shape:
 *
 *     root --child--> a --next--> b --next--> c      (children, in any order)
 *     prev: the left sibling, or for a first child the parent
 *
 * Cost: add and first are O(1); pop and remove are O(log n) amortised. Most
 * timers are removed long before they are due, which costs as little as an add.
 * No memory is allocated, so that arming a timer cannot fail.
 * Threads: one owner, or the owner's lock. Errors: none.
 * Ownership: a timer is the caller's memory, and must stay where it is while it
 * is armed.
 */
#pragma once

#include "base/clock.h"

#include <stddef.h>

/* `fire` is set by the owner before the timer is armed; the rest belongs to the
 * heap. A zeroed timer is not armed. */
struct km_timer {
    struct km_timer *next;
    struct km_timer *prev;
    struct km_timer *child;
    km_ns at; /* the time it is armed for; 0 if it is not armed */
    void (*fire)(struct km_timer *timer);
};

/* A zeroed heap is empty. */
struct km_timer_heap {
    struct km_timer *root; /* the earliest timer, or NULL */
};

/* Arms timer, which must not be armed, for the time `at`; 0 counts as 1. */
void km_timer_heap_add(struct km_timer_heap *heap, struct km_timer *timer,
                       km_ns at);

/* Disarms timer, which is armed in this heap or not armed at all. */
void km_timer_heap_remove(struct km_timer_heap *heap, struct km_timer *timer);

/* Returns the time of the earliest timer; KM_NS_NEVER if none is armed. */
static inline km_ns km_timer_heap_next(const struct km_timer_heap *heap)
{
    return heap->root != NULL ? heap->root->at : KM_NS_NEVER;
}

/* Disarms and returns the earliest timer if it is due at `now`, else NULL. */
struct km_timer *km_timer_heap_pop(struct km_timer_heap *heap, km_ns now);

/* Asserts the order and the links of the whole heap; returns the number of its
 * timers. For tests: O(n). */
size_t km_timer_heap_check(const struct km_timer_heap *heap);
