/* SPDX-License-Identifier: MIT */
/*
 * The housekeeping of a node: memory of entries that were cleared or have expired
 * comes back within seconds, without any call. It is done on the first loop of the
 * node, in turns of at most a millisecond.
 *
 *     km_keeper_init(&keeper, clock, &registry);
 *     env.keep_at = km_keeper_lend(&keeper);      for the group that is added next
 *     km_keeper_start(&keeper, loop);
 *     ...                                         the loop is stopped and joined
 *
 *     turn   | group 3 | group 4 | group 5 ->|  1 ms is over: the next turn begins
 *                                               with group 6, some milliseconds later
 *     turn   | group 6 | ... | group 5 |        all groups are done: the next turn
 *                                               begins after half a second
 *
 * Each group writes the time of its next work into a number that the keeper lends to it,
 * so that groups with nothing to do are not touched.
 *
 * Cost: one load for each group and half a second in which there is nothing to do; a
 * quarter of the loop's time at most as long as there is. Threads: one thread at a time
 * calls init, lend and start; the rest is done by the loop. Errors: none. Ownership: the
 * loop, the clock and the registry are borrowed until the loop was joined; the keeper is
 * the caller's memory, and stays where it is until then.
 */
#pragma once

#include "group/registry.h"
#include "net/loop.h"

struct km_keeper {
    struct km_loop *loop;
    const struct km_clock *clock;
    const struct km_registry *registry;
    _Atomic km_ns keep_at[KM_GROUPS_MAX]; /* of the groups of the registry */
    struct km_timer timer;
    struct km_mail start;
    unsigned next; /* the group with which the next turn begins */
};

/* Makes a keeper that does nothing yet. Its memory was zeroed. */
void km_keeper_init(struct km_keeper *keeper, const struct km_clock *clock,
                    const struct km_registry *registry);

/* Returns the number that belongs to the group which is added to the registry next. */
_Atomic km_ns *km_keeper_lend(struct km_keeper *keeper);

/* Begins to keep house on a loop that runs, until the loop ends. */
void km_keeper_start(struct km_keeper *keeper, struct km_loop *loop);
