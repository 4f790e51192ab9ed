/* SPDX-License-Identifier: MIT */
/*
 * Gets that are parked as data. An op leaves its flight exactly once: woken by
 * the end of the load, by its own timer, or by cancel. Whoever takes it out of
 * the flight (under the flight's lock) owns it from there on; the timer is
 * disarmed before done runs, so nothing touches the op after that.
 */
#include "base/assert.h"
#include "base/container.h"
#include "base/status.h"
#include "group/load/load.h"
#include "group/sentence.h"
#include "group/trace.h"

#include <inttypes.h>

static struct km_get_op *op_of(struct km_flight_waiter *waiter)
{
    return KM_CONTAINER_OF(waiter, struct km_get_op, waiter);
}

static void disarm(struct km_get_op *op)
{
    if (op->timed) {
        op->timed = false;
        km_pool_disarm(km_group_pool(op->group), &op->timer);
    }
}

/* Whether a join is the op's first: each get is counted once. */
enum op_try { OP_FIRST, OP_AGAIN };

static kama_status op_join(struct km_get_op *op, kama_bytes key, uint64_t hash,
                           enum op_try which, kama_value **ret_value);

static kama_status op_late(const struct km_get_op *op, kama_bytes key)
{
    return km_group_fail_key(
        op->group, KAMA_ERR_TIMEOUT, key,
        "no answer within the caller's deadline of %" PRId64 " ms",
        op->deadline_ms);
}

/* The op is answered, and not touched afterwards. */
static void op_done(struct km_get_op *op, kama_bytes key, kama_status status,
                    kama_value *value, const char *sentence)
{
    km_trace_answer(op->group, key, status, op->started_at);
    op->done(op, status, value, sentence);
}

/* Joins again: the load has failed because the caller that led it was late. */
static void op_again(struct km_get_op *op, struct km_load *load)
{
    kama_group *group = op->group;
    kama_bytes key = km_load_key_bytes(load);
    kama_value *value = NULL;
    kama_status st;
    if (!km_group_enter(group)) {
        op_done(op, key, KAMA_ERR_CANCELLED, NULL, "the group is closed");
        return;
    }
    st = op_join(op, key, load->call.hash, OP_AGAIN, &value);
    if (st != KAMA_DEFERRED) {
        op_done(op, key, st, value, (int)st < 0 ? km_last_error() : "");
    }
    km_group_leave(group);
}

static void op_wake(struct km_flight_waiter *waiter,
                    struct km_flight_call *call)
{
    struct km_get_op *op = op_of(waiter);
    struct km_load *load = km_load_of(call);
    kama_bytes key = km_load_key_bytes(load);
    kama_status st = load->result.status;
    disarm(op);
    if (st == KAMA_OK) {
        op_done(op, key, st, kama_value_ref(load->result.value), "");
    } else if (load->result.verdict == KM_LOAD_LEADER_LATE) {
        op_again(op, load);
    } else {
        op_done(op, key, st, NULL, load->sentence);
    }
}

/* The key is the load's: the load is held until the sentence is written. */
static void op_fire(struct km_timer *timer)
{
    struct km_get_op *op = KM_CONTAINER_OF(timer, struct km_get_op, timer);
    struct km_flight *flight = &op->group->flight;
    struct km_flight_call *call = km_flight_call_of(flight, &op->waiter);
    if (call == NULL) {
        return;
    }
    if (km_flight_leave(flight, &op->waiter)) {
        kama_bytes key = km_load_key_bytes(km_load_of(call));
        kama_status st = op_late(op, key);
        op_done(op, key, st, NULL, km_last_error());
    }
    km_load_unref(km_load_of(call));
}

/* A load that a caller runs has no timer: then the op needs one anyway. */
kama_status km_get_op_park(struct km_load *load,
                           struct km_flight_waiter *waiter)
{
    if (waiter->wake != op_wake) {
        return KAMA_OK;
    }
    struct km_get_op *op = op_of(waiter);
    km_ns at = waiter->deadline < load->call.deadline ? waiter->deadline
                                                      : load->call.deadline;
    if (at == load->call.deadline && load->on_pool) {
        return KAMA_OK;
    }
    kama_status st = km_pool_arm(km_group_pool(op->group), &op->timer, at);
    op->timed = st == KAMA_OK;
    return st;
}

/* The op leads a load of its own, and is parked on it: its timer may end it
 * at any moment, then its memory is gone. */
static kama_status op_lead(struct km_get_op *op, struct km_load *load)
{
    kama_group *group = load->group;
    kama_status st = km_load_start(load, km_group_pool(group));
    if (st == KAMA_OK) {
        return KAMA_DEFERRED;
    }
    char sentence[KM_ERROR_BYTES_MAX];
    memcpy(sentence, km_last_error(), strlen(km_last_error()) + 1);
    bool left = km_flight_leave_call(&group->flight, &load->call, &op->waiter);
    if (left) {
        disarm(op);
    }
    km_load_fail(load, st, sentence);
    return left ? km_fail(st, "%s", sentence) : KAMA_DEFERRED;
}

/* The op, which may be answered already, leads, waits or does neither. */
static void op_count(kama_group *group, kama_bytes key, enum op_try which,
                     enum km_flight_role role)
{
    if (role == KM_FLIGHT_LEADS || role == KM_FLIGHT_PARKED) {
        km_trace_get(
            group, role == KM_FLIGHT_LEADS ? KM_GET_LEADS : KM_GET_JOINS, key);
    }
    if (which == OP_AGAIN) {
        return;
    }
    km_group_count(group, KM_GROUP_MISSES);
    if (role == KM_FLIGHT_PARKED) {
        km_group_count(group, KM_GROUP_COALESCED);
    }
}

/* Neither leads nor waits: the status is the answer. */
static kama_status op_answer(struct km_get_op *op, struct km_load *load,
                             kama_status status, kama_value **ret_value)
{
    disarm(op);
    if (status == KAMA_OK) {
        *ret_value = kama_value_ref(load->result.value);
    } else if ((int)status < 0) {
        (void)km_group_fail_join(op->group, status, km_load_key_bytes(load));
    }
    return status;
}

/* Nobody works on the key: starts a load. The op is not touched once it is
 * parked on another's load, because it may be answered already. */
static kama_status op_start(struct km_get_op *op, const struct km_load_key *key,
                            uint64_t hash, enum op_try which,
                            kama_value **ret_value)
{
    kama_group *group = op->group;
    kama_status st = KAMA_ERR_NO_MEMORY;
    struct km_load *load = km_load_new(group, key->key, hash, key->now, true);
    if (load == NULL) {
        return km_fail(st, "no memory for a load");
    }
    load->is_again = which == OP_AGAIN;
    km_load_ref(load);
    enum km_flight_role role = km_flight_join(&group->flight, hash, key,
                                              &op->waiter, &load->call, &st);
    if (role == KM_FLIGHT_LEADS) {
        op_count(group, key->key, which, role);
        st = op_lead(op, load);
    } else {
        km_load_unref(load);
        if (role == KM_FLIGHT_PARKED) {
            op_count(group, key->key, which, role);
            st = KAMA_DEFERRED;
        } else {
            st = op_answer(op, load, st, ret_value);
        }
    }
    km_load_unref(load);
    return st;
}

static kama_status op_join(struct km_get_op *op, kama_bytes key, uint64_t hash,
                           enum op_try which, kama_value **ret_value)
{
    kama_group *group = op->group;
    struct km_load_key wanted = {key, km_group_now(group)};
    kama_status st = KAMA_OK;
    op->timed = false;
    op->timer.at = 0;
    if (wanted.now >= op->waiter.deadline) {
        op_count(group, key, which, KM_FLIGHT_ANSWER);
        return op_late(op, key);
    }
    enum km_flight_role role =
        km_flight_join(&group->flight, hash, &wanted, &op->waiter, NULL, &st);
    if (role == KM_FLIGHT_NOBODY) {
        return op_start(op, &wanted, hash, which, ret_value);
    }
    op_count(group, key, which, role);
    return role == KM_FLIGHT_PARKED ? KAMA_DEFERRED
                                    : km_group_fail_join(group, st, key);
}

kama_status km_group_get_park(kama_group *group, struct km_get_op *op,
                              kama_bytes key, uint64_t hash,
                              const struct km_call_limits *call,
                              kama_value **ret_value)
{
    KM_ASSERT(km_group_pool(group) != NULL);
    if (!km_group_enter(group)) {
        return km_fail(KAMA_ERR_CLOSED, "the group is closed");
    }
    op->group = group;
    op->timer.fire = op_fire;
    op->waiter.wake = op_wake;
    op->waiter.hash = hash;
    op->waiter.deadline = call->deadline;
    op->deadline_ms = call->deadline_ms;
    km_ns started_at = group->is_traced ? km_group_now(group) : 0;
    op->started_at = started_at;
    kama_status st = op_join(op, key, hash, OP_FIRST, ret_value);
    if (st != KAMA_DEFERRED) {
        km_trace_answer(group, key, st, started_at);
    }
    km_group_leave(group);
    return st;
}

kama_status km_group_get_start(kama_group *group, struct km_get_op *op,
                               kama_bytes key, const kama_ctx *ctx,
                               kama_value **ret_value)
{
    struct km_call_limits call;
    uint64_t hash;
    kama_status st = km_call_limits_init(group, ctx, &call);
    if (st == KAMA_OK) {
        st = km_group_look_up(group, key, &call, &hash, ret_value);
    }
    if (st != KAMA_DEFERRED) {
        return st;
    }
    km_call_limits_begin(group, &call);
    return km_group_get_park(group, op, key, hash, &call, ret_value);
}

bool km_group_get_cancel(struct km_get_op *op)
{
    if (!km_flight_leave(&op->group->flight, &op->waiter)) {
        return false;
    }
    disarm(op);
    return true;
}
