/* SPDX-License-Identifier: MIT */
/*
 * A table of pointers that grows while other threads read it without a lock.
 *
 *     km_chunks_set(&chunks, 7, segment);            the writer, under a lock
 *     void *p = km_chunks_get(&chunks, number);      any thread; NULL if unknown
 *
 * When the table is full, a larger copy takes its place; the old one stays until the
 * end, because a reader may still be in it. All old tables together are not larger
 * than the present one.
 *
 * Cost: two loads to read. Threads: as above. Errors: false without memory.
 * Ownership: the tables are charged to the account; the pointers are the user's.
 */
#pragma once

#include "store/account.h"

struct km_chunk_table {
    uint32_t cap;
    struct km_chunk_table *older;
    _Atomic(void *) at[];
};

struct km_chunks {
    _Atomic(struct km_chunk_table *) table;
    struct km_account *account;
};

/* The table of empty chunks, which has no place, so that readers need not ask whether
 * there is one. */
extern struct km_chunk_table km_chunks_none;

/* Makes an empty table, which takes no memory yet. */
void km_chunks_init(struct km_chunks *chunks, struct km_account *account);
/* Frees the tables. No reader may be left. */
void km_chunks_fini(struct km_chunks *chunks);

/* Makes room for a number. Returns false without memory. */
bool km_chunks_reserve(struct km_chunks *chunks, uint32_t number);

/* Writes the pointer of a number for which there is room. */
void km_chunks_set(struct km_chunks *chunks, uint32_t number, void *p);

/* Returns how many bytes are charged for the tables, by the writer. */
size_t km_chunks_bytes(const struct km_chunks *chunks);

/* Returns the pointer of a number, or NULL if the number is not known. */
static inline void *km_chunks_get(const struct km_chunks *chunks,
                                  uint32_t number)
{
    struct km_chunk_table *table =
        atomic_load_explicit(&chunks->table, memory_order_acquire);
    if (__builtin_expect(number >= table->cap, 0)) {
        return NULL;
    }
    return atomic_load_explicit(&table->at[number], memory_order_acquire);
}
