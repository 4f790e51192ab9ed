/* SPDX-License-Identifier: MIT */
#include "store/store_touch.h"

#include "base/status.h"
#include "store/store_internal.h"

/* Returns the place of the live value of key. */
static struct km_place find_value(struct km_shard *shard, uint64_t hash,
                                  kama_bytes key)
{
    struct km_place place = km_shard_find_locked(shard, hash, key);
    if (place.ref != 0 && km_shard_is_negative(shard, &place)) {
        place.ref = 0;
    }
    return place;
}

kama_status km_store_peek(struct km_store *store, uint64_t adoption,
                          uint64_t hash, kama_bytes key, km_ns *ret_expires_at)
{
    struct km_shard *shard = km_store_shard(store, hash);
    kama_status st = KAMA_ERR_TRY_AGAIN;
    struct km_gone gone;
    km_shard_lock(shard, &gone);
    if (adoption >= shard->adoption) {
        struct km_place place = find_value(shard, hash, key);
        st = place.ref != 0 ? KAMA_OK : KAMA_MISS;
        if (place.ref != 0) {
            *ret_expires_at =
                km_record_expires_at(km_shard_record(shard, &place));
        }
    }
    km_shard_unlock(shard, &gone);
    return st;
}

kama_value *km_store_value_of(struct km_store *store, uint64_t hash,
                              kama_bytes key, struct km_version version)
{
    struct km_shard *shard = km_store_shard(store, hash);
    kama_value *value = NULL;
    struct km_gone gone;
    km_shard_lock(shard, &gone);
    struct km_place place = find_value(shard, hash, key);
    const km_word *record =
        place.ref != 0 ? km_shard_record(shard, &place) : NULL;
    if (record != NULL && km_version_is_set(version) &&
        km_version_compare(km_record_stamp(record), version) == 0) {
        value = km_record_item(store->account, record, false);
    }
    km_shard_unlock(shard, &gone);
    return value;
}

/* -- looks ----------------------------------------------------------------- */

static enum km_store_presence presence_of(const struct km_shard *shard,
                                          const km_word *record)
{
    if (km_shard_has_expired(shard, record)) {
        return KM_STORE_EXPIRED;
    }
    return (km_record_header(record) & KM_RECORD_NEGATIVE) != 0
               ? KM_STORE_NEGATIVE
               : KM_STORE_VALUE;
}

void km_store_look(struct km_store *store, uint64_t hash, kama_bytes key,
                   struct km_store_look *ret_look)
{
    struct km_shard *shard = km_store_shard(store, hash);
    struct km_gone gone;
    km_shard_lock(shard, &gone);
    *ret_look = (struct km_store_look){.presence = KM_STORE_ABSENT,
                                       .why = km_shard_why_locked(shard, hash)};
    struct km_place place = km_index_find(&shard->index, hash, key);
    if (place.ref != 0 && !km_shard_is_hidden_locked(shard, key)) {
        const km_word *record = km_shard_record(shard, &place);
        *ret_look = (struct km_store_look){
            .presence = presence_of(shard, record),
            .why = KM_MISS_EXPIRED,
            .expires_at = km_record_expires_at(record),
            .version = km_record_version(record),
            .stamp = km_record_stamp(record),
            .value_bytes = (uint32_t)km_record_value(record).len,
        };
    }
    km_shard_unlock(shard, &gone);
}

/* -- touches --------------------------------------------------------------- */

/* Puts a copy of the value at a place that expires at another time. */
static kama_status put_copy(struct km_shard *shard, uint64_t hash,
                            const struct km_place *place, km_ns expires_at)
{
    kama_value *item = km_record_item_until(
        shard->account, km_shard_record(shard, place), expires_at);
    if (item == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    kama_status st = km_shard_put_locked(shard, hash, item);
    kama_value_unref(item);
    return st;
}

kama_status km_store_touch(struct km_store *store, uint64_t adoption,
                           uint64_t hash, kama_bytes key, km_ns expires_at)
{
    struct km_shard *shard = km_store_shard(store, hash);
    kama_status st = KAMA_ERR_TRY_AGAIN;
    struct km_gone gone;
    km_shard_lock(shard, &gone);
    if (adoption >= shard->adoption) {
        struct km_place place = find_value(shard, hash, key);
        st = place.ref == 0 ? KAMA_MISS
                            : put_copy(shard, hash, &place, expires_at);
        if (st == KAMA_OK) {
            km_shard_overtake_locked(shard, hash, key);
            km_shard_step_locked(shard, 0);
        }
    }
    km_shard_unlock(shard, &gone);
    km_store_settle(store, hash, hash);
    return st != KAMA_ERR_NO_MEMORY
               ? st
               : km_fail(st, "no memory for a copy of the value");
}
