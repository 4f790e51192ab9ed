/* SPDX-License-Identifier: MIT */
/*
 * Speck64/128, and a walk around its 0.
 *
 * If the cipher moves x to 0, then this permutation moves x to the place to
 * which the cipher moves 0. No other number is moved there, so that the numbers
 * without 0 are still permuted:
 *
 *     cipher           x --> 0 --> y
 *     permutation      x --------> y        0 --> 0
 */
#include "base/permute.h"

static uint32_t rotate_right(uint32_t x, unsigned n)
{
    return x >> n | x << (32 - n);
}

static uint32_t rotate_left(uint32_t x, unsigned n)
{
    return x << n | x >> (32 - n);
}

/* One round of the cipher. The round keys are made with the same step. */
static void round_forth(uint32_t *x, uint32_t *y, uint32_t key)
{
    *x = (rotate_right(*x, 8) + *y) ^ key;
    *y = rotate_left(*y, 3) ^ *x;
}

/* Undoes round_forth. */
static void round_back(uint32_t *x, uint32_t *y, uint32_t key)
{
    *y = rotate_right(*y ^ *x, 3);
    *x = rotate_left((*x ^ key) - *y, 8);
}

void km_permute_init(struct km_permute *p, uint64_t key_low, uint64_t key_high)
{
    uint32_t key = (uint32_t)key_low;
    uint32_t more[3] = {(uint32_t)(key_low >> 32), (uint32_t)key_high,
                        (uint32_t)(key_high >> 32)};
    for (uint32_t i = 0; i < KM_PERMUTE_ROUNDS; i++) {
        p->round_keys[i] = key;
        round_forth(&more[i % 3], &key, i);
    }
}

uint64_t km_permute_encrypt(const struct km_permute *p, uint64_t x)
{
    uint32_t high = (uint32_t)(x >> 32);
    uint32_t low = (uint32_t)x;
    for (int i = 0; i < KM_PERMUTE_ROUNDS; i++) {
        round_forth(&high, &low, p->round_keys[i]);
    }
    return (uint64_t)high << 32 | low;
}

uint64_t km_permute_decrypt(const struct km_permute *p, uint64_t x)
{
    uint32_t high = (uint32_t)(x >> 32);
    uint32_t low = (uint32_t)x;
    for (int i = KM_PERMUTE_ROUNDS; i-- > 0;) {
        round_back(&high, &low, p->round_keys[i]);
    }
    return (uint64_t)high << 32 | low;
}

uint64_t km_permute(const struct km_permute *p, uint64_t x)
{
    uint64_t y = x == 0 ? 0 : km_permute_encrypt(p, x);
    return y == 0 && x != 0 ? km_permute_encrypt(p, 0) : y;
}

uint64_t km_permute_inverse(const struct km_permute *p, uint64_t x)
{
    uint64_t y = x == 0 ? 0 : km_permute_decrypt(p, x);
    return y == 0 && x != 0 ? km_permute_decrypt(p, 0) : y;
}
