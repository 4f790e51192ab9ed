/* SPDX-License-Identifier: MIT */
/*
 * The account of a store: how much memory it may use and how much it uses.
 *
 *   used_bytes    everything: the store, its index, ghosts and items. Each
 *                 block counts with the size that malloc really takes for it
 *                 (km_account_block_bytes).
 *   pinned_bytes  the part of it in items that are in no store: they were
 *                 evicted or replaced while somebody held a reference, or they
 *                 are not stored yet.
 *
 *     used   |base|  index, ghosts  |  items in the store  |  pinned items  |
 *
 * used_bytes is one number, because the bound is kept by it, and it has a cache
 * line for itself. pinned_bytes is a sum of numbers, one for each cell of
 * threads (base/thread.h): a loaded value is pinned and unpinned again within a
 * microsecond, and only evictions and statistics read the sum. One number may be
 * below zero, when a thread unpins a value that another one has pinned.
 *
 * A value may outlive its store, and then it still needs the allocator to free
 * itself. So the account outlives the store as well: it is freed when the last
 * byte has been given back.
 *
 *     struct km_account *a = km_account_new(mem, clock, 64 << 20, 1000);
 *     void *p = km_account_alloc(a, 200);
 *     km_account_release(a, p, 200);
 *     km_account_discharge(a, 1000);           the last bytes free the account
 *
 * Cost: one relaxed atomic per charge. Threads: any. Memory: 1.3 KiB.
 * Errors: NULL without memory. max_bytes is only remembered here; the store
 * makes room (km_store_make_room).
 * Ownership: km_account_new charges base_bytes, and whoever gives the last
 * bytes back frees the account.
 */
#pragma once

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"

struct km_account_cell {
    _Atomic int64_t bytes;
    char unused[56];
};

struct km_account {
    kama_allocator mem;         /* a copy */
    struct km_clock clock;      /* a copy; items need it to expire */
    _Atomic uint64_t max_bytes; /* to which the store keeps at this moment */
    uint64_t etag_key;          /* of the hashes of values (km_item_etag) */
    char before[64];
    _Atomic uint64_t used_bytes;
    char behind[64];
    struct km_account_cell pinned[KM_THREAD_CELLS];
};

/* Makes an account of which base_bytes, which must not be 0, are used already.
 * Returns NULL without memory. */
struct km_account *km_account_new(const kama_allocator *mem,
                                  const struct km_clock *clock,
                                  uint64_t max_bytes, size_t base_bytes);

/* Returns how many bytes malloc takes for a request of n: glibc adds a header
 * and rounds up, and maps large blocks in whole pages. */
static inline size_t km_account_block_bytes(size_t n)
{
    size_t block = n >= (128u << 10) ? (n + 16 + 4095) & ~(size_t)4095
                                     : (n + 8 + 15) & ~(size_t)15;
    return block < 32 ? 32 : block;
}

/* Returns the bound at this moment. */
static inline uint64_t km_account_max(const struct km_account *a)
{
    return atomic_load_explicit(&a->max_bytes, memory_order_relaxed);
}

/* Returns the bytes that are in use now. */
static inline uint64_t km_account_used(const struct km_account *a)
{
    return atomic_load_explicit(&a->used_bytes, memory_order_relaxed);
}

/* Returns the part of the used bytes in items that are in no store. */
uint64_t km_account_pinned(const struct km_account *a);

/* Counts n of the used bytes as pinned, or no longer, with n < 0. */
static inline void km_account_pin(struct km_account *a, int64_t n)
{
    atomic_fetch_add_explicit(&a->pinned[km_thread_cell()].bytes, n,
                              memory_order_relaxed);
}

/* Counts n more bytes as used. */
static inline void km_account_charge(struct km_account *a, size_t n)
{
    atomic_fetch_add_explicit(&a->used_bytes, n, memory_order_relaxed);
}

/* Gives n bytes back. The last ones free the account. */
void km_account_discharge(struct km_account *a, size_t n);

/* Allocates n bytes and charges their block. Returns NULL without memory. */
void *km_account_alloc(struct km_account *a, size_t n);

/* Frees a block of km_account_alloc, which had the same n, and gives its bytes
 * back. NULL does nothing. */
void km_account_release(struct km_account *a, void *p, size_t n);
