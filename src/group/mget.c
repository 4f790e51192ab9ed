/* SPDX-License-Identifier: MIT */
/*
 * Gets of many keys. With a pool all keys are parked at once and whoever
 * answers the last one finishes the batch; without one the calling thread
 * takes the keys in turn, loading what nobody loads.
 */
#include "base/assert.h"
#include "base/limits.h"
#include "base/status.h"
#include "group/group_internal.h"

struct batch;

/* One key that is not answered yet. */
struct batch_key {
    struct km_get_op op;
    struct batch *batch;
};

/* One mget. keys[i] answers into items[i]. */
struct batch {
    kama_group *group;
    atomic_size_t open; /* keys without answer, and one for the starter */
    void (*finish)(struct batch *batch);
    kama_item *items;
    size_t count;
    struct batch_key *keys;
    kama_item *own_items; /* of an asynchronous batch */
    struct km_job job;
    kama_mget_cb cb;
    void *arg;
    struct km_mutex lock; /* of a synchronous one */
    struct km_cond answered;
    bool done;
};

static void answer(struct batch *batch, size_t i, kama_status status,
                   kama_value *value)
{
    batch->items[i].status = status;
    batch->items[i].value = status == KAMA_OK ? value : NULL;
}

static void close_one(struct batch *batch)
{
    if (atomic_fetch_sub(&batch->open, 1) == 1) {
        batch->finish(batch);
    }
}

static void on_done(struct km_get_op *op, kama_status status, kama_value *value,
                    const char *sentence)
{
    struct batch_key *key = KM_CONTAINER_OF(op, struct batch_key, op);
    struct batch *batch = key->batch;
    (void)sentence;
    answer(batch, (size_t)(key - batch->keys), status, value);
    close_one(batch);
}

/* Starts every key; the starter's part of `open` is still to be closed. */
static void start_all(struct batch *batch, const kama_bytes *keys,
                      const kama_ctx *ctx)
{
    size_t count = batch->count;
    atomic_init(&batch->open, count + 1);
    for (size_t i = 0; i < count; i++) {
        kama_value *value = NULL;
        batch->keys[i].batch = batch;
        batch->keys[i].op.done = on_done;
        kama_status st = km_group_get_start(batch->group, &batch->keys[i].op,
                                            keys[i], ctx, &value);
        if (st != KAMA_DEFERRED) {
            answer(batch, i, st, value);
            close_one(batch);
        }
    }
}

static kama_status check_mget(const kama_group *group, const kama_bytes *keys,
                              size_t n, const kama_ctx *ctx)
{
    struct km_group_call call;
    if (n > KM_MGET_KEYS_MAX) {
        return km_fail(KAMA_ERR_TOO_LARGE, "mget: %zu keys, at most %d", n,
                       KM_MGET_KEYS_MAX);
    }
    if (n > 0 && keys == NULL) {
        return km_fail(KAMA_ERR_INVALID, "mget: keys are NULL");
    }
    return km_group_call_init(group, ctx, &call);
}

/* One key after the other, within one deadline. */
static void get_in_turn(kama_group *group, const kama_bytes *keys, size_t n,
                        const struct km_group_call *call, kama_item *items)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t hash;
        kama_value *value = NULL;
        kama_status st = km_group_look_up(group, keys[i], call, &hash, &value);
        if (st == KAMA_DEFERRED) {
            st = km_group_get_slow(group, keys[i], hash, call, &value);
        }
        items[i].status = st;
        items[i].value = st == KAMA_OK ? value : NULL;
    }
}

static void finish_sync(struct batch *batch)
{
    km_mutex_lock(&batch->lock);
    batch->done = true;
    km_cond_signal(&batch->answered);
    km_mutex_unlock(&batch->lock);
}

static bool init_sync(struct batch *batch)
{
    if (!km_mutex_init(&batch->lock, KM_RANK_WAITER)) {
        return false;
    }
    if (!km_cond_init(&batch->answered)) {
        km_mutex_fini(&batch->lock);
        return false;
    }
    return true;
}

static void await(struct batch *batch)
{
    km_mutex_lock(&batch->lock);
    while (!batch->done) {
        km_cond_wait(&batch->answered, &batch->lock);
    }
    km_mutex_unlock(&batch->lock);
}

/* All keys at once, on the pool. */
static kama_status get_at_once(kama_group *group, const kama_bytes *keys,
                               size_t n, const kama_ctx *ctx, kama_item *items)
{
    struct batch batch = {
        .group = group, .finish = finish_sync, .items = items, .count = n};
    batch.keys = km_mem_zalloc(&group->mem, n, sizeof *batch.keys);
    if (batch.keys == NULL) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for %zu keys", n);
    }
    if (!init_sync(&batch)) {
        km_mem_free(&group->mem, batch.keys);
        return km_fail(KAMA_ERR_NO_MEMORY, "no resources to wait");
    }
    start_all(&batch, keys, ctx);
    close_one(&batch);
    await(&batch);
    km_cond_fini(&batch.answered);
    km_mutex_fini(&batch.lock);
    km_mem_free(&group->mem, batch.keys);
    return KAMA_OK;
}

kama_status kama_mget(kama_group *group, const kama_bytes *keys, size_t n,
                      const kama_ctx *ctx, kama_item *ret_items)
{
    struct km_group_call call;
    kama_status st = check_mget(group, keys, n, ctx);
    if (st != KAMA_OK || n == 0) {
        return st;
    }
    struct km_pool *pool = km_group_pool(group);
    if (pool != NULL && !km_pool_is_inside(pool)) {
        if (!km_group_enter(group)) {
            return km_fail(KAMA_ERR_CLOSED, "the group is closed");
        }
        st = get_at_once(group, keys, n, ctx, ret_items);
        km_group_leave(group);
        return st;
    }
    st = km_group_call_init(group, ctx, &call);
    if (st == KAMA_OK) {
        km_group_call_begin(group, &call);
        get_in_turn(group, keys, n, &call, ret_items);
    }
    return st;
}

void kama_items_unref(kama_item *items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        kama_value_unref(items[i].value);
        items[i].value = NULL;
    }
}

static void batch_free(struct batch *batch)
{
    const kama_allocator *mem = &batch->group->mem;
    km_mem_free(mem, batch->own_items);
    km_mem_free(mem, batch->keys);
    km_mem_free(mem, batch);
}

static void run_callback(struct km_job *job)
{
    struct batch *batch = KM_CONTAINER_OF(job, struct batch, job);
    kama_group *group = batch->group;
    batch->cb(batch->arg, KAMA_OK, batch->items, batch->count);
    batch_free(batch);
    km_group_leave(group);
}

static kama_status submit(struct batch *batch)
{
    batch->job.run = run_callback;
    return km_pool_submit(km_group_pool(batch->group), &batch->job);
}

/* On a thread of the pool, or on the deadline thread. */
static void finish_async(struct batch *batch)
{
    if (submit(batch) != KAMA_OK) {
        run_callback(&batch->job);
    }
}

/* An asynchronous batch with room for n keys; NULL without memory. */
static struct batch *batch_new(kama_group *group, size_t n)
{
    struct batch *batch = km_mem_zalloc(&group->mem, 1, sizeof *batch);
    if (batch == NULL) {
        return NULL;
    }
    size_t room = n > 0 ? n : 1;
    batch->group = group;
    batch->finish = finish_async;
    batch->count = n;
    batch->keys = km_mem_zalloc(&group->mem, room, sizeof *batch->keys);
    batch->own_items = km_mem_zalloc(&group->mem, room, sizeof(kama_item));
    batch->items = batch->own_items;
    if (batch->keys == NULL || batch->own_items == NULL) {
        batch_free(batch);
        return NULL;
    }
    return batch;
}

/* The starter's part. When it is the last one and the pool has no thread for
 * the callback, the call fails: the callback never runs inside it. */
static kama_status close_starter(struct batch *batch)
{
    if (atomic_fetch_sub(&batch->open, 1) != 1) {
        return KAMA_OK;
    }
    kama_status st = submit(batch);
    if (st != KAMA_OK) {
        kama_items_unref(batch->items, batch->count);
        batch_free(batch);
    }
    return st;
}

static kama_status mget_async(kama_group *group, const kama_bytes *keys,
                              size_t n, const kama_ctx *ctx, kama_mget_cb cb,
                              void *arg)
{
    struct km_pool *pool;
    kama_status st = check_mget(group, keys, n, ctx);
    if (st == KAMA_OK) {
        st = km_group_need_pool(group, &pool);
    }
    if (st != KAMA_OK) {
        return st;
    }
    struct batch *batch = batch_new(group, n);
    if (batch == NULL) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for %zu keys", n);
    }
    batch->cb = cb;
    batch->arg = arg;
    start_all(batch, keys, ctx);
    return close_starter(batch);
}

kama_status kama_mget_async(kama_group *group, const kama_bytes *keys, size_t n,
                            const kama_ctx *ctx, kama_mget_cb cb, void *arg)
{
    if (!km_group_enter(group)) {
        return km_fail(KAMA_ERR_CLOSED, "the group is closed");
    }
    kama_status st = mget_async(group, keys, n, ctx, cb, arg);
    if (st != KAMA_OK) {
        km_group_leave(group);
    }
    return st;
}
