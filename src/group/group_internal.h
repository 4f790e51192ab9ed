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
#include "base/struct.h"
#include "base/sync.h"
#include "base/text.h"
#include "flight/flight.h"
#include "group/group.h"
#include "group/load/slot.h"
#include "group/metrics.h"
#include "store/store.h"

/* The arguments of "%.*s" for the name of a group in a sentence: a name may be
 * as long as a sentence is. */
#define KM_GROUP_SHOWN(name) KM_TEXT_UP_TO(100, name)

/* What a group was told, checked and completed. */
struct km_group_config {
    uint64_t max_bytes;
    uint64_t max_value_bytes;
    int64_t ttl_ms;          /* KAMA_TTL_FOREVER or > 0 */
    int64_t negative_ttl_ms; /* INT64_MAX: never forgotten */
    uint32_t ttl_jitter;
    kama_loader_fn loader;
    void *loader_arg;
    void (*loader_free)(void *arg);
    int64_t loader_timeout_ms;
    uint32_t loader_concurrency;
    uint32_t async_threads;
    const struct km_policy_ops *policy;
};

struct kama_group {
    struct km_store *store;
    bool is_traced;                           /* observer->trace is there */
    const struct km_group_observer *observer; /* NULL: nobody */
    struct km_group_config config;
    kama_allocator mem;
    const struct km_clock *clock;
    char *name;
    struct km_metric_set *metrics;
    struct km_permute permute; /* hides the hash in what users see */
    uint64_t instance;         /* random: tells one group from the next */
    struct km_flight flight;
    struct km_histogram load_times;
    _Atomic(struct km_pool *) pool; /* NULL: loads run on their callers */
    struct km_mutex lock;           /* of the making of the pool */
    bool owns_pool;
    atomic_uint loads_max; /* at a time; falls when the pool is made */
    atomic_uint refs;      /* of the owner and of deferred loads */
    struct km_gate gate;   /* callers, loads on the pool, timers, callbacks */
    struct km_slots slots; /* on cache lines of their own */
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

/* Counted references to the struct, not to what the group remembers. */
void km_group_ref(kama_group *group);
void km_group_unref(kama_group *group);

/* The pool, made if there is none. */
KAMA_NODISCARD kama_status km_group_need_pool(kama_group *group,
                                              struct km_pool **ret_pool);

/* Where a blocking call of this thread loads: the pool; NULL: on the thread. A
 * thread that runs a loader which is older than the pool goes on loading by
 * itself, because its load has a slot that a load on the pool would wait for. */
struct km_pool *km_group_pool_for_call(kama_group *group);

/* A call's context, checked and completed. */
struct km_call_limits {
    uint32_t flags;
    int64_t deadline_ms; /* > 0 */
    km_ns deadline;      /* set by km_call_limits_begin */
};

/* ctx may be NULL. Errors: KAMA_ERR_INVALID. */
KAMA_NODISCARD kama_status km_call_limits_init(const kama_group *group,
                                               const kama_ctx *ctx,
                                               struct km_call_limits *ret_call);

/* Turns the call's relative deadline into a time, once for the whole call. */
void km_call_limits_begin(const kama_group *group, struct km_call_limits *call);

/* The time at which an entry expires that is stored now: ttl_ms as in
 * kama_set_options, jittered by hash; 0: never. Errors: KAMA_ERR_INVALID. */
KAMA_NODISCARD kama_status km_group_expiry(const kama_group *group,
                                           int64_t ttl_ms, uint64_t hash,
                                           km_ns *ret_expires_at);

/* KAMA_ERR_TOO_LARGE when value is over the group's limit, KAMA_ERR_INVALID
 * for bytes at NULL. */
KAMA_NODISCARD kama_status km_group_check_value(const kama_group *group,
                                                kama_bytes value);

/* The answer for a key that is not in memory and is not to be loaded; counts
 * the miss. */
kama_status km_group_absent(kama_group *group);

/* Looks into memory only, as every get does first. KAMA_DEFERRED: the key is not
 * there and is to be loaded; anything else is the answer, and is counted.
 * *ret_hash is written with KAMA_DEFERRED. */
KAMA_NODISCARD kama_status km_group_look_up(kama_group *group, kama_bytes key,
                                            const struct km_call_limits *call,
                                            uint64_t *ret_hash,
                                            kama_value **ret_value);

/* kama_get of a key that memory did not have, with limits that have begun. */
kama_status km_group_get_miss(kama_group *group, kama_bytes key, uint64_t hash,
                              const struct km_call_limits *limits,
                              kama_value **ret_value);

/* Checks options, which may be of an older or newer size. name is borrowed
 * from them. Errors: KAMA_ERR_INVALID, KAMA_ERR_TOO_LARGE. */
KAMA_NODISCARD kama_status
km_group_config_init(const kama_group_options *options,
                     uint64_t value_bytes_max, struct km_group_config *ret,
                     const char **ret_name, const kama_allocator **ret_mem);
