/* SPDX-License-Identifier: MIT */
/*
 * kama_set, kama_del and kama_touch: a mutation (mutate_op.h) on the stack of the
 * calling thread, and a wait for its answer if another node has to give or acknowledge it. The
 * store makes each of them overtake the loads of its key that have begun before, so
 * that their results are not kept (store/fill.h).
 */
#include "group/mutate.h"

#include "base/container.h"
#include "base/event.h"
#include "base/limits.h"
#include "base/status.h"
#include "base/struct.h"
#include "group/condition.h"
#include "group/group_internal.h"
#include "group/holders.h"
#include "group/sync_apply.h"

/* A mutation whose thread waits for the answer. */
struct blocked_mutation {
    struct km_mutate_op op;
    struct km_event answered;
    kama_status status;
    char sentence[KM_ERROR_BYTES_MAX];
};

static void on_done(struct km_mutate_op *op, kama_status status,
                    const char *sentence)
{
    struct blocked_mutation *mutation =
        KM_CONTAINER_OF(op, struct blocked_mutation, op);
    mutation->status = status;
    km_mutate_op_tell(op);
    (void)km_text_printf(mutation->sentence, sizeof mutation->sentence, "%s",
                         sentence);
    km_event_set(&mutation->answered);
}

/* Waits for the answer of a mutation that was parked. */
static kama_status await(struct blocked_mutation *mutation)
{
    (void)km_event_wait(&mutation->answered, KM_NS_NEVER);
    return (int)mutation->status < 0
               ? km_fail(mutation->status, "%s", mutation->sentence)
               : mutation->status;
}

/* Returns whether a mutation is likely to be answered at once, so that it is tried without
 * anything to wait with. */
static bool hardly_waits(const kama_group *group,
                         const struct km_mutate_order *order)
{
    return !km_group_is_clustered(group) ||
           (km_group_is_synced(group) &&
            km_group_ack(group) == KM_SYNC_ACK_ASYNC &&
            (!km_group_key_is_good(order->key) ||
             km_group_begins(group, order->kind, order->key)));
}

kama_status km_group_mutate(kama_group *group, struct km_mutate_order *order)
{
    struct blocked_mutation mutation;
    mutation.op.done = on_done;
    order->from = KM_MUTATE_FOR_CALLER;
    order->patience = KM_MUTATE_TRIES;
    if (hardly_waits(group, order)) {
        kama_status tried = km_mutate_op_start(group, &mutation.op, order);
        if (tried != KAMA_WOULD_LOAD) {
            return tried;
        }
    }
    if (!km_event_init(&mutation.answered)) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no resources to wait");
    }
    order->patience = km_group_patience(group);
    kama_status st = km_mutate_op_start(group, &mutation.op, order);
    st = st == KAMA_DEFERRED ? await(&mutation) : st;
    km_event_fini(&mutation.answered);
    return st;
}

kama_status km_group_read_set_options(const kama_set_options *options,
                                      struct km_mutate_order *order)
{
    kama_set_options own;
    kama_set_options_init(&own);
    kama_status st = options == NULL ? KAMA_OK
                                     : km_struct_read(&own, sizeof own, options,
                                                      "set options");
    if (st == KAMA_OK) {
        order->ttl_ms = own.ttl_ms;
        order->ctx = own.ctx;
        order->ret_etag = own.ret_etag;
        st = km_condition_init(own.condition, own.if_etag, &order->condition);
    }
    return st;
}

kama_status kama_set(kama_group *group, kama_bytes key, kama_bytes value,
                     const kama_set_options *options)
{
    struct km_mutate_order order = {
        .kind = KM_MUTATION_SET, .key = key, .value = value};
    kama_status st = km_group_read_set_options(options, &order);
    return st == KAMA_OK ? km_group_mutate(group, &order) : st;
}

kama_status kama_del(kama_group *group, kama_bytes key, const kama_ctx *ctx)
{
    struct km_mutate_order order = {
        .kind = KM_MUTATION_DELETE, .key = key, .ctx = ctx};
    return km_group_mutate(group, &order);
}

kama_status kama_touch(kama_group *group, kama_bytes key, int64_t ttl_ms,
                       const kama_ctx *ctx)
{
    struct km_mutate_order order = {
        .kind = KM_MUTATION_EXPIRE, .key = key, .ttl_ms = ttl_ms, .ctx = ctx};
    return km_group_mutate(group, &order);
}
