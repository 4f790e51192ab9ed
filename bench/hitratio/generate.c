/* SPDX-License-Identifier: MIT */
/*
 * Ranks are found by bisection in the table of the summed probabilities, which
 * is exact for every exponent.
 */
#include "generate.h"

#include "base/mem.h"
#include "base/status.h"
#include "random.h"

#include <math.h>
#include <string.h>

#define SCANS 8u
#define DRIFT_STEPS 100u
#define DRIFT_PART 500u
#define ONE_HIT_SHARE 0.25
#define LOOP_SHARE 0.3
#define SIZE_MIN_LOG2 6.0
#define SIZE_MAX_LOG2 16.0

struct generator {
    const struct hr_generate *g;
    struct hr_random random;
    double *sums;   /* of the weights of the ranks up to each rank */
    uint64_t at;    /* the request that is being made */
    uint64_t fresh; /* the next key that never comes back */
    uint64_t scan_left;
    uint64_t loop_at;
};

static double *zipf_sums(double theta, uint64_t keys)
{
    double *sums = hr_array(keys, sizeof *sums);
    double sum = 0;
    for (uint64_t rank = 0; rank < keys; rank++) {
        sum += 1.0 / pow((double)rank + 1, theta);
        sums[rank] = sum;
    }
    return sums;
}

static uint64_t next_rank(struct generator *gen)
{
    uint64_t low = 0;
    uint64_t high = gen->g->keys - 1;
    double wanted = hr_random_share(&gen->random) * gen->sums[high];
    while (low < high) {
        uint64_t middle = (low + high) / 2;
        if (gen->sums[middle] < wanted) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static uint64_t next_plain(struct generator *gen)
{
    return next_rank(gen);
}

static uint64_t next_one_hit(struct generator *gen)
{
    bool is_fresh = hr_random_share(&gen->random) < ONE_HIT_SHARE;
    return is_fresh ? gen->fresh++ : next_rank(gen);
}

static uint64_t next_scan(struct generator *gen)
{
    uint64_t part = gen->g->requests / SCANS;
    if (part > 0 && gen->at % part == part / 2) {
        gen->scan_left = gen->g->span;
    }
    if (gen->scan_left == 0) {
        return next_rank(gen);
    }
    gen->scan_left--;
    return gen->fresh++;
}

static uint64_t next_drift(struct generator *gen)
{
    uint64_t step = gen->at * DRIFT_STEPS / gen->g->requests;
    uint64_t shift = step * (gen->g->keys / DRIFT_PART);
    return (next_rank(gen) + shift) % gen->g->keys;
}

static uint64_t next_loop(struct generator *gen)
{
    if (hr_random_share(&gen->random) >= LOOP_SHARE) {
        return next_rank(gen);
    }
    gen->loop_at = (gen->loop_at + 1) % gen->g->span;
    return gen->g->keys + gen->loop_at;
}

struct mix {
    const char *name;
    uint64_t (*next)(struct generator *gen);
};

static const struct mix mixes[] = {
    {"none", next_plain},  {"one-hit", next_one_hit}, {"scan", next_scan},
    {"drift", next_drift}, {"loop", next_loop},
};

static const struct mix *find_mix(const char *name)
{
    for (size_t i = 0; i < sizeof mixes / sizeof mixes[0]; i++) {
        if (strcmp(mixes[i].name, name) == 0) {
            return &mixes[i];
        }
    }
    return NULL;
}

/* Returns the size of a key, which depends on the key and the seed alone. */
static uint32_t key_size(uint64_t key, uint64_t seed)
{
    struct hr_random random = {.state = hr_hash(seed) ^ key};
    double share = hr_random_share(&random);
    return (uint32_t)exp2(SIZE_MIN_LOG2 +
                          share * (SIZE_MAX_LOG2 - SIZE_MIN_LOG2));
}

kama_status hr_generate(const struct hr_generate *g, struct hr_trace *ret_trace)
{
    const struct mix *mix = find_mix(g->mix);
    if (mix == NULL) {
        return km_fail(KAMA_ERR_INVALID,
                       "\"%s\" is no mix; none, one-hit, scan, drift and loop "
                       "are",
                       g->mix);
    }
    struct generator gen = {.g = g,
                            .random = {.state = g->seed},
                            .sums = zipf_sums(g->theta, g->keys),
                            .fresh = g->keys};
    uint64_t *keys = hr_array(g->requests, sizeof *keys);
    uint32_t *sizes = hr_array(g->requests, sizeof *sizes);
    for (gen.at = 0; gen.at < g->requests; gen.at++) {
        keys[gen.at] = mix->next(&gen);
        sizes[gen.at] = key_size(keys[gen.at], g->seed);
    }
    hr_trace_make(keys, g->with_sizes ? sizes : NULL, g->requests, ret_trace);
    km_mem_free(km_mem_default(), sizes);
    km_mem_free(km_mem_default(), keys);
    km_mem_free(km_mem_default(), gen.sums);
    return KAMA_OK;
}
