/* SPDX-License-Identifier: MIT */
/*
 * kama_mset and kama_mdel. Every item is checked before the first one is changed,
 * so that a call that returns an error has changed nothing. After that, each item
 * has a status of its own, because one value may find no memory while the others
 * are stored.
 */
#include "base/container.h"
#include "base/event.h"
#include "base/limits.h"
#include "base/status.h"
#include "group/group_internal.h"
#include "group/mutate.h"

/* Puts "mset: item 3: " before the sentence of the last error. */
static kama_status fail_item(const char *call, size_t i, kama_status status)
{
    return km_fail(status, "%s: item %zu: %s", call, i, km_last_error());
}

static kama_status check_count(const kama_group *group, const char *call,
                               size_t n, const void *items, const kama_ctx *ctx)
{
    struct km_call_limits ignored;
    if (n > KM_MGET_KEYS_MAX) {
        return km_fail(KAMA_ERR_TOO_LARGE, "%s: %zu items, at most %d", call, n,
                       KM_MGET_KEYS_MAX);
    }
    if (n > 0 && items == NULL) {
        return km_fail(KAMA_ERR_INVALID, "%s: items are NULL", call);
    }
    return km_call_limits_init(group, ctx, &ignored);
}

/* -- many mutations, whose thread waits for all of them ---------------------- */

struct batch;

struct batch_item {
    struct km_mutate_op op;
    struct batch *batch;
    struct km_unsynced *unsynced; /* a reference, once it is answered */
};

/* The items of one call. items[i] answers into statuses[i]. */
struct batch {
    kama_group *group;
    struct km_event answered;
    atomic_size_t open; /* items without an answer, and one for the call */
    struct batch_item *items;
    kama_status *statuses; /* may be NULL */
};

static void close_one(struct batch *batch)
{
    if (atomic_fetch_sub(&batch->open, 1) == 1) {
        km_event_set(&batch->answered);
    }
}

static void answer(struct batch *batch, size_t i, kama_status status)
{
    if (batch->statuses != NULL) {
        batch->statuses[i] = status;
    }
    close_one(batch);
}

static void on_done(struct km_mutate_op *op, kama_status status,
                    const char *sentence)
{
    struct batch_item *item = KM_CONTAINER_OF(op, struct batch_item, op);
    struct batch *batch = item->batch;
    (void)sentence;
    item->unsynced = km_unsynced_ref(op->unsynced);
    answer(batch, (size_t)(item - batch->items), status);
}

/* Makes the order of item i. */
typedef void (*order_fn)(const void *items, size_t i,
                         struct km_mutate_order *ret_order);

static void order_set(const void *items, size_t i,
                      struct km_mutate_order *ret_order)
{
    const kama_set_item *item = (const kama_set_item *)items + i;
    ret_order->kind = KM_MUTATION_SET;
    ret_order->key = item->key;
    ret_order->value = item->value;
    ret_order->ttl_ms = item->ttl_ms;
}

static void order_del(const void *items, size_t i,
                      struct km_mutate_order *ret_order)
{
    ret_order->kind = KM_MUTATION_DELETE;
    ret_order->key = ((const kama_bytes *)items)[i];
}

/* Carries out the items in turn, in a group that owns all its keys. */
static void mutate_in_turn(kama_group *group, const void *items, size_t n,
                           order_fn fn, const kama_ctx *ctx,
                           kama_status *statuses)
{
    for (size_t i = 0; i < n; i++) {
        struct km_mutate_order order = {.ctx = ctx};
        fn(items, i, &order);
        kama_status st = km_group_mutate(group, &order);
        if (statuses != NULL) {
            statuses[i] = st;
        }
    }
}

/* Starts all items; those of other nodes travel together. */
static void start_all(struct batch *batch, const void *items, size_t n,
                      order_fn fn, const kama_ctx *ctx)
{
    struct km_list sends;
    enum km_mutate_patience patience = km_group_patience(batch->group);
    km_list_init(&sends);
    atomic_init(&batch->open, n + 1);
    for (size_t i = 0; i < n; i++) {
        struct batch_item *item = &batch->items[i];
        struct km_mutate_order order = {
            .patience = patience, .ctx = ctx, .sends = &sends};
        fn(items, i, &order);
        item->op.done = on_done;
        item->batch = batch;
        kama_status st = km_mutate_op_start(batch->group, &item->op, &order);
        if (st != KAMA_DEFERRED) {
            answer(batch, i, st);
        }
    }
    km_mutate_send(batch->group, &sends);
}

/* Writes the nodes that have not applied some item, each once, for the caller. */
static void tell(struct batch *batch, size_t n)
{
    kama_unsynced *ret_unsynced = batch->items[0].op.ret_unsynced;
    struct km_unsynced *all = NULL;
    for (size_t i = 0; i < n; i++) {
        km_unsynced_add(&batch->group->mem, &all, batch->items[i].unsynced);
    }
    if (ret_unsynced != NULL) {
        km_unsynced_tell(all, ret_unsynced);
    }
    km_unsynced_unref(all);
}

/* Carries out the items all at once, in a group of a cluster, and waits. */
static kama_status mutate_at_once(kama_group *group, const void *items,
                                  size_t n, order_fn fn, const kama_ctx *ctx,
                                  kama_status *statuses)
{
    struct batch batch = {.group = group, .statuses = statuses};
    batch.items = km_mem_zalloc(&group->mem, n, sizeof *batch.items);
    if (batch.items == NULL) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for %zu items", n);
    }
    if (!km_event_init(&batch.answered)) {
        km_mem_free(&group->mem, batch.items);
        return km_fail(KAMA_ERR_NO_MEMORY, "no resources to wait");
    }
    start_all(&batch, items, n, fn, ctx);
    close_one(&batch);
    (void)km_event_wait(&batch.answered, KM_NS_NEVER);
    km_event_fini(&batch.answered);
    tell(&batch, n);
    km_mem_free(&group->mem, batch.items);
    return KAMA_OK;
}

static kama_status mutate_all(kama_group *group, const void *items, size_t n,
                              order_fn fn, const kama_ctx *ctx,
                              kama_status *statuses)
{
    if (km_group_is_clustered(group) && n > 0) {
        return mutate_at_once(group, items, n, fn, ctx, statuses);
    }
    mutate_in_turn(group, items, n, fn, ctx, statuses);
    return KAMA_OK;
}

kama_status kama_mset(kama_group *group, const kama_set_item *items, size_t n,
                      const kama_ctx *ctx, kama_status *ret_statuses)
{
    kama_status st = check_count(group, "mset", n, items, ctx);
    if (st == KAMA_OK && n > 0 && ret_statuses == NULL) {
        st = km_fail(KAMA_ERR_INVALID, "mset: ret_statuses is NULL");
    }
    for (size_t i = 0; i < n && st == KAMA_OK; i++) {
        st = km_group_check_item(group, &items[i]);
        st = st == KAMA_OK ? st : fail_item("mset", i, st);
    }
    return st == KAMA_OK
               ? mutate_all(group, items, n, order_set, ctx, ret_statuses)
               : st;
}

kama_status kama_mdel(kama_group *group, const kama_bytes *keys, size_t n,
                      const kama_ctx *ctx, kama_status *ret_statuses)
{
    kama_status st = check_count(group, "mdel", n, keys, ctx);
    for (size_t i = 0; i < n && st == KAMA_OK; i++) {
        st = km_group_check_key(keys[i]);
        st = st == KAMA_OK ? st : fail_item("mdel", i, st);
    }
    return st == KAMA_OK
               ? mutate_all(group, keys, n, order_del, ctx, ret_statuses)
               : st;
}
