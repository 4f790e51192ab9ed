/* SPDX-License-Identifier: MIT */
/*
 * Gets of many keys.
 *
 * In a group with a pool, all keys that have to be loaded are parked at once. The
 * batch counts its open keys, and the thread that answers the last one finishes
 * the batch. The call itself counts as one more open key, so that the batch is
 * not finished while the call is still starting loads:
 *
 *     calling thread                threads of the pool
 *     open = keys + 1
 *     starts the loads              answer a key: open - 1
 *     open - 1                      answer a key: open - 1
 *                                   whoever makes it 0: finish
 *
 * In a group without a pool, the calling thread takes the keys in turn, and loads
 * those that no other caller loads.
 *
 * Equal keys that have to be loaded share one load, whatever its outcome is. A
 * batch finds them before it starts the first load. From then on answers come on
 * other threads, and the chains of equal keys must not change any more.
 */
#include "base/assert.h"
#include "base/boundary.h"
#include "base/container.h"
#include "base/event.h"
#include "base/limits.h"
#include "base/status.h"
#include "group/checks.h"
#include "group/get.h"
#include "group/get_count.h"
#include "group/group_internal.h"
#include "group/load/at_peer.h"
#include "group/look_up.h"
#include "group/twins.h"

struct batch;

/* The part that a key of a batch has. */
enum key_part {
    KEY_IS_ANSWERED, /* the look into memory has answered it */
    KEY_IS_LOADED,   /* for itself and for the equal keys behind `next` */
    KEY_IS_FOLLOWER  /* it gets the answer of an equal key */
};

struct batch_key {
    struct km_get_op op;
    struct batch *batch;
    struct km_missed missed;
    uint32_t next; /* the number of an equal key, or KM_TWINS_NONE */
    enum key_part part;
};

/* One mget on the pool. keys[i] answers into items[i]. */
struct batch {
    kama_group *group;
    atomic_size_t open; /* keys without an answer, and one for the call */
    void (*finish)(struct batch *batch);
    kama_item *items;
    size_t count;
    struct batch_key *keys;
    _Atomic int
        failure; /* the status of the item that failed first, or KAMA_OK */
    char sentence
        [KM_ERROR_BYTES_MAX]; /* written by the key that set `failure` */
};

/* A batch whose caller waits; it is on the caller's stack. */
struct sync_batch {
    struct batch batch;
    struct km_event answered;
};

/* A batch whose callback runs as a job of the pool; it is on the heap. */
struct async_batch {
    struct batch batch; /* its items belong to it */
    struct km_job job;
    kama_mget_cb cb;
    void *arg;
};

/* -- answers -------------------------------------------------------------- */

/* Keeps the failure of an item, if it is the first one. The sentence is read only
 * after the batch is finished, and so after this key was answered. */
static void keep_failure(struct batch *batch, kama_status status,
                         const char *sentence)
{
    int none = KAMA_OK;
    if (!atomic_compare_exchange_strong(&batch->failure, &none, (int)status)) {
        return;
    }
    size_t n = strnlen(sentence, sizeof batch->sentence - 1);
    memcpy(batch->sentence, sentence, n);
    batch->sentence[n] = '\0';
}

/* Makes the first failure the calling thread's last error, if there is one. */
static void tell_failure(const struct batch *batch)
{
    int failure = atomic_load(&batch->failure);
    KM_ASSERT(atomic_load(&batch->open) == 0);
    if (failure != KAMA_OK) {
        (void)km_fail((kama_status)failure, "%s", batch->sentence);
    }
}

/* Takes one key off the open ones. Returns whether it was the last; if it was
 * not, another thread may have freed the batch when this returns. */
static bool is_last(struct batch *batch)
{
    size_t before = atomic_fetch_sub(&batch->open, 1);
    KM_ASSERT(before > 0);
    return before == 1;
}

static void close_one(struct batch *batch)
{
    if (is_last(batch)) {
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

/* Answers a key and the keys that are equal to it. Takes value. The batch may be
 * freed as soon as its last key is answered, so the key itself comes last. */
static void answer_all(struct batch *batch, size_t i, kama_status status,
                       kama_value *value, const char *sentence)
{
    if ((int)status < 0) {
        keep_failure(batch, status, sentence);
    }
    uint32_t twin = batch->keys[i].next;
    while (twin != KM_TWINS_NONE) {
        KM_ASSERT(batch->keys[twin].part == KEY_IS_FOLLOWER);
        uint32_t next = batch->keys[twin].next;
        km_get_count_twin_end(&batch->keys[i].op);
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

/* Gives key i, which has to be loaded, its part: it is the first of its kind, or
 * it follows an equal key. */
static kama_status join_twins(struct batch *batch, struct km_twins *twins,
                              kama_bytes bytes, size_t i)
{
    struct batch_key *key = &batch->keys[i];
    uint32_t first = km_twins_find(twins, key->missed.hash, bytes);
    if (first == KM_TWINS_NONE) {
        key->part = KEY_IS_LOADED;
        return km_twins_add(twins, key->missed.hash, bytes, (uint32_t)i);
    }
    key->part = KEY_IS_FOLLOWER;
    key->next = batch->keys[first].next;
    batch->keys[first].next = (uint32_t)i;
    km_get_count_twin(batch->group, key->missed.hash);
    return KAMA_OK;
}

/* Keys whose memory is asked for at the same time. */
#define WINDOW 16u

/* The keys of a call, and the hashes of those whose memory was asked for last. A key that
 * will be refused has none. */
struct ahead {
    kama_group *group;
    const kama_bytes *keys;
    size_t count;
    uint64_t hashes[WINDOW];
};

/* Asks for the memory that the looks at the n keys from key i on will need. */
static void prefetch(struct ahead *ahead, size_t i, size_t n)
{
    const struct km_store *store = ahead->group->store;
    for (size_t k = 0; k < n; k++) {
        kama_bytes key = ahead->keys[i + k];
        ahead->hashes[k] =
            km_group_key_is_good(key) ? km_store_hash(store, key) : 0;
        km_store_prefetch_line(store, ahead->hashes[k]);
    }
    for (size_t k = 0; k < n; k++) {
        km_store_prefetch_record(store, ahead->hashes[k]);
    }
}

/* Looks key i up, and is called for each key in turn. The memory of a window is asked
 * for at its begin. */
static kama_status look_up(struct ahead *ahead, size_t i,
                           const struct km_call_limits *call,
                           struct km_missed *ret_missed, kama_value **ret_value)
{
    size_t left = ahead->count - i;
    if (i % WINDOW == 0) {
        prefetch(ahead, i, left < WINDOW ? left : WINDOW);
    }
    kama_status st = km_group_check_key(ahead->keys[i]);
    return st != KAMA_OK ? st
                         : km_group_look_up_hashed(ahead->group, ahead->keys[i],
                                                   ahead->hashes[i % WINDOW],
                                                   call, ret_missed, ret_value);
}

/* Answers the keys that are in memory, and finds equal keys among the others. */
static void look_up_all(struct batch *batch, const kama_bytes *keys,
                        const struct km_call_limits *call)
{
    struct km_twins twins;
    struct ahead ahead = {
        .group = batch->group, .keys = keys, .count = batch->count};
    km_twins_init(&twins, &batch->group->mem);
    for (size_t i = 0; i < batch->count; i++) {
        struct batch_key *key = &batch->keys[i];
        kama_value *value = NULL;
        key->batch = batch;
        key->op.done = on_done;
        key->next = KM_TWINS_NONE;
        kama_status st = look_up(&ahead, i, call, &key->missed, &value);
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

/* Starts every key; those that other nodes own are asked for together. The batch
 * stays open until its caller has taken its own part
 * off the count. */
static void start_all(struct batch *batch, const kama_bytes *keys,
                      struct km_call_limits *call)
{
    struct km_list fills;
    km_list_init(&fills);
    atomic_init(&batch->open, batch->count + 1);
    km_call_limits_begin(batch->group, call);
    look_up_all(batch, keys, call);
    for (size_t i = 0; i < batch->count; i++) {
        struct batch_key *key = &batch->keys[i];
        kama_value *value = NULL;
        if (key->part != KEY_IS_LOADED) {
            continue;
        }
        key->op.fills = &fills;
        kama_status st = km_get_op_miss(batch->group, &key->op, KM_GET_PARKED,
                                        keys[i], &key->missed, call, &value);
        if (st != KAMA_DEFERRED) {
            answer_all(batch, i, st, value, (int)st < 0 ? km_last_error() : "");
        }
    }
    km_load_send_fills(batch->group, &fills);
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

/* One mget that takes its keys in turn. */
struct turns {
    kama_group *group;
    const kama_bytes *keys;
    const struct km_call_limits *call;
    kama_item *items;
    struct km_twins twins;
};

/* Loads key i, or gives it the answer of an equal key that was loaded before. */
static kama_status load_in_turn(struct turns *t, size_t i,
                                const struct km_missed *missed)
{
    kama_bytes key = t->keys[i];
    kama_item *item = &t->items[i];
    uint32_t first = km_twins_find(&t->twins, missed->hash, key);
    if (first != KM_TWINS_NONE) {
        km_get_count_twin(t->group, missed->hash);
        km_get_count_twin_answered(t->group, KM_GET_FROM_LOADER);
        *item = t->items[first];
        if (item->value != NULL) {
            (void)kama_value_ref(item->value);
        }
        return item->status;
    }
    struct km_call_limits limits = *t->call;
    kama_status st = km_twins_add(&t->twins, missed->hash, key, (uint32_t)i);
    if (st != KAMA_OK) {
        return st;
    }
    limits.begin = km_group_now(t->group);
    return km_group_get_miss(t->group, key, missed, &limits, &item->value);
}

/* Takes the keys in turn, within one deadline. */
static void get_in_turn(kama_group *group, const kama_bytes *keys, size_t n,
                        const struct km_call_limits *call, kama_item *items)
{
    struct turns t = {
        .group = group, .keys = keys, .call = call, .items = items};
    struct ahead ahead = {.group = group, .keys = keys, .count = n};
    km_twins_init(&t.twins, &group->mem);
    for (size_t i = 0; i < n; i++) {
        struct km_missed missed;
        items[i].value = NULL;
        kama_status st = look_up(&ahead, i, call, &missed, &items[i].value);
        if (st == KAMA_DEFERRED) {
            st = load_in_turn(&t, i, &missed);
        }
        items[i].status = st;
    }
    km_twins_fini(&t.twins);
}

/* -- synchronous ---------------------------------------------------------- */

static void finish_sync(struct batch *batch)
{
    struct sync_batch *sync = KM_CONTAINER_OF(batch, struct sync_batch, batch);
    km_event_set(&sync->answered);
}

/* Gets all keys at once, on the pool, and waits for the last answer. */
static kama_status get_at_once(kama_group *group, const kama_bytes *keys,
                               size_t n, struct km_call_limits *call,
                               kama_item *items)
{
    struct sync_batch sync;
    struct batch *batch = &sync.batch;
    *batch = (struct batch){
        .group = group, .finish = finish_sync, .items = items, .count = n};
    batch->keys = km_mem_zalloc(&group->mem, n, sizeof *batch->keys);
    if (batch->keys == NULL) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for %zu keys", n);
    }
    if (!km_event_init(&sync.answered)) {
        km_mem_free(&group->mem, batch->keys);
        return km_fail(KAMA_ERR_NO_MEMORY, "no resources to wait");
    }
    start_all(batch, keys, call);
    close_one(batch);
    (void)km_event_wait(&sync.answered, KM_NS_NEVER);
    tell_failure(batch);
    km_event_fini(&sync.answered);
    km_mem_free(&group->mem, batch->keys);
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

/* -- asynchronous --------------------------------------------------------- */

static struct async_batch *async_of(struct batch *batch)
{
    return KM_CONTAINER_OF(batch, struct async_batch, batch);
}

static void async_free(struct async_batch *async)
{
    const kama_allocator *mem = &async->batch.group->mem;
    km_mem_free(mem, async->batch.items);
    km_mem_free(mem, async->batch.keys);
    km_mem_free(mem, async);
}

static KM_BOUNDARY_FUNCTION void call_back(const struct async_batch *async)
{
    static const kama_bytes no_key = {NULL, 0};
    const struct batch *batch = &async->batch;
    KM_BOUNDARY_BEGIN("the callback of kama_mget_async", batch->group->name,
                      no_key);
    async->cb(async->arg, KAMA_OK, batch->items, batch->count);
    KM_BOUNDARY_END();
}

static void run_callback(struct km_job *job)
{
    struct async_batch *async = KM_CONTAINER_OF(job, struct async_batch, job);
    kama_group *group = async->batch.group;
    tell_failure(&async->batch);
    call_back(async);
    async_free(async);
    km_gate_leave(&group->gate);
}

static kama_status submit(struct async_batch *async)
{
    async->job.run = run_callback;
    return km_pool_submit(km_group_pool(async->batch.group), &async->job);
}

/* Runs on a thread of the pool, or on the deadline thread. If the pool cannot
 * start a thread for the callback, this thread calls it. */
static void finish_async(struct batch *batch)
{
    struct async_batch *async = async_of(batch);
    if (submit(async) != KAMA_OK) {
        run_callback(&async->job);
    }
}

/* Makes an asynchronous batch with room for n keys; returns NULL without
 * memory. */
static struct async_batch *async_new(kama_group *group, size_t n)
{
    struct async_batch *async = km_mem_zalloc(&group->mem, 1, sizeof *async);
    if (async == NULL) {
        return NULL;
    }
    struct batch *batch = &async->batch;
    size_t room = n > 0 ? n : 1;
    batch->group = group;
    batch->finish = finish_async;
    batch->count = n;
    batch->keys = km_mem_zalloc(&group->mem, room, sizeof *batch->keys);
    batch->items = km_mem_zalloc(&group->mem, room, sizeof(kama_item));
    if (batch->keys == NULL || batch->items == NULL) {
        async_free(async);
        return NULL;
    }
    return async;
}

/* Takes the call's own part off the open keys. If it is the last one and the pool
 * has no thread for the callback, the call fails: the callback must never run
 * inside the call. */
static kama_status close_call(struct async_batch *async)
{
    if (!is_last(&async->batch)) {
        return KAMA_OK;
    }
    kama_status st = submit(async);
    if (st != KAMA_OK) {
        kama_items_unref(async->batch.items, async->batch.count);
        async_free(async);
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
    struct async_batch *async = async_new(group, n);
    if (async == NULL) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for %zu keys", n);
    }
    async->cb = cb;
    async->arg = arg;
    start_all(&async->batch, keys, &call);
    return close_call(async);
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
