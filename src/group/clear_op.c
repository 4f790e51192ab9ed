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

void km_group_clear_here(kama_group *group)
{
    km_group_count(group, KM_GROUP_CLEARS);
    km_group_forget(group);
}

/* Clears a synchronized group, if a clear may begin on this node. Returns its role. */
static enum km_sync_role originate(kama_group *group)
{
    const struct km_group_sync *sync = &group->sync;
    struct km_snapshot_reader reader;
    uint64_t seq;
    enum km_sync_role role = sync->ops->enter(sync->arg, &reader);
    if (role == KM_SYNC_ORIGINATES) {
        km_group_count(group, KM_GROUP_CLEARS);
        km_group_count(group, KM_GROUP_SYNC_ORIGINATED);
        (void)sync->ops->clear(sync->arg, group->sync_number, &seq);
    }
    sync->ops->leave(sync->arg, &reader);
    return role;
}

/* Clears a group that needs no other node for it. Returns KAMA_DEFERRED if it does: a
 * node that is joining or leaving asks each member. */
static kama_status clear_at_once(kama_group *group)
{
    enum km_sync_role role = KM_SYNC_LEAVING;
    if (!km_group_is_clustered(group)) {
        km_group_clear_here(group);
        return KAMA_OK;
    }
    if (km_group_is_synced(group)) {
        role = originate(group);
    }
    switch (role) {
    case KM_SYNC_ORIGINATES:
        return KAMA_OK;
    case KM_SYNC_OUT:
        return km_fail(KAMA_ERR_NOT_READY,
                       "group %.*s: nothing was changed: this node is not a "
                       "member of the cluster yet",
                       KM_GROUP_SHOWN(group->name));
    case KM_SYNC_JOINING:
    case KM_SYNC_LEAVING:
        break;
    }
    return KAMA_DEFERRED;
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

kama_status km_clear_op_start(kama_group *group, struct km_clear_op *op,
                              enum km_mutate_patience patience,
                              const kama_ctx *ctx)
{
    struct km_call_limits limits;
    kama_status st = km_call_limits_init(group, ctx, &limits);
    if (st != KAMA_OK) {
        return st;
    }
    if (limits.origin == KAMA_ORIGIN_PEER && km_group_is_clustered(group)) {
        return km_fail(
            KAMA_ERR_INVALID,
            "ctx: origin: KAMA_ORIGIN_PEER is only for gets in a group "
            "of a cluster");
    }
    st = clear_at_once(group);
    if (st != KAMA_DEFERRED) {
        return st;
    }
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
    km_call_limits_begin(group, &limits);
    op->group = group;
    op->clear = (struct km_owner_clear){
        .group = group->name, .deadline = limits.deadline, .done = on_cleared};
    group->owner.ops->clear(group->owner.arg, &op->clear);
    return KAMA_DEFERRED;
}

/* -- with a thread that waits ---------------------------------------------- */

struct blocked_clear {
    struct km_clear_op op;
    struct km_event answered;
    kama_unsynced *unsynced; /* the caller's, or NULL */
    kama_status status;
    char sentence[KM_ERROR_BYTES_MAX];
};

/* Writes the addresses into the caller's list, as many as it has room for. */
static void list_unreached(kama_unsynced *list, const char *const *unreached,
                           size_t count)
{
    list->count = (uint32_t)count;
    for (size_t i = 0; i < count && i < list->capacity; i++) {
        (void)km_text_printf(list->addresses[i], KAMA_ADDRESS_BYTES, "%s",
                             unreached[i]);
    }
}

static void on_done(struct km_clear_op *op, kama_status status,
                    const char *sentence, const char *const *unreached,
                    size_t count)
{
    struct blocked_clear *clear = KM_CONTAINER_OF(op, struct blocked_clear, op);
    if (status == KAMA_UNSYNCED && clear->unsynced != NULL) {
        list_unreached(clear->unsynced, unreached, count);
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
