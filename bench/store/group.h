/* SPDX-License-Identifier: MIT */
/*
 * The side of the library: groups, and the operations of a turn on them. They
 * use the public API alone, so that they measure the
 * calls of an application.
 *
 *     kama_group *group = bench_group_new(&(struct bench_group_shape){
 *         .max_bytes = 64u << 20});
 *     bench_group_set(group, 7, value, sizeof value);
 *
 * Threads: any. Errors: a status that cannot be in a comparison fails an
 * assertion.
 */
#pragma once

#include "keys.h"
#include "pages.h"
#include "turns.h"

#include <kamacache/kamacache.h>
#include <stdbool.h>

struct bench_group_shape {
    uint64_t max_bytes;
    uint64_t max_value_bytes; /* 0: the default of the group */
    int64_t ttl_ms;
    enum bench_pages pages;
};

/* Makes a group. A library without the option `huge_pages` has small pages. */
kama_group *bench_group_new(const struct bench_group_shape *shape);
/* Returns whether groups have the option `huge_pages`. */
bool bench_group_has_huge_pages(void);

/* Stores a value under key number i. */
void bench_group_set(kama_group *group, unsigned i, const void *value,
                     size_t value_bytes);
/* Returns kama_set's status for a value under key number i. */
kama_status bench_group_try_set(kama_group *group, unsigned i,
                                const void *value, size_t value_bytes,
                                int64_t ttl_ms);

/* The number of a group's entries, and the bytes of their keys and values, counted
 * by a scan. */
struct bench_live {
    uint64_t entries;
    uint64_t bytes;
};
struct bench_live bench_group_live(kama_group *group);

/* The operations of a turn; `arg` is a struct bench_group_side. All keys must be
 * in the group. */
struct bench_group_side {
    kama_group *group;
    const struct bench_lookups *lookups;
    size_t value_bytes;
};

/* kama_get_copy. */
uint64_t bench_group_gets(void *arg, const struct bench_turn *turn);
/* kama_get_copy of keys that depend on the value before them. */
uint64_t bench_group_dependent_gets(void *arg, const struct bench_turn *turn);
/* kama_get_copy, and every BENCH_WRITE_EVERYth time kama_set. */
uint64_t bench_group_mixed(void *arg, const struct bench_turn *turn);
