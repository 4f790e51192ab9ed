/* SPDX-License-Identifier: MIT */
#include "group/mutate_here.h"

#include "group/group_internal.h"
#include "group/sync_apply.h"
#include "store/store_hide.h"
#include "store/store_touch.h"

static void count_done(const struct km_mutate_op *op, kama_status status)
{
    if (op->from == KM_MUTATE_FOR_PEER) {
        km_group_count(op->group, KM_GROUP_MUTATIONS_SERVED);
    } else if (op->kind == KM_MUTATION_SET && status == KAMA_OK) {
        km_group_count(op->group, KM_GROUP_SETS);
    }
}

void km_mutate_name(struct km_mutate_op *op, uint64_t etag_key)
{
    op->etag_key = etag_key;
    if (op->ret_etag == NULL) {
        return;
    }
    if (km_version_is_set(op->version)) {
        *op->ret_etag = km_etag_of_stamp(op->version);
    } else {
        *op->ret_etag = etag_key != 0 ? km_item_etag(op->item, etag_key) : 0;
    }
}

/* Stores the item, of which the op keeps a reference until the store has it: the
 * store drops an item that it refuses, and the op's key is in the item. */
static kama_status put(struct km_mutate_op *op, uint64_t adoption)
{
    kama_value *item = kama_value_ref(op->item);
    kama_status st = km_store_put_if(op->group->store, adoption, op->hash, item,
                                     &op->condition);
    if (st == KAMA_OK) {
        km_mutate_name(op, km_item_etag_key(op->item));
        kama_value_unref(op->item);
        op->item = NULL;
    }
    return st;
}

static kama_status touch(struct km_mutate_op *op, uint64_t adoption)
{
    km_ns expires_at = 0;
    kama_status st =
        km_group_expiry(op->group, op->ttl_ms, op->hash, &expires_at);
    return st != KAMA_OK ? st
                         : km_store_touch(op->group->store, adoption, op->hash,
                                          op->key, expires_at);
}

/* -- in a synchronized group ------------------------------------------------ */

/* The lock of the shard is held. */
static struct km_version originate(void *arg, const struct km_asking *asking)
{
    struct km_mutate_op *op = arg;
    kama_group *group = op->group;
    op->version = group->sync.ops->originate(
        group->sync.arg, group->sync_number, asking, &op->seq);
    km_group_count(group, KM_GROUP_SYNC_ORIGINATED);
    return op->version;
}

static kama_status apply(struct km_mutate_op *op,
                         struct km_operation *operation)
{
    const struct km_stamp stamp = {.ask = originate, .arg = op};
    operation->hash = op->hash;
    operation->key = op->key;
    return km_store_apply(op->group->store, operation, &stamp);
}

/* As put. A set by any adoption is never refused, so that nobody needs its item again. */
static kama_status apply_set(struct km_mutate_op *op, uint64_t adoption)
{
    bool always = op->condition.kind == KM_PUT_ALWAYS;
    bool is_last = always && adoption == KM_ANY_ADOPTION;
    struct km_operation set = {.kind = KM_APPLY_SET,
                               .item = is_last ? op->item
                                               : kama_value_ref(op->item),
                               .condition = always ? NULL : &op->condition,
                               .adoption = adoption};
    kama_status st = apply(op, &set);
    if (st == KAMA_OK) {
        km_mutate_name(op, 0);
    }
    if (is_last) {
        op->item = NULL;
    } else if (st == KAMA_OK) {
        kama_value_unref(op->item);
        op->item = NULL;
    }
    return st;
}

static kama_status apply_expire(struct km_mutate_op *op, uint64_t adoption)
{
    struct km_operation expire = {.kind = KM_APPLY_EXPIRE,
                                  .adoption = adoption};
    kama_status st =
        km_group_expiry(op->group, op->ttl_ms, op->hash, &expire.expires_at);
    return st == KAMA_OK ? apply(op, &expire) : st;
}

/* R6. */
static kama_status apply_clear(struct km_mutate_op *op)
{
    kama_group *group = op->group;
    op->version =
        group->sync.ops->clear(group->sync.arg, group->sync_number, &op->seq);
    km_group_count(group, KM_GROUP_CLEARS);
    km_group_count(group, KM_GROUP_SYNC_ORIGINATED);
    return KAMA_OK;
}

/* The other half of km_mutate_here. A node that stops waits until nobody is between
 * enter and leave. */
static kama_status begin_here(struct km_mutate_op *op, uint64_t adoption)
{
    const struct km_group_sync *sync = &op->group->sync;
    struct km_operation del = {.kind = KM_APPLY_DELETE, .adoption = adoption};
    struct km_snapshot_reader reader;
    kama_status st = KAMA_ERR_NOT_READY;
    op->role = sync->ops->enter(sync->arg, &reader);
    if (op->role == KM_SYNC_ORIGINATES) {
        switch (op->kind) {
        case KM_MUTATION_SET:
            st = apply_set(op, adoption);
            break;
        case KM_MUTATION_DELETE:
            st = apply(op, &del);
            break;
        case KM_MUTATION_EXPIRE:
            st = apply_expire(op, adoption);
            break;
        case KM_MUTATION_CLEAR:
            st = apply_clear(op);
            break;
        }
    }
    sync->ops->leave(sync->arg, &reader);
    return st;
}

/* A DROP just below the version of the mutation removes what is older, and makes its floor
 * so high that nothing older comes back before the owner's stream has brought the value,
 * which is above the floor. The value is not stored here yet, because a value must not be
 * ahead of its origin's stream (R8). A delete brings no value, and its own version is the
 * floor: a fill must not be answered from just below it.
 *
 * A refusal has no version. If the key exists, the caller was told of a value that a loaded
 * copy here may not have; a copy that was set stays, because the stream brings what is
 * newer. If it is another value than the caller meant, or there is none, what is here may be
 * what misled it, and is forgotten. So it is after an answer that was lost. */
static struct km_version dropped_below(const struct km_mutate_op *op,
                                       const struct km_owner_reply *reply)
{
    static const struct km_version least = {.hlc = 1, .origin = 0};
    if (km_version_is_set(reply->stamp) && op->kind == KM_MUTATION_DELETE) {
        return reply->stamp;
    }
    if (km_version_is_set(reply->stamp)) {
        return (struct km_version){.hlc = reply->stamp.hlc - 1,
                                   .origin = UINT64_MAX};
    }
    return reply->status == KAMA_ERR_EXISTS ? least : (struct km_version){0, 0};
}

/* Returns false if the version of an answer is not to be believed. A refusal has none. */
static bool learn(const struct km_group_sync *sync, struct km_version version)
{
    return !km_version_is_set(version) || sync->ops->learn(sync->arg, version);
}

/* R6 with the clock of the clear: nothing from before it comes back, from no stream and, as
 * this node has learnt of it, by no fill. So it is after an answer that was lost. */
static void invalidate(kama_group *group, struct km_version version)
{
    const struct km_group_sync *sync = &group->sync;
    (void)learn(sync, version);
    sync->ops->invalidate(sync->arg, group->sync_number);
}

void km_mutate_elsewhere(const struct km_mutate_op *op,
                         const struct km_owner_reply *reply)
{
    kama_group *group = op->group;
    const struct km_group_sync *sync = &group->sync;
    const struct km_stamp stamp = {.version = dropped_below(op, reply)};
    const struct km_operation drop = {
        .kind = KM_APPLY_DROP, .hash = op->hash, .key = op->key};
    if (!km_group_is_synced(group)) {
        km_store_overtake(group->store, op->hash, op->key);
    } else if (op->kind == KM_MUTATION_CLEAR) {
        invalidate(group, reply->stamp);
    } else if (km_version_is_set(stamp.version) && learn(sync, reply->stamp)) {
        (void)!km_store_apply(group->store, &drop, &stamp);
    } else {
        (void)!km_store_del(group->store, KM_ANY_ADOPTION, op->hash, op->key);
    }
}

/* -- in any other group ------------------------------------------------------ */

static kama_status change(struct km_mutate_op *op, uint64_t adoption)
{
    kama_status st = KAMA_ERR_INTERNAL;
    switch (op->kind) {
    case KM_MUTATION_SET:
        st = put(op, adoption);
        break;
    case KM_MUTATION_DELETE:
        st = km_store_del(op->group->store, adoption, op->hash, op->key);
        break;
    case KM_MUTATION_EXPIRE:
        st = touch(op, adoption);
        break;
    case KM_MUTATION_CLEAR: /* mutate_op.c */
        break;
    }
    return st;
}

kama_status km_mutate_here(struct km_mutate_op *op, uint64_t adoption)
{
    kama_status st = km_group_is_synced(op->group) ? begin_here(op, adoption)
                                                   : change(op, adoption);
    if (st != KAMA_ERR_TRY_AGAIN && op->role == KM_SYNC_ORIGINATES) {
        count_done(op, st);
    }
    return st;
}
