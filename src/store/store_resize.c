/* SPDX-License-Identifier: MIT */
/*
 * A new bound for a store that is in use. The bound sinks in steps, because whoever
 * stores a value makes room until everything fits: with the whole difference at once,
 * one set of another thread would have to evict it all.
 */
#include "store/store_internal.h"

#define STEP_BYTES (256u << 10) /* by which the bound sinks at a time */
#define STEP_ROUNDS 64u         /* of an eviction, with a lock each */

uint64_t km_store_max_bytes(const struct km_store *store)
{
    return atomic_load_explicit(&store->max_bytes, memory_order_relaxed);
}

void km_store_resize(struct km_store *store, uint64_t max_bytes)
{
    atomic_store_explicit(&store->max_bytes, max_bytes, memory_order_relaxed);
}

/* Moves the bound towards the one that is wanted: up at once, down by a step
 * below what is in use. A bound that another thread moves is left to it. Returns
 * whether the wanted bound is in force. */
static bool move_bound(struct km_store *store)
{
    struct km_account *account = store->account;
    uint64_t wanted = km_store_max_bytes(store);
    uint64_t now = km_account_max(account);
    uint64_t used = km_account_used(account);
    uint64_t from = used < now ? used : now;
    uint64_t next =
        now > wanted && from > wanted + STEP_BYTES ? from - STEP_BYTES : wanted;
    return atomic_compare_exchange_strong_explicit(&account->max_bytes, &now,
                                                   next, memory_order_relaxed,
                                                   memory_order_relaxed) &&
           next == wanted;
}

bool km_store_resize_step(struct km_store *store)
{
    struct km_account *account = store->account;
    bool in_force = move_bound(store);
    if (km_account_used(account) > km_account_max(account)) {
        km_pages_trim(&account->pages, false);
        km_pages_trim(&account->blocks, false);
    }
    for (unsigned i = 0; i < STEP_ROUNDS; i++) {
        uint64_t used = km_account_used(account);
        uint64_t max = km_account_max(account);
        if (used <= max) {
            return !in_force;
        }
        if (!km_store_evict_some(store, used - max)) {
            return !in_force;
        }
    }
    return true;
}
