/* SPDX-License-Identifier: MIT */
/* The inside of struct km_store, for the files of this folder. */
#pragma once

#include "store/shard.h"

struct km_store {
    struct km_shard *shards; /* in the same allocation */
    unsigned shard_bits;
    unsigned shard_count;
    uint64_t seed;
    size_t base_bytes; /* of store and account */
    struct km_account *account;
    atomic_uint evict_hand;
};

/* The shard of a hash: its high bits. */
static inline struct km_shard *km_store_shard(const struct km_store *store,
                                              uint64_t hash)
{
    return &store->shards[(hash >> 1) >> (63 - store->shard_bits)];
}
