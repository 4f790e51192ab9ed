/* SPDX-License-Identifier: MIT */
#include "store/floors.h"

#include <string.h>

#define BYTES_PER_SLOT_BITS 13u /* 8 KiB */
#define BITS_MIN 10u
#define BITS_MAX 18u

static unsigned slot_bits(uint64_t max_bytes)
{
    unsigned bits = BITS_MIN;
    while (bits < BITS_MAX &&
           max_bytes >> BYTES_PER_SLOT_BITS >> (bits + 1) > 0) {
        bits++;
    }
    return bits;
}

static size_t size_of(unsigned bits)
{
    return sizeof(struct km_floors) + (sizeof(uint64_t) << bits);
}

struct km_floors *km_floors_new(struct km_account *account, uint64_t max_bytes)
{
    unsigned bits = slot_bits(max_bytes);
    struct km_floors *floors = km_account_alloc(account, size_of(bits));
    if (floors != NULL) {
        memset(floors, 0, size_of(bits));
        floors->account = account;
        floors->bits = bits;
    }
    return floors;
}

void km_floors_free(struct km_floors *floors)
{
    if (floors != NULL) {
        km_account_release(floors->account, floors, size_of(floors->bits));
    }
}

uint64_t km_floors_bytes(const struct km_floors *floors)
{
    return km_account_block_bytes(size_of(floors->bits));
}

void km_floors_raise(struct km_floors *floors, uint64_t hash, uint64_t hlc)
{
    _Atomic uint64_t *slot = &floors->slots[hash >> (64 - floors->bits)];
    if (hlc > atomic_load_explicit(slot, memory_order_relaxed)) {
        atomic_store_explicit(slot, hlc, memory_order_release);
    }
}

void km_floors_raise_all(struct km_floors *floors, uint64_t hlc)
{
    uint64_t before = atomic_load_explicit(&floors->all, memory_order_relaxed);
    while (hlc > before && !atomic_compare_exchange_weak_explicit(
                               &floors->all, &before, hlc, memory_order_release,
                               memory_order_relaxed)) {
    }
}
