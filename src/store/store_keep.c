/* SPDX-License-Identifier: MIT */
/*
 * keep_at of the store is taken away first and computed anew from the shards, each under
 * its lock. A thread that lowers the one of a shard meanwhile holds that lock as well:
 * either it was before, and is seen here, or it comes later, and lowers the new one of
 * the store.
 */
#include "store/store_keep.h"

#include "store/store_internal.h"

#define PATIENCE_PER_BYTES (UINT64_C(1) << 30) /* one more second for each */

/* Returns how long expired entries may stay among others. */
static km_ns patience(const struct km_store *store)
{
    uint64_t seconds = 1 + km_account_used(store->account) / PATIENCE_PER_BYTES;
    return seconds * KM_NS_PER_S;
}

/* Keeps house in one shard. Returns whether there is more to do at once. */
static bool keep_shard(struct km_store *store, struct km_shard *shard,
                       km_ns until)
{
    const struct km_clock *clock = &store->account->clock;
    bool more = true;
    while (more && km_clock_mono(clock) < until) {
        struct km_gone gone;
        km_shard_lock(shard, &gone);
        more = shard->keep_at <= km_clock_coarse(clock) &&
               km_shard_keep_locked(shard, patience(store));
        if (!more) {
            km_keep_by(store->keep_at, shard->keep_at);
        }
        km_shard_unlock(shard, &gone);
    }
    return more;
}

/* Pays the debt that calls have left to later ones (store_room.c). Returns whether there is more
 * to pay. */
static bool pay_debt(struct km_store *store, km_ns until)
{
    struct km_account *account = store->account;
    for (;;) {
        uint64_t used = km_account_used(account);
        uint64_t max = km_account_max(account);
        if (used <= max || !km_store_evict_some(store, used - max)) {
            return false;
        }
        if (km_clock_mono(&account->clock) >= until) {
            return true;
        }
    }
}

bool km_store_keep(struct km_store *store, km_ns until)
{
    if (atomic_load_explicit(store->keep_at, memory_order_relaxed) >= until) {
        return false;
    }
    atomic_store_explicit(store->keep_at, KM_NS_NEVER, memory_order_relaxed);
    bool more = pay_debt(store, until);
    for (unsigned i = 0; i < store->shard_count && !more; i++) {
        unsigned number = store->keep_hand++ % store->shard_count;
        more = keep_shard(store, &store->shards[number], until);
    }
    if (more) {
        km_keep_by(store->keep_at, 0);
    }
    return more;
}
