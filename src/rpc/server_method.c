/* SPDX-License-Identifier: MIT */
/*
 * The table of methods. It has at least four slots per method, so that a search
 * always meets a free slot, and is short.
 */
#include "rpc/server_method.h"

#include "base/assert.h"
#include "base/hash.h"

/* Returns a power of two, so that a mask finds the slot of a hash. */
static size_t slot_count(size_t method_count)
{
    size_t n = 8;
    while (n < 4 * method_count) {
        n *= 2;
    }
    return n;
}

static uint64_t lengths_of(const struct km_server_method *method)
{
    uint64_t lengths = 0;
    for (const char *const *p = method->metadata; p != NULL && *p != NULL;
         p++) {
        KM_ASSERT(strlen(*p) < 64);
        lengths |= 1ull << strlen(*p);
    }
    return lengths;
}

static void insert(struct km_server_methods *table,
                   const struct km_server_method *method)
{
    size_t i = km_hash(kama_bytes_str(method->path), table->seed);
    while (table->slots[i & table->mask] != NULL) {
        KM_ASSERT(strcmp(table->slots[i & table->mask]->path, method->path) !=
                  0);
        i++;
    }
    table->slots[i & table->mask] = method;
}

kama_status km_server_methods_init(struct km_server_methods *table,
                                   const kama_allocator *mem,
                                   const struct km_server_method *methods,
                                   size_t count)
{
    size_t slots = slot_count(count);
    table->slots = km_mem_zalloc(mem, slots, sizeof(*table->slots));
    if (table->slots == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    table->mask = slots - 1;
    KM_ASSERT((slots & table->mask) == 0 && slots >= 4 * count);
    table->seed = km_hash_random_seed();
    table->metadata_lengths = 0;
    for (size_t i = 0; i < count; i++) {
        KM_ASSERT(methods[i].zeroed_bytes <= methods[i].state_bytes);
        insert(table, &methods[i]);
        table->metadata_lengths |= lengths_of(&methods[i]);
    }
    return KAMA_OK;
}

void km_server_methods_fini(struct km_server_methods *table,
                            const kama_allocator *mem)
{
    km_mem_free(mem, (void *)table->slots);
    *table = (struct km_server_methods){0};
}

const struct km_server_method *km_server_methods_find(
    const struct km_server_methods *table, kama_bytes path)
{
    const struct km_server_method *method;
    size_t i = km_hash(path, table->seed);
    for (; (method = table->slots[i & table->mask]) != NULL; i++) {
        if (km_bytes_eq(path, kama_bytes_str(method->path))) {
            return method;
        }
    }
    return NULL;
}
