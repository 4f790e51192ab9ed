/* SPDX-License-Identifier: MIT */
/*
 * A group and a limit loop with the same items, and the lookups for both.
 *
 *     struct bench_twins twins;
 *     bench_twins_init(&twins, &(struct bench_twins_shape){
 *         .items = 1000000, .value_bytes = 100, .order = BENCH_ZIPF});
 *     ... {"kama_get_copy", bench_group_gets, &twins.ours} ...
 *     ... {"limit loop", bench_limit_gets, &twins.theirs} ...
 *     bench_twins_fini(&twins);
 *
 * Threads and errors: as in group.h and limit.h.
 */
#pragma once

#include "group.h"
#include "limit.h"

struct bench_twins_shape {
    unsigned items;
    size_t value_bytes;
    enum bench_order order;
    enum bench_pages pages;
    int64_t ttl_ms;
};

struct bench_twins {
    struct bench_lookups lookups;
    struct bench_limit limit;
    struct bench_group_side ours;
    struct bench_limit_side theirs;
};

void bench_twins_init(struct bench_twins *twins,
                      const struct bench_twins_shape *shape);
void bench_twins_fini(struct bench_twins *twins);
