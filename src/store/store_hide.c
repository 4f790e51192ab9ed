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

/* Cleans some buckets of a shard from the position `at` on. Returns the position
 * behind them. The map is given up behind the last bucket of the shard. */
static uint64_t sweep_shard(struct km_shard *shard, unsigned shard_bits,
                            uint64_t at)
{
    struct km_gone gone;
    uint64_t end = at | (UINT64_MAX >> shard_bits);
    bool done;
    km_shard_lock(shard, &gone);
    done = shard->hidden == NULL;
    for (unsigned i = 0; i < BUCKETS_PER_CALL && !done; i++) {
        unsigned bits =
            km_shard_clean_bucket_locked(shard, at << shard_bits) + shard_bits;
        uint64_t size =
            bits == 0 ? UINT64_MAX : (UINT64_C(1) << (64 - bits)) - 1;
        at |= size;
        done = at == end;
        at++;
    }
    if (done) {
        shard->hidden = NULL;
        km_shard_open_locked(shard);
    }
    km_shard_unlock(shard, &gone);
    return done ? end + 1 : at;
}

bool km_store_sweep(struct km_store *store, uint64_t *cursor)
{
    unsigned bits = store->shard_bits;
    uint64_t s = bits == 0 ? 0 : *cursor >> (64 - bits);
    *cursor = sweep_shard(&store->shards[s], bits, *cursor);
    return *cursor != 0;
}

void km_store_overtake(struct km_store *store, uint64_t hash, kama_bytes key)
{
    struct km_shard *shard = km_store_shard(store, hash);
    struct km_gone gone;
    km_shard_lock(shard, &gone);
    km_shard_overtake_locked(shard, hash, key);
    km_shard_unlock(shard, &gone);
}
