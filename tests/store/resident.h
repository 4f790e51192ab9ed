/* SPDX-License-Identifier: MIT */
/* How much memory of this process is resident. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

/* A sanitizer keeps freed memory, and shadows of all memory. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RESIDENT_IS_EXACT 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define RESIDENT_IS_EXACT 0
#endif
#endif
#ifndef RESIDENT_IS_EXACT
#define RESIDENT_IS_EXACT 1
#endif

/* Returns the resident bytes of the process; 0 if the system does not tell. */
static inline size_t resident(void)
{
    unsigned long all = 0, pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%lu %lu", &all, &pages) != 2) {
        pages = 0;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Returns whether at most so many bytes are resident, or whether nobody can say. */
static inline bool resident_at_most(size_t bytes)
{
    return !RESIDENT_IS_EXACT || resident() <= bytes;
}
