/* SPDX-License-Identifier: MIT */
/*
 * Slots are the 2^18 parts of the space of keys that the nodes of a cluster share
 * out. A map of slots has one bit for each of them.
 *
 *     struct km_slot_map *lost = km_mem_zalloc(mem, 1, sizeof *lost);
 *     km_slot_map_add(lost, km_slot_of(seed, key));
 *     if (km_slot_map_has(lost, slot)) { ... }
 *
 * Cost: a map has 32 KiB; a look is one word, and a slot is one hash of the key.
 * Threads: any thread, as long as nobody writes. Errors: none. Ownership: plain
 * data.
 */
#pragma once

#include "base/hash.h"

#include <kamacache/kamacache.h>
#include <stdbool.h>

#define KM_SLOT_BITS 18
#define KM_SLOTS (1u << KM_SLOT_BITS)

/* One bit for each slot. */
struct km_slot_map {
    uint64_t words[KM_SLOTS / 64];
};

/* Returns the slot of a key. seed belongs to the group of the key. */
static inline uint32_t km_slot_of(uint64_t seed, kama_bytes key)
{
    return (uint32_t)(km_hash(key, seed) >> (64 - KM_SLOT_BITS));
}

static inline bool km_slot_map_has(const struct km_slot_map *map, uint32_t slot)
{
    return (map->words[slot / 64] >> (slot % 64) & 1) != 0;
}

static inline void km_slot_map_add(struct km_slot_map *map, uint32_t slot)
{
    map->words[slot / 64] |= UINT64_C(1) << (slot % 64);
}
