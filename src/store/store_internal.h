/* SPDX-License-Identifier: MIT */
/*
 * The members of struct km_store, for the files that implement it.
 *
 * The store and its shards are one allocation, in which the shards begin at a
 * cache line.
 */
#pragma once

#include "store/shard.h"
#include "store/store.h"

/* The hits that one thread has counted, or several threads beyond the first ones. */
struct km_store_cell {
    _Atomic uint64_t hits;
    _Atomic uint64_t negative_hits;
    char unused[48];
} __attribute__((aligned(64)));

struct km_store {
    struct km_shard *shards;
    unsigned shard_bits;  /* of the hash */
    unsigned shard_count; /* 2 to the power of shard_bits */
    uint64_t seed;
    struct km_account *account;
    struct km_floors *floors;   /* NULL: the store has none */
    _Atomic uint64_t max_bytes; /* the bound that is wanted; the account has the
                                 * one that is in force (km_store_resize) */
    _Atomic uint64_t stuck_held; /* held bytes when a wait was in vain */
    _Atomic uint64_t epoch; /* odd during an invalidation (store_epoch.h) */
    _Atomic uint64_t guest_bytes; /* km_store_charge */
    _Atomic km_ns *keep_at;       /* there is no housekeeping to do before */
    _Atomic km_ns own_keep_at;    /* if it has its own */
    unsigned keep_hand;           /* the shard at which it goes on */
    size_t base_bytes;      /* the blocks of the store and of its account */
    atomic_uint evict_hand; /* the shard that the next eviction begins at */
    void *block;            /* the allocation */
    struct km_store_cell cells[2 * KM_THREAD_CELLS]; /* see km_thread_counter */
};

/* Returns the shard of a hash, which its high bits choose. The shift by 63 -
 * bits after one by 1 is a shift by 64 - bits, which C does not define for
 * 64. */
static inline struct km_shard *km_store_shard(const struct km_store *store,
                                              uint64_t hash)
{
    return &store->shards[(hash >> 1) >> (63 - store->shard_bits)];
}

/* Counts a hit of the calling thread. */
static inline void km_store_count(struct km_store *store, bool negative)
{
    unsigned number = km_thread_counter();
    struct km_store_cell *cell = &store->cells[number];
    _Atomic uint64_t *count = negative ? &cell->negative_hits : &cell->hits;
    if (KM_LIKELY(number < KM_THREAD_CELLS)) {
        uint64_t n = atomic_load_explicit(count, memory_order_relaxed);
        atomic_store_explicit(count, n + 1, memory_order_relaxed);
    } else {
        atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
    }
}

/* Evicts until everything in use fits, or until enough was done for one call: the
 * rest is done by the next calls. `hash` says in which shard to begin; `newcomer` is the
 * hash of a key that was just stored, or 0 (struct km_eviction). */
void km_store_settle(struct km_store *store, uint64_t hash, uint64_t newcomer);

/* Makes a step of an eviction from the next shard in turn. Returns false if all are
 * empty. */
bool km_store_evict_some(struct km_store *store, uint64_t bytes);

/* Reserves n bytes for a value of the key, whose entry is not evicted
 * meanwhile: charges them to the account as held when there is room for them, and
 * makes room first. While copies that are under way hold everything, it waits for them
 * for a while. */
void km_store_reserve(struct km_store *store, kama_bytes key, uint64_t n);

/* Returns KAMA_OK if the live entry at a place, or that there is none, fulfils the
 * condition, and otherwise the status of the put. */
kama_status km_store_check_locked(const struct km_shard *shard,
                                  const struct km_place *place,
                                  const struct km_put_condition *condition);

/* Returns the status of a lookup of an entry, and a reference. With the lock. */
kama_status km_store_take_locked(struct km_store *store, struct km_shard *shard,
                                 const struct km_place *place,
                                 kama_value **ret_value);

/* Whether a look counts as a hit, beside telling the policy. */
enum km_look { KM_LOOK_USES, KM_LOOK_HITS };

/* Looks key up under the lock. A miss does some housekeeping. */
kama_status km_store_look_locked(struct km_store *store, struct km_shard *shard,
                                 uint64_t hash, kama_bytes key,
                                 enum km_look look, kama_value **ret_value);

/* Does what km_store_copy_why does, with the lock. */
struct km_found km_store_copy_locked(struct km_store *store, uint64_t hash,
                                     kama_bytes key, void *buf, size_t cap,
                                     size_t *ret_len);
