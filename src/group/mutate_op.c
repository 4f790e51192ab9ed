/* SPDX-License-Identifier: MIT */
/* After a request or a wait was handed over, another thread may answer the op and
 * free it at any moment. So handing over is always the last step. */
#include "group/mutate_op.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/limits.h"
#include "base/status.h"
#include "base/thread.h"
#include "group/clear_op.h"
#include "group/condition.h"
#include "group/get_place.h"
#include "group/group_internal.h"
#include "group/holders.h"
#include "group/mutate_acks.h"
#include "group/mutate_here.h"
#include "group/mutate_park.h"
#include "group/sentence.h"
#include "group/sync_apply.h"
#include "store/store_touch.h"

enum {
    REFUSED_PAUSE_MS = 50, /* before a peer that has refused is asked again */
    PAUSE_DOUBLINGS = 4    /* of it, so that it becomes 800 ms */
};

static kama_status proceed(struct km_mutate_op *op);

/* -- the end ------------------------------------------------------------- */

/* Gives back what the op owns. */
static void fini(struct km_mutate_op *op)
{
    op->state = KM_MUTATE_ENDED;
    km_mutate_unpark(op);
    kama_value_unref(op->item);
    op->item = NULL;
}

/* Answers a parked op. The thread has the op's place in the gate until done has
 * returned. */
static void answer(struct km_mutate_op *op, kama_status status)
{
    kama_group *group = op->group;
    struct km_unsynced *unsynced = op->unsynced;
    char sentence[KM_ERROR_BYTES_MAX] = "";
    if ((int)status < 0) {
        (void)km_text_printf(sentence, sizeof sentence, "%s", km_last_error());
    }
    fini(op);
    op->done(op, status, sentence);
    km_unsynced_unref(unsynced);
    km_gate_leave(&group->gate);
}

/* Answers a parked op, unless it was parked again: then another thread may have
 * answered and freed it already. */
static void finish(struct km_mutate_op *op, kama_status status)
{
    if (status != KAMA_DEFERRED) {
        answer(op, status);
    }
}

/* -- waiting --------------------------------------------------------------- */

/* The time of an op is over, or it must not wait: fails as whoever was asked last
 * has said, or with KAMA_ERR_TRY_AGAIN. */
static kama_status fail_again(struct km_mutate_op *op, const char *why)
{
    if (op->refusal == KAMA_ERR_NOT_READY) {
        return km_group_fail_key(op->group, op->refusal, op->key,
                                 "nothing was changed: %s", op->why);
    }
    return km_group_fail_key(op->group, KAMA_ERR_TRY_AGAIN, op->key,
                             "nothing was changed: %s", why);
}

static kama_status fail_late(struct km_mutate_op *op,
                             enum km_mutate_state waited_in)
{
    if (waited_in == KM_MUTATE_WAITS_SETTLED) {
        return fail_again(op, "other nodes have not adopted the new view yet");
    }
    if (op->refusals == 0) {
        return fail_again(op, "no newer view of the cluster has come");
    }
    return fail_again(op, op->kind == KM_MUTATION_CLEAR
                              ? "the nodes that were asked say that another "
                                "one has to begin the clear"
                              : "the nodes that were asked say that they do "
                                "not own the key");
}

static km_ns end_of_wait(const struct km_mutate_op *op,
                         enum km_mutate_state state)
{
    return state == KM_MUTATE_WAITS_SETTLED ? op->settled_until
                                            : op->wait_until;
}

static void on_changed(struct km_owner_wait *wait)
{
    struct km_mutate_op *op = KM_CONTAINER_OF(wait, struct km_mutate_op, wait);
    enum km_mutate_state waited_in = op->state;
    bool is_late = km_group_now(op->group) >= end_of_wait(op, waited_in);
    op->state = KM_MUTATE_ASKS;
    finish(op, is_late ? fail_late(op, waited_in) : proceed(op));
}

/* Waits for another answer of `ask`, at most until the end of such waits and for
 * pause. Returns KAMA_DEFERRED, or an error. */
static kama_status wait_for_change(struct km_mutate_op *op,
                                   enum km_mutate_state state, km_ns pause)
{
    km_ns now = km_group_now(op->group);
    km_ns until = end_of_wait(op, state);
    if (op->refusal == KAMA_ERR_NOT_READY &&
        op->patience == KM_MUTATE_REFUSES) {
        return fail_again(op, op->why);
    }
    kama_status st = km_mutate_park(op);
    if (st != KAMA_OK) {
        return st;
    }
    if (now >= until) {
        return fail_late(op, state);
    }
    if (until - now > pause) {
        until = now + pause;
    }
    op->state = state;
    op->sends = NULL; /* the list is the caller's, who has gone on by then */
    op->ret_acted = NULL;
    op->wait = (struct km_owner_wait){
        .change = op->change, .until = until, .changed = on_changed};
    op->group->owner.ops->wait(op->group->owner.arg, &op->wait);
    return KAMA_DEFERRED;
}

/* -- at the owner ---------------------------------------------------------- */

/* A node has refused the op, so that nothing was changed. Asks again when this
 * node has a newer view, and after a pause that grows: the node that refused may
 * be the one that has to learn of a view, as one that has just joined. */
static kama_status wait_to_ask_again(struct km_mutate_op *op)
{
    km_ns pause = (km_ns)REFUSED_PAUSE_MS * KM_NS_PER_MS;
    pause <<= op->refusals < PAUSE_DOUBLINGS ? op->refusals : PAUSE_DOUBLINGS;
    op->refusals++;
    return wait_for_change(op, KM_MUTATE_WAITS_VIEW, pause);
}

/* Returns what the caller can do when the answer to its mutation was lost. */
static const char *advice(const struct km_mutate_op *op)
{
    if (op->kind == KM_MUTATION_CLEAR) {
        return "repeat the clear";
    }
    return op->condition.kind == KM_PUT_ALWAYS
               ? "read the key, or repeat the change"
               : "read the key before you repeat the change";
}

/* Returns the answer of a request that has ended, or waits for a newer view. */
static kama_status answer_of(struct km_mutate_op *op,
                             const struct km_owner_reply *reply)
{
    switch (reply->outcome) {
    case KM_OWNER_ANSWERED:
        op->unsynced = km_unsynced_ref(reply->unsynced);
        if (op->kind == KM_MUTATION_SET &&
            (reply->status == KAMA_OK || reply->status == KAMA_UNSYNCED)) {
            km_group_count(op->group, KM_GROUP_SETS);
            op->version = reply->stamp;
            km_mutate_name(op, reply->etag_key);
        }
        return (int)reply->status < 0
                   ? km_fail(reply->status, "%s", reply->text)
                   : reply->status;
    case KM_OWNER_UNREACHABLE:
        return km_group_fail_key(op->group, KAMA_ERR_PEER, op->key,
                                 "nothing was changed: %s; try again",
                                 reply->text);
    case KM_OWNER_LOST:
        return km_group_fail_key(op->group, KAMA_ERR_PEER, op->key,
                                 "the change may have been applied: %s; %s",
                                 reply->text, advice(op));
    case KM_OWNER_BEHIND:
    case KM_OWNER_NOT_OWNER:
        break;
    }
    return wait_to_ask_again(op);
}

static void on_reply(struct km_owner_mutation *mutation,
                     const struct km_owner_reply *reply)
{
    struct km_mutate_op *op =
        KM_CONTAINER_OF(mutation, struct km_mutate_op, mutation);
    KM_ASSERT(op->state == KM_MUTATE_SENT);
    /* Also after a refusal: it has told the caller of a change that a load which
     * began before may not have seen. */
    if (reply->outcome == KM_OWNER_ANSWERED ||
        reply->outcome == KM_OWNER_LOST) {
        km_mutate_elsewhere(op, reply);
    }
    finish(op, answer_of(op, reply));
}

/* Asks the owner. Takes the reference to the peer. */
static kama_status send(struct km_mutate_op *op, struct km_peer *peer)
{
    kama_group *group = op->group;
    struct km_list *sends = op->sends;
    struct km_list alone;
    kama_status st = km_mutate_park(op);
    if (st != KAMA_OK) {
        group->owner.ops->release(group->owner.arg, peer);
        return st;
    }
    km_group_count(group, KM_GROUP_MUTATIONS_FORWARDED);
    op->state = KM_MUTATE_SENT;
    op->sends = NULL;
    op->ret_acted = NULL;
    op->mutation = (struct km_owner_mutation){
        .peer = peer,
        .group = group->name,
        .kind = op->kind,
        .key = op->key,
        .value = op->item != NULL ? kama_value_bytes(op->item) : op->key,
        .item = op->item,
        .condition = op->condition,
        .ttl_ms = op->ttl_ms,
        .deadline = op->deadline,
        .done = on_reply};
    if (op->item == NULL) {
        op->mutation.value = kama_bytes_make(NULL, 0);
    }
    km_list_init(&alone);
    km_list_push_back(sends != NULL ? sends : &alone, &op->mutation.node);
    km_mutate_send(group, &alone);
    return KAMA_DEFERRED;
}

void km_mutate_op_tell(const struct km_mutate_op *op)
{
    if (op->ret_unsynced != NULL) {
        km_unsynced_tell(op->unsynced, op->ret_unsynced);
    }
}

void km_mutate_send(kama_group *group, struct km_list *sends)
{
    if (!km_list_empty(sends)) {
        group->owner.ops->mutate(group->owner.arg, sends);
    }
}

/* -- who owns the key ------------------------------------------------------- */

/* Refuses a mutation of a peer, because this node does not own the key. */
static kama_status refuse_peer(struct km_mutate_op *op,
                               const struct km_owner_answer *owner)
{
    bool knows = owner->place == KM_OWNER_PEER;
    op->outcome = knows ? KM_OWNER_NOT_OWNER : KM_OWNER_BEHIND;
    if (owner->peer != NULL) {
        op->group->owner.ops->release(op->group->owner.arg, owner->peer);
    }
    return km_group_fail_key(op->group, KAMA_ERR_TRY_AGAIN, op->key, "%s",
                             knows ? "this node does not own the key"
                                   : owner->text);
}

/* Acts on an answer that does not say HERE. */
static kama_status act_elsewhere(struct km_mutate_op *op,
                                 const struct km_owner_answer *owner)
{
    op->refusal = KAMA_OK;
    if (owner->place == KM_OWNER_HERE_UNSETTLED) {
        return wait_for_change(op, KM_MUTATE_WAITS_SETTLED, KM_NS_NEVER);
    }
    if (op->from == KM_MUTATE_FOR_PEER) {
        return refuse_peer(op, owner);
    }
    if (owner->place == KM_OWNER_PEER) {
        return send(op, owner->peer);
    }
    if (owner->hope == KM_OWNER_HOPEFUL) {
        op->refusal = owner->refusal;
        op->why = owner->text;
        return wait_for_change(op, KM_MUTATE_WAITS_VIEW, KM_NS_NEVER);
    }
    return km_group_fail_key(op->group, owner->refusal, op->key,
                             "nothing was changed: %s", owner->text);
}

/* -- on this node ------------------------------------------------------------ */

/* Returns by when a wait for acknowledgements has to end, so that the answer still reaches
 * whoever has asked: an eighth of the time is left to the way back to a node or a client. */
static km_ns answer_by(const struct km_mutate_op *op,
                       const struct km_call_limits *limits)
{
    km_ns time = limits->deadline - limits->begin;
    if (!limits->has_deadline) {
        return KM_NS_NEVER;
    }
    bool is_far = op->from == KM_MUTATE_FOR_PEER ||
                  op->answers == KM_MUTATE_ANSWERS_CLIENT;
    return is_far ? limits->deadline - time / 8 : limits->deadline;
}

/* Returns the deadline of a request to the owner, which may wait for acknowledgements. */
static km_ns owner_deadline(const struct km_mutate_op *op,
                            const struct km_call_limits *limits)
{
    bool may_wait = !limits->has_deadline && km_group_is_synced(op->group) &&
                    km_group_ack(op->group) != KM_SYNC_ACK_ASYNC;
    return may_wait ? km_ns_after_ms(limits->deadline,
                                     km_group_sync_timeout_ms(op->group))
                    : limits->deadline;
}

/* Writes the times of an op that may have to wait. One that begins on this node and waits
 * for nobody does not read the clock. */
static void begin(struct km_mutate_op *op)
{
    struct km_call_limits *limits = op->limits;
    if (limits == NULL) {
        return;
    }
    op->limits = NULL;
    km_call_limits_begin(op->group, limits);
    km_ns two_s = km_ns_after_ms(limits->begin, KM_VIEW_WAIT_MS);
    op->deadline = owner_deadline(op, limits);
    op->answer_by = answer_by(op, limits);
    op->wait_until = limits->has_deadline ? limits->deadline : two_s;
    op->settled_until = op->wait_until < two_s ? op->wait_until : two_s;
}

static void on_acked(struct km_sync_wait *wait, struct km_unsynced *unsynced)
{
    struct km_mutate_op *op = KM_CONTAINER_OF(wait, struct km_mutate_op, acks);
    answer(op, km_mutate_acked(op, unsynced));
}

/* Carries the op out on this node, and waits for acknowledgements if the group wants them.
 * The memory for the wait is reserved first: what has acted cannot be refused any more. */
static kama_status act_here(struct km_mutate_op *op, uint64_t adoption)
{
    bool is_witnessed = km_mutate_is_witnessed(op);
    kama_status st = is_witnessed ? km_mutate_reserve(op) : KAMA_OK;
    if (st != KAMA_OK) {
        return st;
    }
    if (is_witnessed) {
        begin(op);
    }
    op->seq = 0;
    st = km_mutate_here(op, adoption);
    if (!is_witnessed || op->seq == 0) {
        return st;
    }
    km_mutate_await(op, st, on_acked);
    return KAMA_DEFERRED;
}

/* This node owns the key, or nobody has to, but it may not begin a mutation. It is
 * about to give the key to another node, or to become a member. */
static kama_status refuse_to_begin(struct km_mutate_op *op)
{
    static const char *const why[] = {
        [KM_SYNC_JOINING] = "this node is joining the cluster",
        [KM_SYNC_LEAVING] = "this node is leaving the cluster",
        [KM_SYNC_OUT] = "this node is not a member of the cluster yet"};
    if (op->from == KM_MUTATE_FOR_PEER) {
        op->outcome = KM_OWNER_NOT_OWNER;
        return km_group_fail_key(op->group, KAMA_ERR_TRY_AGAIN, op->key, "%s",
                                 why[op->role]);
    }
    op->refusal = KAMA_ERR_NOT_READY;
    op->why = why[op->role];
    return op->role == KM_SYNC_OUT ? fail_again(op, op->why)
                                   : wait_to_ask_again(op);
}

/* Returns whether this node may carry the op out. In a synchronized group it needs not
 * be settled for that, unless it has to know whether the key has a value. */
static bool is_here(const struct km_mutate_op *op,
                    const struct km_owner_answer *owner)
{
    return owner->place == KM_OWNER_HERE ||
           (owner->place == KM_OWNER_HERE_UNSETTLED &&
            km_group_is_synced(op->group) &&
            op->condition.kind == KM_PUT_ALWAYS);
}

/* Returns whether another node may have the value that a condition is about. A thread that
 * must not wait does not look. */
static bool has_to_look(const struct km_mutate_op *op)
{
    const kama_group *group = op->group;
    struct km_store_look look;
    if (op->has_looked || op->condition.kind == KM_PUT_ALWAYS ||
        op->patience == KM_MUTATE_REFUSES || group->config.loader != NULL ||
        !km_group_is_synced(group)) {
        return false;
    }
    km_store_look(group->store, op->hash, op->key, &look);
    struct km_peer *next = look.presence != KM_STORE_VALUE
                               ? km_get_find_next(group, op->key, NULL)
                               : NULL;
    if (next == NULL) {
        return false;
    }
    group->owner.ops->release(group->owner.arg, next);
    return true;
}

static void on_looked(struct km_get_op *get, kama_status status,
                      kama_value *value, const char *sentence)
{
    struct km_mutate_op *op = KM_CONTAINER_OF(get, struct km_mutate_op, look);
    (void)status;
    (void)sentence;
    kama_value_unref(value);
    op->state = KM_MUTATE_ASKS;
    finish(op, proceed(op));
}

/* Gets the key, so that it is here if another node has it (R9). Returns KAMA_DEFERRED, or
 * KAMA_OK: the op goes on. */
static kama_status look(struct km_mutate_op *op)
{
    kama_value *value = NULL;
    kama_status st = km_mutate_park(op);
    if (st != KAMA_OK) {
        return st;
    }
    op->has_looked = true;
    op->state = KM_MUTATE_LOOKS;
    op->sends = NULL;
    op->ret_acted = NULL;
    op->look.done = on_looked;
    st = km_get_op_start(op->group, &op->look, op->key, NULL, &value);
    if (st == KAMA_DEFERRED) {
        return st;
    }
    kama_value_unref(value);
    op->state = KM_MUTATE_ASKS;
    return KAMA_OK;
}

/* Carries the op out on this node, which owns the key. */
static kama_status act_as_owner(struct km_mutate_op *op, uint64_t adoption)
{
    kama_status st = has_to_look(op) ? look(op) : KAMA_OK;
    return st == KAMA_OK ? act_here(op, adoption) : st;
}

/* Lets the owner of the key carry the op out, who may be this node. */
static kama_status proceed_at_owner(struct km_mutate_op *op)
{
    struct km_owner_answer owner;
    kama_status st = KAMA_ERR_TRY_AGAIN;
    bool here;
    do {
        km_group_ask(op->group, op->key, &owner);
        op->change = owner.change;
        here = is_here(op, &owner);
        if (here) {
            st = act_as_owner(op, owner.adoption);
        }
    } while (here && st == KAMA_ERR_TRY_AGAIN);
    if (!here) {
        return act_elsewhere(op, &owner);
    }
    if (st == KAMA_DEFERRED) {
        return st;
    }
    return op->role == KM_SYNC_ORIGINATES
               ? km_condition_answer(&op->condition, st)
               : refuse_to_begin(op);
}

/* Returns whether the op begins on this node, if this node may begin mutations. */
static bool begins_here(const struct km_mutate_op *op)
{
    return km_group_is_synced(op->group) && op->from == KM_MUTATE_FOR_CALLER &&
           op->condition.kind == KM_PUT_ALWAYS &&
           km_group_begins(op->group, op->kind, op->key);
}

/* Does the next step of an op that ASKS. Returns the answer, or KAMA_DEFERRED. */
static kama_status proceed(struct km_mutate_op *op)
{
    KM_ASSERT(op->state == KM_MUTATE_ASKS);
    if (op->kind == KM_MUTATION_CLEAR && !km_group_is_synced(op->group)) {
        km_group_clear_here(op->group);
        return KAMA_OK;
    }
    if (begins_here(op)) {
        kama_status st = act_here(op, KM_ANY_ADOPTION);
        if (st == KAMA_DEFERRED || op->role == KM_SYNC_ORIGINATES) {
            return st;
        }
        if (op->role == KM_SYNC_OUT) {
            return refuse_to_begin(op);
        }
    }
    begin(op);
    return proceed_at_owner(op);
}

/* -- the start -------------------------------------------------------------- */

static kama_status check(const kama_group *group,
                         const struct km_mutate_order *order,
                         struct km_call_limits *ret_limits)
{
    km_ns ignored;
    bool has_time =
        order->kind == KM_MUTATION_SET || order->kind == KM_MUTATION_EXPIRE;
    kama_status st = order->kind != KM_MUTATION_CLEAR
                         ? km_group_check_key(order->key)
                         : KAMA_OK;
    if (st == KAMA_OK && order->kind == KM_MUTATION_SET) {
        st = km_group_check_value(group, order->value);
    }
    if (st == KAMA_OK) {
        st = km_call_limits_init(group, order->ctx, ret_limits);
    }
    if (st == KAMA_OK && has_time) {
        st = km_group_expiry(group, order->ttl_ms, 0, &ignored);
    }
    if (st == KAMA_OK && ret_limits->origin == KAMA_ORIGIN_PEER &&
        km_group_is_clustered(group)) {
        st =
            km_fail(KAMA_ERR_INVALID,
                    "ctx: origin: KAMA_ORIGIN_PEER is only for gets in a group "
                    "of a cluster");
    }
    return st;
}

/* Makes the item of a set. A value that may wait for other nodes does not wait for room
 * in the store as well: mutations that wait have a bound of their own. */
static kama_status make_item(struct km_mutate_op *op, kama_bytes value)
{
    struct km_item_spec spec = {.key = op->key, .value = value};
    kama_status st =
        km_group_expiry(op->group, op->ttl_ms, op->hash, &spec.expires_at);
    if (st != KAMA_OK) {
        return st;
    }
    op->item = km_group_is_clustered(op->group) && !begins_here(op)
                   ? km_store_item_now(op->group->store, &spec)
                   : km_store_item_new(op->group->store, &spec);
    if (op->item == NULL) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for a value");
    }
    op->key = km_item_key_bytes(op->item);
    return KAMA_OK;
}

/* Counts a call, before the op may be parked, and once if it is tried first. */
static void count_begun(kama_group *group, const struct km_mutate_order *order)
{
    if (order->kind == KM_MUTATION_DELETE &&
        order->from == KM_MUTATE_FOR_CALLER) {
        km_group_count(group, KM_GROUP_DELS);
    }
}

kama_status km_mutate_op_start(kama_group *group, struct km_mutate_op *op,
                               const struct km_mutate_order *order)
{
    struct km_call_limits limits;
    kama_status st = check(group, order, &limits);
    if (st != KAMA_OK) {
        return st;
    }
    op->unsynced = NULL;
    op->ret_unsynced = limits.ret_unsynced;
    op->outcome = KM_OWNER_ANSWERED;
    op->etag_key = 0;
    op->version = (struct km_version){0, 0};
    op->seq = 0;
    op->role = KM_SYNC_ORIGINATES;
    op->group = group;
    op->kind = order->kind;
    op->from = order->from;
    op->patience = order->patience;
    op->answers = order->answers;
    op->state = KM_MUTATE_ASKS;
    op->refusals = 0;
    op->has_looked = false;
    op->refusal = KAMA_OK;
    op->key = order->kind != KM_MUTATION_CLEAR ? order->key : KAMA_STR("");
    op->hash = km_store_hash(group->store, op->key);
    op->key_copy = NULL;
    op->item = NULL;
    op->parked_bytes = 0;
    op->ttl_ms = order->ttl_ms;
    op->condition = order->condition;
    op->ret_etag = order->ret_etag;
    op->sends = order->sends;
    op->ret_acted = order->ret_acted;
    op->limits = km_group_is_clustered(group) ? &limits : NULL;
    if (order->patience != KM_MUTATE_TRIES) {
        count_begun(group, order);
    }
    if (!km_gate_enter(&group->gate)) {
        return km_fail(KAMA_ERR_CLOSED, "the group is closed");
    }
    st = op->kind == KM_MUTATION_SET ? make_item(op, order->value) : KAMA_OK;
    if (st == KAMA_OK) {
        st = proceed(op);
    }
    if (order->patience == KM_MUTATE_TRIES && st != KAMA_WOULD_LOAD) {
        count_begun(group, order);
    }
    if (st != KAMA_DEFERRED) {
        km_mutate_op_tell(op);
        fini(op);
        km_gate_leave(&group->gate);
    }
    return st;
}

enum km_mutate_patience km_group_patience(kama_group *group)
{
    struct km_pool *pool = km_group_pool(group);
    bool must_not_wait =
        km_thread_is_loop() || (pool != NULL && km_pool_is_inside(pool));
    return must_not_wait ? KM_MUTATE_REFUSES : KM_MUTATE_BLOCKS;
}
