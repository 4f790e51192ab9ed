/* SPDX-License-Identifier: MIT */
/*
 * kama_touch, kama_exists and kama_ttl: the calls that concern an entry but not its
 * value. They look into memory only: they never load, they do not wait for a load,
 * and a look by kama_exists or kama_ttl is counted neither as a hit nor as a miss.
 */
#include "base/status.h"
#include "group/group_internal.h"
#include "store/store_touch.h"

static kama_status check_call(const kama_group *group, kama_bytes key,
                              const kama_ctx *ctx)
{
    struct km_call_limits call;
    kama_status st = km_group_check_key(key);
    return st == KAMA_OK ? km_call_limits_init(group, ctx, &call) : st;
}

kama_status kama_touch(kama_group *group, kama_bytes key, int64_t ttl_ms,
                       const kama_ctx *ctx)
{
    km_ns expires_at = 0;
    kama_status st = check_call(group, key, ctx);
    if (st != KAMA_OK) {
        return st;
    }
    uint64_t hash = km_store_hash(group->store, key);
    st = km_group_expiry(group, ttl_ms, hash, &expires_at);
    return st == KAMA_OK
               ? km_store_touch(group->store, 0, hash, key, expires_at)
               : st;
}

kama_status kama_exists(kama_group *group, kama_bytes key, const kama_ctx *ctx)
{
    km_ns expires_at;
    kama_status st = check_call(group, key, ctx);
    if (st != KAMA_OK) {
        return st;
    }
    uint64_t hash = km_store_hash(group->store, key);
    return km_store_peek(group->store, 0, hash, key, &expires_at);
}

/* Returns the time that an entry has left, rounded up. The entry had not expired
 * when it was looked up, so that at least 1 ms is left. */
static int64_t left_ms(const kama_group *group, km_ns expires_at)
{
    km_ns now = km_group_now(group);
    if (expires_at == 0) {
        return KAMA_TTL_FOREVER;
    }
    return expires_at <= now ? 1
                             : (int64_t)((expires_at - now + KM_NS_PER_MS - 1) /
                                         KM_NS_PER_MS);
}

kama_status kama_ttl(kama_group *group, kama_bytes key, const kama_ctx *ctx,
                     int64_t *ret_ttl_ms)
{
    km_ns expires_at = 0;
    kama_status st = check_call(group, key, ctx);
    if (st != KAMA_OK) {
        return st;
    }
    uint64_t hash = km_store_hash(group->store, key);
    st = km_store_peek(group->store, 0, hash, key, &expires_at);
    if (st == KAMA_OK) {
        *ret_ttl_ms = left_ms(group, expires_at);
    }
    return st;
}
