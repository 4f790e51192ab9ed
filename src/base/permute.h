/* SPDX-License-Identifier: MIT */
/*
 * A keyed permutation of the 64-bit numbers that keeps 0 where it is.
 *
 * It hides a number that means something to us from someone who must give it
 * back later: a scan's cursor is a place in the order of the hashes, and
 * whoever could read it would learn the seed of the hash table and could choose
 * keys that collide. 0 stays 0, so that "begin" and "end" keep their value.
 *
 *     struct km_permute p;
 *     km_permute_init(&p, key_low, key_high);
 *     uint64_t cursor = km_permute(&p, place);
 *     place == km_permute_inverse(&p, cursor);
 *
 * The permutation is Speck64/128 (Beaulieu et al., "The SIMON and SPECK
 * Families of Lightweight Block Ciphers", 2013).
 * Cost: about 30 ns. Threads: any, after init. Errors: none.
 */
#pragma once

#include <stdint.h>

#define KM_PERMUTE_ROUNDS 27

struct km_permute {
    uint32_t round_keys[KM_PERMUTE_ROUNDS];
};

/* Prepares the permutation that belongs to a key of 128 bits. */
void km_permute_init(struct km_permute *p, uint64_t key_low, uint64_t key_high);

/* Returns the number to which x is moved. 0 is moved to 0, and nothing else
 * is. */
uint64_t km_permute(const struct km_permute *p, uint64_t x);
/* Returns the number that km_permute moves to x. */
uint64_t km_permute_inverse(const struct km_permute *p, uint64_t x);

/* The cipher itself, which moves 0 like any other number. For tests with the
 * published examples. */
uint64_t km_permute_encrypt(const struct km_permute *p, uint64_t x);
uint64_t km_permute_decrypt(const struct km_permute *p, uint64_t x);
