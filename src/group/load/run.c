/* SPDX-License-Identifier: MIT */
/* Loads that run: on a thread of the pool, or on the calling thread. */
#include "group/load/load.h"

#include "base/boundary.h"
#include "base/container.h"
#include "base/status.h"
#include "group/trace.h"

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

static kama_status call_loader(struct km_load *load)
{
    km_ns now = km_group_now(load->group);
    km_ns until = load->loader_deadline;
    km_ns left = until > now ? until - now : 0;
    load->request.struct_size = sizeof load->request;
    load->request.group = kama_bytes_str(load->group->name);
    load->request.key = kama_bytes_make(load->key, load->key_len);
    load->request.deadline_ms =
        (int64_t)((left + KM_NS_PER_MS - 1) / KM_NS_PER_MS);
    atomic_store(&load->started_at, now);
    km_group_count(load->group, KM_GROUP_LOADS);
    km_trace_load_start(load);
    return enter_loader(load);
}

/* Ends a load whose loader has returned st. */
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

/* Calls the loader, unless the load has ended while it waited for its turn. */
static void run(struct km_load *load)
{
    struct km_flight *flight = &load->group->flight;
    if (!km_load_begin(load)) {
        return;
    }
    int cancel = km_cancel_defer();
    km_flight_lead(flight, &load->call, km_flight_self());
    kama_status st = call_loader(load);
    km_flight_lead(flight, &load->call, 0);
    if (st != KAMA_DEFERRED || !load->was_deferred) {
        complete_from_sink(load, st);
    }
    km_load_returned(load);
    km_cancel_allow(cancel);
}

static void run_job(struct km_job *job)
{
    struct km_load *load = KM_CONTAINER_OF(job, struct km_load, job);
    kama_group *group = load->group;
    km_load_drop_unwanted(load);
    run(load);
    km_load_unref(load);
    km_group_leave(group);
}

kama_status km_load_submit(struct km_load *load, struct km_pool *pool)
{
    load->job.run = run_job;
    return km_pool_submit(pool, &load->job);
}

kama_status km_load_start(struct km_load *load, struct km_pool *pool)
{
    bool queued = false;
    kama_group *group = load->group;
    kama_status st = km_load_take_slot(load, NULL, &queued);
    if (st != KAMA_OK) {
        km_load_unref(load);
        return st;
    }
    if (!queued) {
        st = km_load_submit(load, pool);
    }
    if (st != KAMA_OK) {
        km_load_unref(load);
        km_group_leave(group);
    }
    return st;
}

/* Waits until the load may run; KAMA_ERR_TIMEOUT when it is too late for that,
 * even if a slot has become free at the last moment. */
static kama_status await_turn(struct km_load *load)
{
    struct km_cond turn;
    bool queued = false;
    if (!km_cond_init(&turn)) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no resources to wait");
    }
    kama_status st = km_load_take_slot(load, &turn, &queued);
    if (st == KAMA_OK && queued) {
        st = km_load_await_slot(load, load->loader_deadline);
    }
    km_cond_fini(&turn);
    if (st == KAMA_OK && km_group_now(load->group) >= load->loader_deadline) {
        st = KAMA_ERR_TIMEOUT;
    }
    return st;
}

/* Ends a load whose loader was not called. */
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

void km_load_run_here(struct km_load *load, km_ns deadline)
{
    if (deadline < load->loader_deadline) {
        load->loader_deadline = deadline;
    }
    km_load_fail_overdue(load->group, km_group_now(load->group));
    kama_status st = await_turn(load);
    if (st == KAMA_OK) {
        run(load);
    } else {
        give_up(load, st);
    }
    km_load_unref(load);
}
