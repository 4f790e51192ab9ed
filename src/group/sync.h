/* SPDX-License-Identifier: MIT */
/*
 * What a synchronized group asks of the rest of the node. A group is synchronized if it
 * is in a cluster and its strategy is streamed (group/strategy.h): every mutation travels
 * to all other nodes, and the strategy says who keeps the values (group/holders.h).
 *
 *     set, delete, touch --> enter     may a mutation begin here?
 *                            store: originate   R1, under the lock of the shard
 *                            leave
 *     clear, likewise    --> clear     R6 and the record of the clear, in one step
 *     the answer, unless sync_ack=async  --> await    that other members have it
 *     the answer of the owner --> merge, may_keep    R8
 *     its answer to a mutation -> learn              R8
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

#include "base/list.h"
#include "base/pool.h"
#include "base/snapshot.h"
#include "base/timer.h"
#include "group/strategy.h"
#include "group/unsynced.h"
#include "store/apply.h"

/* Whether a mutation may begin on this node. */
enum km_sync_role {
    KM_SYNC_ORIGINATES, /* yes */
    KM_SYNC_JOINING, /* not yet: it waits for that, and is KAMA_ERR_NOT_READY when its
                         * time is over */
    KM_SYNC_LEAVING, /* not any more: the owner of the key has to do it */
    KM_SYNC_OUT      /* the node is in no cluster: KAMA_ERR_NOT_READY at once */
};

/* When a mutation is acknowledged to its caller (sync_ack). */
enum km_sync_ack {
    KM_SYNC_ACK_ASYNC, /* at once */
    KM_SYNC_ACK_ONE, /* when another member of the noticed view has applied it */
    KM_SYNC_ACK_ALL  /* when all others have */
};

/* A mutation that waits for that. */
struct km_sync_wait {
    struct km_version version; /* that it was given */
    uint64_t seq;              /* the number of its record */
    enum km_sync_ack ack;      /* not ASYNC */
    km_ns until;               /* monotonic: then it is answered nevertheless */
    /* It is acknowledged, or the time is over: then the list has the members that have not
     * acknowledged it, and is the callee's reference. Runs once, on a loop or pool thread,
     * without a lock, never inside the call. */
    void (*done)(struct km_sync_wait *wait, struct km_unsynced *unsynced);
    /* ---- of node/ and sync/ ---- */
    void *owner;
    struct km_list node;
    struct km_timer timer;
    struct km_job job;
};

struct km_group_sync_ops {
    /* Begins a mutation. It is followed by leave in any case, on the same thread and
     * soon: a node that stops waits for those that are inside. */
    enum km_sync_role (*enter)(void *sync, struct km_snapshot_reader *reader);
    void (*leave)(void *sync, struct km_snapshot_reader *reader);
    /* R1. Returns the version of a mutation that is about to act, and puts it into the
     * log, with its number there. `number` is that of the group. */
    struct km_version (*originate)(void *sync, uint32_t number,
                                   const struct km_asking *asking,
                                   uint64_t *ret_seq);
    /* Returns whether a mutation that begins now would have to wait for other members:
     * this node is not alone in the view that it has noticed. NULL: it is alone. */
    bool (*has_witnesses)(void *sync);
    /* Waits for the acknowledgement of a mutation. The wait must stay where it is until
     * `done` has run. */
    void (*await)(void *sync, struct km_sync_wait *wait);
    /* Receiving any clock: the next version that begins here is larger. Returns false,
     * and does nothing, if the clock is too far ahead to be one. */
    bool (*merge)(void *sync, uint64_t hlc);
    /* R8. Another node has carried a mutation out for this one, and its answer has the
     * version: merges the clock, and lets later fills ask for it. As merge. */
    bool (*learn)(void *sync, struct km_version version);
    /* Clears the group here (R6), and puts that into the log, with its number there. Returns
     * its version. */
    struct km_version (*clear)(void *sync, uint32_t number, uint64_t *ret_seq);
    /* R6, because this node cannot know whether its entries are still true. */
    void (*invalidate)(void *sync, uint32_t number);
    /* R17. Returns whether this node holds the values of a slot, by the view that it has
     * adopted. NULL: every node holds everything. */
    bool (*holds)(void *sync, const struct km_strategy *strategy,
                  uint32_t slot);
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
