/* SPDX-License-Identifier: MIT */
/*
 * kama_set_async and kama_del_async: a mutation (mutate_op.h) and a job of the pool
 * in one allocation. The callback always runs as a job, so that it never runs
 * inside the call. The call stays inside the group's gate until its callback has
 * returned.
 */
#include "base/boundary.h"
#include "base/container.h"
#include "base/limits.h"
#include "base/status.h"
#include "group/group_internal.h"
#include "group/mutate.h"

struct async_mutation {
    struct km_mutate_op op;
    struct km_job job;
    kama_group *group;
    kama_done_cb cb;
    void *arg;
    kama_status status;
    char sentence[KM_ERROR_BYTES_MAX];
};

static KM_BOUNDARY_FUNCTION void call_back(const struct async_mutation *m)
{
    static const kama_bytes no_key = {NULL, 0};
    KM_BOUNDARY_BEGIN("the callback of a mutation", m->group->name, no_key);
    m->cb(m->arg, m->status);
    KM_BOUNDARY_END();
}

static void run_callback(struct km_job *job)
{
    struct async_mutation *m = KM_CONTAINER_OF(job, struct async_mutation, job);
    kama_group *group = m->group;
    if ((int)m->status < 0) {
        (void)km_fail(m->status, "%s", m->sentence);
    }
    call_back(m);
    km_mem_free(&group->mem, m);
    km_gate_leave(&group->gate);
}

static kama_status submit(struct async_mutation *m, kama_status status,
                          const char *sentence)
{
    m->status = status;
    (void)km_text_printf(m->sentence, sizeof m->sentence, "%s", sentence);
    m->job.run = run_callback;
    return km_pool_submit(km_group_pool(m->group), &m->job);
}

/* If the pool cannot start a thread for the callback, this thread calls it: every
 * accepted mutation must be answered. */
static void on_done(struct km_mutate_op *op, kama_status status,
                    const char *sentence)
{
    struct async_mutation *m = KM_CONTAINER_OF(op, struct async_mutation, op);
    km_mutate_op_tell(op);
    if (submit(m, status, sentence) != KAMA_OK) {
        run_callback(&m->job);
    }
}

/* Starts the mutation. An error of the call itself is returned; an answer goes to
 * the callback. The pool has a worker before the mutation is carried out, because
 * a call that returns an error must have changed nothing. */
static kama_status start(struct async_mutation *m,
                         const struct km_mutate_order *order)
{
    kama_status st = km_mutate_op_start(m->group, &m->op, order);
    if (st == KAMA_DEFERRED) {
        return KAMA_OK;
    }
    if (st == KAMA_ERR_INVALID || st == KAMA_ERR_TOO_LARGE ||
        st == KAMA_ERR_NO_MEMORY || st == KAMA_ERR_CLOSED) {
        return st;
    }
    return submit(m, st, (int)st < 0 ? km_last_error() : "");
}

static kama_status mutate_async(kama_group *group,
                                struct km_mutate_order *order, kama_done_cb cb,
                                void *arg)
{
    struct km_pool *pool;
    struct async_mutation *m = NULL;
    if (!km_gate_enter(&group->gate)) {
        return km_fail(KAMA_ERR_CLOSED, "the group is closed");
    }
    kama_status st = km_group_need_pool(group, &pool);
    if (st == KAMA_OK) {
        st = km_pool_need_worker(pool);
    }
    if (st == KAMA_OK) {
        m = km_mem_zalloc(&group->mem, 1, sizeof *m);
        st = m != NULL
                 ? KAMA_OK
                 : km_fail(KAMA_ERR_NO_MEMORY, "no memory for a mutation");
    }
    if (st == KAMA_OK) {
        m->op.done = on_done;
        m->group = group;
        m->cb = cb;
        m->arg = arg;
        st = start(m, order);
    }
    if (st != KAMA_OK) {
        km_mem_free(&group->mem, m);
        km_gate_leave(&group->gate);
    }
    return st;
}

kama_status kama_set_async(kama_group *group, kama_bytes key, kama_bytes value,
                           const kama_set_options *options, kama_done_cb cb,
                           void *arg)
{
    struct km_mutate_order order = {
        .kind = KM_MUTATION_SET, .key = key, .value = value};
    kama_status st = km_group_read_set_options(options, &order);
    return st == KAMA_OK ? mutate_async(group, &order, cb, arg) : st;
}

kama_status kama_del_async(kama_group *group, kama_bytes key,
                           const kama_ctx *ctx, kama_done_cb cb, void *arg)
{
    struct km_mutate_order order = {
        .kind = KM_MUTATION_DELETE, .key = key, .ctx = ctx};
    return mutate_async(group, &order, cb, arg);
}
