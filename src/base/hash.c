/* SPDX-License-Identifier: MIT */
/* XXH3, whose implementation is in its header, and random seeds. */
#include "base/hash.h"

#ifndef XXH_INLINE_ALL
#define XXH_INLINE_ALL
#endif
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

uint64_t km_hash(kama_bytes b, uint64_t seed)
{
    return XXH3_64bits_withSeed(b.data, b.len, seed);
}

/* Returns a seed that can be guessed with effort, but that differs from one
 * process to the next. */
static uint64_t weak_seed(void)
{
    struct {
        struct timespec now;
        const void *stack;
        const void *code;
        uint64_t pid;
    } mix;
    memset(&mix, 0, sizeof mix);
    (void)clock_gettime(CLOCK_REALTIME, &mix.now);
    mix.stack = &mix;
    mix.code = (const void *)(uintptr_t)&km_hash;
    mix.pid = (uint64_t)getpid();
    return XXH3_64bits(&mix, sizeof mix);
}

uint64_t km_hash_random_seed(void)
{
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != (ssize_t)sizeof seed) {
        return weak_seed();
    }
    return seed;
}

void km_hash_random_fill(void *buf, size_t len)
{
    char *at = buf;
    while (len > 0) {
        uint64_t word = km_hash_random_seed();
        size_t n = len < sizeof word ? len : sizeof word;
        memcpy(at, &word, n);
        at += n;
        len -= n;
    }
}
