/* SPDX-License-Identifier: MIT */
/*
 * A group as the rest of the library sees it: what the node and its services need
 * beyond the public calls of kamacache.h.
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
 * Threads: any, except that new and free are setup. Errors: as kama_get.
 * Ownership: a group owns its store, its flight and its loads; the pool, the
 * clock and the observer are borrowed until km_group_free returns.
 */
#pragma once

#include "base/clock.h"
#include "base/histogram.h"
#include "base/list.h"
#include "base/metric.h"
#include "base/pool.h"
#include "group/checks.h"
#include "group/get_op.h"

#include <kamacache/kamacache.h>

struct km_group_observer;

/* What a group gets from who makes it. */
struct km_group_env {
    const struct km_clock *clock; /* NULL: the system's */
    struct km_pool *pool;         /* borrowed; NULL: own, at the first _async */
    uint64_t seed;                /* of the table hash; 0: random */
    uint64_t max_value_bytes_max; /* 0: KM_VALUE_BYTES_LOCAL_MAX */
    const struct km_group_observer *observer; /* borrowed; NULL: nobody */
};

/* As kama_group_new; with a pool, every load runs on it and
 * km_pool_allow(pool, loader_concurrency) is called. */
KAMA_NODISCARD kama_status km_group_new(const kama_group_options *options,
                                        const struct km_group_env *env,
                                        kama_group **ret_group);

/* As kama_group_free, for any group. Waiters get KAMA_ERR_CANCELLED first;
 * then it waits for loaders that run on the pool. */
void km_group_free(kama_group *group);

/* A random number that tells this group from every other, also from one of the
 * same name that was made later. */
uint64_t km_group_instance(const kama_group *group);

uint64_t km_group_max_value_bytes(const kama_group *group);

/* The hash of key in the group's store. */
uint64_t km_group_hash(const kama_group *group, kama_bytes key);

/* Counts a get that receives the answer of an equal key of the same mget. */
void km_group_count_twin(kama_group *group);

/* Writes how long the loads took. */
void km_group_load_times(const kama_group *group,
                         struct km_histogram *ret_times);

/* -- for the files of this folder ---------------------------------------- */

/* Counted references to the struct, not to what the group remembers. */
void km_group_ref(kama_group *group);
void km_group_unref(kama_group *group);

/* The pool, made if there is none. */
KAMA_NODISCARD kama_status km_group_need_pool(kama_group *group,
                                              struct km_pool **ret_pool);
