/* SPDX-License-Identifier: MIT */
/*
 * A touch copies the value outside of the lock, because it may be large. Then
 * the copy takes the place of the value that it was made from, but only if that
 * is still there and alive:
 *
 *     touch                          another thread
 *     takes a reference to v1
 *     copies v1                      set(k, v2), or del(k), or v1 expires
 *     finds that v1 is not there     (had it put the copy, the old value would
 *     any more, and begins again      have come back after the mutation)
 *
 * The reference keeps v1's memory from being used for another item meanwhile,
 * so that comparing addresses is enough.
 */
#include "store/store_touch.h"

#include "base/status.h"
#include "store/store_internal.h"

kama_status km_store_peek(struct km_store *store, uint64_t adoption,
                          uint64_t hash, kama_bytes key, km_ns *ret_expires_at)
{
    struct km_shard *shard = km_store_shard(store, hash);
    struct km_list gone;
    km_list_init(&gone);
    km_mutex_lock(&shard->lock);
    const kama_value *item = km_shard_peek_locked(shard, hash, key, &gone);
    if (item != NULL && adoption >= shard->adoption) {
        *ret_expires_at = km_item_expires_at(item);
    }
    kama_status st = item != NULL ? KAMA_OK : KAMA_MISS;
    st = adoption >= shard->adoption ? st : KAMA_ERR_TRY_AGAIN;
    km_mutex_unlock(&shard->lock);
    km_shard_drop_list(&gone);
    return st;
}

/* -- looks ----------------------------------------------------------------- */

static enum km_store_presence presence_of(const kama_value *item)
{
    if (km_item_expired(item)) {
        return KM_STORE_EXPIRED;
    }
    return (item->flags & KM_ITEM_NEGATIVE) != 0 ? KM_STORE_NEGATIVE
                                                 : KM_STORE_VALUE;
}

void km_store_look(struct km_store *store, uint64_t hash, kama_bytes key,
                   struct km_store_look *ret_look)
{
    struct km_shard *shard = km_store_shard(store, hash);
    *ret_look = (struct km_store_look){.presence = KM_STORE_ABSENT};
    km_mutex_lock(&shard->lock);
    const uint64_t *slot = km_index_find(&shard->index, hash, key);
    if (slot != NULL && !km_shard_is_hidden_locked(shard, key)) {
        const kama_value *item = km_slot_item(*slot);
        *ret_look = (struct km_store_look){
            .presence = presence_of(item),
            .expires_at = km_item_expires_at(item),
            .version = kama_value_version(item),
            .value_bytes = item->value_len,
        };
    }
    km_mutex_unlock(&shard->lock);
}

/* -- touches --------------------------------------------------------------- */

/* One touch, and the adoption by which it was decided. */
struct touch {
    struct km_store *store;
    uint64_t adoption;
    uint64_t hash;
    kama_bytes key;
    km_ns expires_at;
};

/* Returns KAMA_OK with a reference to the live value of the key, which counts as
 * used. Returns KAMA_MISS if there is none, and KAMA_ERR_TRY_AGAIN after another
 * adoption. */
static kama_status take(const struct touch *t, kama_value **ret_value)
{
    struct km_shard *shard = km_store_shard(t->store, t->hash);
    kama_status st = KAMA_ERR_TRY_AGAIN;
    struct km_list gone;
    km_list_init(&gone);
    km_mutex_lock(&shard->lock);
    if (t->adoption >= shard->adoption) {
        kama_value *item = km_shard_peek_locked(shard, t->hash, t->key, &gone);
        st = item != NULL ? KAMA_OK : KAMA_MISS;
        if (item != NULL) {
            km_policy_hit(&shard->policy, item);
            *ret_value = kama_value_ref(item);
        }
    }
    km_mutex_unlock(&shard->lock);
    km_shard_drop_list(&gone);
    return st;
}

/* Puts item in the place of old, of which the caller holds a reference. Returns
 * KAMA_WOULD_LOAD if old is not there any more, or has expired, and
 * KAMA_ERR_TRY_AGAIN after another adoption. */
static kama_status exchange(const struct touch *t, kama_value *old,
                            kama_value *item)
{
    struct km_shard *shard = km_store_shard(t->store, t->hash);
    kama_status st = KAMA_ERR_TRY_AGAIN;
    struct km_list gone;
    km_list_init(&gone);
    km_mutex_lock(&shard->lock);
    if (t->adoption >= shard->adoption) {
        bool same = km_shard_peek_locked(shard, t->hash, t->key, &gone) == old;
        st = same ? KAMA_OK : KAMA_WOULD_LOAD;
        if (same) {
            km_shard_swap_locked(shard, t->hash, old, item, &gone);
            km_shard_overtake_locked(shard, t->hash, t->key);
            km_shard_step_locked(shard, &gone);
        }
    }
    km_mutex_unlock(&shard->lock);
    km_shard_drop_list(&gone);
    return st;
}

/* Returns a copy of item that expires at another time, and makes room for it.
 * Returns NULL without memory or room. */
static kama_value *copy(struct km_store *store, uint64_t hash,
                        const kama_value *item, km_ns expires_at)
{
    const struct km_item_spec spec = {
        .key = km_item_key_bytes(item),
        .value = km_item_value_bytes(item),
        .expires_at = expires_at,
        .version = kama_value_version(item),
    };
    kama_value *made = km_store_item_new(store, &spec);
    if (made != NULL &&
        !km_store_make_room(store, hash, km_item_block_bytes(made))) {
        km_item_drop(made);
        made = NULL;
    }
    return made;
}

/* Makes one attempt. Returns KAMA_WOULD_LOAD if the value has changed
 * meanwhile. */
static kama_status try_touch(const struct touch *t)
{
    kama_value *old;
    kama_status st = take(t, &old);
    if (st != KAMA_OK) {
        return st;
    }
    st = KAMA_ERR_NO_MEMORY;
    kama_value *item = copy(t->store, t->hash, old, t->expires_at);
    if (item != NULL) {
        st = exchange(t, old, item);
        if (st != KAMA_OK) {
            km_item_drop(item);
        }
    }
    kama_value_unref(old);
    return st;
}

kama_status km_store_touch(struct km_store *store, uint64_t adoption,
                           uint64_t hash, kama_bytes key, km_ns expires_at)
{
    const struct touch t = {.store = store,
                            .adoption = adoption,
                            .hash = hash,
                            .key = key,
                            .expires_at = expires_at};
    kama_status st;
    do {
        st = try_touch(&t);
    } while (st == KAMA_WOULD_LOAD);
    return st != KAMA_ERR_NO_MEMORY
               ? st
               : km_fail(st, "no memory for a copy of the value");
}
