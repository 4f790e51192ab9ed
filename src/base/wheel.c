/* SPDX-License-Identifier: MIT */
/*
 * A tick is a number in base 64. A timer lies on the level of the highest
 * digit in which its tick differs from the wheel's, in the slot of its own
 * digit there. So every timer of a level is due before those of the levels
 * above it, and the next slot is the lowest one in use on the lowest level.
 * `used` may have bits of slots that a remove has emptied; next_tick, which
 * runs before the wheel turns, clears those that it passes.
 */
#include "base/wheel.h"
#include "base/container.h"

#include "base/assert.h"

#define NO_TICK UINT64_MAX
#define LAST_NS_TICK (UINT64_MAX >> KM_WHEEL_TICK_LOG2)

_Static_assert(KM_WHEEL_LEVELS *KM_WHEEL_DIGIT_BITS > 64 - KM_WHEEL_TICK_LOG2,
               "every time has a slot");

static struct km_timer *timer_of(struct km_list *node)
{
    return KM_CONTAINER_OF(node, struct km_timer, node);
}

/* The first tick that is not before at. */
static uint64_t tick_of(km_ns at)
{
    uint64_t tick = at >> KM_WHEEL_TICK_LOG2;
    return tick << KM_WHEEL_TICK_LOG2 == at ? tick : tick + 1;
}

void km_wheel_init(struct km_wheel *wheel, km_ns now)
{
    wheel->tick = now >> KM_WHEEL_TICK_LOG2;
    km_list_init(&wheel->due);
    for (unsigned level = 0; level < KM_WHEEL_LEVELS; level++) {
        wheel->used[level] = 0;
        for (unsigned slot = 0; slot < KM_WHEEL_SLOTS; slot++) {
            km_list_init(&wheel->slots[level][slot]);
        }
    }
}

/* Links node for tick, which is not behind the wheel. */
static void place(struct km_wheel *wheel, struct km_list *node, uint64_t tick)
{
    uint64_t differs = tick ^ wheel->tick;
    if (differs == 0) {
        km_list_push_back(&wheel->due, node);
        return;
    }
    unsigned top_bit = 63u - (unsigned)__builtin_clzll(differs);
    unsigned level = top_bit / KM_WHEEL_DIGIT_BITS;
    unsigned slot =
        (tick >> level * KM_WHEEL_DIGIT_BITS) & (KM_WHEEL_SLOTS - 1);
    KM_DEBUG_ASSERT(tick > wheel->tick && level < KM_WHEEL_LEVELS);
    wheel->used[level] |= UINT64_C(1) << slot;
    km_list_push_back(&wheel->slots[level][slot], node);
}

void km_wheel_add(struct km_wheel *wheel, struct km_timer *timer, km_ns at)
{
    timer->at = at > 0 ? at : 1;
    uint64_t tick = tick_of(timer->at);
    place(wheel, &timer->node, tick > wheel->tick ? tick : wheel->tick);
}

void km_wheel_remove(struct km_timer *timer)
{
    if (timer->at != 0) {
        km_list_remove(&timer->node);
        timer->at = 0;
    }
}

/* The lowest slot of level that has timers; KM_WHEEL_SLOTS: none. */
static unsigned first_slot(struct km_wheel *wheel, unsigned level)
{
    while (wheel->used[level] != 0) {
        unsigned slot = (unsigned)__builtin_ctzll(wheel->used[level]);
        if (!km_list_empty(&wheel->slots[level][slot])) {
            return slot;
        }
        wheel->used[level] &= wheel->used[level] - 1;
    }
    return KM_WHEEL_SLOTS;
}

/* The tick at which the next slot begins, and that slot; NO_TICK: none. */
static uint64_t next_tick(struct km_wheel *wheel, struct km_list **ret_slot)
{
    for (unsigned level = 0; level < KM_WHEEL_LEVELS; level++) {
        unsigned slot = first_slot(wheel, level);
        if (slot < KM_WHEEL_SLOTS) {
            unsigned shift = level * KM_WHEEL_DIGIT_BITS;
            uint64_t above = wheel->tick >> shift >> KM_WHEEL_DIGIT_BITS
                                                         << KM_WHEEL_DIGIT_BITS;
            *ret_slot = &wheel->slots[level][slot];
            return (above | slot) << shift;
        }
    }
    return NO_TICK;
}

km_ns km_wheel_next(struct km_wheel *wheel)
{
    struct km_list *slot;
    if (!km_list_empty(&wheel->due)) {
        return wheel->tick << KM_WHEEL_TICK_LOG2;
    }
    uint64_t tick = next_tick(wheel, &slot);
    return tick > LAST_NS_TICK ? KM_NS_NEVER : tick << KM_WHEEL_TICK_LOG2;
}

/* Turns to the next slot and moves its timers down; false: it is later than
 * tick, and the wheel stands at tick. */
static bool turn(struct km_wheel *wheel, uint64_t tick)
{
    struct km_list *slot;
    struct km_list moving;
    struct km_list *node;
    uint64_t next = next_tick(wheel, &slot);
    if (next > tick) {
        wheel->tick = tick > wheel->tick ? tick : wheel->tick;
        return false;
    }
    wheel->tick = next;
    km_list_init(&moving);
    km_list_splice(&moving, slot);
    while ((node = km_list_pop_front(&moving)) != NULL) {
        place(wheel, node, tick_of(timer_of(node)->at));
    }
    return true;
}

struct km_timer *km_wheel_pop(struct km_wheel *wheel, km_ns now)
{
    uint64_t tick = now >> KM_WHEEL_TICK_LOG2;
    while (km_list_empty(&wheel->due) && turn(wheel, tick)) {
    }
    struct km_list *node = km_list_pop_front(&wheel->due);
    if (node == NULL) {
        return NULL;
    }
    timer_of(node)->at = 0;
    return timer_of(node);
}
