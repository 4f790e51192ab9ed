/* SPDX-License-Identifier: MIT */
/*
 * Finds equal keys among those of one mget, so that they share one load.
 *
 * The caller numbers its keys, and adds only the keys that have to be loaded. A key
 * that is answered from memory costs nothing here.
 *
 *     number = km_twins_find(&twins, hash, key);
 *     if (number == KM_TWINS_NONE) {
 *         status = km_twins_add(&twins, hash, key, i);
 *         ... load key i ...
 *     } else {
 *         ... key i gets the answer of key `number` ...
 *     }
 *
 *     slots   | . | key 4 | . | . | key 0 | key 7 | . | ...     at most half full
 *
 * Memory: none before the first key, and then 32 to 64 bytes per key. Cost: O(1)
 * per call on average, because adding sometimes doubles the table. Threads: one
 * owner at a time. Errors: KAMA_ERR_NO_MEMORY, and then the key was not added.
 * Ownership: the keys are borrowed until fini.
 */
#pragma once

#include "base/mem.h"

#define KM_TWINS_NONE UINT32_MAX

struct km_twin;

struct km_twins {
    const kama_allocator *mem;
    struct km_twin *slots; /* a table with open addressing; NULL: no key yet */
    uint32_t mask;         /* the number of slots - 1 */
    uint32_t count;
};

/* Makes an empty table without memory. mem is borrowed until fini. */
void km_twins_init(struct km_twins *twins, const kama_allocator *mem);

/* Frees the table, which is empty afterwards. */
void km_twins_fini(struct km_twins *twins);

/* Returns the number under which an equal key was added, or KM_TWINS_NONE. hash is
 * the hash of the group's store. */
uint32_t km_twins_find(const struct km_twins *twins, uint64_t hash,
                       kama_bytes key);

/* Asserts that each key is found in its slot, that the keys are counted, and that
 * the table is at most half full. For tests: O(slots). */
void km_twins_check(const struct km_twins *twins);

/* Adds a key that was not added before. number must be < KM_MGET_KEYS_MAX. */
KAMA_NODISCARD kama_status km_twins_add(struct km_twins *twins, uint64_t hash,
                                        kama_bytes key, uint32_t number);
