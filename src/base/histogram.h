/* SPDX-License-Identifier: MIT */
/*
 * A log-linear histogram of durations in nanoseconds (the layout of
 * HdrHistogram: 16 linear steps per power of two, error <= 6.25 %), from 1 ns
 * to 2^40 ns (18 minutes; longer counts as that). 600 cells of 8 bytes.
 * Thread-safety: record and read from any thread (relaxed atomics).
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#define KM_HISTOGRAM_CELLS 600

struct km_histogram {
    _Atomic uint64_t cells[KM_HISTOGRAM_CELLS];
    _Atomic uint64_t sum_ns;
};

/* Empties h. */
void km_histogram_init(struct km_histogram *h);
/* Counts one duration. */
void km_histogram_record(struct km_histogram *h, uint64_t ns);
/* How many durations were recorded. */
uint64_t km_histogram_count(const struct km_histogram *h);
/* Their sum, as recorded, without the bound. */
uint64_t km_histogram_sum_ns(const struct km_histogram *h);
/* Upper bound of the cell in which the q-quantile lies (0 <= q <= 1); 0 when
 * empty. */
uint64_t km_histogram_quantile(const struct km_histogram *h, double q);
/* How many are <= ns, exact up to the cell. */
uint64_t km_histogram_count_below(const struct km_histogram *h, uint64_t ns);
/* Adds what from has counted to to. */
void km_histogram_add(struct km_histogram *to, const struct km_histogram *from);
