/* SPDX-License-Identifier: MIT */
/*
 * A group seen from inside: what node/ needs beyond the public calls.
 *
 * Gets that are parked as data are in group/get_op.h.
 *
 * Threads: any. Errors: as kama_get.
 */
#pragma once

#include "base/clock.h"
#include "base/histogram.h"
#include "base/list.h"
#include "base/metric.h"
#include "base/pool.h"
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

/* Is the key's length within the limits? */
KAMA_NODISCARD kama_status km_group_check_key(kama_bytes key);

/* Would kama_mset accept the item? KAMA_OK, KAMA_ERR_INVALID, TOO_LARGE. */
KAMA_NODISCARD kama_status km_group_check_item(const kama_group *group,
                                               const kama_set_item *item);

/* The hash of key in the group's store. */
uint64_t km_group_hash(const kama_group *group, kama_bytes key);

/* Counts a get that receives the answer of an equal key of the same mget. */
void km_group_count_twin(kama_group *group);

/* Durations of loads. Valid as long as the group. */
const struct km_histogram *km_group_load_histogram(const kama_group *group);
