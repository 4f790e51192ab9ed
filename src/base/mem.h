/* SPDX-License-Identifier: MIT */
/*
 * Memory comes from the allocator that the owner was made with (kama_allocator,
 * public). Failure returns NULL and is an ordinary error.
 *
 * struct km_mem_probe is the allocator of tests: it counts live blocks and
 * fails the n-th allocation.
 * Thread-safety: any thread, as the allocator behind it.
 */
#pragma once

#include <kamacache/kamacache.h>
#include <stdatomic.h>
#include <stdbool.h>

/* malloc, realloc, free. */
const kama_allocator *km_mem_default(void);

/* a, or the default for NULL. */
const kama_allocator *km_mem_or_default(const kama_allocator *a);

/* size bytes; NULL without memory. */
void *km_mem_alloc(const kama_allocator *a, size_t size);

/* Zeroed; NULL also when count * size overflows. */
void *km_mem_zalloc(const kama_allocator *a, size_t count, size_t size);

/* As realloc: NULL without memory, and p as it was. */
void *km_mem_resize(const kama_allocator *a, void *p, size_t size);

/* NULL is a no-op. */
void km_mem_free(const kama_allocator *a, void *p);

/* A NUL-terminated copy of n bytes; NULL without memory. */
char *km_mem_strndup(const kama_allocator *a, const char *s, size_t n);
/* As km_mem_strndup, of a whole string. */
char *km_mem_strdup(const kama_allocator *a, const char *s);

/* Counts and fails on purpose. Embeds the allocator to hand out. */
struct km_mem_probe {
    kama_allocator allocator;
    atomic_llong live_blocks;
    atomic_llong allocs;  /* alloc and resize calls so far */
    atomic_llong fail_at; /* this call fails (1 = the first); 0: none */
    atomic_bool sticky;   /* and every later one too */
};

/* setup. */
void km_mem_probe_init(struct km_mem_probe *probe);
