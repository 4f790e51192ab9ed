/* SPDX-License-Identifier: MIT */
/*
 * Clearing a group on all members of a cluster: this node at once, and then the
 * others.
 *
 *     op->done = on_done;
 *     status = km_clear_op_start(group, op, ctx);
 *     if (status == KAMA_DEFERRED) { ... done runs later, exactly once ... }
 *
 * A group that is not clustered is cleared at once. The clear of one that is synchronized
 * (group/sync.h) is a mutation (group/mutate_op.h) of its empty key: it begins here, or at
 * the owner of that key if this node is joining or leaving, and a stream carries it to the
 * others; members that have not acknowledged it in time (sync_ack) are its answer. In any
 * other group, members that did not answer are the outcome KAMA_UNSYNCED,
 * with their addresses.
 *
 * Threads: any thread may start; done runs on a loop or pool thread, never inside
 * the call. Errors: those of kama_group_clear_ctx. Ownership: the op is the
 * caller's memory and must stay until done has run. Cost: no allocation.
 */
#pragma once

#include "group/mutate_op.h"

struct km_clear_op {
    /* The answer. The sentence and the addresses are borrowed. */
    void (*done)(struct km_clear_op *op, kama_status status,
                 const char *sentence, const char *const *unreached,
                 size_t count);
    /* ---- the group's ---- */
    kama_group *group;
    union {
        struct km_owner_clear clear;
        struct km_mutate_op mutate; /* in a synchronized group */
    };
};

/* Clears the group here, and on all other members or begins to. A call that would
 * have to wait is KAMA_ERR_WOULD_DEADLOCK if patience is REFUSES, and clears
 * nothing then. */
KAMA_NODISCARD kama_status km_clear_op_start(kama_group *group,
                                             struct km_clear_op *op,
                                             enum km_mutate_patience patience,
                                             const kama_ctx *ctx);

/* Clears the group on this node alone. It is not synchronized. */
void km_group_clear_here(kama_group *group);
