/* SPDX-License-Identifier: MIT */
/*
 * The groups of a node, by name.
 *
 * Groups are only ever added, at most KM_GROUPS_MAX of them, so readers need no
 * lock. An open-addressing table holds numbers of entries:
 *
 *     entries   [0] users   [1] pages   [2] sessions     in the order of adding
 *     slots     . 2 . . 1 . . . 3 . . .                   number + 1; 0 is free
 *
 * A reader hashes the name, and goes from slot to slot until it finds the name
 * or a free slot. The writer completes an entry before it publishes its number
 * with a release store; a reader that sees the number sees the entry.
 *
 *     km_registry_init(&registry, mem);
 *     km_registry_add(&registry, group);          group is the registry's now
 *     km_registry_find(&registry, KAMA_STR("users"));
 *     km_registry_fini(&registry);                frees the groups
 *
 * Cost: 36 KiB; a look-up is one hash and nearly always one comparison.
 * Threads: find, count and at: any thread. add: one thread at a time. init and
 * fini: setup.
 * Errors: KAMA_ERR_NO_MEMORY from init.
 * Ownership: takes the groups that are added, and frees them in fini.
 */
#pragma once

#include "base/limits.h"
#include "base/mem.h"

#define KM_REGISTRY_SLOTS (2 * KM_GROUPS_MAX)

struct km_registry_entry {
    kama_group *group;
    kama_bytes name; /* a view of the group's own name */
};

struct km_registry {
    const kama_allocator *mem;
    struct km_registry_entry *entries; /* in the order of adding */
    _Atomic uint16_t *slots;           /* number of an entry + 1; 0: free */
    atomic_uint count;
    uint64_t seed;
};

/* Makes an empty registry. mem: borrowed until fini. On an error there is
 * nothing to be ended. */
KAMA_NODISCARD kama_status km_registry_init(struct km_registry *registry,
                                            const kama_allocator *mem);

/* Frees the groups, the youngest first. A registry that is zeroed is left as it
 * is. */
void km_registry_fini(struct km_registry *registry);

/* Returns the group of that name as a view that is valid until fini, or NULL if
 * there is none. */
kama_group *km_registry_find(const struct km_registry *registry,
                             kama_bytes name);

/* Adds a group and takes it. Its name must not be there yet, and there must be
 * fewer than KM_GROUPS_MAX groups. */
void km_registry_add(struct km_registry *registry, kama_group *group);

/* Asserts the invariants: each group has exactly one slot and is found by its
 * name, and no other slot is used. For tests; O(slots). Setup: no group may be
 * added meanwhile. */
void km_registry_check(const struct km_registry *registry);

/* Returns how many groups there are. Another thread may add one meanwhile. */
static inline unsigned km_registry_count(const struct km_registry *registry)
{
    return atomic_load_explicit(&registry->count, memory_order_acquire);
}

/* Returns the group that was added as number i, counted from 0. i must be less than
 * a count that was read before. */
static inline kama_group *km_registry_at(const struct km_registry *registry,
                                         unsigned i)
{
    return registry->entries[i].group;
}
