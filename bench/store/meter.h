/* SPDX-License-Identifier: MIT */
/*
 * The longest operations, by the processor time of their thread.
 *
 *     struct bench_meter sets = {0}, nothing = {0};
 *     uint64_t from = bench_meter_begin();
 *     status = kama_set(...);
 *     bench_meter_end(&sets, from);
 *     bench_meter_idle(&nothing, sets.sum_ns);
 *
 * The kernel charges a thread for some work that is not its own, such as
 * interrupts. Therefore the longest of many measurements of nothing, which took
 * as much time altogether, is printed beside each longest operation.
 *
 * Threads: a meter belongs to one thread. Errors: none.
 */
#pragma once

#include "turns.h"

#include <stdint.h>

/* An operation that is longer than this is counted. */
#define BENCH_LONG_NS 1000000u
#define BENCH_LONGEST 16u

struct bench_meter {
    uint64_t count;
    uint64_t long_count;
    uint64_t sum_ns;
    uint64_t longest_ns[BENCH_LONGEST]; /* in descending order */
};

static inline uint64_t bench_meter_begin(void)
{
    return bench_cpu_ns();
}

static inline void bench_meter_end(struct bench_meter *meter, uint64_t from)
{
    uint64_t took = bench_cpu_ns() - from;
    meter->count++;
    meter->sum_ns += took;
    meter->long_count += took > BENCH_LONG_NS;
    for (unsigned i = BENCH_LONGEST; i > 0 && took > meter->longest_ns[i - 1];
         i--) {
        if (i < BENCH_LONGEST) {
            meter->longest_ns[i] = meter->longest_ns[i - 1];
        }
        meter->longest_ns[i - 1] = took;
    }
}

/* Returns the milliseconds of the longest operation, of the second longest, ... */
static inline double bench_meter_longest_ms(const struct bench_meter *meter,
                                            uint64_t place)
{
    uint64_t last = BENCH_LONGEST - 1;
    return (double)meter->longest_ns[place < last ? place : last] / 1e6;
}

/* Measures nothing again and again until `ns` of processor time have passed. */
static inline void bench_meter_idle(struct bench_meter *meter, uint64_t ns)
{
    uint64_t until = bench_cpu_ns() + ns;
    uint64_t from;
    do {
        from = bench_meter_begin();
        bench_meter_end(meter, from);
    } while (from < until);
}
