/* SPDX-License-Identifier: MIT */
/*
 * Memory. Everything that the library allocates comes from the allocator that
 * its owner was made with (kama_allocator, public), through these functions.
 *
 *     struct thing *t = km_mem_zalloc(mem, 1, sizeof *t);
 *     if (t == NULL) {
 *         return km_fail(KAMA_ERR_NO_MEMORY, "no memory for a thing");
 *     }
 *     km_mem_free(mem, t);
 *
 * The functions of an application's allocator run inside a boundary
 * (base/boundary.h), so that one that throws ends the process with a sentence.
 *
 * struct km_mem_probe is an allocator for tests. It counts the blocks that are
 * alive, and makes a chosen allocation fail.
 *
 * Cost: that of the allocator, and one comparison for the default one.
 * Threads: any, if the allocator permits it. Errors: NULL, which is an ordinary
 * error and never ends the process. Ownership: a block is freed with the
 * allocator that it came from.
 */
#pragma once

#include <kamacache/kamacache.h>
#include <stdatomic.h>
#include <stdbool.h>

/* Returns the default allocator: malloc, realloc and free. */
const kama_allocator *km_mem_default(void);

/* Returns a, or the default allocator if a is NULL. */
const kama_allocator *km_mem_or_default(const kama_allocator *a);

/* Allocates size bytes. Returns NULL without memory. */
void *km_mem_alloc(const kama_allocator *a, size_t size);

/* Allocates count * size zeroed bytes. Returns NULL without memory, and also if
 * the product overflows. */
void *km_mem_zalloc(const kama_allocator *a, size_t count, size_t size);

/* Allocates size zeroed bytes at a multiple of align, a power of two: allocators
 * align to 16 bytes only, and memory that threads share needs its own cache lines.
 * The memory is freed through *ret_block. Returns NULL without memory. */
void *km_mem_zalloc_aligned(const kama_allocator *a, size_t size, size_t align,
                            void **ret_block);

/* Resizes a block as realloc does. Returns NULL without memory; p is then still
 * valid and unchanged. */
void *km_mem_resize(const kama_allocator *a, void *p, size_t size);

/* Frees a block. NULL does nothing. */
void km_mem_free(const kama_allocator *a, void *p);

/* Returns a NUL-terminated copy of n bytes, or NULL without memory. */
char *km_mem_strndup(const kama_allocator *a, const char *s, size_t n);
/* Returns a copy of a string, or NULL without memory. */
char *km_mem_strdup(const kama_allocator *a, const char *s);

/* Counts allocations and makes one of them fail. `allocator` is handed to the
 * code under test; the probe must outlive every block. */
struct km_mem_probe {
    kama_allocator allocator;
    atomic_llong live_blocks;
    atomic_llong allocs;  /* calls of alloc and resize so far */
    atomic_llong fail_at; /* the number of the call that fails, 1 for the first;
                           * 0 if none shall fail */
    atomic_bool sticky;   /* every later call fails too */
};

/* Makes a probe that lets every allocation succeed. */
void km_mem_probe_init(struct km_mem_probe *probe);
