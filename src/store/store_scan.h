/* SPDX-License-Identifier: MIT */
/*
 * The scan: all entries of a store, some at a time, while it changes.
 *
 * Every entry has a position, which follows from its hash and never changes. A
 * cursor is the position where the scan goes on, so it holds no resource and
 * may be kept for as long as the caller likes:
 *
 *     uint64_t cursor = 0;
 *     do {
 *         size_t n = km_store_scan(store, &cursor, items, 100);
 *         for (size_t i = 0; i < n; i++) {
 *             use(items[i]);
 *             kama_value_unref(items[i]);
 *         }
 *     } while (cursor != 0);
 *
 * An entry that is in the store from the first call to the last is returned at
 * least once. An entry that comes or goes meanwhile may be returned or not.
 *
 * Threads: any thread. Cost: a call looks at a bounded number of buckets and
 * holds the lock of one shard at a time. Errors: KM_SCAN_NO_MEMORY.
 * Ownership: each item that is returned is a reference of the caller's.
 */
#pragma once

#include "store/store.h"

/* What km_store_scan returns if there was no memory for a single entry. */
#define KM_SCAN_NO_MEMORY SIZE_MAX

/* Writes references to the next entries, at most n, in the order of their
 * positions, and moves *cursor behind them. 0 is the beginning, and the
 * last call leaves 0 in *cursor; every other number is valid too.
 * Returns the number of entries, which can be 0 before the end of the scan.
 * Negative entries are left out. */
size_t km_store_scan(struct km_store *store, uint64_t *cursor,
                     kama_value **ret_items, size_t n);

/* Returns the position of an entry of this store. */
uint64_t km_store_position(const struct km_store *store,
                           const kama_value *item);
