/* SPDX-License-Identifier: MIT */
/*
 * A mutation on its way through the steps of apply.h. Its memory is prepared before it has
 * a version, and given up if the rule says that it is not kept.
 */
#include "store/apply.h"

#include "base/status.h"
#include "store/rules.h"
#include "store/store_internal.h"

/* One mutation. */
struct apply {
    struct km_store *store;
    struct km_shard *shard;
    const struct km_operation *operation;
    enum km_operation_kind kind; /* what it is applied as */
    kama_value *item;            /* of a SET and, in the end, of an EXPIRE */
    struct km_version base;      /* of an EXPIRE */
    struct km_place
        place; /* of the live entry of the key; ref 0: there is none */
    struct km_version
        there; /* its version; not set: it is filled, or not there */
    struct km_shard_put put; /* if it is reserved */
};

/* -- before there is a version ---------------------------------------------- */

/* A put is reserved with any version, because only its size matters yet. */
static kama_status reserve(struct apply *a)
{
    a->put = (struct km_shard_put){.hash = a->operation->hash,
                                   .item = a->item,
                                   .stamp = {.hlc = 1},
                                   .place = a->place};
    return km_shard_put_reserve_at_locked(a->shard, &a->put);
}

static void find(struct apply *a)
{
    a->place =
        km_shard_find_locked(a->shard, a->operation->hash, a->operation->key);
    if (a->place.ref != 0) {
        a->there = km_record_stamp(km_shard_record(a->shard, &a->place));
    }
}

/* There is no entry any more. */
static void note_gone(struct apply *a)
{
    a->place.ref = 0;
    a->there = (struct km_version){0, 0};
}

static bool has_value(const struct apply *a)
{
    return a->place.ref != 0 && !km_shard_is_negative(a->shard, &a->place);
}

/* Makes the entry that an EXPIRE puts in the place of the one that is there. */
static kama_status reserve_copy(struct apply *a)
{
    a->item = km_record_item_until(a->store->account,
                                   km_shard_record(a->shard, &a->place),
                                   a->operation->expires_at);
    return a->item != NULL ? reserve(a) : KAMA_ERR_NO_MEMORY;
}

/* Prepares an EXPIRE that begins here. */
static kama_status begin_expire(struct apply *a)
{
    if (!has_value(a)) {
        return KAMA_MISS;
    }
    a->base = a->there;
    if (!km_version_is_set(a->base)) {
        a->kind = KM_APPLY_SET;
    }
    return reserve_copy(a);
}

/* Prepares a mutation that begins here. Whatever can fail fails in here. */
static kama_status begin(struct apply *a)
{
    const struct km_operation *op = a->operation;
    kama_status st = KAMA_OK;
    if (op->adoption < a->shard->adoption ||
        km_shard_is_hidden_locked(a->shard, op->key)) {
        return KAMA_ERR_TRY_AGAIN;
    }
    switch (a->kind) {
    case KM_APPLY_SET:
        if (op->condition != NULL) {
            st = km_store_check_locked(a->shard, &a->place, op->condition);
        }
        return st == KAMA_OK ? reserve(a) : st;
    case KM_APPLY_EXPIRE:
        return begin_expire(a);
    case KM_APPLY_DROP:
    case KM_APPLY_DELETE:
        break;
    }
    return st;
}

/* Prepares a mutation that has a version. Without memory it is a DROP. */
static void begin_foreign(struct apply *a)
{
    kama_status st = KAMA_OK;
    a->base = a->operation->base;
    if (a->kind == KM_APPLY_SET) {
        st = km_shard_is_hidden_locked(a->shard, a->operation->key)
                 ? KAMA_MISS
                 : reserve(a);
    } else if (a->kind == KM_APPLY_EXPIRE) {
        st = has_value(a) && km_version_is_set(a->base) &&
                     km_version_compare(a->there, a->base) == 0
                 ? reserve_copy(a)
                 : KAMA_MISS;
    }
    if (st != KAMA_OK) {
        a->kind = KM_APPLY_DROP;
    }
}

/* R1: asks for the version. If all entries were invalidated meanwhile, the place that was
 * prepared is gone with the others, and another one is needed. The version is not undone
 * if there is none: the set is applied as if its value had been evicted at once. A value
 * that an EXPIRE has found is invalid now, too. */
static struct km_version ask(struct apply *a, const struct km_stamp *stamp)
{
    const struct km_asking asking = {.kind = a->kind,
                                     .base = a->base,
                                     .expires_at = a->operation->expires_at,
                                     .key = a->operation->key};
    struct km_version version = stamp->ask(stamp->arg, &asking);
    if (KM_UNLIKELY(km_shard_catch_up_locked(a->shard))) {
        note_gone(a);
        if (a->operation->kind != KM_APPLY_SET || reserve(a) != KAMA_OK) {
            a->kind = KM_APPLY_DROP;
        }
    }
    return version;
}

/* -- with a version --------------------------------------------------------- */

/* Returns whether there is an explicit entry that is not older than v. */
static bool is_newer_there(const struct apply *a, struct km_version v)
{
    return km_version_is_set(a->there) && km_version_compare(a->there, v) >= 0;
}

/* Removes the entry, if there is one that v removes. Returns whether it was a live
 * value. */
static bool remove_entry(struct apply *a, struct km_version v)
{
    if (a->place.ref == 0 || is_newer_there(a, v)) {
        return false;
    }
    bool live = has_value(a);
    km_shard_take_out_locked(a->shard, a->operation->hash, &a->place,
                             KM_FORGET_DELETED);
    note_gone(a);
    return live;
}

/* R4 for DROP and DELETE. */
static bool act_delete(struct apply *a, struct km_version v)
{
    if (KM_STORE_KEEPS(KM_STORE_R4_FLOOR)) {
        km_floors_raise(a->shard->floors, a->operation->hash, v.hlc);
    }
    return remove_entry(a, v);
}

/* Returns whether an entry of version v may be stored. An explicit entry that is there
 * and older was not deleted by anything newer than itself, so that the floor has risen
 * for other keys. */
static bool may_install(const struct apply *a, struct km_version v)
{
    if (km_version_is_set(a->there)) {
        return !is_newer_there(a, v);
    }
    return v.hlc > km_floors_get(a->shard->floors, a->operation->hash);
}

/* R4 for SET, and for an EXPIRE that has found its base. */
static bool act_set(struct apply *a, struct km_version v)
{
    if (may_install(a, v)) {
        a->put.stamp = v;
        a->shard->counts.forgotten[KM_FORGET_REPLACED] += a->place.ref != 0;
        km_shard_put_commit_locked(a->shard, &a->put);
        return true;
    }
    km_shard_put_cancel_locked(a->shard, &a->put);
    return remove_entry(a, v);
}

static bool act(struct apply *a, struct km_version v)
{
    km_shard_overtake_locked(a->shard, a->operation->hash, a->operation->key);
    bool changed = a->kind == KM_APPLY_SET || a->kind == KM_APPLY_EXPIRE
                       ? act_set(a, v)
                       : act_delete(a, v);
    km_shard_step_locked(a->shard,
                         a->operation->key.len +
                             (a->item != NULL ? a->item->value_len : 0));
    return changed;
}

static kama_status apply_locked(struct apply *a, const struct km_stamp *stamp)
{
    const struct km_operation *op = a->operation;
    find(a);
    if (stamp->ask == NULL) {
        begin_foreign(a);
        return act(a, stamp->version) ? KAMA_OK : KAMA_MISS;
    }
    kama_status st = begin(a);
    if (st != KAMA_OK) {
        return st;
    }
    struct km_version v = ask(a, stamp);
    bool changed = act(a, v);
    return changed || op->kind == KM_APPLY_SET || op->kind == KM_APPLY_EXPIRE
               ? KAMA_OK
               : KAMA_MISS;
}

/* The put is not written before it is reserved: to zero it takes a tenth of a set. */
static void apply_init(struct apply *a, struct km_store *store,
                       const struct km_operation *operation)
{
    a->store = store;
    a->shard = km_store_shard(store, operation->hash);
    a->operation = operation;
    a->kind = operation->kind;
    a->item = operation->item;
    a->base = (struct km_version){0, 0};
    note_gone(a);
}

/* Room is made before a SET unless it has a condition, as km_store_put_if does. */
kama_status km_store_apply(struct km_store *store,
                           const struct km_operation *operation,
                           const struct km_stamp *stamp)
{
    struct apply a;
    struct km_gone gone;
    apply_init(&a, store, operation);
    KM_ASSERT(store->floors != NULL);
    KM_ASSERT((operation->kind == KM_APPLY_SET) == (operation->item != NULL));
    KM_ASSERT(stamp->ask != NULL || operation->condition == NULL);
    if (operation->item != NULL && operation->condition == NULL) {
        km_store_settle(store, operation->hash, operation->hash);
    }
    km_shard_lock(a.shard, &gone);
    kama_status st = apply_locked(&a, stamp);
    km_shard_unlock(a.shard, &gone);
    kama_value_unref(a.item);
    km_store_settle(store, operation->hash, operation->hash);
    return st != KAMA_ERR_NO_MEMORY
               ? st
               : km_fail(st, "no memory for the entry of a value");
}

uint64_t km_store_floor(const struct km_store *store, uint64_t hash)
{
    return store->floors == NULL ? 0 : km_floors_get(store->floors, hash);
}
