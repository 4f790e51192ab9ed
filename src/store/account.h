/* SPDX-License-Identifier: MIT */
/*
 * The account of a store: how much memory it may use and how much it uses.
 *
 *   used_bytes    everything: the store, its segments, index, ghosts and blocks,
 *                 and values outside of the store. Each block counts with the size
 *                 that it really takes (km_account_block_bytes, pages.h).
 *   held_bytes    the part of it in values that are outside of the store: a caller
 *                 holds them, and no eviction can free them.
 *
 *     used   |base|  segments, index, ghosts, blocks  |  held values  |
 *
 * used_bytes is one number, because the bound is kept by it, and it has a cache
 * line for itself. held_bytes is a sum of numbers, one for each cell of
 * threads (base/thread.h): a value is made and freed again within a
 * microsecond. A cell that has gathered much moves it to the common number, so that
 * the common number alone is nearly right.
 *
 * A processor that executes a locked instruction waits until its earlier loads are
 * done, so that a hit which makes a value must not have one. A thread with a cell of its
 * own charges some bytes in advance, and takes values out of them:
 *
 *     used 1000000  prepaid 0     a value of 200 bytes
 *     used 1004096  prepaid 3896  a value of 200 bytes
 *     used 1004096  prepaid 3696
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
 * Cost: at most one relaxed atomic per charge. Threads: any. Memory: 2.5 KiB.
 * Errors: NULL without memory. max_bytes is only remembered here; the store
 * makes room (store_room.c).
 * Ownership: km_account_new charges base_bytes, and whoever gives the last
 * bytes back frees the account.
 */
#pragma once

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "store/pages.h"

/* The numbers that one thread has gathered, or several beyond the first ones. */
struct km_account_cell {
    _Atomic int64_t bytes;       /* that are held */
    _Atomic int64_t blocks;      /* bytes of blocks */
    _Atomic int64_t held_blocks; /* bytes of those that are held */
    _Atomic int64_t prepaid;     /* bytes that are charged, but not taken yet */
    char unused[32];
};

struct km_account {
    kama_allocator mem;    /* a copy */
    struct km_clock clock; /* a copy; items need it to expire */
    struct km_pages pages; /* of segments and lines, which hits read unlocked */
    struct km_pages blocks;     /* of blocks, which are never read like that */
    uint32_t inline_max;        /* longer values are blocks of their own */
    int32_t batch;              /* bytes that a cell gathers at most */
    uint64_t etag_key;          /* of the hashes of values (km_item_etag) */
    _Atomic uint64_t max_bytes; /* to which the store keeps at this moment */
    char before[64];
    _Atomic uint64_t used_bytes;
    char behind[64];
    _Atomic int64_t held_bytes; /* without the numbers of the cells */
    struct km_account_cell cells[2 * KM_THREAD_CELLS]; /* km_thread_counter */
};

/* Makes an account of which base_bytes, which must not be 0, are used already.
 * Returns NULL without memory. */
struct km_account *km_account_new(const kama_allocator *mem,
                                  const struct km_clock *clock,
                                  uint64_t max_bytes, size_t base_bytes);

/* Returns the bytes that may be in use. */
static inline uint64_t km_account_max(const struct km_account *a)
{
    return atomic_load_explicit(&a->max_bytes, memory_order_relaxed);
}

/* Returns how many bytes malloc takes for a request of n: glibc adds a header
 * and rounds up, and maps large blocks in whole pages. */
static inline size_t km_account_block_bytes(size_t n)
{
    size_t block = n >= (128u << 10) ? (n + 16 + 4095) & ~(size_t)4095
                                     : (n + 8 + 15) & ~(size_t)15;
    return block < 32 ? 32 : block;
}

/* Returns the bytes that are in use now. */
static inline uint64_t km_account_used(const struct km_account *a)
{
    return atomic_load_explicit(&a->used_bytes, memory_order_relaxed);
}

/* Returns the part of the used bytes in values outside of the store. */
uint64_t km_account_held(const struct km_account *a);

/* Returns about the same, at once: the number of each cell is missing, which is at most
 * a batch. */
static inline uint64_t km_account_held_roughly(const struct km_account *a)
{
    int64_t held = atomic_load_explicit(&a->held_bytes, memory_order_relaxed);
    return held > 0 ? (uint64_t)held : 0;
}

/* Returns whether at most max bytes are held. It looks at the number of each cell only
 * if they could decide it, because other threads write those all the time. */
static inline bool km_account_holds_at_most(const struct km_account *a,
                                            uint64_t max)
{
    uint64_t in_cells = 2 * KM_THREAD_CELLS * (uint64_t)a->batch;
    return km_account_held_roughly(a) + in_cells <= max ||
           km_account_held(a) <= max;
}

/* Adds n to a number of the cell `counter`. Returns the sum. */
static inline int64_t km_account_cell_add(unsigned counter,
                                          _Atomic int64_t *number, int64_t n)
{
    if (KM_UNLIKELY(counter >= KM_THREAD_CELLS)) {
        return atomic_fetch_add_explicit(number, n, memory_order_relaxed) + n;
    }
    n += atomic_load_explicit(number, memory_order_relaxed);
    atomic_store_explicit(number, n, memory_order_relaxed);
    return n;
}

/* Counts n of the used bytes as held, or no longer, with n < 0. Much goes to the common
 * number at once, so that the sum never lacks it. */
static inline void km_account_hold(struct km_account *a, int64_t n)
{
    if (KM_UNLIKELY(n > a->batch || n < -a->batch)) {
        atomic_fetch_add_explicit(&a->held_bytes, n, memory_order_relaxed);
        return;
    }
    unsigned counter = km_thread_counter();
    _Atomic int64_t *cell = &a->cells[counter].bytes;
    int64_t sum = km_account_cell_add(counter, cell, n);
    if (KM_UNLIKELY(sum > a->batch || sum < -a->batch)) {
        (void)km_account_cell_add(counter, cell, -sum);
        atomic_fetch_add_explicit(&a->held_bytes, sum, memory_order_relaxed);
    }
}

/* Counts n of the used bytes as those of blocks, or no longer, with n < 0. */
static inline void km_account_count_block(struct km_account *a, int64_t n)
{
    unsigned counter = km_thread_counter();
    (void)km_account_cell_add(counter, &a->cells[counter].blocks, n);
}

/* Counts a block of n bytes as held, or no longer, with n < 0. */
static inline void km_account_hold_block(struct km_account *a, int64_t n)
{
    unsigned counter = km_thread_counter();
    (void)km_account_cell_add(counter, &a->cells[counter].held_blocks, n);
    km_account_hold(a, n);
}

/* Returns the part of the used bytes in blocks. */
uint64_t km_account_blocks(const struct km_account *a);
/* Returns the part of the held bytes in blocks. */
uint64_t km_account_held_blocks(const struct km_account *a);

/* Counts n more bytes as used. */
static inline void km_account_charge(struct km_account *a, size_t n)
{
    atomic_fetch_add_explicit(&a->used_bytes, n, memory_order_relaxed);
}

/* Does the same for a value, which is taken out of the bytes that the thread has charged
 * in advance. Only while the store is there. */
static inline void km_account_charge_value(struct km_account *a, size_t n)
{
    unsigned counter = km_thread_counter();
    _Atomic int64_t *prepaid = &a->cells[counter].prepaid;
    int64_t left =
        atomic_load_explicit(prepaid, memory_order_relaxed) - (int64_t)n;
    if (KM_UNLIKELY(counter >= KM_THREAD_CELLS || (int64_t)n > a->batch)) {
        km_account_charge(a, n);
        return;
    }
    if (KM_UNLIKELY(left < 0)) {
        km_account_charge(a, (size_t)a->batch);
        left += a->batch;
    }
    atomic_store_explicit(prepaid, left, memory_order_relaxed);
}

/* Takes n bytes out of those that the thread has charged in advance. Returns false if
 * there are not so many. Only while the store is there. */
static inline bool km_account_take_prepaid(struct km_account *a, uint64_t n)
{
    unsigned counter = km_thread_counter();
    _Atomic int64_t *prepaid = &a->cells[counter].prepaid;
    int64_t has = atomic_load_explicit(prepaid, memory_order_relaxed);
    if (counter >= KM_THREAD_CELLS || n > (uint64_t)has) {
        return false;
    }
    atomic_store_explicit(prepaid, has - (int64_t)n, memory_order_relaxed);
    return true;
}

/* Adds a batch to what the thread has charged in advance, which is charged already. */
static inline void km_account_add_prepaid(struct km_account *a)
{
    unsigned counter = km_thread_counter();
    (void)km_account_cell_add(counter, &a->cells[counter].prepaid, a->batch);
}

/* Returns whether the thread may charge for n bytes and those behind them at once. */
static inline bool km_account_may_prepay(const struct km_account *a, uint64_t n)
{
    return n <= (uint64_t)a->batch && km_thread_counter() < KM_THREAD_CELLS;
}

/* Returns the part of the used bytes that are charged in advance. */
uint64_t km_account_prepaid(const struct km_account *a);

/* Gives back the bytes that threads have charged in advance. No thread may charge
 * meanwhile, and none charges for a value afterwards. The account stays. */
void km_account_settle(struct km_account *a);

/* Gives n bytes back. The last ones free the account. */
void km_account_discharge(struct km_account *a, size_t n);

/* Allocates n bytes and charges their block. Returns NULL without memory. */
void *km_account_alloc(struct km_account *a, size_t n);

/* Frees a block of km_account_alloc, which had the same n, and gives its bytes
 * back. NULL does nothing. */
void km_account_release(struct km_account *a, void *p, size_t n);
