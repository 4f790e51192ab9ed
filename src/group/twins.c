/* SPDX-License-Identifier: MIT */
/* A table with linear probing that is at most half full and never shrinks. */
#include "group/twins.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/status.h"

#define SLOTS_MIN 16u

struct km_twin {
    kama_bytes key; /* data NULL: free */
    uint64_t hash;
    uint32_t number;
};

void km_twins_init(struct km_twins *twins, const kama_allocator *mem)
{
    *twins = (struct km_twins){.mem = mem};
}

void km_twins_fini(struct km_twins *twins)
{
    km_mem_free(twins->mem, twins->slots);
    *twins = (struct km_twins){.mem = twins->mem};
}

/* The slot of key, or the free one where it would go. */
static struct km_twin *find_slot(const struct km_twins *twins, uint64_t hash,
                                 kama_bytes key)
{
    for (uint64_t at = hash >> 16;; at++) {
        struct km_twin *slot = &twins->slots[at & twins->mask];
        if (slot->key.data == NULL ||
            (slot->hash == hash && km_bytes_eq(slot->key, key))) {
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
    const struct km_twin *slot = find_slot(twins, hash, key);
    return slot->key.data != NULL ? slot->number : KM_TWINS_NONE;
}

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
        if (twin->key.data != NULL) {
            *find_slot(&larger, twin->hash, twin->key) = *twin;
        }
    }
    larger.count = twins->count;
    km_mem_free(twins->mem, twins->slots);
    *twins = larger;
    return true;
}

kama_status km_twins_add(struct km_twins *twins, uint64_t hash, kama_bytes key,
                         uint32_t number)
{
    KM_ASSERT(key.data != NULL && number < KM_TWINS_NONE);
    bool full = twins->slots == NULL || twins->count * 2 > twins->mask;
    if (full && !grow(twins)) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for %u keys",
                       twins->count + 1);
    }
    struct km_twin *slot = find_slot(twins, hash, key);
    KM_ASSERT(slot->key.data == NULL);
    *slot = (struct km_twin){key, hash, number};
    twins->count++;
    return KAMA_OK;
}
