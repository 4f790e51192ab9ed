/* SPDX-License-Identifier: MIT */
/*
 * The road of a miss: join the load of the key or lead one, and be answered
 * (get_end.h).
 *
 * No function here touches the op after it was parked, because another thread may
 * answer it at any moment, and its owner may free it then. The deadline and the
 * count that are needed later are copied before.
 */
#include "group/get_op.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/status.h"
#include "group/checks.h"
#include "group/get_count.h"
#include "group/get_end.h"
#include "group/get_place.h"
#include "group/load/at_peer.h"
#include "group/load/run.h"
#include "group/look_up.h"
#include "group/sentence.h"
#include "group/trace.h"

/* A load that runs on its caller's thread has no timer, so that a PARKED get that
 * joins it needs one even if its own deadline is not the earlier one. */
kama_status km_get_op_park(struct km_flight_call *call,
                           struct km_flight_waiter *waiter)
{
    struct km_get_op *op = km_get_op_of(waiter);
    km_ns at =
        waiter->deadline < call->deadline ? waiter->deadline : call->deadline;
    bool load_is_timed = km_load_of(call)->place == KM_LOAD_ON_POOL;
    if (atomic_load(&call->state) == KM_FLIGHT_NEW) {
        op->stage = KM_GET_OP_LEADING;
    } else {
        op->stage = KM_GET_OP_FOLLOWING;
        op->counted = KM_GET_COUNT_COALESCED;
    }
    bool needs_timer =
        op->kind != KM_GET_BLOCKED && !(at == call->deadline && load_is_timed);
    if (needs_timer) {
        kama_status st = km_pool_arm(km_group_pool(op->group), &op->timer, at);
        if (st != KAMA_OK) {
            return st;
        }
        op->timekeeper = KM_GET_TIMED_ITSELF;
    }
    km_get_count_asked(op, km_load_of(call));
    return KAMA_OK;
}

/* Fails a load that could not be started, and the op that leads it. The op is
 * parked, so that its timer may answer it at any moment, and then its memory may
 * be gone. It may be touched only if it can be taken out of the load here. */
static kama_status fail_start(struct km_load *load, kama_status status)
{
    char sentence[KM_ERROR_BYTES_MAX];
    (void)km_text_printf(sentence, sizeof sentence, "%s", km_last_error());
    struct km_flight_waiter *waiter =
        km_flight_leave_leader(&load->group->flight, &load->call);
    if (waiter != NULL) {
        km_get_disarm(km_get_op_of(waiter));
        km_get_count_end(km_get_op_of(waiter), KM_GROUP_GETS_FAILED);
    }
    km_load_fail(load, status, sentence);
    return waiter != NULL ? km_fail(status, "%s", sentence) : KAMA_DEFERRED;
}

/* What the load of a get needs to start, copied before the op is parked. */
struct start {
    struct km_load *load;    /* NULL: there was no memory for it */
    struct km_pool *pool;    /* NULL: on the calling thread */
    struct km_list *fills;   /* of the op */
    km_ns deadline;          /* of the op */
    enum km_get_asked asked; /* by the op, before it was parked */
    enum km_miss why;        /* of the op */
    struct km_load_key key;  /* of the get */
};

/* Starts a load on another thread, or at the owner of the key. */
static kama_status start_elsewhere(const struct start *start)
{
    struct km_load *load = start->load;
    if (!km_load_asks_first(load->place)) {
        return km_load_start_on_pool(load, start->pool);
    }
    if (load->place == KM_LOAD_AT_PEER && start->asked == KM_GET_ASKED_NOBODY) {
        km_group_count(load->group, KM_GROUP_PEER_GETS);
    }
    return km_load_start_at_peer(load, start->fills);
}

/* Runs the load that the op leads. Takes the runner's reference to the load. */
static kama_status lead(const struct start *start)
{
    struct km_load *load = start->load;
    km_trace_get(load->group, KM_GET_LEADS, km_load_key_bytes(load));
    if (load->place == KM_LOAD_ON_CALLER) {
        km_load_start_here(load, start->deadline, start->key.now);
        return KAMA_DEFERRED;
    }
    km_load_ref(load);
    kama_status st = start_elsewhere(start);
    st = st == KAMA_OK ? KAMA_DEFERRED : fail_start(load, st);
    km_load_unref(load);
    return st;
}

/* Answers a get that neither leads a load nor waits for one. */
static kama_status answer(struct km_get_op *op, struct km_load *load,
                          kama_bytes key, kama_status status,
                          kama_value **ret_value)
{
    km_get_disarm(op);
    if (status == KAMA_OK) {
        *ret_value = kama_value_ref(load->result.value);
    } else if ((int)status < 0) {
        (void)km_group_fail_join(op->group, status, key);
    }
    return status;
}

/* Answers a get that has neither joined nor led a load, unless it is to ask again
 * who owns the key: it is as if it had not been started then. A get that finds its
 * key in memory now is a hit, unless it was counted as a miss before. */
static kama_status answer_join(struct km_get_op *op, const struct start *start,
                               enum km_get_count before, kama_status status,
                               kama_value **ret_value)
{
    op->asked = start->asked;
    if (status == KAMA_ERR_TRY_AGAIN) {
        km_get_disarm(op);
        op->counted = before;
        return status;
    }
    if ((int)status < 0) {
        km_get_count_join(op->group, before, start->why, KM_FLIGHT_ANSWER);
        km_get_count_end(op, KM_GROUP_GETS_FAILED);
    } else if (before != KM_GET_COUNT_NONE) {
        km_get_count_end(op, KM_GROUP_GETS_LOADED);
    }
    return answer(op, start->load, start->key.key, status, ret_value);
}

/* Joins the load of the key, or leads the one that the get brings along, whose
 * reference is taken. Returns KAMA_ERR_TRY_AGAIN if the node has adopted another
 * view since the get has asked who owns the key. */
static kama_status join_with(struct km_get_op *op, const struct start *start,
                             kama_value **ret_value)
{
    kama_group *group = op->group;
    struct km_load *load = start->load;
    enum km_get_count before = op->counted;
    kama_status st = KAMA_ERR_NO_MEMORY;
    if (before == KM_GET_COUNT_NONE) {
        op->counted = KM_GET_COUNT_MISS;
    }
    enum km_flight_role role =
        km_flight_join(&group->flight, op->waiter.hash, &start->key,
                       &op->waiter, load != NULL ? &load->call : NULL, &st);
    switch (role) {
    case KM_FLIGHT_LEADS:
        km_get_count_join(group, before, start->why, role);
        return lead(start);
    case KM_FLIGHT_PARKED:
        km_trace_get(group, KM_GET_JOINS, start->key.key);
        km_get_count_join(group, before, start->why, role);
        st = KAMA_DEFERRED;
        break;
    case KM_FLIGHT_ANSWER:
        st = answer_join(op, start, before, st, ret_value);
        break;
    case KM_FLIGHT_NOBODY:
        KM_ASSERT(load == NULL);
        if (before != KM_GET_COUNT_NONE) {
            km_get_count_end(op, KM_GROUP_GETS_FAILED);
        }
        (void)km_fail(st, "no memory for a load");
        break;
    }
    if (load != NULL) {
        km_load_unref(load);
    }
    return st;
}

/* Fails a BLOCKED get on a thread of the pool, which must not wait for the pool:
 * all its threads could wait, and none would be left to run the loaders. The join
 * without a waiter finds out whether the thread would wait for its own load. */
static kama_status refuse_to_wait(struct km_get_op *op,
                                  const struct km_load_key *wanted)
{
    kama_group *group = op->group;
    kama_status st = KAMA_ERR_WOULD_DEADLOCK;
    (void)km_flight_join(&group->flight, op->waiter.hash, wanted, NULL, NULL,
                         &st);
    km_get_count_join(group, op->counted, op->why, KM_FLIGHT_ANSWER);
    km_get_count_end(op, KM_GROUP_GETS_FAILED);
    return km_group_fail_join(group, st, wanted->key);
}

/* Answers a get that no load can help. */
static kama_status refuse(struct km_get_op *op, kama_status status)
{
    km_get_count_join(op->group, op->counted, op->why, KM_FLIGHT_ANSWER);
    km_get_count_end(op, (int)status < 0 ? KM_GROUP_GETS_FAILED
                                         : KM_GROUP_GETS_ABSENT);
    return status;
}

/* Asks who owns the key, and joins or starts the load that follows from it.
 * Returns KAMA_ERR_TRY_AGAIN if the answer was wrong before the load began. */
static kama_status join_once(struct km_get_op *op, struct start *start,
                             kama_value **ret_value)
{
    kama_group *group = op->group;
    struct km_owner_answer owner = {.place = KM_OWNER_HERE};
    km_group_ask(group, start->key.key, &owner);
    km_get_find_earlier(op, start->key.key, &owner);
    enum km_load_place place = km_get_place(op, start->pool, &owner);
    bool is_asked = km_load_asks_first(place);
    bool can_load = group->config.loader != NULL || is_asked;
    start->load = NULL;
    start->asked = op->asked;
    start->why = op->why;
    start->key.purpose = km_get_purpose(group, start->key.key, &owner);
    if (can_load) {
        start->load = km_load_new(
            group, &start->key, op->waiter.hash, place,
            op->counted == KM_GET_COUNT_NONE ? KM_LOAD_FIRST : KM_LOAD_AGAIN);
    }
    if (start->load != NULL) {
        km_get_decide(start->load, &owner);
    }
    if (owner.peer != NULL && (start->load == NULL || !is_asked)) {
        group->owner.ops->release(group->owner.arg, owner.peer);
    }
    return can_load
               ? join_with(op, start, ret_value)
               : refuse(op, km_get_without_loader(op, start->key.key, &owner));
}

static kama_status join(struct km_get_op *op, kama_bytes key, km_ns now,
                        kama_value **ret_value)
{
    kama_group *group = op->group;
    struct start start = {.fills = op->fills,
                          .deadline = op->waiter.deadline,
                          .key = {.key = key,
                                  .now = now,
                                  .origin = op->origin,
                                  .traceparent = op->traceparent,
                                  .user = op->user}};
    start.pool = op->kind == KM_GET_BLOCKED ? km_group_pool_for_call(group)
                                            : km_group_pool(group);
    op->stage = KM_GET_OP_STARTING;
    op->timekeeper = KM_GET_TIMED_ELSEWHERE;
    op->timer.at = 0;
    if (now >= op->waiter.deadline) {
        km_get_count_join(group, op->counted, op->why, KM_FLIGHT_ANSWER);
        km_get_count_end(op, KM_GROUP_GETS_FAILED);
        return km_get_fail_late(op, key);
    }
    if (op->kind == KM_GET_BLOCKED && start.pool != NULL &&
        km_pool_is_inside(start.pool)) {
        return refuse_to_wait(op, &start.key);
    }
    kama_status st;
    do {
        st = join_once(op, &start, ret_value);
    } while (st == KAMA_ERR_TRY_AGAIN);
    return st;
}

kama_status km_get_op_again(struct km_get_op *op, kama_bytes key,
                            kama_value **ret_value)
{
    KM_ASSERT(op->counted == KM_GET_COUNT_COALESCED);
    return join(op, key, km_group_now(op->group), ret_value);
}

kama_status km_get_op_miss(kama_group *group, struct km_get_op *op,
                           enum km_get_kind kind, kama_bytes key,
                           const struct km_missed *missed,
                           const struct km_call_limits *limits,
                           kama_value **ret_value)
{
    KM_ASSERT(kind == KM_GET_BLOCKED || km_group_pool(group) != NULL);
    KM_ASSERT(op->done != NULL);
    km_ns started_at = limits->begin;
    op->group = group;
    op->kind = kind;
    op->timer.fire = km_get_on_timer;
    op->waiter.wake = km_get_on_load_end;
    op->waiter.hash = missed->hash;
    op->why = missed->why;
    op->waiter.deadline = limits->deadline;
    op->deadline_ms = limits->deadline_ms;
    op->started_at = started_at;
    op->origin = limits->origin;
    op->flags = limits->flags;
    op->traceparent = limits->traceparent;
    op->user = limits->user;
    op->source = KM_GET_FROM_LOADER;
    op->current_ns = 0;
    op->current = false;
    op->absent_ttl_ms = 0;
    op->counted = KM_GET_COUNT_NONE;
    op->asked = KM_GET_ASKED_NOBODY;
    op->ended_as = KM_GROUP_GETS_LOADED;
    kama_status st = join(op, key, limits->begin, ret_value);
    if (st != KAMA_DEFERRED) {
        km_trace_answer(group, key, st, started_at);
    }
    return st;
}

/* Counts a get that another node has asked this one for. */
static void count_served(kama_group *group, const struct km_call_limits *limits)
{
    if (limits->origin == KAMA_ORIGIN_PEER && km_group_is_clustered(group)) {
        km_group_count(group, KM_GROUP_FILLS_SERVED);
    }
}

kama_status km_get_op_start_of_many(kama_group *group, struct km_get_op *op,
                                    kama_bytes key, const kama_ctx *ctx,
                                    struct km_list *fills,
                                    kama_value **ret_value)
{
    struct km_call_limits limits;
    struct km_missed missed;
    op->fills = fills;
    op->source = KM_GET_FROM_MEMORY;
    op->current_ns = 0;
    op->current = true;
    op->absent_ttl_ms = 0;
    kama_status st = km_call_limits_init(group, ctx, &limits);
    if (st == KAMA_OK) {
        count_served(group, &limits);
        st = km_group_look_up(group, key, &limits, &missed, ret_value);
    }
    if (st != KAMA_DEFERRED) {
        return st;
    }
    if (!km_gate_enter(&group->gate)) {
        return km_fail(KAMA_ERR_CLOSED, "the group is closed");
    }
    km_call_limits_begin(group, &limits);
    st = km_get_op_miss(group, op, KM_GET_PARKED, key, &missed, &limits,
                        ret_value);
    km_gate_leave(&group->gate);
    return st;
}

kama_status km_get_op_start(kama_group *group, struct km_get_op *op,
                            kama_bytes key, const kama_ctx *ctx,
                            kama_value **ret_value)
{
    return km_get_op_start_of_many(group, op, key, ctx, NULL, ret_value);
}
