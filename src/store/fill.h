/* SPDX-License-Identifier: MIT */
/*
 * A fill: the promise of a running load that its result may be stored.
 *
 * A load takes a while, and meanwhile the application may change the key. Its
 * set or del must win, because it is newer than the data that the load has
 * read:
 *
 *     load                             application
 *     km_store_fill_begin(k)
 *     reads v1 from the origin
 *                                      writes v2 to the origin
 *                                      del(k)       marks the fill overtaken
 *     km_store_fill_commit(v1)         v1 is not kept
 *
 * Every set and del of the key, and every clear, marks the fills of the key
 * that are between begin and commit. Registering, marking and committing happen
 * under the lock of the key's shard, so that no mutation can slip in between. An
 * invalidation of the whole store marks no fill, but changes the epoch, and a fill
 * knows in which epoch it began.
 *
 * Cost: begin is a lookup; marking walks a chain of the fills in the shard.
 * Threads: km_fill_overtaken may be called by any thread; the rest as
 * km_store_fill_begin. Errors: none.
 * Ownership: the structure is the caller's memory. It and the key must stay
 * valid from begin to commit or cancel.
 */
#pragma once

#include <kamacache/kamacache.h>
#include <stdatomic.h>
#include <stdbool.h>

/* What becomes of the result of a load. */
enum km_fill_purpose {
    KM_FILL_TO_KEEP, /* the store keeps it */
    KM_FILL_TO_SERVE /* it is for the callers that wait, and never kept; the
                      * fill says that it was overtaken, so that no caller joins
                      * the load afterwards */
};

/* The caller sets adoption and purpose before begin. */
struct km_fill {
    uint64_t adoption; /* by which it was decided who owns the key; 0 in a store
                        * that knows no owners (store_hide.h) */
    enum km_fill_purpose purpose;
    /* ---- the members below belong to the store ---- */
    struct km_fill *next; /* in the chain of the shard */
    kama_bytes key;       /* borrowed */
    uint64_t hash;
    uint64_t
        floor; /* of the key when the fill began: what a node that is asked for
                     * the value must have applied of each origin (rule R8); 0 in a
                     * store without floors */
    uint64_t epoch;                      /* of the store, when the fill began */
    const _Atomic uint64_t *store_epoch; /* now; NULL until the fill begins */
    atomic_bool overtaken;
    bool pending; /* it is registered; the shard's lock protects this */
};

/* Returns whether a mutation or an invalidation has overtaken the fill. If a set, del,
 * clear or invalidation has returned before this call, its mark is seen. */
static inline bool km_fill_overtaken(const struct km_fill *fill)
{
    return atomic_load_explicit(&fill->overtaken, memory_order_acquire) ||
           (fill->store_epoch != NULL &&
            atomic_load_explicit(fill->store_epoch, memory_order_acquire) !=
                fill->epoch);
}

/* Nobody keeps the result, and no caller joins the load afterwards. Any thread. */
static inline void km_fill_give_up(struct km_fill *fill)
{
    atomic_store_explicit(&fill->overtaken, true, memory_order_release);
}
