/* SPDX-License-Identifier: MIT */
/*
 * Memory of a known page size, so that both sides of a comparison have the same.
 *
 *     uint8_t *p = bench_pages_map(bytes, BENCH_PAGES_SMALL);
 *     bench_pages_unmap(p, bytes);
 *
 * Threads: any. Errors: running out of memory fails an assertion.
 */
#pragma once

#include <stddef.h>

enum bench_pages {
    BENCH_PAGES_DEFAULT, /* those that the system or the library chooses */
    BENCH_PAGES_SMALL,   /* those of the processor, usually 4 KiB */
    BENCH_PAGES_HUGE     /* 2 MiB where the system has some left */
};

/* Returns memory that is zero and begins at a multiple of 2 MiB. */
void *bench_pages_map(size_t bytes, enum bench_pages pages);
void bench_pages_unmap(void *memory, size_t bytes);
