/* SPDX-License-Identifier: MIT */
/*
 * Metrics: a table of counters, one row each, and a set of their values.
 *
 *     enum { GETS, BYTES };
 *     static const struct km_metric rows[] = {
 *         {"gets", KM_METRIC_COUNTER, "", "Calls of kama_get."},
 *         {"bytes", KM_METRIC_GAUGE, "bytes", "Memory in use."},
 *     };
 *     km_metric_set_new(NULL, rows, 2, &set);
 *     km_metric_add(set, GETS, 1);
 *     uint64_t gets = km_metric_read(set, GETS);
 *
 * A set has KM_THREAD_CELLS blocks of counters, and each thread writes to one
 * of them, so that threads rarely write to the same cache line:
 *
 *     cell 0    | gets | bytes | ...  padding |     threads 0, 16, 32, ...
 *     cell 1    | gets | bytes | ...  padding |     threads 1, 17, 33, ...
 *     ...
 *     reading   the sum of a column
 *
 * Cost: an addition is one relaxed atomic; a reading adds KM_THREAD_CELLS
 * numbers.
 * Threads: any thread may add and read; new and free belong to the owner.
 * Errors: KAMA_ERR_NO_MEMORY from new. Ownership: the rows are borrowed,
 * usually static; the set is the caller's until km_metric_set_free.
 */
#pragma once

#include "base/mem.h"
#include "base/thread.h"

/* A counter only rises; a gauge rises and falls. The last two are kinds of text
 * only (metric_text.h): an info is always 1, and its labels say something. */
enum km_metric_kind {
    KM_METRIC_COUNTER,
    KM_METRIC_GAUGE,
    KM_METRIC_HISTOGRAM,
    KM_METRIC_INFO
};

struct km_metric {
    const char *name; /* "gets", without a prefix and without _total */
    enum km_metric_kind kind;
    const char *unit; /* "", "bytes" or "ns" */
    const char *help; /* one sentence */
};

#define KM_METRIC_ROWS_MAX 64

/* For the functions below only. */
struct km_metric_set {
    const kama_allocator *mem;
    const struct km_metric *rows;
    size_t row_count;
    size_t stride; /* counters per block; a block is a number of whole lines */
    _Atomic uint64_t *counters;
};

/* Makes a set in which every counter is 0. */
KAMA_NODISCARD kama_status km_metric_set_new(const kama_allocator *mem,
                                             const struct km_metric *rows,
                                             size_t row_count,
                                             struct km_metric_set **ret_set);
/* Frees a set. NULL does nothing. */
void km_metric_set_free(struct km_metric_set *set);

/* Returns the block of counters of the calling thread, in which `cell[row]` is
 * the counter of a row. It stays the same for as long as the thread lives. */
static inline _Atomic uint64_t *km_metric_cell(struct km_metric_set *set)
{
    return set->counters + km_thread_cell() * set->stride;
}

/* Adds n to the counter of a row. */
static inline void km_metric_add(struct km_metric_set *set, unsigned row,
                                 uint64_t n)
{
    atomic_fetch_add_explicit(&km_metric_cell(set)[row], n,
                              memory_order_relaxed);
}

/* Subtracts n from a gauge. One cell may wrap below 0, when a thread subtracts
 * what another one has added; the sum over all cells is right again. */
static inline void km_metric_sub(struct km_metric_set *set, unsigned row,
                                 uint64_t n)
{
    km_metric_add(set, row, (uint64_t)0 - n);
}

/* Returns the value of a row: the sum over all cells. A gauge that changes at the
 * same time may be read a little wrong, but never as less than 0. */
uint64_t km_metric_read(const struct km_metric_set *set, unsigned row);
