/* SPDX-License-Identifier: MIT */
/*
 * Numbers by chance that are the same in each run (Knuth's linear congruential
 * generator, MMIX).
 *
 *     uint64_t random = 1;
 *     unsigned die = 1 + draw(&random, 6);
 *
 * Threads: each has its own state. Errors: none.
 */
#pragma once

#include <stdint.h>

/* Returns a number below n. */
static inline unsigned draw(uint64_t *random, unsigned n)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(*random >> 33) % n;
}
