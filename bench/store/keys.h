/* SPDX-License-Identifier: MIT */
/*
 * The keys of store_bench, and the order in which they are asked for.
 *
 *     struct bench_lookups l;
 *     bench_lookups_init(&l, 1000000, BENCH_ZIPF);
 *     const uint8_t *key = bench_lookups_at(&l, i);
 *
 * Keys have 16 bytes without an order. The order of the lookups was made before
 * anything is measured, and is used as a ring.
 *
 * Threads: any may read after the init. Errors: none; running out of memory
 * fails an assertion.
 */
#pragma once

#include <stdint.h>

#define BENCH_KEY_BYTES 16u

enum bench_order { BENCH_ZIPF, BENCH_UNIFORM };

struct bench_lookups {
    uint8_t (*keys)[BENCH_KEY_BYTES];
    uint32_t mask; /* the number of lookups, a power of two, less one */
};

/* Makes the lookups of `items` keys. */
void bench_lookups_init(struct bench_lookups *l, unsigned items,
                        enum bench_order order);
void bench_lookups_fini(struct bench_lookups *l);
/* Returns the key of lookup `i`; the lookups repeat when all were made. */
static inline const uint8_t *bench_lookups_at(const struct bench_lookups *l,
                                              uint32_t i)
{
    return l->keys[i & l->mask];
}

/* Returns "zipf 0.99" or "uniform". */
const char *bench_order_name(enum bench_order order);

/* Writes key number i. Keys of different numbers differ. */
void bench_key(uint8_t key[BENCH_KEY_BYTES], unsigned i);

/* Returns the next number of a sequence that begins with a *state other than
 * 0. */
static inline uint64_t bench_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Returns 0 to 1, without 1. */
double bench_random_unit(uint64_t *state);
/* Returns a number of `from` to `to`. Of many numbers, as many lie between 64 and
 * 128 as between 512 and 1024. */
uint64_t bench_random_size(uint64_t *state, uint64_t from, uint64_t to);
/* Returns the numbers 0 to n - 1 in their order, which the caller frees. */
uint32_t *bench_numbers(unsigned n);
/* Puts n numbers into a random order. */
void bench_shuffle(uint32_t *numbers, unsigned n, uint64_t *state);
