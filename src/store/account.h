/* SPDX-License-Identifier: MIT */
/*
 * What one store may use and uses: the allocator, the clock and two sums of
 * bytes. A value may outlive its store, so the account outlives it too: it is
 * freed when the last byte was given back.
 *
 *   used_bytes    everything: store, index, ghosts, items, each as the block
 *                 that malloc really takes (km_account_block_bytes)
 *   pinned_bytes  the part of it in items that are in no store: evicted or
 *                 replaced while referenced, or not stored yet
 *
 * Thread-safety: any thread. Cost: one relaxed atomic per charge.
 * Ownership: km_account_new charges base_bytes; who gives these back last
 * ends the account.
 */
#pragma once

#include "base/clock.h"
#include "base/mem.h"

struct km_account {
    kama_allocator mem;
    struct km_clock clock;
    uint64_t max_bytes;
    _Atomic uint64_t used_bytes;
    _Atomic uint64_t pinned_bytes;
};

/* Errors: NULL without memory. base_bytes is charged at once; not 0. */
struct km_account *km_account_new(const kama_allocator *mem,
                                  const struct km_clock *clock,
                                  uint64_t max_bytes, size_t base_bytes);

/* The bytes that malloc takes for a request of n. */
static inline size_t km_account_block_bytes(size_t n)
{
    size_t block = n >= (128u << 10) ? (n + 16 + 4095) & ~(size_t)4095
                                     : (n + 8 + 15) & ~(size_t)15;
    return block < 32 ? 32 : block;
}

/* Everything in use now. */
static inline uint64_t km_account_used(const struct km_account *a)
{
    return atomic_load_explicit(&a->used_bytes, memory_order_relaxed);
}

/* The part of it in items that are in no store. */
static inline uint64_t km_account_pinned(const struct km_account *a)
{
    return atomic_load_explicit(&a->pinned_bytes, memory_order_relaxed);
}

/* Counts n more bytes as used. */
static inline void km_account_charge(struct km_account *a, size_t n)
{
    atomic_fetch_add_explicit(&a->used_bytes, n, memory_order_relaxed);
}

/* Gives n bytes back; the last ones free the account. */
void km_account_discharge(struct km_account *a, size_t n);

/* Allocates and charges; NULL without memory. */
void *km_account_alloc(struct km_account *a, size_t n);

/* Frees what km_account_alloc gave, of the same size. NULL is a no-op. */
void km_account_release(struct km_account *a, void *p, size_t n);
