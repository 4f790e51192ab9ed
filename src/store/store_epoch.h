/* SPDX-License-Identifier: MIT */
/*
 * The epoch of a store: invalidating everything at once (rule R6 of the protocol of
 * synchronized groups).
 *
 *     km_store_invalidate_begin(store);             no entry is stored from here on
 *     hlc = the clock of this node, read now;
 *     km_store_invalidate_end(store, hlc);
 *
 * Each shard knows the epoch in which its entries were stored. An invalidation makes the
 * epoch of the store odd, raises every floor, and makes the epoch even again:
 *
 *     epoch     ...  4  |  5  |  6  ...
 *     a hit     equal   |  different: it takes the lock of the shard
 *     the lock  held    |  waits for the end, then empties the shard, whose epoch is 6
 *
 * A hit without the lock compares the two epochs and never calls it a miss when they
 * differ. Whoever takes the lock of a shard empties it first if its epoch is old, in
 * O(1) (km_shard_lock), so that whatever he stores is of the new epoch, and forgets the
 * old entries (R5). A fill that began before says that it was overtaken from the first
 * step on (km_fill_overtaken), so that nobody joins its load.
 *
 * An epoch has 64 bits and is never used again, and no entry carries another epoch than
 * that of its shard. Should epochs ever be shorter, a number may only be used again when
 * no shard has it.
 *
 * Why the clock is read in between: whoever stores an explicit entry has merged its
 * version into the clock of the node before he looked at the epoch.
 *
 *     stores v                              invalidates
 *     clock = max(clock, v)
 *                                           reads the clock: less than v, if this
 *                                           were done before the epoch is odd
 *     reads the epoch: even
 *                                           epoch is odd, floors are raised, even
 *     stores v in the old epoch: v is hidden, and no floor bars an older set
 *
 * All four steps must be seq_cst, because one side's order alone does not prevent that
 * each misses the other's write; or the clock is merged and read under one lock.
 *
 * Cost: O(1); memory comes back by later calls. Threads: any, but a thread must not call
 * the store between begin and end, where others wait for it: it does nothing else than
 * the example above. Of two threads one waits. Errors: none. Ownership: nothing.
 */
#pragma once

#include "store/store.h"

/* Makes the epoch odd: calls that need a lock wait until the end. */
void km_store_invalidate_begin(struct km_store *store);

/* Raises every floor to hlc, and begins the next epoch. A store without floors ignores
 * hlc. */
void km_store_invalidate_end(struct km_store *store, uint64_t hlc);

/* Does both, for a caller whose clock cannot move meanwhile. */
void km_store_invalidate(struct km_store *store, uint64_t hlc);
