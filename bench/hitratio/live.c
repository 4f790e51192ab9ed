/* SPDX-License-Identifier: MIT */
#include "live.h"

#include "base/mem.h"

/* The entries are counted about so many times in a trace. */
#define SAMPLES 1000u

struct run {
    kama_group *group;
    uint8_t *value;
    size_t value_bytes;
    uint64_t misses;
    uint64_t entries_sum, samples;
};

/* Asks for a key, and sets it if it is not there. */
static kama_status request(struct run *run, uint32_t key)
{
    kama_bytes name = KAMA_BYTES(&key, sizeof key);
    size_t len;
    kama_status status = kama_get_copy(run->group, name, NULL, run->value,
                                       run->value_bytes, &len);
    if (status == KAMA_OK) {
        return KAMA_OK;
    }
    run->misses++;
    return kama_set(run->group, name, KAMA_BYTES(run->value, run->value_bytes),
                    NULL);
}

static void sample(struct run *run)
{
    kama_group_stats stats;
    kama_group_stats_get(run->group, &stats);
    if (stats.evictions > 0) {
        run->entries_sum += stats.entries;
        run->samples++;
    }
}

static kama_status run_trace(struct run *run, const struct hr_trace *trace)
{
    uint64_t every = trace->count / SAMPLES + 1;
    kama_status status = KAMA_OK;
    for (uint64_t i = 0; i < trace->count && status == KAMA_OK; i++) {
        status = request(run, trace->requests[i]);
        if (i % every == 0) {
            sample(run);
        }
    }
    return status;
}

/* The entries are those of the first run. */
static kama_status run_twice(struct run *run, const struct hr_trace *trace,
                             struct hr_live *ret_live)
{
    struct hr_live live = {0};
    kama_status status = run_trace(run, trace);
    live.misses = run->misses;
    if (run->samples > 0) {
        live.entries = run->entries_sum / run->samples;
    }
    if (status == KAMA_OK) {
        status = kama_group_clear(run->group);
    }
    if (status == KAMA_OK) {
        status = run_trace(run, trace);
    }
    if (status == KAMA_OK) {
        live.cleared_misses = run->misses - live.misses;
        *ret_live = live;
    }
    return status;
}

kama_status hr_live_run(const struct hr_trace *trace,
                        const struct hr_live_shape *shape,
                        struct hr_live *ret_live)
{
    kama_group_options options;
    kama_group_options_init(&options);
    options.policy = shape->policy;
    options.max_bytes = shape->max_bytes;
    struct run run = {.value_bytes = shape->value_bytes};
    kama_status status = kama_group_new(&options, &run.group);
    if (status != KAMA_OK) {
        return status;
    }
    run.value = hr_array(1, shape->value_bytes);
    status = run_twice(&run, trace, ret_live);
    km_mem_free(km_mem_default(), run.value);
    kama_group_free(run.group);
    return status;
}
