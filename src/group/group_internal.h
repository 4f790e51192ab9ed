/* SPDX-License-Identifier: MIT */
/*
 * The inside of a group, for the files of this folder.
 *
 * Life: km_group_free closes the gate, ends every load, waits until everybody has
 * left the gate (callers, loads on the pool and their timers, callbacks), frees
 * the store, and gives its reference back. A deferred load has a reference, too:
 * what it needs to be finished later, and loader_arg, live until then.
 *
 * Lock order: the group's lock, then slots, flight, and store; the pool's after
 * them. A hit takes the lock of one shard of the store and nothing else; a miss
 * without a pool takes those of its shards of the store and of the flight.
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
#include "group/load/slot.h"
#include "store/store.h"

#include <stdalign.h>

/* The arguments of "%.*s" for the name of a group in a sentence: a name may be
 * as long as a sentence is. */
#define KM_GROUP_SHOWN(name) KM_TEXT_UP_TO(100, name)

/* The members before the lock are written once, or nearly never: threads read them
 * all the time, and must not lose their cache lines to those that are written. */
struct kama_group {
    void *
        block; /* the memory that the group is in, which is aligned behind it */
    struct km_store *store;
    bool is_traced;                           /* observer->trace is there */
    bool owns_pool;                           /* under the lock */
    const struct km_group_observer *observer; /* NULL: nobody */
    struct km_group_config config;
    kama_allocator mem;
    const struct km_clock *clock;
    char *name;
    struct km_metric_set *metrics;
    struct km_permute permute;      /* hides the hash in what users see */
    uint64_t instance;              /* random: tells one group from the next */
    _Atomic(struct km_pool *) pool; /* NULL: loads run on their callers */
    atomic_uint loads_max;          /* at a time; falls when the pool is made */
    alignas(64) struct km_mutex lock; /* of the making of the pool */
    atomic_uint refs;                 /* of the owner and of deferred loads */
    struct km_flight flight;
    struct km_stripes load_times;
    struct km_gate gate;   /* callers, loads on the pool, timers, callbacks */
    struct km_slots slots; /* of loads */
};

static inline struct km_pool *km_group_pool(kama_group *group)
{
    return atomic_load_explicit(&group->pool, memory_order_acquire);
}

/* How many loads may run at a time. */
static inline unsigned km_group_loads_max(const kama_group *group)
{
    return atomic_load_explicit(&group->loads_max, memory_order_relaxed);
}

static inline void km_group_count(kama_group *group, enum km_group_metric row)
{
    km_metric_add(group->metrics, row, 1);
}

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
