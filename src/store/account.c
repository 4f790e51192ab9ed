/* SPDX-License-Identifier: MIT */
/*
 * The sums are relaxed atomics, because no thread concludes from a sum that it
 * can see the writes of another thread. Only giving bytes back is ordered: the thread
 * that gives the last ones back must see everything that the others have done before
 * it frees the account.
 */
#include "store/account.h"

#include "base/assert.h"

#include <stddef.h>

/* The bytes that a cell may gather: a part of the bound, and no more than a page. All cells
 * together have less than 0.2 % of a group, unless its bound sinks very much. */
#define BATCH_SHARE 16384u
#define BATCH_MAX 4096u

struct km_account *km_account_new(const kama_allocator *mem,
                                  const struct km_clock *clock,
                                  uint64_t max_bytes, size_t base_bytes)
{
    KM_ASSERT(base_bytes > 0);
    struct km_account *a = km_mem_zalloc(mem, 1, sizeof *a);
    if (a == NULL) {
        return NULL;
    }
    a->mem = *mem;
    a->clock = *clock;
    atomic_init(&a->max_bytes, max_bytes);
    atomic_init(&a->used_bytes, base_bytes);
    uint64_t share = max_bytes / BATCH_SHARE;
    a->batch = (int32_t)(share < BATCH_MAX ? share : BATCH_MAX);
    if (!km_pages_init(&a->pages, a, KM_PAGES_READ_LATE)) {
        goto fail_pages;
    }
    if (!km_pages_init(&a->blocks, a, KM_PAGES_PRIVATE)) {
        goto fail_blocks;
    }
    return a;

fail_blocks:
    km_pages_fini(&a->pages);
fail_pages:
    km_mem_free(mem, a);
    return NULL;
}

/* Returns the sum of one number of all cells, which is at `offset` in each. */
static int64_t sum_cells(const struct km_account *a, size_t offset)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < 2 * KM_THREAD_CELLS; i++) {
        const void *number = (const char *)&a->cells[i] + offset;
        sum += atomic_load_explicit((const _Atomic int64_t *)number,
                                    memory_order_relaxed);
    }
    return sum;
}

/* Numbers that change meanwhile may make a sum a little wrong, but never less than
 * nothing. */
static uint64_t at_least_0(int64_t sum)
{
    return sum > 0 ? (uint64_t)sum : 0;
}

uint64_t km_account_held(const struct km_account *a)
{
    int64_t moved = atomic_load_explicit(&a->held_bytes, memory_order_relaxed);
    return at_least_0(moved +
                      sum_cells(a, offsetof(struct km_account_cell, bytes)));
}

uint64_t km_account_blocks(const struct km_account *a)
{
    return at_least_0(sum_cells(a, offsetof(struct km_account_cell, blocks)));
}

uint64_t km_account_held_blocks(const struct km_account *a)
{
    return at_least_0(
        sum_cells(a, offsetof(struct km_account_cell, held_blocks)));
}

uint64_t km_account_prepaid(const struct km_account *a)
{
    return at_least_0(sum_cells(a, offsetof(struct km_account_cell, prepaid)));
}

void km_account_settle(struct km_account *a)
{
    uint64_t prepaid = km_account_prepaid(a);
    for (unsigned i = 0; i < KM_THREAD_CELLS; i++) {
        atomic_store_explicit(&a->cells[i].prepaid, 0, memory_order_relaxed);
    }
    KM_ASSERT(km_account_used(a) > prepaid);
    km_account_discharge(a, prepaid);
}

void km_account_discharge(struct km_account *a, size_t n)
{
    uint64_t before =
        atomic_fetch_sub_explicit(&a->used_bytes, n, memory_order_acq_rel);
    KM_ASSERT(before >= n);
    if (before == n) {
        kama_allocator mem = a->mem;
        km_pages_fini(&a->pages);
        km_pages_fini(&a->blocks);
        km_mem_free(&mem, a);
    }
}

void *km_account_alloc(struct km_account *a, size_t n)
{
    void *p = km_mem_alloc(&a->mem, n);
    if (p != NULL) {
        km_account_charge(a, km_account_block_bytes(n));
    }
    return p;
}

void km_account_release(struct km_account *a, void *p, size_t n)
{
    if (p != NULL) {
        km_mem_free(&a->mem, p);
        km_account_discharge(a, km_account_block_bytes(n));
    }
}
