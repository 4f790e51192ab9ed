/* SPDX-License-Identifier: MIT */
#include "services/mget_keys.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/status.h"

#include <string.h>

void km_mget_keys_init(struct km_mget_keys *keys, const kama_allocator *mem,
                       struct km_pb_list list)
{
    *keys =
        (struct km_mget_keys){.mem = mem, .list = list, .count = list.count};
    km_twins_init(&keys->twins, mem);
}

void km_mget_keys_fini(struct km_mget_keys *keys)
{
    km_twins_fini(&keys->twins);
    km_mem_free(keys->mem, keys->copy);
    keys->copy = NULL;
}

uint32_t km_mget_keys_next(struct km_mget_keys *keys, kama_bytes *ret_key)
{
    bool more = km_pb_next(&keys->list, ret_key);
    KM_ASSERT(more && km_mget_keys_left(keys));
    return keys->next++;
}

/* Copies the keys from `from` on, which lies in the request, so that they are
 * still there when the handler has returned. */
static kama_status copy_from(struct km_mget_keys *keys, const uint8_t *from)
{
    size_t len = (size_t)(keys->list.end - from);
    KM_ASSERT(keys->copy == NULL && len > 0);
    keys->copy = km_mem_alloc(keys->mem, len);
    if (keys->copy == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    memcpy(keys->copy, from, len);
    keys->list.at = keys->copy + (keys->list.at - from);
    keys->list.end = keys->copy + len;
    return KAMA_OK;
}

/* A key of a stream may have been added before: the stream forgets an answer that
 * it has sent, and then asks again for an equal key. */
kama_status km_mget_keys_park(struct km_mget_keys *keys,
                              const kama_group *group, kama_bytes key,
                              uint32_t index)
{
    if (!km_mget_keys_left(keys)) {
        return KAMA_OK; /* no equal key can follow */
    }
    if (keys->copy == NULL) {
        kama_status st = copy_from(keys, key.data);
        if (st != KAMA_OK) {
            return st;
        }
        key.data = keys->copy;
    }
    uint64_t hash = km_group_hash(group, key);
    return km_twins_find(&keys->twins, hash, key) == KM_TWINS_NONE
               ? km_twins_add(&keys->twins, hash, key, index)
               : KAMA_OK;
}

uint32_t km_mget_keys_find(const struct km_mget_keys *keys,
                           const kama_group *group, kama_bytes key)
{
    return keys->twins.count == 0
               ? KM_TWINS_NONE
               : km_twins_find(&keys->twins, km_group_hash(group, key), key);
}

kama_status km_mget_keys_keep(struct km_mget_keys *keys)
{
    return keys->copy != NULL || !km_mget_keys_left(keys)
               ? KAMA_OK
               : copy_from(keys, keys->list.at);
}

void km_mget_keys_give(struct km_service_env *env, uint32_t count)
{
    atomic_fetch_sub_explicit(&env->mget_keys, count, memory_order_relaxed);
}

kama_status km_mget_keys_take(struct km_service_env *env, uint32_t count)
{
    if (count > KM_MGET_KEYS_MAX) {
        return km_fail(
            KAMA_ERR_TOO_LARGE,
            "keys: %u are more than the limit of %d; use several calls", count,
            KM_MGET_KEYS_MAX);
    }
    if (atomic_fetch_add_explicit(&env->mget_keys, count,
                                  memory_order_relaxed) +
            count <=
        KM_MGET_KEYS_NODE) {
        return KAMA_OK;
    }
    km_mget_keys_give(env, count);
    return km_fail(KAMA_ERR_OVERLOADED,
                   "all MGets of the node together ask for more than %u keys; "
                   "try again later",
                   KM_MGET_KEYS_NODE);
}
