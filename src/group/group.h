/* SPDX-License-Identifier: MIT */
/*
 * A group as the rest of the library sees it: the functions that the node and its
 * services need beyond the public calls of kamacache.h.
 *
 * A node makes its groups with its own clock, pool and observer:
 *
 *     const struct km_group_env env = {.pool = pool, .observer = &observer};
 *     status = km_group_new(&options, &env, &group);
 *     ...
 *     km_group_free(group);
 *
 * and its services park their gets as data (group/get_op.h) in place of blocking.
 *
 * Threads: any thread, but new and free are setup. Errors: those of kama_get.
 * Cost: a group has 12 KiB, and its store. Ownership: a group owns its store, its flight and its loads. The pool, the clock
 * and the observer are borrowed until km_group_free returns.
 */
#pragma once

#include "base/clock.h"
#include "base/histogram.h"
#include "base/list.h"
#include "base/metric.h"
#include "base/pool.h"
#include "group/checks.h"
#include "group/get_op.h"
#include "group/owner.h"
#include "group/strategy.h"
#include "group/sync.h"

#include <kamacache/kamacache.h>

struct km_group_observer;

/* The environment that the maker of a group gives to it. All is borrowed. */
struct km_group_env {
    const struct km_clock *clock; /* NULL: the clock of the system */
    struct km_pool *pool;         /* NULL: the first _async call makes a pool */
    uint64_t seed;                /* of the table's hash; 0: random */
    uint64_t max_value_bytes_max; /* 0: KM_VALUE_BYTES_LOCAL_MAX */
    const struct km_group_observer *observer; /* NULL: the group has none */
    _Atomic km_ns *keep_at; /* when there is housekeeping to do, written by the
                             * group (keep.h); NULL: nobody wants to know */
    /* Who owns which key; ops is NULL for a group that owns every key. A group
     * with ops needs a pool. They are not used if the group has sync=local. */
    struct km_owner owner;
    /* The canonical form of the addresses of a strategy; NULL: they stay as they are. */
    km_strategy_address_fn address;
    /* How mutations reach the other nodes; ops is NULL if they do not. It is used only
     * by a group that is given an owner, and whose strategy is streamed (strategy.h). */
    struct km_group_sync sync;
};

/* Makes a group as kama_group_new does, in an environment. If there is a pool,
 * every load runs on it, and it is allowed loader_concurrency more threads. */
KAMA_NODISCARD kama_status km_group_new(const kama_group_options *options,
                                        const struct km_group_env *env,
                                        kama_group **ret_group);

/* Frees any group, also that of a node. Callers that wait for a load get
 * KAMA_ERR_CANCELLED first, and then this waits until every call has left the
 * group and every loader that runs on the pool has returned. Setup. */
void km_group_free(kama_group *group);

/* Returns a random number that tells this group from every other one, even from
 * one of the same name that was made later. */
uint64_t km_group_instance(const kama_group *group);

/* Returns the largest length of a value that the group accepts. */
uint64_t km_group_max_value_bytes(const kama_group *group);

/* Returns whether other nodes may own keys of the group, so that a mutation of it
 * may have to be parked. */
bool km_group_has_owners(const kama_group *group);

/* Returns the hash of key in the group's store. */
uint64_t km_group_hash(const kama_group *group, kama_bytes key);

/* Writes the histogram of the durations of the group's loads. */
void km_group_load_times(const kama_group *group,
                         struct km_histogram *ret_times);

/* -- for the files of this folder ---------------------------------------- */

/* Take and give back a reference to the group's memory and to its loader. A
 * deferred load has one, so that it can be finished after km_group_free. The store
 * is freed by km_group_free nevertheless. */
void km_group_ref(kama_group *group);
void km_group_unref(kama_group *group);

/* Writes the group's pool, and makes it if there is none. Errors: those of
 * km_pool_new and km_pool_arm. */
KAMA_NODISCARD kama_status km_group_need_pool(kama_group *group,
                                              struct km_pool **ret_pool);

/* Asserts the invariants of the group's flight, slots, store and pool, under each
 * lock in turn. Calls may be inside the group, but none may change an entry
 * meanwhile. Does nothing in a forked child, where a lock may be held by a thread
 * that does not exist. For tests: O(entries + loads). */
void km_group_check(kama_group *group);

/* Returns whether each miss was counted as ended once, and each get that has asked
 * an owner as answered or not. This is so whenever no get waits. For tests. */
bool km_group_counts_fit(const kama_group *group);
