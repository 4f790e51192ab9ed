/* SPDX-License-Identifier: MIT */
/*
 * kama_get_async: a get (get_op.h) and a job of the pool in one allocation.
 *
 *     call ---> parked ---> answered ---> job ---> callback ---> freed
 *       |                                  ^
 *       +-- answered from memory ----------+
 *
 * The callback always runs as a job, even if memory has the answer, so that it
 * never runs inside the call, and never on the thread that ends a load. The call
 * stays inside the group's gate until its callback has returned, so that the
 * group is not freed meanwhile.
 */
#include "base/assert.h"
#include "base/boundary.h"
#include "base/container.h"
#include "base/limits.h"
#include "base/status.h"
#include "group/group_internal.h"

struct async_get {
    struct km_get_op op;
    struct km_job job;
    kama_group *group;
    kama_get_cb cb;
    void *arg;
    kama_status status;
    kama_value *value;
    char sentence[KM_ERROR_BYTES_MAX];
};

static KM_BOUNDARY_FUNCTION void call_back(const struct async_get *get)
{
    static const kama_bytes no_key = {NULL, 0};
    KM_BOUNDARY_BEGIN("the callback of kama_get_async", get->group->name,
                      no_key);
    get->cb(get->arg, get->status, get->value);
    KM_BOUNDARY_END();
}

static void run_callback(struct km_job *job)
{
    struct async_get *get = KM_CONTAINER_OF(job, struct async_get, job);
    kama_group *group = get->group;
    if ((int)get->status < 0) {
        (void)km_fail(get->status, "%s", get->sentence);
    }
    call_back(get);
    km_mem_free(&group->mem, get);
    km_gate_leave(&group->gate);
}

static kama_status submit(struct async_get *get, kama_status status,
                          kama_value *value, const char *sentence)
{
    KM_ASSERT((status == KAMA_OK) == (value != NULL));
    get->status = status;
    get->value = value;
    (void)km_text_printf(get->sentence, sizeof get->sentence, "%s", sentence);
    get->job.run = run_callback;
    return km_pool_submit(km_group_pool(get->group), &get->job);
}

/* Hands the answer to a job. If the pool has no thread and cannot start one, the
 * callback runs here, because every accepted get must be answered. */
static void on_done(struct km_get_op *op, kama_status status, kama_value *value,
                    const char *sentence)
{
    struct async_get *get = KM_CONTAINER_OF(op, struct async_get, op);
    if (submit(get, status, value, sentence) != KAMA_OK) {
        run_callback(&get->job);
    }
}

/* Returns whether an error is returned by the call itself, and not handed to the
 * callback. */
static bool is_refusal(kama_status status)
{
    return status == KAMA_ERR_INVALID || status == KAMA_ERR_TOO_LARGE ||
           status == KAMA_ERR_NO_MEMORY || status == KAMA_ERR_THREADS ||
           status == KAMA_ERR_OVERLOADED || status == KAMA_ERR_CLOSED;
}

static kama_status start(struct async_get *get, kama_bytes key,
                         const kama_ctx *ctx)
{
    kama_value *value = NULL;
    kama_status st = km_get_op_start(get->group, &get->op, key, ctx, &value);
    if (st == KAMA_DEFERRED) {
        return KAMA_OK;
    }
    if (is_refusal(st)) {
        return st;
    }
    kama_status submitted =
        submit(get, st, value, (int)st < 0 ? km_last_error() : "");
    if (submitted != KAMA_OK) {
        kama_value_unref(value);
    }
    return submitted;
}

kama_status kama_get_async(kama_group *group, kama_bytes key,
                           const kama_ctx *ctx, kama_get_cb cb, void *arg)
{
    struct km_pool *pool;
    if (!km_gate_enter(&group->gate)) {
        return km_fail(KAMA_ERR_CLOSED, "the group is closed");
    }
    struct async_get *get = NULL;
    kama_status st = km_group_need_pool(group, &pool);
    if (st == KAMA_OK) {
        get = km_mem_zalloc(&group->mem, 1, sizeof *get);
        st = get != NULL ? KAMA_OK
                         : km_fail(KAMA_ERR_NO_MEMORY, "no memory for a get");
    }
    if (st == KAMA_OK) {
        get->op.done = on_done;
        get->group = group;
        get->cb = cb;
        get->arg = arg;
        st = start(get, key, ctx);
    }
    if (st != KAMA_OK) {
        km_mem_free(&group->mem, get);
        km_gate_leave(&group->gate);
    }
    return st;
}
