/* SPDX-License-Identifier: MIT */
#include "group/get_end.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/status.h"
#include "group/get_count.h"
#include "group/group_internal.h"
#include "group/sentence.h"
#include "group/trace.h"

#include <inttypes.h>

void km_get_disarm(struct km_get_op *op)
{
    if (op->timekeeper == KM_GET_TIMED_ITSELF) {
        op->timekeeper = KM_GET_TIMED_ELSEWHERE;
        km_pool_disarm(km_group_pool(op->group), &op->timer);
    }
}

kama_status km_get_fail_late(const struct km_get_op *op, kama_bytes key)
{
    return km_group_fail_key(op->group, KAMA_ERR_TIMEOUT, key,
                             "no answer within the caller's deadline of "
                             "%" PRId64 " ms",
                             op->deadline_ms);
}

/* Answers the op, which must not be touched afterwards. Takes value. */
static void finish(struct km_get_op *op, kama_bytes key, kama_status status,
                   kama_value *value, const char *sentence)
{
    KM_ASSERT((status == KAMA_OK) == (value != NULL));
    km_trace_answer(op->group, key, status, op->started_at);
    op->done(op, status, value, sentence);
}

/* Starts a get anew that the outcome of its load is not for. A PARKED get does that
 * here; a BLOCKED get is told, because its own thread may have to run the loader. */
static void start_again(struct km_get_op *op, kama_bytes key)
{
    kama_group *group = op->group;
    kama_value *value = NULL;
    op->fills = NULL;
    op->traceparent = NULL;
    if (op->kind == KM_GET_BLOCKED) {
        op->done(op, KAMA_WOULD_LOAD, NULL, "");
        return;
    }
    if (!km_gate_enter(&group->gate)) {
        km_get_count_end(op, KM_GROUP_GETS_FAILED);
        finish(op, key, KAMA_ERR_CANCELLED, NULL, "the group is closed");
        return;
    }
    kama_status st = km_get_op_again(op, key, &value);
    if (st != KAMA_DEFERRED) {
        finish(op, key, st, value, (int)st < 0 ? km_last_error() : "");
    }
    km_gate_leave(&group->gate);
}

/* Answers the leader of a load that ended too late for it: with the loader's
 * error if the loader was called, and otherwise with a sentence about the
 * caller's own deadline. */
static void finish_late_leader(struct km_get_op *op, const struct km_load *load)
{
    kama_bytes key = km_load_key_bytes(load);
    if (atomic_load(&load->started_at) == 0) {
        kama_status st = km_get_fail_late(op, key);
        finish(op, key, st, NULL, km_last_error());
    } else {
        finish(op, key, load->result.status, NULL, load->sentence);
    }
}

/* Returns how a get ends that receives the outcome of the load. A load that has called
 * no loader was cancelled, or could not be started, or there is no loader. */
static enum km_group_metric ended_as(const struct km_load *load)
{
    if (load->result.from_owner) {
        return KM_GROUP_PEER_HITS;
    }
    if (atomic_load(&load->started_at) != 0) {
        return KM_GROUP_GETS_LOADED;
    }
    return load->result.status == KAMA_MISS ? KM_GROUP_GETS_ABSENT
                                            : KM_GROUP_GETS_FAILED;
}

/* Notes who has answered and for how long the answer was current, and counts the
 * end of the get. */
static void note_source(struct km_get_op *op, const struct km_load *load)
{
    enum km_load_asks asks = atomic_load(&load->asks);
    km_ns current_at = load->result.current_at;
    bool is_of_earlier =
        asks == KM_LOAD_ASKS_EARLIER && load->result.from_owner;
    op->source = asks == KM_LOAD_ASKS_PEER || is_of_earlier
                     ? KM_GET_FROM_PEER
                     : KM_GET_FROM_LOADER;
    if (is_of_earlier) {
        km_get_count_earlier(op);
    }
    op->current_ns =
        current_at > op->started_at ? current_at - op->started_at : 0;
    op->current = load->result.current;
    op->absent_ttl_ms = load->result.absent_ttl_ms;
    km_get_count_end(op, ended_as(load));
}

/* Returns whether the get receives the outcome of the load that it waited for. */
static bool is_for(const struct km_get_op *op,
                   const struct km_load_result *result)
{
    bool leads = op->stage == KM_GET_OP_LEADING;
    switch (result->verdict) {
    case KM_LOAD_FOR_ALL:
    case KM_LOAD_UNWANTED:
        return true;
    case KM_LOAD_FOR_EARLIER:
        return leads || op->started_at <= result->current_at;
    case KM_LOAD_LEADER_LATE:
        KM_ASSERT(result->status != KAMA_OK);
        return leads;
    }
    return true;
}

void km_get_on_load_end(struct km_flight_waiter *waiter,
                        struct km_flight_call *call)
{
    struct km_get_op *op = km_get_op_of(waiter);
    const struct km_load *load = km_load_of(call);
    kama_bytes key = km_load_key_bytes(load);
    const struct km_load_result *result = &load->result;
    KM_ASSERT(km_flight_ended(call) && op->stage != KM_GET_OP_STARTING);
    km_get_disarm(op);
    if (!is_for(op, result)) {
        start_again(op, key);
        return;
    }
    note_source(op, load);
    if (result->status == KAMA_OK) {
        finish(op, key, KAMA_OK, kama_value_ref(result->value), "");
    } else if (result->verdict == KM_LOAD_LEADER_LATE) {
        finish_late_leader(op, load);
    } else {
        finish(op, key, result->status, NULL, load->sentence);
    }
}

/* Answers a parked get whose own time is over. The thread is inside the group's
 * gate, so that the group is not freed meanwhile. If the gate is closed, every
 * load of the group is about to be ended, and with its load this get. */
void km_get_on_timer(struct km_timer *timer)
{
    struct km_get_op *op = KM_CONTAINER_OF(timer, struct km_get_op, timer);
    kama_group *group = op->group;
    struct km_flight *flight = &group->flight;
    KM_ASSERT(op->kind == KM_GET_PARKED);
    if (!km_gate_enter(&group->gate)) {
        return;
    }
    struct km_flight_call *call = km_flight_call_of(flight, &op->waiter);
    if (call != NULL) {
        if (km_flight_leave(flight, &op->waiter)) {
            kama_bytes key = km_load_key_bytes(km_load_of(call));
            kama_status st = km_get_fail_late(op, key);
            km_get_count_end(op, KM_GROUP_GETS_FAILED);
            finish(op, key, st, NULL, km_last_error());
        }
        km_load_unref(km_load_of(call));
    }
    km_gate_leave(&group->gate);
}

/* -- the other ends ------------------------------------------------------- */

bool km_get_op_cancel(struct km_get_op *op)
{
    if (!km_flight_leave(&op->group->flight, &op->waiter)) {
        return false;
    }
    km_get_disarm(op);
    km_get_count_end(op, KM_GROUP_GETS_FAILED);
    return true;
}

/* Ends the overdue load that the op waits for. Without a pool the load has no
 * timer, and a caller that waits for it has to end it. */
static void time_out_load(struct km_get_op *op)
{
    struct km_flight_call *call =
        km_flight_call_of(&op->group->flight, &op->waiter);
    if (call != NULL) {
        km_load_time_out(km_load_of(call));
        km_load_unref(km_load_of(call));
    }
}

kama_status km_get_op_time_out(struct km_get_op *op, kama_bytes key, km_ns now)
{
    KM_ASSERT(op->kind == KM_GET_BLOCKED);
    if (now < op->waiter.deadline) {
        time_out_load(op);
        return KAMA_DEFERRED;
    }
    if (!km_flight_leave(&op->group->flight, &op->waiter)) {
        return KAMA_DEFERRED;
    }
    kama_status st = km_get_fail_late(op, key);
    km_get_count_end(op, KM_GROUP_GETS_FAILED);
    km_trace_answer(op->group, key, st, op->started_at);
    return st;
}
