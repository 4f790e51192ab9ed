/* SPDX-License-Identifier: MIT */
/* A table with linear probing. It is at most half full, so that a free slot ends
 * every search, and it never shrinks. */
#include "group/twins.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "base/status.h"

#define SLOTS_MIN 16u

/* 16 bytes, because a node may have millions of keys in its mgets. */
struct km_twin {
    const void *key; /* NULL: the slot is free */
    uint32_t hash;   /* 32 bits of the hash */
    uint16_t key_len;
    uint16_t number;
};

_Static_assert(sizeof(struct km_twin) == 16, "the memory that twins.h says");
_Static_assert(KM_KEY_BYTES_MAX <= UINT16_MAX, "key_len has 16 bits");
_Static_assert(KM_MGET_KEYS_MAX - 1 <= UINT16_MAX, "number has 16 bits");

void km_twins_init(struct km_twins *twins, const kama_allocator *mem)
{
    *twins = (struct km_twins){.mem = mem};
}

void km_twins_fini(struct km_twins *twins)
{
    km_mem_free(twins->mem, twins->slots);
    *twins = (struct km_twins){.mem = twins->mem};
}

static uint32_t hash_bits(uint64_t hash)
{
    return (uint32_t)(hash >> 16);
}

/* Returns the slot of the key, or the free slot where it would be put. */
static struct km_twin *find_slot(const struct km_twins *twins, uint32_t hash,
                                 kama_bytes key)
{
    for (uint32_t at = hash;; at++) {
        struct km_twin *slot = &twins->slots[at & twins->mask];
        if (slot->key == NULL ||
            (slot->hash == hash &&
             km_bytes_eq(kama_bytes_make(slot->key, slot->key_len), key))) {
            return slot;
        }
    }
}

uint32_t km_twins_find(const struct km_twins *twins, uint64_t hash,
                       kama_bytes key)
{
    if (twins->count == 0) {
        return KM_TWINS_NONE;
    }
    const struct km_twin *slot = find_slot(twins, hash_bits(hash), key);
    return slot->key != NULL ? slot->number : KM_TWINS_NONE;
}

/* Doubles the table. Returns false without memory, and then it is unchanged. */
static bool grow(struct km_twins *twins)
{
    uint32_t slots = twins->slots != NULL ? (twins->mask + 1) * 2 : SLOTS_MIN;
    struct km_twins larger = {.mem = twins->mem, .mask = slots - 1};
    larger.slots = km_mem_zalloc(twins->mem, slots, sizeof *larger.slots);
    if (larger.slots == NULL) {
        return false;
    }
    for (uint32_t i = 0; twins->slots != NULL && i <= twins->mask; i++) {
        const struct km_twin *twin = &twins->slots[i];
        kama_bytes key = kama_bytes_make(twin->key, twin->key_len);
        if (twin->key != NULL) {
            *find_slot(&larger, twin->hash, key) = *twin;
        }
    }
    larger.count = twins->count;
    km_mem_free(twins->mem, twins->slots);
    *twins = larger;
    return true;
}

/* If each key is found in the slot in which it is, no two keys are equal and no
 * search is cut short by a free slot. */
void km_twins_check(const struct km_twins *twins)
{
    uint32_t used = 0;
    KM_ASSERT(twins->slots != NULL || twins->count == 0);
    for (uint32_t i = 0; twins->slots != NULL && i <= twins->mask; i++) {
        const struct km_twin *twin = &twins->slots[i];
        kama_bytes key = kama_bytes_make(twin->key, twin->key_len);
        if (twin->key != NULL) {
            KM_ASSERT(find_slot(twins, twin->hash, key) == twin);
            used++;
        }
    }
    KM_ASSERT(used == twins->count);
    KM_ASSERT(used == 0 || used * 2 <= twins->mask + 1);
}

kama_status km_twins_add(struct km_twins *twins, uint64_t hash, kama_bytes key,
                         uint32_t number)
{
    KM_ASSERT(key.data != NULL && key.len <= KM_KEY_BYTES_MAX);
    KM_ASSERT(number < KM_MGET_KEYS_MAX);
    bool full = twins->slots == NULL || twins->count * 2 > twins->mask;
    if (full && !grow(twins)) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for %u keys",
                       twins->count + 1);
    }
    struct km_twin *slot = find_slot(twins, hash_bits(hash), key);
    KM_ASSERT(slot->key == NULL);
    *slot = (struct km_twin){key.data, hash_bits(hash), (uint16_t)key.len,
                             (uint16_t)number};
    twins->count++;
    return KAMA_OK;
}
