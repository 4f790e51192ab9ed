/* SPDX-License-Identifier: MIT */
/*
 * The number of a cell follows from the highest bit of a duration and the four
 * bits behind it, as in a floating point number with a mantissa of four bits.
 * Durations below 16 ns have a cell of their own each.
 */
#include "base/histogram.h"

#include <stddef.h>

#define STEPS_LOG2 4
#define STEPS (1u << STEPS_LOG2)
#define LONGEST_LOG2 40
#define LONGEST_CELL (STEPS * (LONGEST_LOG2 - STEPS_LOG2 + 1))

_Static_assert(LONGEST_CELL < KM_HISTOGRAM_CELLS, "every cell has a place");

/* Returns the cell that counts a duration. */
static unsigned cell_of(uint64_t ns)
{
    if (ns < STEPS) {
        return (unsigned)ns;
    }
    if (ns >= UINT64_C(1) << LONGEST_LOG2) {
        return LONGEST_CELL;
    }
    unsigned shift = 63u - (unsigned)__builtin_clzll(ns) - STEPS_LOG2;
    return STEPS * shift + (unsigned)(ns >> shift);
}

/* Returns the greatest duration that the cell counts. */
static uint64_t cell_high(unsigned cell)
{
    if (cell < STEPS) {
        return cell;
    }
    if (cell >= LONGEST_CELL) {
        return UINT64_C(1) << LONGEST_LOG2;
    }
    unsigned shift = cell / STEPS - 1;
    uint64_t step = STEPS + cell % STEPS;
    return ((step + 1) << shift) - 1;
}

static uint64_t read_cell(const struct km_histogram *h, unsigned cell)
{
    return atomic_load_explicit(&h->cells[cell], memory_order_relaxed);
}

/* Returns the sum of the cells from 0 to last. */
static uint64_t sum_through(const struct km_histogram *h, unsigned last)
{
    uint64_t count = 0;
    for (unsigned cell = 0; cell <= last; cell++) {
        count += read_cell(h, cell);
    }
    return count;
}

void km_histogram_init(struct km_histogram *h)
{
    for (unsigned cell = 0; cell < KM_HISTOGRAM_CELLS; cell++) {
        atomic_init(&h->cells[cell], 0);
    }
    atomic_init(&h->sum_ns, 0);
}

void km_histogram_record(struct km_histogram *h, uint64_t ns)
{
    atomic_fetch_add_explicit(&h->cells[cell_of(ns)], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->sum_ns, ns, memory_order_relaxed);
}

uint64_t km_histogram_count(const struct km_histogram *h)
{
    return sum_through(h, LONGEST_CELL);
}

uint64_t km_histogram_sum_ns(const struct km_histogram *h)
{
    return atomic_load_explicit(&h->sum_ns, memory_order_relaxed);
}

/* Returns the rank of the q-quantile among count values, from 1 (the least) to
 * count (the greatest). count is not 0. */
static uint64_t rank_of(double q, uint64_t count)
{
    double exact = q * (double)count;
    uint64_t rank = exact > 1 ? (uint64_t)exact : 1;
    if ((double)rank < exact) {
        rank++;
    }
    return rank < count ? rank : count;
}

uint64_t km_histogram_quantile(const struct km_histogram *h, double q)
{
    uint64_t count = km_histogram_count(h);
    if (count == 0) {
        return 0;
    }
    uint64_t rank = rank_of(q, count);
    uint64_t seen = 0;
    for (unsigned cell = 0; cell < LONGEST_CELL; cell++) {
        seen += read_cell(h, cell);
        if (seen >= rank) {
            return cell_high(cell);
        }
    }
    return cell_high(LONGEST_CELL);
}

uint64_t km_histogram_count_below(const struct km_histogram *h, uint64_t ns)
{
    return sum_through(h, cell_of(ns));
}

void km_histogram_add(struct km_histogram *to, const struct km_histogram *from)
{
    for (unsigned cell = 0; cell <= LONGEST_CELL; cell++) {
        atomic_fetch_add_explicit(&to->cells[cell], read_cell(from, cell),
                                  memory_order_relaxed);
    }
    atomic_fetch_add_explicit(&to->sum_ns, km_histogram_sum_ns(from),
                              memory_order_relaxed);
}
