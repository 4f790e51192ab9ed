/* SPDX-License-Identifier: MIT */
/*
 * The token of a load that is running: between begin and commit every set and
 * del of its key, and every clear, marks it overtaken, and then its result is
 * not kept. Registration and marking happen under the lock of the shard, the
 * same that the commit takes: there is no window.
 *
 * Thread-safety: km_fill_overtaken any thread, the rest as km_store_fill_*.
 * Ownership: the caller's memory, valid from begin to commit or cancel; so is
 * the key.
 */
#pragma once

#include <kamacache/kamacache.h>
#include <stdatomic.h>
#include <stdbool.h>

struct km_fill {
    struct km_fill *next;
    kama_bytes key;
    uint64_t hash;
    atomic_bool overtaken;
    bool pending; /* registered: the shard's lock */
};

/* Has a mutation won? A set, del or clear that has returned is seen. */
static inline bool km_fill_overtaken(const struct km_fill *fill)
{
    return atomic_load_explicit(&fill->overtaken, memory_order_acquire);
}
