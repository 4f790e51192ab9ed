/* SPDX-License-Identifier: MIT */
#include "group/mutate_acks.h"

#include "base/assert.h"
#include "group/group_internal.h"
#include "group/mutate_park.h"
#include "group/sync_apply.h"

bool km_mutate_is_witnessed(const struct km_mutate_op *op)
{
    const struct km_group_sync *sync = &op->group->sync;
    return km_group_is_synced(op->group) &&
           km_group_ack(op->group) != KM_SYNC_ACK_ASYNC &&
           sync->ops->has_witnesses != NULL &&
           sync->ops->has_witnesses(sync->arg);
}

void km_mutate_await(struct km_mutate_op *op, kama_status status,
                     km_mutate_acked_fn acked)
{
    const struct km_group_sync *sync = &op->group->sync;
    km_ns until = km_ns_after_ms(km_group_now(op->group),
                                 km_group_sync_timeout_ms(op->group));
    KM_ASSERT((int)status >= 0 && op->seq != 0);
    km_mutate_trim(op);
    op->state = KM_MUTATE_WAITS_ACKS;
    op->found = status;
    if (op->ret_acted != NULL) {
        *op->ret_acted = true;
        op->ret_acted = NULL;
    }
    op->acks = (struct km_sync_wait){
        .version = op->version,
        .seq = op->seq,
        .ack = km_group_ack(op->group),
        .until = until < op->answer_by ? until : op->answer_by,
        .done = acked};
    sync->ops->await(sync->arg, &op->acks);
}

kama_status km_mutate_acked(struct km_mutate_op *op,
                            struct km_unsynced *unsynced)
{
    KM_ASSERT(op->state == KM_MUTATE_WAITS_ACKS && op->unsynced == NULL);
    op->unsynced = unsynced;
    return op->found == KAMA_OK && unsynced != NULL ? KAMA_UNSYNCED : op->found;
}
