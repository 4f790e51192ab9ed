/* SPDX-License-Identifier: MIT */
/*
 * The place where a loader runs. A slot is taken in the same way in both places.
 * They differ in the thread that waits for the slot and then calls the loader:
 *
 *     here      the thread of the caller that leads the load, in a group without
 *               a pool; it waits for the slot on a condition
 *     on_pool   a thread of the pool; a load that has no slot yet is submitted
 *               when it gets one, and no thread waits meanwhile
 *
 *     if (pool == NULL) {
 *         km_load_start_here(load, deadline, now);
 *     } else {
 *         status = km_load_start_on_pool(load, pool);
 *     }
 *
 * Cost: no allocation. Threads: any thread, without a lock held. Errors: as each
 * function says; a load that could not be started is ended by the caller, except
 * where a function says that it has ended. Ownership: both ways of starting take
 * the runner's reference to the load, also on failure.
 */
#pragma once

#include "group/load/load.h"

/* Starts a load that was just made to lead on the pool, or queues it until a slot
 * is free. Takes the runner's reference. On an error the load has not ended, and
 * the caller must end it. Errors: KAMA_ERR_CLOSED, KAMA_ERR_OVERLOADED (the queue
 * for slots is full), KAMA_ERR_TIMEOUT (the load has ended already), and those of
 * km_pool_arm and km_pool_submit. */
KAMA_NODISCARD kama_status km_load_start_on_pool(struct km_load *load,
                                                 struct km_pool *pool);

/* Runs a load that leads on the calling thread, whose own time ends at deadline.
 * This waits for a slot until then and never calls the loader later, and it tells
 * the loader the smaller of the load's time and the caller's. now is the current
 * time. Takes the runner's reference. The load has ended afterwards, unless its
 * loader has deferred it. */
void km_load_start_here(struct km_load *load, km_ns deadline, km_ns now);

/* Submits a queued load that has got a slot. Returns false if the pool has refused
 * it: the load has ended then, and the caller must put its slot back. */
bool km_load_submit_queued(struct km_load *load);
