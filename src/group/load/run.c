/* SPDX-License-Identifier: MIT */
/*
 * The two places in which a loader runs: a thread of the pool, or the thread of
 * the caller that leads the load. Both take a slot first (slot.h), and both call
 * the loader with `run`.
 *
 * A load that runs on its caller's thread may have no timer, because a group
 * without a pool has no deadline thread. Such a load is ended by the callers that
 * wait for it, or by the next load of the same shard of the flight.
 */
#include "group/load/run.h"

#include "base/assert.h"
#include "base/boundary.h"
#include "base/container.h"
#include "base/status.h"
#include "group/load/answer.h"
#include "group/load/slot.h"
#include "group/trace.h"

/* -- the loader ----------------------------------------------------------- */

static KM_BOUNDARY_FUNCTION kama_status enter_loader(struct km_load *load)
{
    const kama_group *group = load->group;
    const struct km_group_config *config = &group->config;
    KM_BOUNDARY_BEGIN("the loader", group->name, km_load_key_bytes(load));
    kama_status st =
        config->loader(config->loader_arg, &load->request, &load->sink);
    KM_BOUNDARY_END();
    return st;
}

static kama_status call_loader(struct km_load *load, km_ns now)
{
    km_ns until = load->loader_deadline;
    km_ns left = until > now ? until - now : 0;
    KM_ASSERT(until <= load->call.deadline);
    KM_ASSERT(atomic_load(&load->started_at) == 0);
    load->request.struct_size = sizeof load->request;
    load->request.group = kama_bytes_str(load->group->name);
    load->request.key = km_load_key_bytes(load);
    load->request.deadline_ms =
        (int64_t)((left + KM_NS_PER_MS - 1) / KM_NS_PER_MS);
    atomic_store(&load->started_at, now);
    km_group_count(load->group, KM_GROUP_LOADS);
    km_trace_load_start(load);
    return enter_loader(load);
}

/* Ends a load whose loader has returned st, with the value or the failure that the
 * loader has left in its sink. */
static void complete_from_sink(struct km_load *load, kama_status st)
{
    struct kama_sink *sink = &load->sink;
    struct km_load_answer answer = {.status = st,
                                    .item = sink->item,
                                    .sentence = sink->sentence,
                                    .keep = sink->keep};
    sink->item = NULL;
    if (answer.item == NULL && sink->failed != KAMA_OK &&
        (st == KAMA_OK || st == KAMA_ERR_INVALID)) {
        answer.status = sink->failed;
    }
    km_load_complete(load, &answer);
}

/* Calls the loader, unless the load has ended while it waited for its slot. The
 * thread counts as inside the group meanwhile, and its own gets of the same key
 * are refused instead of waiting for this load. */
static void run(struct km_load *load, km_ns now)
{
    struct km_thread_frame frame;
    if (!km_load_begin(load)) {
        return;
    }
    int cancel = km_cancel_defer();
    km_thread_enter(&frame, load->group);
    atomic_store_explicit(&load->call.thread, km_flight_self(),
                          memory_order_relaxed);
    kama_status st = call_loader(load, now);
    atomic_store_explicit(&load->call.thread, 0, memory_order_relaxed);
    km_thread_leave(&frame);
    if (st != KAMA_DEFERRED || !load->was_deferred) {
        complete_from_sink(load, st);
    }
    km_load_returned(load);
    km_cancel_allow(cancel);
}

/* -- on the pool ---------------------------------------------------------- */

static void run_job(struct km_job *job)
{
    struct km_load *load = KM_CONTAINER_OF(job, struct km_load, job);
    kama_group *group = load->group;
    km_load_drop_unwanted(load);
    run(load, km_group_now(group));
    km_load_unref(load);
    km_gate_leave(&group->gate);
}

/* Hands a load that has a slot to the pool of its group. */
static kama_status submit(struct km_load *load)
{
    load->job.run = run_job;
    return km_pool_submit(km_group_pool(load->group), &load->job);
}

bool km_load_submit_queued(struct km_load *load)
{
    kama_group *group = load->group;
    enum km_load_stage admitted = KM_LOAD_ADMITTED;
    if (submit(load) == KAMA_OK) {
        return true;
    }
    bool is_over =
        atomic_compare_exchange_strong(&load->stage, &admitted, KM_LOAD_OVER);
    km_load_fail(load, KAMA_ERR_OVERLOADED, km_last_error());
    km_load_unref(load);
    km_gate_leave(&group->gate);
    return !is_over;
}

static kama_status start_on_pool(struct km_load *load, struct km_pool *pool)
{
    enum km_slot_place place;
    kama_status st = km_load_arm(load, pool);
    if (st == KAMA_OK) {
        st = km_load_take_slot(load, &place);
    }
    if (st == KAMA_OK && place == KM_SLOT_NONE) {
        st = km_load_queue(load, NULL, &place);
    }
    if (st == KAMA_OK && place == KM_SLOT_TAKEN) {
        st = submit(load);
    }
    return st;
}

kama_status km_load_start_on_pool(struct km_load *load, struct km_pool *pool)
{
    kama_group *group = load->group;
    KM_ASSERT(load->place != KM_LOAD_ON_CALLER);
    if (!km_gate_enter(&group->gate)) {
        km_load_unref(load);
        return km_fail(KAMA_ERR_CLOSED, "the group is closed");
    }
    kama_status st = start_on_pool(load, pool);
    if (st != KAMA_OK) {
        km_load_unref(load);
        km_gate_leave(&group->gate);
    }
    return st;
}

/* -- here ----------------------------------------------------------------- */

/* Waits until the load has a slot, or until its loader could not begin in time. */
static kama_status await_slot_here(struct km_load *load)
{
    struct km_cond cond;
    enum km_slot_place place;
    if (!km_cond_init(&cond)) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no resources to wait");
    }
    kama_status st = km_load_queue(load, &cond, &place);
    if (st == KAMA_OK && place == KM_SLOT_QUEUED) {
        st = km_load_await_slot(load, load->loader_deadline);
    }
    km_cond_fini(&cond);
    return st;
}

/* Takes a slot for a load on the calling thread, and waits for it if necessary.
 * *now is the time when this is called, and the time when it returns. */
static kama_status take_slot_here(struct km_load *load, km_ns *now)
{
    enum km_slot_place place;
    kama_status st = km_load_take_slot(load, &place);
    if (st != KAMA_OK || place == KM_SLOT_TAKEN) {
        return st;
    }
    if (km_thread_is_inside(load->group)) {
        return km_load_share_slot(load);
    }
    st = await_slot_here(load);
    *now = km_group_now(load->group);
    if (st == KAMA_OK && *now >= load->loader_deadline) {
        st = KAMA_ERR_TIMEOUT; /* the slot has become free too late */
    }
    return st;
}

/* Ends a load whose loader was not called. If it is late only for its leader, the
 * callers that have more time load the key anew. */
static void give_up(struct km_load *load, kama_status status)
{
    struct km_load_outcome late = {.status = KAMA_ERR_TIMEOUT,
                                   .verdict = KM_LOAD_LEADER_LATE,
                                   .sentence = ""};
    if (status != KAMA_ERR_TIMEOUT) {
        km_load_fail(load, status, km_last_error());
    } else if (load->loader_deadline < load->call.deadline) {
        (void)km_load_end(load, &late);
    } else {
        km_load_time_out(load);
    }
}

/* Arms the timer of the load if the group has got a pool meanwhile. The thread
 * that makes the pool publishes it and then arms the loads that it finds in the
 * flight; this load was in the flight before it looked for the pool. So either
 * that thread finds the load, or this one finds the pool. */
static void arm_if_pool(struct km_load *load)
{
    struct km_pool *pool = km_group_pool(load->group);
    if (pool != NULL) {
        (void)!km_load_arm(load, pool);
    }
}

void km_load_start_here(struct km_load *load, km_ns deadline, km_ns now)
{
    kama_group *group = load->group;
    KM_ASSERT(load->place == KM_LOAD_ON_CALLER);
    if (deadline < load->loader_deadline) {
        load->loader_deadline = deadline;
    }
    arm_if_pool(load);
    unsigned shard = km_flight_shard_of(load->call.hash);
    if (km_flight_is_late(&group->flight, shard, now)) {
        km_load_fail_overdue_shard(group, shard, now);
    }
    kama_status st = take_slot_here(load, &now);
    if (st == KAMA_OK) {
        run(load, now);
    } else {
        give_up(load, st);
    }
    km_load_unref(load);
}
