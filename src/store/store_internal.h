/* SPDX-License-Identifier: MIT */
/*
 * The members of struct km_store, for the files that implement it: store.c,
 * store_scan.c and store_touch.c.
 *
 * The store and its shards are one allocation, in which the shards begin at a
 * cache line:
 *
 *     | struct km_store | padding | shard 0 | shard 1 | ... |
 *
 * Threads: shards, bits, count, seed and account never change after
 * km_store_new.
 */
#pragma once

#include "store/shard.h"

struct km_store {
    struct km_shard *shards; /* in the same allocation */
    unsigned shard_bits;     /* of the hash */
    unsigned shard_count;    /* 2 to the power of shard_bits */
    uint64_t seed;
    size_t base_bytes; /* the blocks of the store and of its account */
    struct km_account *account;
    _Atomic uint64_t max_bytes; /* the bound that is wanted; the account has the
                                 * one that is in force (km_store_resize) */
    atomic_uint evict_hand;     /* the shard that the next eviction begins at */
};

/* Returns the shard of a hash, which its high bits choose. The shift by 63 -
 * bits after one by 1 is a shift by 64 - bits, which C does not define for
 * 64. */
static inline struct km_shard *km_store_shard(const struct km_store *store,
                                              uint64_t hash)
{
    return &store->shards[(hash >> 1) >> (63 - store->shard_bits)];
}
