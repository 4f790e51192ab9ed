/* SPDX-License-Identifier: MIT */
/*
 * The uses of the memory of a store. Every byte of used_bytes (account.h) is in
 * exactly one of these:
 *
 *     segments   | live records | holes | free, not appended to yet |
 *     pages      | blocks | lines of the index | free, still resident |
 *     malloc     | ghosts | values that callers hold | tables and the store itself |
 *
 * A block that is stored and held counts as held: no eviction can free it. Holes are
 * records that have left, until the sweep or the eviction frees their segment. The segments of a
 * clear are free.
 *
 *     struct km_usage usage = {0};
 *     km_usage_add_shard_locked(&usage, shard);        for each shard
 *     km_usage_add_common(&usage, store);
 *     KM_ASSERT(km_usage_sum(&usage) == km_account_used(account));
 *
 * The sum is exact while no call is under way: a call that stores a value reserves
 * memory before it takes it.
 *
 * Cost: O(segments) for each shard. Threads: any thread. Errors: none.
 */
#pragma once

#include <stdint.h>

struct km_shard;
struct km_store;

struct km_usage {
    uint64_t live;  /* records of the entries, without blocks */
    uint64_t holes; /* records that have left, in segments of others */
    uint64_t free;  /* parts of segments, and pages, that are to be used next */
    uint64_t blocks; /* large values that nobody holds */
    uint64_t index;
    uint64_t ghosts; /* of the policy, and the departed keys */
    uint64_t held;   /* values that callers hold, with their blocks */
    uint64_t fixed;  /* the store, its tables and floors, and what the group has
                     * charged */
};

/* Adds the memory of a shard. */
void km_usage_add_shard_locked(struct km_usage *usage,
                               const struct km_shard *shard);

/* Adds the memory that belongs to no shard. */
void km_usage_add_common(struct km_usage *usage, const struct km_store *store);

/* Returns the sum of all uses. */
uint64_t km_usage_sum(const struct km_usage *usage);
