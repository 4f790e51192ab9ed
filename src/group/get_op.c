/* SPDX-License-Identifier: MIT */
/*
 * Gets that are parked as data. An op leaves its flight exactly once: woken by
 * the end of the load, by its own timer, or by cancel. Whoever takes it out of
 * the flight (under the flight's lock) owns it from there on; the timer is
 * disarmed before done runs, so nothing touches the op after that.
 */
#include "base/assert.h"
#include "base/status.h"
#include "group/load.h"
#include "group/sentence.h"

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

static void op_wake(struct km_flight_waiter *waiter,
                    struct km_flight_call *call)
{
    struct km_get_op *op = op_of(waiter);
    struct km_load *load = km_load_of(call);
    kama_status st = load->result.status;
    disarm(op);
    if (st == KAMA_OK) {
        op->done(op, st, kama_value_ref(load->result.value), "");
    } else if (st == KAMA_ERR_TRY_AGAIN) {
        op->done(op, KAMA_ERR_OVERLOADED, NULL,
                 "the load waited for a slot until its caller gave up");
    } else {
        op->done(op, st, NULL, load->sentence);
    }
}

/* The key is the load's: the load is held until the sentence is written. */
static void op_fire(struct km_timer *timer)
{
    struct km_get_op *op = KM_CONTAINER_OF(timer, struct km_get_op, timer);
    struct km_flight *flight = &op->group->flight;
    struct km_flight_call *call = km_flight_call_of(flight, &op->waiter);
    char sentence[KM_ERROR_BYTES_MAX];
    if (call == NULL) {
        return;
    }
    if (km_flight_leave(flight, &op->waiter)) {
        struct km_load *load = km_load_of(call);
        km_group_sentence(
            op->group, kama_bytes_make(load->key, load->key_len), sentence,
            "no answer within the caller's deadline of %" PRId64 " ms",
            op->deadline_ms);
        op->done(op, KAMA_ERR_TIMEOUT, NULL, sentence);
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
    km_ns at =
        op->deadline < load->call.deadline ? op->deadline : load->call.deadline;
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

static kama_status op_start(struct km_get_op *op, const struct km_load_key *key,
                            uint64_t hash, kama_value **ret_value)
{
    kama_group *group = op->group;
    kama_status st = KAMA_ERR_NO_MEMORY;
    struct km_load *load = km_load_new(group, key->key, hash, key->now, true);
    if (load == NULL) {
        return km_fail(st, "no memory for a load");
    }
    km_load_ref(load);
    enum km_flight_role role = km_flight_join(&group->flight, hash, key,
                                              &op->waiter, &load->call, &st);
    if (role == KM_FLIGHT_LEADS) {
        km_group_count(group, KM_GROUP_MISSES);
        st = op_lead(op, load);
    } else {
        km_load_unref(load);
        if (role == KM_FLIGHT_PARKED) {
            km_group_count(group, KM_GROUP_MISSES);
            km_group_count(group, KM_GROUP_COALESCED);
            st = KAMA_DEFERRED;
        } else {
            disarm(op);
            if (st == KAMA_OK) {
                *ret_value = kama_value_ref(load->result.value);
            } else if ((int)st < 0) {
                (void)km_group_fail_join(group, st, key->key);
            }
        }
    }
    km_load_unref(load);
    return st;
}

static kama_status op_join(struct km_get_op *op, kama_bytes key, uint64_t hash,
                           int64_t deadline_ms, kama_value **ret_value)
{
    kama_group *group = op->group;
    struct km_load_key wanted = {key, km_group_now(group)};
    kama_status st = KAMA_OK;
    op->timed = false;
    op->timer.at = 0;
    km_list_init(&op->timer.node);
    op->timer.fire = op_fire;
    op->waiter.wake = op_wake;
    op->deadline_ms = deadline_ms;
    op->deadline = km_ns_after_ms(wanted.now, deadline_ms);
    enum km_flight_role role =
        km_flight_join(&group->flight, hash, &wanted, &op->waiter, NULL, &st);
    if (role == KM_FLIGHT_NOBODY) {
        return op_start(op, &wanted, hash, ret_value);
    }
    km_group_count(group, KM_GROUP_MISSES);
    if (role == KM_FLIGHT_PARKED) {
        km_group_count(group, KM_GROUP_COALESCED);
        return KAMA_DEFERRED;
    }
    return km_group_fail_join(group, st, key);
}

kama_status km_group_get_start(kama_group *group, struct km_get_op *op,
                               kama_bytes key, const kama_ctx *ctx,
                               kama_value **ret_value)
{
    struct km_group_call call;
    kama_status st = km_group_check_key(key);
    if (st == KAMA_OK) {
        st = km_group_call_init(group, ctx, &call);
    }
    if (st != KAMA_OK) {
        return st;
    }
    uint64_t hash = km_store_hash(group->store, key);
    st = km_store_get(group->store, hash, key, ret_value);
    if (st != KAMA_WOULD_LOAD) {
        return st;
    }
    if (group->config.loader == NULL || (call.flags & KAMA_NO_LOAD) != 0) {
        return km_group_absent(group);
    }
    KM_ASSERT(km_group_pool(group) != NULL);
    if (!km_group_enter(group)) {
        return km_fail(KAMA_ERR_CLOSED, "the group is closed");
    }
    op->group = group;
    st = op_join(op, key, hash, call.deadline_ms, ret_value);
    km_group_leave(group);
    return st;
}

bool km_group_get_cancel(struct km_get_op *op)
{
    if (!km_flight_leave(&op->group->flight, &op->waiter)) {
        return false;
    }
    disarm(op);
    return true;
}
