/* SPDX-License-Identifier: MIT */
/* The sweep goes through the shards one by one, and in each through the buckets
 * in the order of the reversed hashes, as a scan does (store_scan.c). So it meets
 * every hidden entry, even if the index grows or shrinks in between: hidden
 * entries only leave, and new entries of hidden slots do not come. */
#include "store/store_hide.h"

#include "store/store_internal.h"

#define BUCKETS_PER_CALL 64u

void km_store_hide(struct km_store *store, uint64_t adoption,
                   const struct km_slot_map *lost)
{
    for (unsigned i = 0; i < store->shard_count; i++) {
        struct km_shard *shard = &store->shards[i];
        struct km_gone gone;
        km_shard_lock(shard, &gone);
        km_shard_hide_locked(shard, adoption, lost);
        km_shard_unlock(shard, &gone);
    }
}

/* Returns the position behind the last bucket of the shard that `at` is in, minus 1. */
static uint64_t end_of(uint64_t at, unsigned shard_bits)
{
    return at | (UINT64_MAX >> shard_bits);
}

/* Cleans some buckets of a shard from the position `at` on. Returns the position
 * behind them. */
static uint64_t clean_locked(struct km_shard *shard, unsigned shard_bits,
                             uint64_t at)
{
    uint64_t end = end_of(at, shard_bits);
    bool done = false;
    for (unsigned i = 0; i < BUCKETS_PER_CALL && !done; i++) {
        unsigned bits =
            km_shard_clean_bucket_locked(shard, at << shard_bits) + shard_bits;
        uint64_t size =
            bits == 0 ? UINT64_MAX : (UINT64_C(1) << (64 - bits)) - 1;
        at |= size;
        done = at == end;
        at++;
    }
    return at;
}

/* The map is given up behind the last bucket of the shard. */
static uint64_t sweep_shard(struct km_shard *shard, unsigned shard_bits,
                            uint64_t at)
{
    struct km_gone gone;
    uint64_t behind = end_of(at, shard_bits) + 1;
    km_shard_lock(shard, &gone);
    at = shard->hidden != NULL ? clean_locked(shard, shard_bits, at) : behind;
    if (at == behind) {
        shard->hidden = NULL;
        km_shard_open_locked(shard);
    }
    km_shard_unlock(shard, &gone);
    return at;
}

static struct km_shard *shard_at(struct km_store *store, uint64_t cursor)
{
    unsigned bits = store->shard_bits;
    return &store->shards[bits == 0 ? 0 : cursor >> (64 - bits)];
}

bool km_store_sweep(struct km_store *store, uint64_t *cursor)
{
    *cursor = sweep_shard(shard_at(store, *cursor), store->shard_bits, *cursor);
    return *cursor != 0;
}

/* The slots are hidden as long as the lock is held. Hits without the lock go on meanwhile,
 * as they do before and behind it. */
bool km_store_forget_slots(struct km_store *store,
                           const struct km_forgetting *forgetting,
                           uint64_t *cursor)
{
    struct km_shard *shard = shard_at(store, *cursor);
    struct km_gone gone;
    km_shard_lock(shard, &gone);
    KM_ASSERT(shard->hidden == NULL);
    bool is_due =
        forgetting->is_due == NULL || forgetting->is_due(forgetting->arg);
    if (is_due) {
        shard->hidden = forgetting->slots;
        *cursor = clean_locked(shard, store->shard_bits, *cursor);
        shard->hidden = NULL;
    }
    km_shard_unlock(shard, &gone);
    return is_due && *cursor != 0;
}

void km_store_overtake(struct km_store *store, uint64_t hash, kama_bytes key)
{
    struct km_shard *shard = km_store_shard(store, hash);
    struct km_gone gone;
    km_shard_lock(shard, &gone);
    km_shard_overtake_locked(shard, hash, key);
    km_shard_unlock(shard, &gone);
}
