/* SPDX-License-Identifier: MIT */
/*
 * The timers of a loop, earliest first: a pairing heap of intrusive nodes.
 *
 *   root --child--> a --next--> b --next--> c      (children, any order)
 *   prev: the left sibling, or the parent of the first child
 *
 * Cost: push and peek O(1), pop and remove O(log n) amortised; no memory.
 * Thread-safety: one owner. Ownership: nodes are the caller's.
 */
#pragma once

#include "net/loop.h"

/* Links timer, which is in no heap, by its `at`. */
void km_timer_heap_push(struct km_loop_timer **root,
                        struct km_loop_timer *timer);

/* Unlinks timer, which is in this heap; at is left as it is. */
void km_timer_heap_remove(struct km_loop_timer **root,
                          struct km_loop_timer *timer);

/* Walks the heap: order and links. For tests; returns the number of nodes. */
size_t km_timer_heap_check(const struct km_loop_timer *root);
