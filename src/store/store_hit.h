/* SPDX-License-Identifier: MIT */
/*
 * A hit that takes no lock, executes no locked instruction and writes no line that
 * other threads write, unless the frequency of the entry is to be raised.
 *
 *     if (km_store_hit(store, hash, key, buf, cap, &len)) { ... it is in buf }
 *
 * It finds small values without an expiry that is near, in a store whose policy counts
 * frequencies and whose memory is never unmapped. Everything else, and every miss, is
 * decided under the lock of the shard: while one looks, a split may move an entry from
 * one line to another.
 *
 * Threads: any. Errors: none. Ownership: the bytes are copied.
 */
#pragma once

#include "store/store.h"

/* Copies the value of key into buf, which has cap bytes, and counts a hit. Returns
 * false if the lock is needed to tell; buf may have been written then. */
bool km_store_hit(struct km_store *store, uint64_t hash, kama_bytes key,
                  void *buf, size_t cap, size_t *ret_len);

/* Returns an item with a copy of the value of key, and counts a hit. Returns NULL if
 * the lock is needed to tell. */
kama_value *km_store_hit_item(struct km_store *store, uint64_t hash,
                              kama_bytes key);
