/* SPDX-License-Identifier: MIT */
/*
 * The floors of a store: its memory of entries that it has not any more.
 *
 * In a synchronized group, mutations of different nodes arrive in any order. An old set
 * must not bring back a value that was deleted, evicted or invalidated here, although
 * nothing is left to compare it with:
 *
 *     this node                        the stream of another node
 *     set v2, evicts it for room
 *                                      set v1, which is older, arrives late
 *     keeps v1; the other node, which has both, keeps v2
 *
 * A floor is a clock: at least that of every version in its slot that was deleted, or
 * forgotten, and a set with a clock that is not above it is not kept. A slot is what the
 * highest bits of the hash choose, so that it lies in one shard:
 *
 *     hash   | shard |            |     ...     |
 *            |       slot         |
 *
 * There is one for each 8 KiB of the store, and at least 1024; a floor that another key
 * of the slot has raised refuses some more sets than it must, but that is rare. One more
 * number is the least floor of all slots, by which a whole store is invalidated at once.
 *
 *     km_floors_raise(floors, hash, version.hlc);         with the shard's lock
 *     if (version.hlc > km_floors_get(floors, hash)) { ... may be installed }
 *
 * Floors never sink.
 *
 * Cost: 8 bytes per slot, 0.1 % of the store; a load of two words. Threads: any thread
 * may read; a slot is raised under the lock of its shard, and the least floor by any
 * thread. Errors: NULL without memory. Ownership: charged to the account; the store
 * frees them.
 */
#pragma once

#include "store/account.h"

struct km_floors {
    struct km_account *account;
    unsigned bits;        /* of the hash, that choose a slot */
    _Atomic uint64_t all; /* no floor is below it */
    _Atomic uint64_t slots[];
};

/* Makes the floors of a store with so many bytes, all 0. Returns NULL without
 * memory. */
struct km_floors *km_floors_new(struct km_account *account, uint64_t max_bytes);

/* Frees them. NULL does nothing. */
void km_floors_free(struct km_floors *floors);

/* Returns how many bytes are charged for them. */
uint64_t km_floors_bytes(const struct km_floors *floors);

/* Returns the floor of the slot of a hash. */
static inline uint64_t km_floors_get(const struct km_floors *floors,
                                     uint64_t hash)
{
    uint64_t slot = atomic_load_explicit(
        &floors->slots[hash >> (64 - floors->bits)], memory_order_acquire);
    uint64_t all = atomic_load_explicit(&floors->all, memory_order_acquire);
    return slot > all ? slot : all;
}

/* Raises the floor of the slot of a hash to hlc, unless it is higher. The caller has the
 * lock of the shard. */
void km_floors_raise(struct km_floors *floors, uint64_t hash, uint64_t hlc);

/* Raises every floor to hlc, in O(1). */
void km_floors_raise_all(struct km_floors *floors, uint64_t hlc);
