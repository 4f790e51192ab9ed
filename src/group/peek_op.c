/* SPDX-License-Identifier: MIT */
/* The owner says KAMA_WOULD_LOAD for a key that it does not have in memory but
 * could load; that is no value, either. */
#include "group/peek_op.h"

#include "base/container.h"
#include "base/limits.h"
#include "base/status.h"
#include "group/group_internal.h"
#include "group/sentence.h"
#include "store/store_touch.h"

int64_t km_peek_left_ms(const kama_group *group, km_ns expires_at)
{
    km_ns now = km_group_now(group);
    if (expires_at == 0) {
        return KAMA_TTL_FOREVER;
    }
    return expires_at <= now ? 1
                             : (int64_t)((expires_at - now + KM_NS_PER_MS - 1) /
                                         KM_NS_PER_MS);
}

int64_t km_group_absent_ttl(kama_group *group, kama_bytes key)
{
    struct km_store_look look;
    km_store_look(group->store, km_store_hash(group->store, key), key, &look);
    return look.presence == KM_STORE_NEGATIVE
               ? km_peek_left_ms(group, look.expires_at)
               : 0;
}

static void on_reply(struct km_owner_peek *peek,
                     const struct km_owner_reply *reply)
{
    struct km_peek_op *op = KM_CONTAINER_OF(peek, struct km_peek_op, peek);
    kama_group *group = op->group;
    char sentence[KM_ERROR_BYTES_MAX] = "";
    kama_status st = reply->status;
    if (reply->outcome != KM_OWNER_ANSWERED) {
        st = KAMA_ERR_PEER;
        km_group_sentence(group, peek->key, sentence,
                          "only the owner of the key knows: %s; try again",
                          reply->text);
    } else if ((int)st < 0) {
        (void)km_text_printf(sentence, sizeof sentence, "%s", reply->text);
    } else if (st != KAMA_OK) {
        st = KAMA_MISS;
    }
    km_mem_free(&group->mem, op->key_copy);
    op->done(op, st, reply->ttl_ms, sentence);
    km_gate_leave(&group->gate);
}

/* Asks the owner. Takes the reference to the peer. */
static kama_status ask_owner(kama_group *group, struct km_peek_op *op,
                             kama_bytes key, km_ns deadline,
                             struct km_peer *peer)
{
    const struct km_owner *owner = &group->owner;
    struct km_list alone;
    if (!km_gate_enter(&group->gate)) {
        owner->ops->release(owner->arg, peer);
        return km_fail(KAMA_ERR_CLOSED, "the group is closed");
    }
    op->group = group;
    op->key_copy = km_mem_alloc(&group->mem, key.len);
    if (op->key_copy == NULL) {
        owner->ops->release(owner->arg, peer);
        km_gate_leave(&group->gate);
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for a key");
    }
    memcpy(op->key_copy, key.data, key.len);
    op->peek =
        (struct km_owner_peek){.peer = peer,
                               .group = group->name,
                               .key = kama_bytes_make(op->key_copy, key.len),
                               .deadline = deadline,
                               .done = on_reply};
    km_list_init(&alone);
    km_list_push_back(&alone, &op->peek.node);
    owner->ops->peek(owner->arg, &alone);
    return KAMA_DEFERRED;
}

/* Looks into the memory of this node. */
static kama_status look_here(kama_group *group, kama_bytes key,
                             uint64_t adoption, int64_t *ret_ttl_ms)
{
    km_ns expires_at = 0;
    kama_status st =
        km_store_peek(group->store, adoption, km_store_hash(group->store, key),
                      key, &expires_at);
    if (st == KAMA_OK) {
        *ret_ttl_ms = km_peek_left_ms(group, expires_at);
    }
    return st;
}

/* Asks the owner, unless the caller wants the memory of this node. */
static kama_status look_there(kama_group *group, struct km_peek_op *op,
                              enum km_mutate_patience patience, kama_bytes key,
                              struct km_call_limits *limits,
                              struct km_peer *peer)
{
    if (limits->origin == KAMA_ORIGIN_PEER ||
        (limits->flags & KAMA_LOCAL_ONLY) != 0) {
        group->owner.ops->release(group->owner.arg, peer);
        return KAMA_MISS;
    }
    if (patience == KM_MUTATE_REFUSES) {
        group->owner.ops->release(group->owner.arg, peer);
        return km_group_fail_key(group, KAMA_ERR_WOULD_DEADLOCK, key,
                                 "this call would wait on a thread that other "
                                 "nodes' answers need");
    }
    km_call_limits_begin(group, limits);
    return ask_owner(group, op, key, limits->deadline, peer);
}

kama_status km_peek_op_start(kama_group *group, struct km_peek_op *op,
                             enum km_mutate_patience patience, kama_bytes key,
                             const kama_ctx *ctx, int64_t *ret_ttl_ms)
{
    struct km_call_limits limits;
    struct km_owner_answer owner;
    kama_status st = km_group_check_key(key);
    if (st == KAMA_OK) {
        st = km_call_limits_init(group, ctx, &limits);
    }
    if (st != KAMA_OK) {
        return st;
    }
    do {
        km_group_ask(group, key, &owner);
        if (owner.place == KM_OWNER_PEER) {
            return look_there(group, op, patience, key, &limits, owner.peer);
        }
        if (owner.place == KM_OWNER_NOBODY) {
            return km_group_fail_key(group, KAMA_ERR_PEER, key, "%s",
                                     owner.text);
        }
        st = look_here(group, key, owner.adoption, ret_ttl_ms);
    } while (st == KAMA_ERR_TRY_AGAIN);
    return st;
}
