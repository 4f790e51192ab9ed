/* SPDX-License-Identifier: MIT */
/*
 * Values that say where they come from: every byte depends on a number, the
 * stamp, and on its place.
 *
 *     stamped_fill(bytes, 4096, stamp);
 *     if (!stamped_is(bytes, 4096, stamp)) { ... }       torn, stale or foreign
 *
 * No stamp makes a copy that has one part of one value and one part of another, or
 * a part that was moved. Several stamps can make the same value of few bytes,
 * because it has no room for more.
 *
 * Cost: a few cycles for 8 bytes. Threads: any. Errors: none.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Returns the eight bytes at place `word` of the value with a stamp. */
static inline uint64_t stamped_word(uint64_t stamp, size_t word)
{
    uint64_t x = stamp * 0x9e3779b97f4a7c15u + word * 0xbf58476d1ce4e5b9u;
    x ^= x >> 29;
    x *= 0x94d049bb133111ebu;
    return x ^ x >> 32;
}

/* Writes the value of len bytes with a stamp. */
static inline void stamped_fill(void *bytes, size_t len, uint64_t stamp)
{
    char *at = bytes;
    size_t i = 0;
    for (; i + 8 <= len; i += 8) {
        uint64_t word = stamped_word(stamp, i / 8);
        memcpy(at + i, &word, 8);
    }
    uint64_t last = stamped_word(stamp, i / 8);
    if (i < len) {
        memcpy(at + i, &last, len - i);
    }
}

/* Returns whether the bytes are the value of this length and stamp. */
static inline bool stamped_is(const void *bytes, size_t len, uint64_t stamp)
{
    const char *at = bytes;
    size_t i = 0;
    for (; i + 8 <= len; i += 8) {
        uint64_t word;
        memcpy(&word, at + i, 8);
        if (word != stamped_word(stamp, i / 8)) {
            return false;
        }
    }
    uint64_t last = stamped_word(stamp, i / 8);
    return i == len || memcmp(at + i, &last, len - i) == 0;
}
