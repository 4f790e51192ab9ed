/* SPDX-License-Identifier: MIT */
#include "store/chunks.h"

#include "base/assert.h"

#define CAP_FIRST 16u

struct km_chunk_table km_chunks_none;

static size_t table_bytes(uint32_t cap)
{
    return sizeof(struct km_chunk_table) + cap * sizeof(void *);
}

void km_chunks_init(struct km_chunks *chunks, struct km_account *account)
{
    atomic_init(&chunks->table, &km_chunks_none);
    chunks->account = account;
}

void km_chunks_fini(struct km_chunks *chunks)
{
    struct km_chunk_table *table =
        atomic_load_explicit(&chunks->table, memory_order_relaxed);
    while (table != &km_chunks_none) {
        struct km_chunk_table *older = table->older;
        km_account_release(chunks->account, table, table_bytes(table->cap));
        table = older;
    }
}

bool km_chunks_reserve(struct km_chunks *chunks, uint32_t number)
{
    struct km_chunk_table *old =
        atomic_load_explicit(&chunks->table, memory_order_relaxed);
    uint32_t cap = old->cap;
    if (number < cap) {
        return true;
    }
    uint32_t old_cap = cap;
    for (cap = cap == 0 ? CAP_FIRST : cap; cap <= number; cap *= 2) {
    }
    struct km_chunk_table *table =
        km_account_alloc(chunks->account, table_bytes(cap));
    if (table == NULL) {
        return false;
    }
    table->cap = cap;
    table->older = old;
    for (uint32_t i = 0; i < cap; i++) {
        atomic_init(&table->at[i],
                    i < old_cap ? atomic_load_explicit(&old->at[i],
                                                       memory_order_relaxed)
                                : NULL);
    }
    atomic_store_explicit(&chunks->table, table, memory_order_release);
    return true;
}

void km_chunks_set(struct km_chunks *chunks, uint32_t number, void *p)
{
    struct km_chunk_table *table =
        atomic_load_explicit(&chunks->table, memory_order_relaxed);
    KM_ASSERT(number < table->cap);
    atomic_store_explicit(&table->at[number], p, memory_order_release);
}

size_t km_chunks_bytes(const struct km_chunks *chunks)
{
    size_t bytes = 0;
    const struct km_chunk_table *table =
        atomic_load_explicit(&chunks->table, memory_order_relaxed);
    for (; table != &km_chunks_none; table = table->older) {
        bytes += km_account_block_bytes(table_bytes(table->cap));
    }
    return bytes;
}
