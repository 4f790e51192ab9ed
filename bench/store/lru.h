/* SPDX-License-Identifier: MIT */
/*
 * The cache that programs usually write for themselves: a hash table with chains,
 * and a list in the order of use, under one mutex. A get moves its item to the
 * head of the list and copies the value; a set puts a new item in the place of
 * the old one. The same can be divided into shards, each with a mutex of its
 * own.
 *
 *     struct bench_lru *lru = bench_lru_new(1000000, 100, 64);
 *     bench_lru_set(lru, key, value);
 *     bench_lru_get(lru, key, out);
 *
 * Threads: any. Errors: running out of memory fails an assertion.
 */
#pragma once

#include "keys.h"
#include "turns.h"

struct bench_lru;

/* Makes a cache with room for `items` values of `value_bytes` each in `shards`
 * shards, a power of two. */
struct bench_lru *bench_lru_new(unsigned items, size_t value_bytes,
                                unsigned shards);
void bench_lru_free(struct bench_lru *lru);

/* Returns the length of the value, or 0 if the key is not there. */
size_t bench_lru_get(struct bench_lru *lru, const uint8_t *key, uint8_t *out);
void bench_lru_set(struct bench_lru *lru, const uint8_t *key,
                   const uint8_t *value);

/* The operations of a turn; `arg` is a struct bench_lru_side. */
struct bench_lru_side {
    struct bench_lru *lru;
    const struct bench_lookups *lookups;
};

/* Gets, and every BENCH_WRITE_EVERYth time a set. */
uint64_t bench_lru_mixed(void *arg, const struct bench_turn *turn);
