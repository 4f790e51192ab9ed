/* SPDX-License-Identifier: MIT */
/* Loads that run: on a thread of the pool, or on the calling thread. */
#include "group/load.h"

#include "base/status.h"

static kama_status call_loader(struct km_load *load)
{
    const struct km_group_config *config = &load->group->config;
    km_ns now = km_group_now(load->group);
    km_ns left = load->call.deadline > now ? load->call.deadline - now : 0;
    load->request.struct_size = sizeof load->request;
    load->request.group = kama_bytes_str(load->group->name);
    load->request.key = kama_bytes_make(load->key, load->key_len);
    load->request.deadline_ms =
        (int64_t)((left + KM_NS_PER_MS - 1) / KM_NS_PER_MS);
    atomic_store(&load->started_at, now);
    km_group_count(load->group, KM_GROUP_LOADS);
    return config->loader(config->loader_arg, &load->request, &load->sink);
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
    km_flight_lead(flight, &load->call, km_flight_self());
    kama_status st = call_loader(load);
    km_flight_lead(flight, &load->call, 0);
    if (st != KAMA_DEFERRED || !load->was_deferred) {
        complete_from_sink(load, st);
    }
    km_load_returned(load);
}

static void run_job(struct km_job *job)
{
    struct km_load *load = KM_CONTAINER_OF(job, struct km_load, job);
    kama_group *group = load->group;
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

kama_status km_load_run_here(struct km_load *load, km_ns deadline)
{
    struct km_cond turn;
    bool queued = false;
    bool own = deadline < load->call.deadline;
    km_load_fail_overdue(load->group, km_group_now(load->group));
    if (!km_cond_init(&turn)) {
        km_load_fail(load, KAMA_ERR_NO_MEMORY, "");
        km_load_unref(load);
        return KAMA_ERR_NO_MEMORY;
    }
    kama_status st = km_load_take_slot(load, &turn, &queued);
    if (st == KAMA_OK && queued) {
        st = km_load_await_slot(load, own ? deadline : load->call.deadline);
    }
    if (st == KAMA_OK) {
        run(load);
    } else {
        km_load_fail(
            load, own && st == KAMA_ERR_TIMEOUT ? KAMA_ERR_TRY_AGAIN : st, "");
    }
    km_cond_fini(&turn);
    km_load_unref(load);
    return st;
}
