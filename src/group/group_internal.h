/* SPDX-License-Identifier: MIT */
/*
 * The structure of a group, for the files of this folder.
 *
 *     kama_group
 *       store      the entries                    a lock per shard
 *       flight     the loads that have not ended  a lock per shard
 *       slots      which loads may run            atomics, and a lock for the queue
 *       gate       the calls that are inside      atomics
 *       pool       threads, or NULL               locks of its own
 *       metrics    counters                       a cell per thread
 *       hot        how often keys are asked for   a cell per thread, and a flag
 *
 * Life: km_group_free closes the gate, ends every load, waits until all calls have
 * left the gate (callers, loads on the pool and their timers, callbacks), frees
 * the store, and gives its reference back. A deferred load has a reference, too,
 * because it needs the group's memory and loader_arg when it is finished later.
 *
 * Locks are taken in this order: the group's, the slots', the flight's, the
 * store's, and the pool's. A hit takes the lock of one shard of the store and no
 * other; a miss without a pool takes those of its shards of the store and of the
 * flight.
 */
#pragma once

#include "base/gate.h"
#include "base/permute.h"
#include "base/stripes.h"
#include "base/sync.h"
#include "base/text.h"
#include "flight/flight.h"
#include "group/config.h"
#include "group/counters.h"
#include "group/group.h"
#include "group/hot_keys.h"
#include "group/load/slot.h"
#include "store/store.h"

#include <stdalign.h>

/* The arguments of "%.*s" for the name of a group in a sentence: a name may be
 * as long as a sentence is. */
#define KM_GROUP_SHOWN(name) KM_TEXT_UP_TO(100, name)

/* The members before the lock are hardly ever written. Threads read them all the
 * time, so that they must not share a cache line with members that are written. */
struct kama_group {
    void *
        block; /* the memory that the group is in, which is aligned behind it */
    struct km_store *store;
    bool is_traced;                           /* observer->trace is not NULL */
    bool owns_pool;                           /* written under the lock */
    const struct km_group_observer *observer; /* borrowed; may be NULL */
    struct km_owner owner;     /* ops is NULL if the group owns every key */
    uint64_t owner_seed;       /* of the slots (km_owner_seed) */
    struct km_group_sync sync; /* ops is NULL if it is not synchronized */
    uint32_t sync_number;      /* of the group in the log of the node */
    struct km_group_config config;
    char strategy[KM_STRATEGY_TEXT_BYTES]; /* of config, in canonical text */
    kama_allocator mem;
    const struct km_clock *clock;
    char *name;
    struct km_metric_set *metrics;
    struct km_permute permute;      /* hides hashes in the cursors of a scan */
    uint64_t instance;              /* a random number; see km_group_instance */
    _Atomic(struct km_pool *) pool; /* NULL: loads run on their callers */
    atomic_uint loads_max;          /* at a time; falls when the pool is made */
    alignas(64) struct km_mutex lock; /* held while the pool is made */
    atomic_uint refs;                 /* of the owner and of deferred loads */
    struct km_flight flight;
    struct km_stripes load_times;
    struct km_gate gate;   /* callers, loads on the pool, timers, callbacks */
    struct km_slots slots; /* of loads */
    atomic_size_t parked_bytes; /* of mutations that wait for other nodes */
    struct km_hot_keys hot;     /* which keys the gets ask for */
};

/* Returns the group's pool, or NULL if it has none (yet). */
static inline struct km_pool *km_group_pool(kama_group *group)
{
    return atomic_load_explicit(&group->pool, memory_order_acquire);
}

/* Returns whether other nodes may own keys of the group. */
static inline bool km_group_is_clustered(const kama_group *group)
{
    return group->owner.ops != NULL;
}

/* Asks who owns a key. A group that is not clustered owns every key, by the
 * adoption 0. The caller gives the reference to a peer back. */
static inline void km_group_ask(const kama_group *group, kama_bytes key,
                                struct km_owner_answer *ret_answer)
{
    if (KM_UNLIKELY(km_group_is_clustered(group))) {
        group->owner.ops->ask(group->owner.arg,
                              km_owner_slot(group->owner_seed, key),
                              ret_answer);
    } else {
        *ret_answer = (struct km_owner_answer){.place = KM_OWNER_HERE};
    }
}

/* Returns how many loads may run at a time. */
static inline unsigned km_group_loads_max(const kama_group *group)
{
    return atomic_load_explicit(&group->loads_max, memory_order_relaxed);
}

/* Adds 1 to a counter of the group. */
static inline void km_group_count(kama_group *group, enum km_group_metric row)
{
    km_metric_add(group->metrics, row, 1);
}

/* Returns the current time of the group's clock. */
static inline km_ns km_group_now(const kama_group *group)
{
    return km_clock_mono(group->clock);
}

/* Where a blocking call of this thread loads: the pool; NULL: on the thread. A
 * thread that runs a loader which is older than the pool goes on loading by
 * itself, because its load has a slot that a load on the pool would wait for. */
static inline struct km_pool *km_group_pool_for_call(kama_group *group)
{
    struct km_pool *pool = km_group_pool(group);
    bool loads_itself =
        pool != NULL && km_thread_is_inside(group) && !km_pool_is_inside(pool);
    return loads_itself ? NULL : pool;
}
