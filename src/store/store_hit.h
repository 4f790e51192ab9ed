/* SPDX-License-Identifier: MIT */
/*
 * Hits that take no lock, execute no locked instruction and write no line that other
 * threads write, unless the frequency of the entry is to be raised: km_store_copy_why, and
 *
 *     value = km_store_hit_item(store, hash, key);
 *
 * They find small values without an expiry that is near, in a store whose policy counts
 * frequencies and whose memory is never unmapped. Everything else, and every miss, is
 * decided under the lock of the shard: while one looks, a split may move an entry from
 * one line to another.
 *
 * A processor executes several hits at the same time while they wait for memory, as
 * long as their instructions fit into its window. So the path is kept short: it is one
 * function, and work that is rarely needed is in functions of its own.
 *
 * Threads: any. Errors: none. Ownership: the bytes are copied.
 */
#pragma once

#include "store/store.h"

/* Returns an item with a copy of the value of key, and counts a hit. Returns NULL if
 * the lock is needed to tell. */
kama_value *km_store_hit_item(struct km_store *store, uint64_t hash,
                              kama_bytes key);
