/* SPDX-License-Identifier: MIT */
/*
 * A histogram of durations in nanoseconds.
 *
 *     struct km_histogram h;
 *     km_histogram_init(&h);
 *     km_histogram_record(&h, took_ns);
 *     uint64_t p99_ns = km_histogram_quantile(&h, 0.99);
 *
 * The layout is that of HdrHistogram: each power of two is divided into 16
 * equal steps, so that a value is known with an error of at most 6.25 %.
 *
 *     cells   0 .. 15     one value each: 0, 1, ... 15 ns
 *            16 .. 31     16, 17, ... 31 ns
 *            32 .. 47     32-33, 34-35, ... 62-63 ns
 *            ...          16 cells per power of two, up to 2^40 ns (18 minutes)
 *            592          everything longer
 *
 * Cost: two relaxed atomic additions per duration; a reading walks the cells.
 * Memory: 600 cells of 8 bytes, in the structure.
 * Threads: any thread may record and read at the same time; a reading may miss
 * durations that are being recorded. Errors: none.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#define KM_HISTOGRAM_CELLS 600

struct km_histogram {
    _Atomic uint64_t cells[KM_HISTOGRAM_CELLS];
    _Atomic uint64_t sum_ns;
};

/* Empties h. No other thread may use it meanwhile. */
void km_histogram_init(struct km_histogram *h);
/* Counts one duration. */
void km_histogram_record(struct km_histogram *h, uint64_t ns);
/* Returns how many durations were recorded. */
uint64_t km_histogram_count(const struct km_histogram *h);
/* Returns the exact sum of the durations. */
uint64_t km_histogram_sum_ns(const struct km_histogram *h);
/* Returns the upper bound of the cell in which the q-quantile lies, for q from
 * 0 to 1. Returns 0 if nothing was recorded. */
uint64_t km_histogram_quantile(const struct km_histogram *h, double q);
/* Returns how many durations are at most ns. Durations in the same cell as ns
 * are all counted. */
uint64_t km_histogram_count_below(const struct km_histogram *h, uint64_t ns);
/* Adds the counts of `from` to those of `to`. */
void km_histogram_add(struct km_histogram *to, const struct km_histogram *from);
