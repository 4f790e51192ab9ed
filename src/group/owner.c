/* SPDX-License-Identifier: MIT */
/* The slot of a key: the upper bits of its hash, because the lower ones choose
 * the place of a key inside a store. The hashes have fixed seeds, so that every
 * node computes the same slot. */
#include "group/owner.h"

#include "base/hash.h"

#include <string.h>

uint64_t km_owner_seed(const char *group)
{
    return km_hash(kama_bytes_make(group, strlen(group)), 0);
}

uint32_t km_owner_slot(uint64_t seed, kama_bytes key)
{
    return (uint32_t)(km_hash(key, seed) >> (64 - KM_OWNER_SLOT_BITS));
}
