/* SPDX-License-Identifier: MIT */
/* Looks under the lock: every miss, and the hits that store_hit.c leaves to them. */
#include "base/status.h"
#include "store/store_hit.h"
#include "store/store_internal.h"

#include <inttypes.h>

kama_status km_store_may_hold(const struct km_store *store, uint64_t bytes)
{
    uint64_t max = km_account_max(store->account);
    uint64_t held = km_account_held_roughly(store->account);
    if (KM_LIKELY(held + bytes <= max / 4 * 3)) {
        return KAMA_OK;
    }
    return km_fail(KAMA_ERR_OVERLOADED,
                   "max_bytes: callers hold values of %" PRIu64
                   " bytes, which may be three quarters of %" PRIu64
                   "; give some of them back",
                   held, max);
}

/* Returns how many more bytes callers would hold with one more reference. */
static uint64_t more_held(const struct km_shard *shard, const km_word *record)
{
    const struct km_block *block = km_record_block(record);
    if (block == NULL) {
        return km_record_inline_len(km_record_header(record));
    }
    return atomic_load_explicit(&block->held, memory_order_relaxed) > 0
               ? 0
               : km_block_charge(shard->account, block->len);
}

kama_status km_store_take_locked(struct km_store *store, struct km_shard *shard,
                                 const struct km_place *place,
                                 kama_value **ret_value)
{
    if (place->ref == 0) {
        return KAMA_WOULD_LOAD;
    }
    if (km_shard_is_negative(shard, place)) {
        return KAMA_MISS;
    }
    const km_word *record = km_shard_record(shard, place);
    kama_status st = km_store_may_hold(store, more_held(shard, record));
    if (st != KAMA_OK) {
        return st;
    }
    *ret_value = km_record_item(store->account, record, false);
    return *ret_value != NULL
               ? KAMA_OK
               : km_fail(KAMA_ERR_NO_MEMORY, "no memory for a reference");
}

kama_status km_store_look_locked(struct km_store *store, struct km_shard *shard,
                                 uint64_t hash, kama_bytes key,
                                 enum km_look look, kama_value **ret_value)
{
    struct km_place place = km_shard_find_locked(shard, hash, key);
    if (place.ref == 0) {
        km_shard_step_locked(shard, 0);
        return KAMA_WOULD_LOAD;
    }
    km_policy_hit(&shard->policy, &place);
    kama_status st = km_store_take_locked(store, shard, &place, ret_value);
    if (look == KM_LOOK_HITS && (int)st >= 0) {
        km_store_count(store, st == KAMA_MISS);
    }
    return st;
}

/* Callers may not hold much more: then a look under the lock tells exactly. */
static bool holds_little(const struct km_store *store)
{
    return km_account_held_roughly(store->account) <
           km_account_max(store->account) / 2;
}

struct km_found km_store_get_why(struct km_store *store, uint64_t hash,
                                 kama_bytes key, kama_value **ret_value)
{
    struct km_found found = {.status = KAMA_OK};
    struct km_shard *shard = km_store_shard(store, hash);
    struct km_gone gone;
    kama_value *item =
        holds_little(store) ? km_store_hit_item(store, hash, key) : NULL;
    if (KM_LIKELY(item != NULL)) {
        *ret_value = item;
        km_store_settle(store, hash, hash);
        return found;
    }
    km_shard_lock(shard, &gone);
    km_shard_expect_miss_locked(shard, hash);
    found.status =
        km_store_look_locked(store, shard, hash, key, KM_LOOK_HITS, ret_value);
    if (found.status == KAMA_WOULD_LOAD) {
        found.why = km_shard_why_locked(shard, hash);
    }
    km_shard_unlock(shard, &gone);
    if (found.status == KAMA_OK) {
        km_store_settle(store, hash, hash);
    }
    return found;
}

struct km_found km_store_copy_locked(struct km_store *store, uint64_t hash,
                                     kama_bytes key, void *buf, size_t cap,
                                     size_t *ret_len)
{
    struct km_shard *shard = km_store_shard(store, hash);
    struct km_block *block = NULL;
    struct km_found found = {.status = KAMA_WOULD_LOAD};
    struct km_gone gone;
    km_shard_lock(shard, &gone);
    km_shard_expect_miss_locked(shard, hash);
    struct km_place place = km_shard_find_locked(shard, hash, key);
    if (place.ref == 0) {
        km_shard_step_locked(shard, 0);
        found.why = km_shard_why_locked(shard, hash);
    } else {
        bool negative = km_shard_is_negative(shard, &place);
        const km_word *record = km_shard_record(shard, &place);
        block = km_record_block(record);
        km_policy_hit(&shard->policy, &place);
        km_store_count(store, negative);
        if (block != NULL) {
            km_block_ref(block);
        }
        found.status = negative        ? KAMA_MISS
                       : block == NULL ? km_value_copy(km_record_value(record),
                                                       buf, cap, ret_len)
                                       : KAMA_OK;
    }
    km_shard_unlock(shard, &gone);
    if (block != NULL) { /* a large value is copied without the lock */
        found.status = km_value_copy(kama_bytes_make(block->bytes, block->len),
                                     buf, cap, ret_len);
        km_block_unref(block);
    }
    return found;
}

enum km_miss km_store_why(struct km_store *store, uint64_t hash)
{
    struct km_shard *shard = km_store_shard(store, hash);
    struct km_gone gone;
    km_shard_lock(shard, &gone);
    enum km_miss why = km_shard_why_locked(shard, hash);
    km_shard_unlock(shard, &gone);
    return why;
}
