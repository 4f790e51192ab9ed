/* SPDX-License-Identifier: MIT */
/*
 * The mutations: kama_set, kama_del and kama_group_clear. The store makes each of
 * them overtake the loads of its key that have begun before, so that their results
 * are not kept (store/fill.h).
 */
#include "base/status.h"
#include "base/struct.h"
#include "group/group_internal.h"

/* Checks the options of a set and the context in them, and writes the time to
 * live. */
static kama_status read_set_options(const kama_group *group,
                                    const kama_set_options *options,
                                    int64_t *ret_ttl_ms)
{
    struct km_call_limits call;
    kama_set_options own;
    kama_set_options_init(&own);
    kama_status st = options == NULL ? KAMA_OK
                                     : km_struct_read(&own, sizeof own, options,
                                                      "set options");
    if (st == KAMA_OK) {
        st = km_call_limits_init(group, own.ctx, &call);
    }
    if (st == KAMA_OK) {
        *ret_ttl_ms = own.ttl_ms;
    }
    return st;
}

static kama_status check_set(kama_group *group, kama_bytes key,
                             kama_bytes value, const kama_set_options *options,
                             int64_t *ret_ttl_ms)
{
    kama_status st = km_group_check_key(key);
    if (st == KAMA_OK) {
        st = km_group_check_value(group, value);
    }
    if (st == KAMA_OK) {
        st = read_set_options(group, options, ret_ttl_ms);
    }
    return st;
}

kama_status kama_set(kama_group *group, kama_bytes key, kama_bytes value,
                     const kama_set_options *options)
{
    int64_t ttl_ms = 0;
    struct km_item_spec spec = {.key = key, .value = value};
    kama_status st = check_set(group, key, value, options, &ttl_ms);
    if (st != KAMA_OK) {
        return st;
    }
    uint64_t hash = km_store_hash(group->store, key);
    st = km_group_expiry(group, ttl_ms, hash, &spec.expires_at);
    if (st != KAMA_OK) {
        return st;
    }
    kama_value *item = km_store_item_new(group->store, &spec);
    if (item == NULL) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for a value");
    }
    st = km_store_put(group->store, 0, hash, item);
    if (st == KAMA_OK) {
        km_group_count(group, KM_GROUP_SETS);
    }
    return st;
}

kama_status kama_del(kama_group *group, kama_bytes key, const kama_ctx *ctx)
{
    struct km_call_limits call;
    kama_status st = km_group_check_key(key);
    if (st == KAMA_OK) {
        st = km_call_limits_init(group, ctx, &call);
    }
    if (st != KAMA_OK) {
        return st;
    }
    km_group_count(group, KM_GROUP_DELS);
    uint64_t hash = km_store_hash(group->store, key);
    return km_store_del(group->store, 0, hash, key);
}

kama_status kama_group_clear(kama_group *group)
{
    km_group_count(group, KM_GROUP_CLEARS);
    km_store_clear(group->store);
    return KAMA_OK;
}
