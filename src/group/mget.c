/* SPDX-License-Identifier: MIT */
/*
 * Gets of many keys. With a pool all keys are parked at once and whoever
 * answers the last one finishes the batch; without one the calling thread
 * takes the keys in turn, loading what nobody loads.
 *
 * Equal keys that have to be loaded share one load, whatever becomes of it. A
 * batch finds them before it starts the first load: from then on answers come
 * on other threads, and the chains of equal keys do not change any more.
 */
#include "base/boundary.h"
#include "base/container.h"
#include "base/event.h"
#include "base/limits.h"
#include "base/status.h"
#include "group/checks.h"
#include "group/get.h"
#include "group/group_internal.h"
#include "group/look_up.h"
#include "group/twins.h"

struct batch;

/* What is to be done for a key of a batch. */
enum key_part {
    KEY_IS_ANSWERED,
    KEY_IS_LOADED,  /* for itself and for the equal keys behind `next` */
    KEY_IS_FOLLOWER /* it gets the answer of an equal key */
};

struct batch_key {
    struct km_get_op op;
    struct batch *batch;
    uint64_t hash;
    uint32_t next; /* an equal key; KM_TWINS_NONE: no more */
    enum key_part part;
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
    struct km_event answered; /* of a synchronous one */
    atomic_bool has_failed;   /* an item has; the first one writes the rest */
    kama_status failure;
    char sentence[KM_ERROR_BYTES_MAX];
};

/* -- answers -------------------------------------------------------------- */

static void keep_failure(struct batch *batch, kama_status status,
                         const char *sentence)
{
    if (atomic_exchange(&batch->has_failed, true)) {
        return;
    }
    size_t n = strnlen(sentence, sizeof batch->sentence - 1);
    batch->failure = status;
    memcpy(batch->sentence, sentence, n);
    batch->sentence[n] = '\0';
}

/* Makes the first failure the calling thread's last error, if there is one. */
static void tell_failure(const struct batch *batch)
{
    if (atomic_load(&batch->has_failed)) {
        (void)km_fail(batch->failure, "%s", batch->sentence);
    }
}

static void close_one(struct batch *batch)
{
    if (atomic_fetch_sub(&batch->open, 1) == 1) {
        batch->finish(batch);
    }
}

/* Answers one key. Takes value. */
static void answer_one(struct batch *batch, size_t i, kama_status status,
                       kama_value *value)
{
    batch->items[i].status = status;
    batch->items[i].value = status == KAMA_OK ? value : NULL;
    close_one(batch);
}

/* Answers a key and those that are equal to it. Takes value. The batch may be
 * gone afterwards, so the key itself is answered last. */
static void answer_all(struct batch *batch, size_t i, kama_status status,
                       kama_value *value, const char *sentence)
{
    if ((int)status < 0) {
        keep_failure(batch, status, sentence);
    }
    uint32_t twin = batch->keys[i].next;
    while (twin != KM_TWINS_NONE) {
        uint32_t next = batch->keys[twin].next;
        answer_one(batch, twin, status,
                   status == KAMA_OK ? kama_value_ref(value) : NULL);
        twin = next;
    }
    answer_one(batch, i, status, value);
}

static void on_done(struct km_get_op *op, kama_status status, kama_value *value,
                    const char *sentence)
{
    struct batch_key *key = KM_CONTAINER_OF(op, struct batch_key, op);
    struct batch *batch = key->batch;
    answer_all(batch, (size_t)(key - batch->keys), status, value, sentence);
}

/* -- the start ------------------------------------------------------------ */

/* The key has to be loaded: alone, or with an equal one that was found before.
 */
static kama_status join_twins(struct batch *batch, struct km_twins *twins,
                              kama_bytes bytes, size_t i)
{
    struct batch_key *key = &batch->keys[i];
    uint32_t first = km_twins_find(twins, key->hash, bytes);
    if (first == KM_TWINS_NONE) {
        key->part = KEY_IS_LOADED;
        return km_twins_add(twins, key->hash, bytes, (uint32_t)i);
    }
    key->part = KEY_IS_FOLLOWER;
    key->next = batch->keys[first].next;
    batch->keys[first].next = (uint32_t)i;
    km_group_count_twin(batch->group);
    return KAMA_OK;
}

/* Answers what memory answers, and finds equal keys among the others. */
static void look_up_all(struct batch *batch, const kama_bytes *keys,
                        const struct km_call_limits *call)
{
    struct km_twins twins;
    km_twins_init(&twins, &batch->group->mem);
    for (size_t i = 0; i < batch->count; i++) {
        struct batch_key *key = &batch->keys[i];
        kama_value *value = NULL;
        key->batch = batch;
        key->op.done = on_done;
        key->next = KM_TWINS_NONE;
        kama_status st =
            km_group_look_up(batch->group, keys[i], call, &key->hash, &value);
        if (st == KAMA_DEFERRED) {
            st = join_twins(batch, &twins, keys[i], i);
            if (st == KAMA_OK) {
                continue;
            }
        }
        key->part = KEY_IS_ANSWERED;
        answer_all(batch, i, st, value, (int)st < 0 ? km_last_error() : "");
    }
    km_twins_fini(&twins);
}

/* Starts every key; the starter's part of `open` is still to be closed. */
static void start_all(struct batch *batch, const kama_bytes *keys,
                      struct km_call_limits *call)
{
    atomic_init(&batch->open, batch->count + 1);
    km_call_limits_begin(batch->group, call);
    look_up_all(batch, keys, call);
    for (size_t i = 0; i < batch->count; i++) {
        struct batch_key *key = &batch->keys[i];
        kama_value *value = NULL;
        if (key->part != KEY_IS_LOADED) {
            continue;
        }
        kama_status st = km_get_op_miss(batch->group, &key->op, KM_GET_PARKED,
                                        keys[i], key->hash, call, &value);
        if (st != KAMA_DEFERRED) {
            answer_all(batch, i, st, value, (int)st < 0 ? km_last_error() : "");
        }
    }
}

static kama_status check_mget(const kama_group *group, const kama_bytes *keys,
                              size_t n, const kama_ctx *ctx,
                              struct km_call_limits *ret_call)
{
    if (n > KM_MGET_KEYS_MAX) {
        return km_fail(KAMA_ERR_TOO_LARGE, "mget: %zu keys, at most %d", n,
                       KM_MGET_KEYS_MAX);
    }
    if (n > 0 && keys == NULL) {
        return km_fail(KAMA_ERR_INVALID, "mget: keys are NULL");
    }
    return km_call_limits_init(group, ctx, ret_call);
}

/* -- one key after the other ---------------------------------------------- */

/* One mget on the calling thread. */
struct turns {
    kama_group *group;
    const kama_bytes *keys;
    const struct km_call_limits *call;
    kama_item *items;
    struct km_twins twins;
};

/* Loads key i, or gives it the answer of an equal key that was loaded before. */
static kama_status load_in_turn(struct turns *t, size_t i, uint64_t hash)
{
    kama_bytes key = t->keys[i];
    kama_item *item = &t->items[i];
    uint32_t first = km_twins_find(&t->twins, hash, key);
    if (first != KM_TWINS_NONE) {
        km_group_count_twin(t->group);
        *item = t->items[first];
        if (item->value != NULL) {
            (void)kama_value_ref(item->value);
        }
        return item->status;
    }
    struct km_call_limits limits = *t->call;
    kama_status st = km_twins_add(&t->twins, hash, key, (uint32_t)i);
    if (st != KAMA_OK) {
        return st;
    }
    limits.begin = km_group_now(t->group);
    return km_group_get_miss(t->group, key, hash, &limits, &item->value);
}

/* Takes the keys in turn, within one deadline. */
static void get_in_turn(kama_group *group, const kama_bytes *keys, size_t n,
                        const struct km_call_limits *call, kama_item *items)
{
    struct turns t = {
        .group = group, .keys = keys, .call = call, .items = items};
    km_twins_init(&t.twins, &group->mem);
    for (size_t i = 0; i < n; i++) {
        uint64_t hash;
        items[i].value = NULL;
        kama_status st =
            km_group_look_up(group, keys[i], call, &hash, &items[i].value);
        if (st == KAMA_DEFERRED) {
            st = load_in_turn(&t, i, hash);
        }
        items[i].status = st;
    }
    km_twins_fini(&t.twins);
}

/* -- synchronous ---------------------------------------------------------- */

static void finish_sync(struct batch *batch)
{
    km_event_set(&batch->answered);
}

/* All keys at once, on the pool. */
static kama_status get_at_once(kama_group *group, const kama_bytes *keys,
                               size_t n, struct km_call_limits *call,
                               kama_item *items)
{
    struct batch batch = {
        .group = group, .finish = finish_sync, .items = items, .count = n};
    batch.keys = km_mem_zalloc(&group->mem, n, sizeof *batch.keys);
    if (batch.keys == NULL) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for %zu keys", n);
    }
    if (!km_event_init(&batch.answered)) {
        km_mem_free(&group->mem, batch.keys);
        return km_fail(KAMA_ERR_NO_MEMORY, "no resources to wait");
    }
    start_all(&batch, keys, call);
    close_one(&batch);
    (void)km_event_wait(&batch.answered, KM_NS_NEVER);
    tell_failure(&batch);
    km_event_fini(&batch.answered);
    km_mem_free(&group->mem, batch.keys);
    return KAMA_OK;
}

kama_status kama_mget(kama_group *group, const kama_bytes *keys, size_t n,
                      const kama_ctx *ctx, kama_item *ret_items)
{
    struct km_call_limits call;
    kama_status st = check_mget(group, keys, n, ctx, &call);
    if (st != KAMA_OK || n == 0) {
        return st;
    }
    struct km_pool *pool = km_group_pool_for_call(group);
    if (pool != NULL && !km_pool_is_inside(pool)) {
        if (!km_gate_enter(&group->gate)) {
            return km_fail(KAMA_ERR_CLOSED, "the group is closed");
        }
        st = get_at_once(group, keys, n, &call, ret_items);
        km_gate_leave(&group->gate);
        return st;
    }
    km_call_limits_begin(group, &call);
    get_in_turn(group, keys, n, &call, ret_items);
    return KAMA_OK;
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

static KM_BOUNDARY_FUNCTION void call_back(const struct batch *batch)
{
    static const kama_bytes no_key = {NULL, 0};
    KM_BOUNDARY_BEGIN("the callback of kama_mget_async", batch->group->name,
                      no_key);
    batch->cb(batch->arg, KAMA_OK, batch->items, batch->count);
    KM_BOUNDARY_END();
}

static void run_callback(struct km_job *job)
{
    struct batch *batch = KM_CONTAINER_OF(job, struct batch, job);
    kama_group *group = batch->group;
    tell_failure(batch);
    call_back(batch);
    batch_free(batch);
    km_gate_leave(&group->gate);
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
    struct km_call_limits call;
    kama_status st = check_mget(group, keys, n, ctx, &call);
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
    start_all(batch, keys, &call);
    return close_starter(batch);
}

kama_status kama_mget_async(kama_group *group, const kama_bytes *keys, size_t n,
                            const kama_ctx *ctx, kama_mget_cb cb, void *arg)
{
    if (!km_gate_enter(&group->gate)) {
        return km_fail(KAMA_ERR_CLOSED, "the group is closed");
    }
    kama_status st = mget_async(group, keys, n, ctx, cb, arg);
    if (st != KAMA_OK) {
        km_gate_leave(&group->gate);
    }
    return st;
}
