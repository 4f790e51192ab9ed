/* SPDX-License-Identifier: MIT */
/*
 * Where a loader runs. A slot is taken in the same way in both places; what
 * differs is the thread that waits for it and then calls the loader:
 *
 *     here      the thread of the caller that leads the load, in a group without
 *               a pool; it waits for the slot on a condition
 *     on_pool   a thread of the pool; a load that has no slot yet is submitted
 *               when it gets one, and no thread waits
 *
 * Threads: any, without a lock held.
 */
#pragma once

#include "group/load/load.h"

/* Starts a leading load on the pool, or queues it for that. Takes the runner's
 * reference, also on failure; the load has not ended then. */
KAMA_NODISCARD kama_status km_load_start_on_pool(struct km_load *load,
                                                 struct km_pool *pool);

/* Runs a leading load on the calling thread, whose own time ends at deadline:
 * waits for a slot until then, does not call the loader later, and tells the
 * loader the smaller of its time and the caller's. now is the time. Takes the
 * runner's reference. The load has ended afterwards, unless it was deferred. */
void km_load_start_here(struct km_load *load, km_ns deadline, km_ns now);

/* Submits a load that has a slot to the pool of its group. */
KAMA_NODISCARD kama_status km_load_submit(struct km_load *load);

/* Submits a queued load that has got a slot. Returns false when the pool has
 * refused it: the load has ended, and its slot is the caller's to pass on. */
bool km_load_submit_queued(struct km_load *load);
