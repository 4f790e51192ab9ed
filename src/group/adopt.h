/* SPDX-License-Identifier: MIT */
/*
 * What a clustered group does when the node adopts a view. A group with
 * sync=local owns every key in every view: an adoption changes nothing there.
 *
 *     the answers of km_owner_ops.ask have changed;  adoption is their number
 *     km_group_adopt(group, adoption, lost);
 *         from here on, hits in the lost slots are misses, loads of keys in the
 *         lost slots are overtaken, and requests that were decided by an
 *         earlier adoption ask again
 *     km_group_sweep(group, walk)      until it returns false: frees the entries
 *
 * `lost` has one bit for each slot. Slots that are hidden stay hidden until
 * km_group_sweep has returned false, also if the node owns them again: the
 * caller does not say HERE for them before.
 *
 * Threads: any thread, but one at a time for each group. Errors: none.
 * Ownership: the bitmap is borrowed until km_group_sweep has returned false, or
 * the next km_group_adopt has returned. Cost: adopt is O(shards + loads); sweep
 * visits a bounded number of entries under the lock of one shard.
 */
#pragma once

#include "group/owner.h"
#include "store/slot_map.h"

_Static_assert(KM_OWNER_SLOT_BITS == KM_SLOT_BITS,
               "a map has one bit for each slot that can be owned");

/* Hides the entries of the lost slots, and overtakes their loads. A synchronized group
 * keeps its entries, whoever owns their keys, and only learns the number. lost: NULL if
 * the node has lost none. A second call before the sweep has ended must have
 * the bits of the first one too. */
void km_group_adopt(kama_group *group, uint64_t adoption,
                    const struct km_slot_map *lost);

/* Where a sweep is; zeroed before the first call after an adoption. */
struct km_group_sweep {
    uint64_t cursor;
};

/* Frees some of the hidden entries. Returns whether there is more to do. */
bool km_group_sweep(kama_group *group, struct km_group_sweep *sweep);

/* Empties the group, as kama_group_clear does, without counting a clear: this
 * node cannot know whether its entries are still true. */
void km_group_forget(kama_group *group);
