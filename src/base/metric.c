/* SPDX-License-Identifier: MIT */
/*
 * A set is one allocation: the structure, then KM_THREAD_CELLS blocks of
 * counters, each on cache lines of its own.
 */
#include "base/metric.h"

#include "base/assert.h"
#include "base/status.h"
#include "base/thread.h"

#define LINE_BYTES 64
#define LINE_COUNTERS (LINE_BYTES / sizeof(uint64_t))

kama_status km_metric_set_new(const kama_allocator *mem,
                              const struct km_metric *rows, size_t row_count,
                              struct km_metric_set **ret_set)
{
    KM_ASSERT(row_count > 0 && row_count <= KM_METRIC_ROWS_MAX);
    size_t lines = (row_count + LINE_COUNTERS - 1) / LINE_COUNTERS;
    size_t block_bytes = lines * LINE_BYTES;
    mem = km_mem_or_default(mem);
    struct km_metric_set *set = km_mem_zalloc(
        mem, 1, sizeof *set + LINE_BYTES + KM_THREAD_CELLS * block_bytes);
    if (set == NULL) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for metrics");
    }
    uintptr_t behind = (uintptr_t)(set + 1);
    uintptr_t padding = (LINE_BYTES - behind % LINE_BYTES) % LINE_BYTES;
    set->mem = mem;
    set->rows = rows;
    set->row_count = row_count;
    set->stride = block_bytes / sizeof(uint64_t);
    set->counters = (void *)((char *)(set + 1) + padding);
    *ret_set = set;
    return KAMA_OK;
}

void km_metric_set_free(struct km_metric_set *set)
{
    if (set != NULL) {
        km_mem_free(set->mem, set);
    }
}

/* A reader that has passed the cell to which one thread adds, and then comes to
 * the cell from which another subtracts, has only seen the second change. */
uint64_t km_metric_read(const struct km_metric_set *set, unsigned row)
{
    KM_ASSERT(row < set->row_count);
    uint64_t sum = 0;
    for (size_t cell = 0; cell < KM_THREAD_CELLS; cell++) {
        sum += atomic_load_explicit(&set->counters[cell * set->stride + row],
                                    memory_order_relaxed);
    }
    if (set->rows[row].kind == KM_METRIC_GAUGE && (int64_t)sum < 0) {
        return 0;
    }
    return sum;
}
