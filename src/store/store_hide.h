/* SPDX-License-Identifier: MIT */
/*
 * Hiding entries: what a store does when its node adopts another view of the
 * cluster, and some slots belong to other nodes from then on.
 *
 *     km_store_hide(store, 7, lost);          adoption 7 has lost these slots
 *     while (km_store_sweep(store, &cursor)) { ... }
 *
 * The number of the adoption belongs to each shard. Whoever changes an entry or
 * begins a fill says by which adoption it was decided that this node owns the
 * key, and is refused with KAMA_ERR_TRY_AGAIN under the lock of the shard if the
 * shard has seen a newer adoption than that:
 *
 *     set                             adoption
 *     asks: this node owns the key (6)
 *                                     hide(7): shard's number is 7, the slot is
 *                                     hidden; another node is the owner
 *     put(6): refused, asks again
 *
 * A decision by an adoption that the shard has not seen yet is acted on: the node
 * changes its answers first and hides the entries afterwards, and the slots that
 * it owns by the new answers are not among those that it is about to hide.
 *
 * Had the set come first, its entry would have been hidden with the others. Both
 * orders are right, because both steps are one critical section of the shard.
 *
 * Hidden entries are gone at once for every look, and are freed when a look or
 * the sweep meets them. A look computes the slot of a key only while a sweep is
 * to be done; otherwise it reads one pointer, which is in the shard:
 *
 *     hidden == NULL  --hide(lost)-->  hidden == lost  --sweep has passed-->  NULL
 *
 * The fills of the lost slots are overtaken in the same critical section, and so
 * are all fills that only serve (fill.h): a get that begins after the adoption
 * must not join a load that was begun by the old view.
 *
 * Threads: any thread, but hide and sweep of one store by one thread at a time.
 * Errors: none. Ownership: the map is borrowed until the sweep has returned
 * false, or the next hide has returned. Cost: hide is O(shards + fills).
 */
#pragma once

#include "store/slot_map.h"
#include "store/store.h"

/* Begins an adoption, and hides the entries of the lost slots. lost: NULL if no
 * slot was lost; a map must have the bits of a map whose sweep has not ended. */
void km_store_hide(struct km_store *store, uint64_t adoption,
                   const struct km_slot_map *lost);

/* Frees some hidden entries of one shard. *cursor is 0 before the first call
 * after a hide. Returns whether there is more to do. */
bool km_store_sweep(struct km_store *store, uint64_t *cursor);

/* Slots whose entries are to be forgotten. */
struct km_forgetting {
    const struct km_slot_map *slots;
    /* Returns whether they still are. Runs under the lock of a shard: whoever stores an entry
     * because they are not any more has either not stored it yet, or is seen here. NULL: they
     * are. */
    bool (*is_due)(void *arg);
    void *arg;
};

/* Takes entries out whose slots are in the map, and forgets them (R5): those of some buckets
 * of one shard. Unlike hidden ones they count until then, and what is stored meanwhile is
 * taken out or not. *cursor is 0 before the first call. Returns whether there is more to do:
 * there is not if the slots are not due any more. No slots are hidden in this store. */
bool km_store_forget_slots(struct km_store *store,
                           const struct km_forgetting *forgetting,
                           uint64_t *cursor);

/* Overtakes the fills of key, without a change of its entry: another node has
 * changed the value. */
void km_store_overtake(struct km_store *store, uint64_t hash, kama_bytes key);
