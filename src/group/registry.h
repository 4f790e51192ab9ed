/* SPDX-License-Identifier: MIT */
/*
 * The groups of a node, by name. Groups are only ever added, at most
 * KM_GROUPS_MAX, so that readers need no lock: an open-addressing table of
 * numbers, each published with a release store after its entry is complete.
 *
 * Memory: 36 KiB. Cost: a look-up is one hash and, nearly always, one compare.
 * Thread-safety: find, count and at any thread; add one thread at a time;
 * init and fini setup. Errors: KAMA_ERR_NO_MEMORY.
 * Ownership: takes the groups; km_registry_fini frees them.
 */
#pragma once

#include "base/limits.h"
#include "base/mem.h"

#define KM_REGISTRY_SLOTS (2 * KM_GROUPS_MAX)

struct km_registry_entry {
    kama_group *group;
    kama_bytes name; /* borrowed from the group */
};

struct km_registry {
    const kama_allocator *mem;
    struct km_registry_entry *entries; /* in the order of adding */
    _Atomic uint16_t *slots;           /* entry number + 1; 0: free */
    atomic_uint count;
    uint64_t seed;
};

KAMA_NODISCARD kama_status km_registry_init(struct km_registry *registry,
                                            const kama_allocator *mem);

/* Frees the groups, the youngest first. */
void km_registry_fini(struct km_registry *registry);

/* The group of that name; NULL when there is none. */
kama_group *km_registry_find(const struct km_registry *registry,
                             kama_bytes name);

/* Takes a group whose name is not there yet; count < KM_GROUPS_MAX. */
void km_registry_add(struct km_registry *registry, kama_group *group);

static inline unsigned km_registry_count(const struct km_registry *registry)
{
    return atomic_load_explicit(&registry->count, memory_order_acquire);
}

/* Group number i < count, in the order of adding. */
static inline kama_group *km_registry_at(const struct km_registry *registry,
                                         unsigned i)
{
    return registry->entries[i].group;
}
