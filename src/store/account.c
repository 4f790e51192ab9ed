/* SPDX-License-Identifier: MIT */
/*
 * The sums are relaxed atomics, because no thread concludes from a sum that it
 * can see the writes of another thread. Only giving bytes back is ordered: the thread that gives
 * the last ones back must see everything that the others have done before it
 * frees the account.
 */
#include "store/account.h"

#include "base/assert.h"

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

/* Numbers that change meanwhile may make the sum a little wrong, but never less
 * than nothing. */
uint64_t km_account_held(const struct km_account *a)
{
    int64_t sum = atomic_load_explicit(&a->held_bytes, memory_order_relaxed);
    for (unsigned i = 0; i < KM_THREAD_CELLS; i++) {
        sum += atomic_load_explicit(&a->held[i].bytes, memory_order_relaxed);
    }
    return sum > 0 ? (uint64_t)sum : 0;
}

uint64_t km_account_blocks(const struct km_account *a)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < KM_THREAD_CELLS; i++) {
        sum += atomic_load_explicit(&a->held[i].blocks, memory_order_relaxed);
    }
    return sum > 0 ? (uint64_t)sum : 0;
}

uint64_t km_account_held_blocks(const struct km_account *a)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < KM_THREAD_CELLS; i++) {
        sum +=
            atomic_load_explicit(&a->held[i].held_blocks, memory_order_relaxed);
    }
    return sum > 0 ? (uint64_t)sum : 0;
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
