/* SPDX-License-Identifier: MIT */
/*
 * Metric tables: one row (name, kind, unit, help) per metric. A set of metrics
 * has one block of counters per thread cell, summed on read: an increment is
 * a relaxed add on a line that other threads rarely touch.
 * Thread-safety: add and read from any thread; new and free: setup.
 */
#pragma once

#include "base/mem.h"

enum km_metric_kind { KM_METRIC_COUNTER, KM_METRIC_GAUGE };

struct km_metric {
    const char *name; /* without prefix and _total: "gets" */
    enum km_metric_kind kind;
    const char *unit; /* "", "bytes", "ns" */
    const char *help;
};

#define KM_METRIC_ROWS_MAX 64

struct km_metric_set;

/* Zeroed counters for row_count rows (borrowed, static). */
KAMA_NODISCARD kama_status km_metric_set_new(const kama_allocator *mem,
                                             const struct km_metric *rows,
                                             size_t row_count,
                                             struct km_metric_set **ret_set);
/* NULL is a no-op. */
void km_metric_set_free(struct km_metric_set *set);

/* The calling thread's block of counters: `cell[row]`. Stable per thread. */
_Atomic uint64_t *km_metric_cell(struct km_metric_set *set);

/* Adds n to row for the calling thread. */
static inline void km_metric_add(struct km_metric_set *set, unsigned row,
                                 uint64_t n)
{
    atomic_fetch_add_explicit(&km_metric_cell(set)[row], n,
                              memory_order_relaxed);
}

/* Gauges go down by adding the two's complement. */
static inline void km_metric_sub(struct km_metric_set *set, unsigned row,
                                 uint64_t n)
{
    km_metric_add(set, row, (uint64_t)0 - n);
}

/* Sum over the cells. */
uint64_t km_metric_read(const struct km_metric_set *set, unsigned row);
