/* SPDX-License-Identifier: MIT */
/*
 * Hashes of keys and random numbers, which are the same in every run.
 *
 *     uint64_t hash = hr_hash(key);
 *     struct hr_random random = {.state = seed};
 *     double share = hr_random_share(&random);
 *
 * Both are splitmix64. Nobody outside chooses the keys of a trace, so the hash
 * needs no seed. Cost: a few multiplications. Threads: one owner. Errors: none.
 */
#pragma once

#include <stdint.h>

struct hr_random {
    uint64_t state;
};

/* Returns 64 well mixed bits of value. */
static inline uint64_t hr_hash(uint64_t value)
{
    value += 0x9e3779b97f4a7c15u;
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
    value = (value ^ value >> 27) * 0x94d049bb133111ebu;
    return value ^ value >> 31;
}

/* Returns the next 64 random bits. */
static inline uint64_t hr_random_next(struct hr_random *random)
{
    random->state += 0x9e3779b97f4a7c15u;
    return hr_hash(random->state);
}

/* Returns a random number from 0 up to, and not including, 1. */
static inline double hr_random_share(struct hr_random *random)
{
    return (double)(hr_random_next(random) >> 11) / 9007199254740992.0;
}
