/* SPDX-License-Identifier: MIT */
/*
 * Finds equal keys among those of one mget, so that they share one load.
 *
 * The caller numbers its keys and adds those that have to be loaded, and only
 * those: a key that memory answers costs nothing here.
 *
 *     number = km_twins_find(&twins, hash, key);
 *     if (number == KM_TWINS_NONE) {
 *         status = km_twins_add(&twins, hash, key, i);
 *         ... load key i ...
 *     } else {
 *         ... key i gets the answer of key `number` ...
 *     }
 *
 * Memory: nothing before the first key, then 32 to 64 bytes per key.
 * Cost: O(1) per call; adding grows the table now and then.
 * Thread-safety: one owner. Errors: KAMA_ERR_NO_MEMORY, nothing was added then.
 * Ownership: keys are borrowed until fini.
 */
#pragma once

#include "base/mem.h"

#define KM_TWINS_NONE UINT32_MAX

struct km_twin;

struct km_twins {
    const kama_allocator *mem;
    struct km_twin *slots; /* open addressing; NULL: no key yet */
    uint32_t mask;         /* slots - 1 */
    uint32_t count;
};

/* Empty, without memory; mem is borrowed. */
void km_twins_init(struct km_twins *twins, const kama_allocator *mem);
void km_twins_fini(struct km_twins *twins);

/* The number under which an equal key was added, or KM_TWINS_NONE. hash is that
 * of the group's store. */
uint32_t km_twins_find(const struct km_twins *twins, uint64_t hash,
                       kama_bytes key);

/* Adds a key that is not there yet, under number < KM_MGET_KEYS_MAX. */
KAMA_NODISCARD kama_status km_twins_add(struct km_twins *twins, uint64_t hash,
                                        kama_bytes key, uint32_t number);
