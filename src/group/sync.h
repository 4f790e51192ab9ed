/* SPDX-License-Identifier: MIT */
/*
 * What a synchronized group asks of the rest of the node. A group is synchronized if it
 * is in a cluster and has the strategy sync=broadcast: each node keeps what it sets and
 * fetches, and every mutation travels to all the others.
 *
 *     set, delete, touch --> enter     may a mutation begin here?
 *                            store: originate   R1, under the lock of the shard
 *                            leave
 *     clear              --> clear     R6 and the record of the clear, in one step
 *     the answer of the owner --> merge, may_keep    R8
 *
 * A group without ops (struct km_group_sync) is not synchronized: it is alone, or has
 * sync=owner or sync=local.
 *
 * Threads: any. `originate` runs under the lock of a shard of the store and takes only
 * the lock of the log, which has a higher rank. Errors: enter says why not; nothing
 * else fails. Ownership: everything is borrowed. Cost: enter and leave are a
 * snapshot's; originate is one lock.
 */
#pragma once

#include "base/snapshot.h"
#include "store/apply.h"

/* Whether a mutation may begin on this node. */
enum km_sync_role {
    KM_SYNC_ORIGINATES, /* yes */
    KM_SYNC_JOINING, /* not yet: it waits for that, and is KAMA_ERR_NOT_READY when its
                         * time is over */
    KM_SYNC_LEAVING, /* not any more: the owner of the key has to do it */
    KM_SYNC_OUT      /* the node is in no cluster: KAMA_ERR_NOT_READY at once */
};

struct km_group_sync_ops {
    /* Begins a mutation. It is followed by leave in any case, on the same thread and
     * soon: a node that stops waits for those that are inside. */
    enum km_sync_role (*enter)(void *sync, struct km_snapshot_reader *reader);
    void (*leave)(void *sync, struct km_snapshot_reader *reader);
    /* R1. Returns the version of a mutation that is about to act, and puts it into the
     * log. `number` is that of the group. */
    struct km_version (*originate)(void *sync, uint32_t number,
                                   const struct km_asking *asking);
    /* Receiving any clock: the next version that begins here is larger. Returns false,
     * and does nothing, if the clock is too far ahead to be one. */
    bool (*merge)(void *sync, uint64_t hlc);
    /* Clears the group here (R6), and puts that into the log. */
    void (*clear)(void *sync, uint32_t number);
    /* R6, because this node cannot know whether its entries are still true. */
    void (*invalidate)(void *sync, uint32_t number);
    /* R8. Returns whether the explicit value of a member that has this version, in an
     * answer by that view, may be kept: it is not ahead of the member's stream. */
    bool (*may_keep)(void *sync, struct km_version version, uint64_t view_id);
};

/* What a group is given, in struct km_group_env. */
struct km_group_sync {
    const struct km_group_sync_ops *ops; /* NULL: it is not synchronized */
    void *arg;
    /* Adds the group to the log, and returns its number there. Runs once, when the
     * group is made; KM_SYNC_NO_NUMBER without memory. */
    uint32_t (*add)(void *arg, const char *name, struct km_store *store);
    /* The store of that group is about to be freed, and is not used any more when this
     * returns. NULL: the log never uses it from here on anyway. */
    void (*remove)(void *arg, uint32_t number);
};
#define KM_SYNC_NO_NUMBER UINT32_MAX
