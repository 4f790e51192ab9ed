/* SPDX-License-Identifier: MIT */
/* The waiting form of a clear is on the stack of its caller. */
#include "group/clear_op.h"

#include "base/container.h"
#include "base/event.h"
#include "base/limits.h"
#include "base/status.h"
#include "base/struct.h"
#include "group/adopt.h"
#include "group/group_internal.h"
#include "group/sync_apply.h"
#include "group/unsynced.h"

void km_group_clear_here(kama_group *group)
{
    km_group_count(group, KM_GROUP_CLEARS);
    km_group_forget(group);
}

static void on_cleared(struct km_owner_clear *clear, kama_status status,
                       const char *text, const char *const *unreached,
                       size_t count)
{
    struct km_clear_op *op = KM_CONTAINER_OF(clear, struct km_clear_op, clear);
    kama_group *group = op->group;
    kama_status st = status == KAMA_OK && count > 0 ? KAMA_UNSYNCED : status;
    op->done(op, st, text, unreached, count);
    km_gate_leave(&group->gate);
}

/* A group that is not synchronized asks each member. */
static kama_status clear_all(kama_group *group, struct km_clear_op *op,
                             enum km_mutate_patience patience,
                             struct km_call_limits *limits)
{
    if (patience == KM_MUTATE_REFUSES) {
        return km_fail(KAMA_ERR_WOULD_DEADLOCK,
                       "group %.*s: a clear would wait on a thread that other "
                       "nodes' answers need",
                       KM_GROUP_SHOWN(group->name));
    }
    if (!km_gate_enter(&group->gate)) {
        return km_fail(KAMA_ERR_CLOSED, "the group is closed");
    }
    km_group_clear_here(group);
    km_call_limits_begin(group, limits);
    op->clear = (struct km_owner_clear){
        .group = group->name, .deadline = limits->deadline, .done = on_cleared};
    group->owner.ops->clear(group->owner.arg, &op->clear);
    return KAMA_DEFERRED;
}

/* The members that have not acknowledged the clear in time (sync_ack) were not reached as
 * far as its caller knows. */
static void on_mutated(struct km_mutate_op *mutate, kama_status status,
                       const char *sentence)
{
    struct km_clear_op *op =
        KM_CONTAINER_OF(mutate, struct km_clear_op, mutate);
    op->done(op, status, sentence, km_unsynced_addresses(mutate->unsynced),
             km_unsynced_count(mutate->unsynced));
}

static kama_status mutate(kama_group *group, struct km_clear_op *op,
                          enum km_mutate_patience patience, const kama_ctx *ctx)
{
    const struct km_mutate_order order = {
        .kind = KM_MUTATION_CLEAR,
        .from = KM_MUTATE_FOR_CALLER,
        .patience = patience,
        .answers = patience == KM_MUTATE_PARKS ? KM_MUTATE_ANSWERS_CLIENT
                                               : KM_MUTATE_ANSWERS_HERE,
        .ctx = ctx};
    op->mutate.done = on_mutated;
    return km_mutate_op_start(group, &op->mutate, &order);
}

kama_status km_clear_op_start(kama_group *group, struct km_clear_op *op,
                              enum km_mutate_patience patience,
                              const kama_ctx *ctx)
{
    struct km_call_limits limits;
    op->group = group;
    if (km_group_is_synced(group)) {
        return mutate(group, op, patience, ctx);
    }
    kama_status st = km_call_limits_init(group, ctx, &limits);
    if (st != KAMA_OK) {
        return st;
    }
    if (!km_group_is_clustered(group)) {
        km_group_clear_here(group);
        return KAMA_OK;
    }
    return limits.origin == KAMA_ORIGIN_PEER
               ? km_fail(KAMA_ERR_INVALID,
                         "ctx: origin: KAMA_ORIGIN_PEER is only for gets in a "
                         "group of a cluster")
               : clear_all(group, op, patience, &limits);
}

/* -- with a thread that waits ---------------------------------------------- */

struct blocked_clear {
    struct km_clear_op op;
    struct km_event answered;
    kama_unsynced *unsynced; /* the caller's, or NULL */
    kama_status status;
    char sentence[KM_ERROR_BYTES_MAX];
};

static void on_done(struct km_clear_op *op, kama_status status,
                    const char *sentence, const char *const *unreached,
                    size_t count)
{
    struct blocked_clear *clear = KM_CONTAINER_OF(op, struct blocked_clear, op);
    if (clear->unsynced != NULL) {
        km_unsynced_write(unreached, count, clear->unsynced);
    }
    clear->status = status;
    (void)km_text_printf(clear->sentence, sizeof clear->sentence, "%s",
                         sentence);
    km_event_set(&clear->answered);
}

kama_status kama_group_clear_ctx(kama_group *group, const kama_ctx *ctx)
{
    struct blocked_clear clear;
    struct km_call_limits limits;
    kama_status st = km_call_limits_init(group, ctx, &limits);
    if (st != KAMA_OK) {
        return st;
    }
    if (!km_event_init(&clear.answered)) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no resources to wait");
    }
    clear.op.done = on_done;
    clear.unsynced = limits.ret_unsynced;
    if (clear.unsynced != NULL) {
        clear.unsynced->count = 0;
    }
    st = km_clear_op_start(group, &clear.op, km_group_patience(group), ctx);
    if (st == KAMA_DEFERRED) {
        (void)km_event_wait(&clear.answered, KM_NS_NEVER);
        st = (int)clear.status < 0 ? km_fail(clear.status, "%s", clear.sentence)
                                   : clear.status;
    }
    km_event_fini(&clear.answered);
    return st;
}

kama_status kama_group_clear(kama_group *group)
{
    return kama_group_clear_ctx(group, NULL);
}
