/* SPDX-License-Identifier: MIT */
/*
 * The hash of keys: XXH3, 64 bits, with a seed.
 *
 *     uint64_t seed = km_hash_random_seed();
 *     uint64_t hash = km_hash(key, seed);
 *
 * Every table has a random seed. Without it, somebody outside could choose keys
 * that all fall into one bucket, and each lookup would walk a long chain.
 *
 * Cost: about 3 ns for 16 bytes. Threads: any. Errors: none.
 */
#pragma once

#include <kamacache/kamacache.h>

/* Returns the hash of b under seed. */
uint64_t km_hash(kama_bytes b, uint64_t seed);

/* Returns a fresh random seed from the kernel. It never fails: early in the
 * boot of a machine, when the kernel has no randomness yet, the seed is made
 * from the clock, addresses and the process id instead of waiting. */
uint64_t km_hash_random_seed(void);

/* Fills len bytes at buf with random bits of the same kind, for ids. */
void km_hash_random_fill(void *buf, size_t len);
