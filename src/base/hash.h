/* SPDX-License-Identifier: MIT */
/*
 * XXH3, 64 bits. Tables use a random seed of the process (km_hash_seed) so
 * that nobody outside can choose keys that collide.
 * Cost: about 3 ns for 16 bytes.
 */
#pragma once

#include <kamacache/kamacache.h>

/* The hash of b under seed. */
uint64_t km_hash(kama_bytes b, uint64_t seed);

/* A fresh random seed from the kernel (getrandom); never fails: falls back to
 * clock and addresses. */
uint64_t km_hash_random_seed(void);
