/* SPDX-License-Identifier: MIT */
/*
 * What a group remembers: a map from key to value within a bound of bytes.
 *
 * The store is cut into shards by the high bits of the hash; a call takes the
 * lock of one shard at a time, never two. The bound is one for all shards:
 * who adds an item makes room first, in its own shard or in one that has more
 * than its part. max_bytes covers index, headers, what malloc rounds up,
 * ghosts, and values that left but are still referenced.
 *
 * Cost: a hit is one index line, one item, one lock. Nothing pauses: growth,
 * expiry and what a clear left are done in bounded steps by later mutations.
 * Thread-safety: any thread; new and free: setup.
 * Errors: KAMA_ERR_NO_MEMORY; nothing has changed then (but evictions).
 * Ownership: an item handed in is taken, success or failure; one handed out
 * is a reference of the caller's.
 */
#pragma once

#include "store/fill.h"
#include "store/item.h"

struct km_store;
struct km_policy_ops;

struct km_store_options {
    const kama_allocator *mem;    /* copied */
    const struct km_clock *clock; /* copied */
    const struct km_policy_ops *policy;
    uint64_t max_bytes; /* >= KM_GROUP_BYTES_MIN */
    uint64_t seed;      /* of the hash */
};

/* An empty store. Errors: KAMA_ERR_NO_MEMORY. */
KAMA_NODISCARD kama_status km_store_new(const struct km_store_options *options,
                                        struct km_store **ret_store);

/* Drops every item; referenced ones live on. NULL is a no-op. No fill is
 * pending. */
void km_store_free(struct km_store *store);

/* The hash by which the calls below know key. */
uint64_t km_store_hash(const struct km_store *store, kama_bytes key);

/* An item for this store; see km_item_new. */
kama_value *km_store_item_new(struct km_store *store,
                              const struct km_item_spec *spec);

/* KAMA_OK with a reference, KAMA_MISS for a negative entry, KAMA_WOULD_LOAD
 * when there is nothing. */
kama_status km_store_get(struct km_store *store, uint64_t hash, kama_bytes key,
                         kama_value **ret_value);

/* As km_store_get, copying. KAMA_ERR_TOO_SMALL writes *ret_len. */
kama_status km_store_copy(struct km_store *store, uint64_t hash, kama_bytes key,
                          void *buf, size_t cap, size_t *ret_len);

/* Puts item, whose only reference is taken, and overtakes fills of its key.
 * Errors: KAMA_ERR_NO_MEMORY, also when referenced values fill the store. */
KAMA_NODISCARD kama_status km_store_put(struct km_store *store, uint64_t hash,
                                        kama_value *item);

/* Removes key and overtakes its fills. true: there was a live value. */
bool km_store_del(struct km_store *store, uint64_t hash, kama_bytes key);

/* Removes everything and overtakes all fills. O(shards). */
void km_store_clear(struct km_store *store);

/* -- fills: see fill.h -- */

/* Looks key up again, as km_store_get, under the lock that registers fill:
 * KAMA_WOULD_LOAD means that fill is pending now. key is borrowed until
 * commit or cancel. */
kama_status km_store_fill_begin(struct km_store *store, struct km_fill *fill,
                                uint64_t hash, kama_bytes key,
                                kama_value **ret_value);

/* As km_store_fill_begin, for a get that was counted as a miss already: what it
 * finds counts as used, but not as a hit. */
kama_status km_store_fill_begin_again(struct km_store *store,
                                      struct km_fill *fill, uint64_t hash,
                                      kama_bytes key, kama_value **ret_value);

/* Ends fill. When it was not overtaken the store keeps item, a pinned item of
 * which it takes a reference of its own. true: kept. Room is made by
 * km_store_make_room before. */
bool km_store_fill_commit(struct km_store *store, struct km_fill *fill,
                          kama_value *item);

/* Ends fill without a result. Does nothing when it is not pending. */
void km_store_fill_cancel(struct km_store *store, struct km_fill *fill);

/* Evicts until everything in use fits, for an item of that hash which is
 * charged already. more_bytes: that part of it which is not pinned. false:
 * there is nothing left to evict. */
bool km_store_make_room(struct km_store *store, uint64_t hash,
                        uint64_t more_bytes);

/* -- figures -- */

struct km_store_stats {
    uint64_t hits;
    uint64_t negative_hits;
    uint64_t evictions;
    uint64_t expirations;
    uint64_t entries;          /* with a value */
    uint64_t negative_entries; /* that say "does not exist" */
    uint64_t payload_bytes;    /* keys and values of both */
    uint64_t used_bytes;
    uint64_t pinned_bytes;
    uint64_t max_bytes;
};

/* Sums over the shards, each read under its lock. */
void km_store_stats_get(struct km_store *store, struct km_store_stats *ret);

/* Walks every invariant. Asserts. O(n). */
void km_store_check(struct km_store *store);
