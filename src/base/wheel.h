/* SPDX-License-Identifier: MIT */
/*
 * A hierarchical timing wheel: timers in slots of about 1 ms, 64 slots per
 * level, 8 levels, enough for every km_ns. A timer is never popped before its
 * time and at most one tick after it.
 *
 *   level 0   the 64 ticks that share all higher digits (base 64) with now
 *   level n   64 slots of 64^n ticks; a slot moves down when now reaches it
 *
 * Cost: add and remove O(1); pop amortised O(levels). About 8 KiB.
 * Thread-safety: the owner's lock. Errors: none. Ownership: timers are the
 * caller's, linked while at != 0.
 */
#pragma once

#include "base/pool.h"

#define KM_WHEEL_TICK_LOG2 20 /* 1.05 ms */
#define KM_WHEEL_DIGIT_BITS 6
#define KM_WHEEL_SLOTS (1u << KM_WHEEL_DIGIT_BITS)
#define KM_WHEEL_LEVELS 8

struct km_wheel {
    uint64_t tick;                  /* how far it has turned */
    uint64_t used[KM_WHEEL_LEVELS]; /* a bit per slot; may be stale */
    struct km_list due;
    struct km_list slots[KM_WHEEL_LEVELS][KM_WHEEL_SLOTS];
};

/* Empty, turned to now. */
void km_wheel_init(struct km_wheel *wheel, km_ns now);

/* Links timer, which is in no wheel, for the time at (0 counts as 1). */
void km_wheel_add(struct km_wheel *wheel, struct km_timer *timer, km_ns at);

/* Unlinks timer; a timer that is in no wheel (at 0) stays so. */
void km_wheel_remove(struct km_timer *timer);

/* When to call km_wheel_pop again: not after the next timer is due, perhaps
 * before. KM_NS_NEVER: nothing will be due. */
km_ns km_wheel_next(struct km_wheel *wheel);

/* Turns to now and unlinks one timer that is due, or returns NULL. */
struct km_timer *km_wheel_pop(struct km_wheel *wheel, km_ns now);
