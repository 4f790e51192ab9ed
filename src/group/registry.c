/* SPDX-License-Identifier: MIT */
/* Linear probing in a table that is at most half full, so that a free slot ends
 * every search. Nothing is ever removed. */
#include "group/registry.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/status.h"
#include "group/group.h"

_Static_assert((KM_REGISTRY_SLOTS & (KM_REGISTRY_SLOTS - 1)) == 0,
               "slots are found with a mask");
_Static_assert(KM_GROUPS_MAX < UINT16_MAX, "a slot holds an entry's number");

kama_status km_registry_init(struct km_registry *registry,
                             const kama_allocator *mem)
{
    *registry = (struct km_registry){
        .mem = mem,
        .entries = km_mem_zalloc(mem, KM_GROUPS_MAX, sizeof *registry->entries),
        .slots = km_mem_zalloc(mem, KM_REGISTRY_SLOTS, sizeof *registry->slots),
        .seed = km_hash_random_seed(),
    };
    if (registry->entries == NULL || registry->slots == NULL) {
        km_registry_fini(registry);
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for the groups");
    }
    return KAMA_OK;
}

void km_registry_fini(struct km_registry *registry)
{
    if (registry->mem == NULL) {
        return;
    }
    for (unsigned i = km_registry_count(registry); i > 0; i--) {
        km_group_free(registry->entries[i - 1].group);
    }
    km_mem_free(registry->mem, registry->entries);
    km_mem_free(registry->mem, (void *)registry->slots);
    memset(registry, 0, sizeof *registry);
}

/* Returns the slot of that name, or the free slot where it would be put. Writes
 * the number that the slot holds: 0 if it is free. */
static _Atomic uint16_t *find_slot(const struct km_registry *registry,
                                   kama_bytes name, unsigned *ret_number)
{
    size_t at = (size_t)km_hash(name, registry->seed);
    for (;; at++) {
        _Atomic uint16_t *slot = &registry->slots[at & (KM_REGISTRY_SLOTS - 1)];
        unsigned number = atomic_load_explicit(slot, memory_order_acquire);
        if (number == 0 ||
            km_bytes_eq(registry->entries[number - 1].name, name)) {
            *ret_number = number;
            return slot;
        }
    }
}

kama_group *km_registry_find(const struct km_registry *registry,
                             kama_bytes name)
{
    unsigned number;
    (void)find_slot(registry, name, &number);
    return number != 0 ? registry->entries[number - 1].group : NULL;
}

void km_registry_add(struct km_registry *registry, kama_group *group)
{
    unsigned count = km_registry_count(registry);
    KM_ASSERT(count < KM_GROUPS_MAX);
    registry->entries[count] = (struct km_registry_entry){
        .group = group,
        .name = KAMA_STR(kama_group_name(group)),
    };
    /* The entry is complete before its number is published. */
    unsigned number;
    _Atomic uint16_t *slot =
        find_slot(registry, registry->entries[count].name, &number);
    KM_ASSERT(number == 0);
    atomic_store_explicit(slot, (uint16_t)(count + 1), memory_order_release);
    atomic_store_explicit(&registry->count, count + 1, memory_order_release);
}

/* Returns how many slots hold the number of an entry. */
static unsigned used_slots(const struct km_registry *registry)
{
    unsigned used = 0;
    for (unsigned i = 0; i < KM_REGISTRY_SLOTS; i++) {
        used += atomic_load(&registry->slots[i]) != 0;
    }
    return used;
}

/* If each group is found under its own number, no two have one name and each
 * has a slot. If as many slots are used as there are groups, no other is. */
void km_registry_check(const struct km_registry *registry)
{
    unsigned count = km_registry_count(registry);
    KM_ASSERT(count <= KM_GROUPS_MAX && used_slots(registry) == count);
    for (unsigned i = 0; i < count; i++) {
        const struct km_registry_entry *entry = &registry->entries[i];
        unsigned number;
        KM_ASSERT(
            km_bytes_eq(entry->name, KAMA_STR(kama_group_name(entry->group))));
        (void)find_slot(registry, entry->name, &number);
        KM_ASSERT(number == i + 1);
    }
}
