/* SPDX-License-Identifier: MIT */
/* The parts of the capacity of all shards add up to the capacity. */
#include "simulate.h"

static struct hr_result run(const struct hr_trace *trace,
                            const struct hr_policy *policy,
                            const struct hr_shape *shape)
{
    struct hr_result result = {.requests = trace->count};
    void *cache = hr_policy_open(policy, shape);
    for (uint64_t i = 0; i < trace->count; i++) {
        uint32_t key = trace->requests[i];
        uint32_t size = trace->sizes[key];
        result.bytes += size;
        if (size > shape->capacity || !policy->get(cache, key)) {
            result.misses++;
            result.missed_bytes += size;
        }
    }
    hr_policy_close(policy, cache);
    return result;
}

static struct hr_shape make_shape(const struct hr_trace *trace,
                                  uint64_t capacity,
                                  const struct hr_engine *engine)
{
    return (struct hr_shape){.keys = trace->keys,
                             .sizes = trace->sizes,
                             .capacity = capacity,
                             .segments = engine->segments,
                             .steps = engine->steps,
                             .frees_segments = engine->frees_segments};
}

struct hr_result hr_simulate(const struct hr_trace *trace,
                             const struct hr_policy *policy, uint64_t capacity,
                             const struct hr_engine *engine)
{
    struct hr_result sum = {0};
    for (unsigned i = 0; i < engine->shards; i++) {
        struct hr_trace part;
        hr_trace_part(trace, i, engine->shards, &part);
        uint64_t share =
            capacity * (i + 1) / engine->shards - capacity * i / engine->shards;
        struct hr_shape shape = make_shape(&part, share, engine);
        struct hr_result r = run(&part, policy, &shape);
        hr_trace_free(&part);
        sum.requests += r.requests;
        sum.misses += r.misses;
        sum.bytes += r.bytes;
        sum.missed_bytes += r.missed_bytes;
    }
    return sum;
}
