/* SPDX-License-Identifier: MIT */
#include "keys.h"

#include "base/assert.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* How many lookups are made before they repeat. More items have more of them, so
 * that the lookups do not leave most items cold. */
#define LOOKUPS (1u << 20)
#define LOOKUPS_OF_MANY (1u << 22)
#define MANY_ITEMS 2000000u

double bench_random_unit(uint64_t *state)
{
    return (double)(bench_random(state) >> 11) / 9007199254740992.0;
}

uint64_t bench_random_size(uint64_t *state, uint64_t from, uint64_t to)
{
    double ratio = (double)to / (double)from;
    double size = (double)from * pow(ratio, bench_random_unit(state));
    return size > (double)to ? to : (uint64_t)size;
}

uint32_t *bench_numbers(unsigned n)
{
    uint32_t *numbers = malloc(n * sizeof *numbers);
    KM_ASSERT(numbers != NULL);
    for (unsigned i = 0; i < n; i++) {
        numbers[i] = i;
    }
    return numbers;
}

void bench_shuffle(uint32_t *numbers, unsigned n, uint64_t *state)
{
    for (unsigned i = n; i > 1; i--) {
        unsigned j = (unsigned)(bench_random(state) % i);
        uint32_t kept = numbers[i - 1];
        numbers[i - 1] = numbers[j];
        numbers[j] = kept;
    }
}

/* A Zipf distribution with the exponent 0.99 over n ranks (Gray et al., 1994). */
struct zipf {
    double n, alpha, zetan, eta;
};

static void zipf_init(struct zipf *z, unsigned n)
{
    const double theta = 0.99;
    z->n = n;
    z->alpha = 1.0 / (1.0 - theta);
    z->zetan = 0;
    for (unsigned i = 1; i <= n; i++) {
        z->zetan += 1.0 / pow(i, theta);
    }
    double zeta2 = 1.0 + 1.0 / pow(2.0, theta);
    z->eta = (1.0 - pow(2.0 / n, 1.0 - theta)) / (1.0 - zeta2 / z->zetan);
}

static unsigned zipf_next(const struct zipf *z, uint64_t *state)
{
    double u = bench_random_unit(state);
    double uz = u * z->zetan;
    if (uz < 1.0) {
        return 0;
    }
    if (uz < 1.0 + pow(0.5, 0.99)) {
        return 1;
    }
    double rank = z->n * pow(z->eta * u - z->eta + 1.0, z->alpha);
    return rank >= z->n ? (unsigned)z->n - 1 : (unsigned)rank;
}

void bench_key(uint8_t key[BENCH_KEY_BYTES], unsigned i)
{
    uint64_t a = (i + UINT64_C(1)) * 0x9e3779b97f4a7c15u;
    uint64_t b = a ^ (a >> 29) * 0xbf58476d1ce4e5b9u;
    memcpy(key, &a, 8);
    memcpy(key + 8, &b, 8);
}

const char *bench_order_name(enum bench_order order)
{
    return order == BENCH_ZIPF ? "zipf 0.99" : "uniform";
}

void bench_lookups_init(struct bench_lookups *l, unsigned items,
                        enum bench_order order)
{
    struct zipf z;
    uint64_t state = 88172645463325252u;
    uint32_t count = items > MANY_ITEMS ? LOOKUPS_OF_MANY : LOOKUPS;
    zipf_init(&z, items);
    l->mask = count - 1;
    l->keys = malloc((size_t)count * BENCH_KEY_BYTES);
    KM_ASSERT(l->keys != NULL);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t n = order == BENCH_UNIFORM ? bench_random(&state) % items
                                            : zipf_next(&z, &state);
        /* Neighbouring ranks are not neighbours in memory. */
        bench_key(l->keys[i], (unsigned)(n * 7919 % items));
    }
}

void bench_lookups_fini(struct bench_lookups *l)
{
    free(l->keys);
    *l = (struct bench_lookups){0};
}
