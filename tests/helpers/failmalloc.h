/* SPDX-License-Identifier: MIT */
/*
 * Reruns a scenario with the n-th allocation failing, for n = 1, 2, ... until
 * it has run through without reaching the n-th; first with that one alone
 * failing, then with all that follow failing too.
 *
 * A scenario takes all its memory from mem and gives all of it back, whatever
 * fails. It returns KAMA_OK when it came through (a failure may be harmless),
 * else the error, which must be KAMA_ERR_NO_MEMORY.
 */
#pragma once

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

typedef kama_status (*km_test_scenario)(const kama_allocator *mem, void *arg);

#define KM_TEST_ALLOCATIONS_MAX 100000

/* One run; true: the n-th allocation was reached. */
static inline bool km_test_fail_nth(km_test_scenario scenario, void *arg,
                                    long long n, bool sticky)
{
    struct km_mem_probe probe;
    km_mem_probe_init(&probe);
    probe.fail_at = n;
    probe.sticky = sticky;
    kama_status status = scenario(&probe.allocator, arg);
    bool reached = atomic_load(&probe.allocs) >= n;
    if (atomic_load(&probe.live_blocks) != 0) {
        fail_msg("allocation %lld failed: %lld blocks leaked", n,
                 atomic_load(&probe.live_blocks));
    }
    if (status != KAMA_OK && (!reached || status != KAMA_ERR_NO_MEMORY)) {
        fail_msg("allocation %lld failed: %s", n, kama_status_name(status));
    }
    return reached;
}

/* Returns the number of allocations of a run in which none fails. */
static inline long long km_test_fail_each(km_test_scenario scenario, void *arg)
{
    long long n = 1;
    while (km_test_fail_nth(scenario, arg, n, false)) {
        assert_true(n < KM_TEST_ALLOCATIONS_MAX);
        n++;
    }
    for (long long i = 1; i < n; i++) {
        (void)km_test_fail_nth(scenario, arg, i, true);
    }
    return n - 1;
}
