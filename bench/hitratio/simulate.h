/* SPDX-License-Identifier: MIT */
/*
 * Runs a trace through a policy and counts the misses.
 *
 *     struct hr_engine engine = {.shards = 1, .segments = 64, .steps = 16384};
 *     struct hr_result r = hr_simulate(&trace, policy, 1024, &engine);
 *     printf("%.4f\n", (double)r.misses / (double)r.requests);
 *
 * With several shards, each has the keys that their hash gives to it and an
 * equal part of the capacity. Shards do not touch each other, so they run one
 * after another.
 *
 * Cost: one call of the policy per request. Threads: any, with traces of their
 * own or shared ones. Errors: without memory the program ends.
 */
#pragma once

#include "policy.h"
#include "trace.h"

/* The shape of the engine around the policy. */
struct hr_engine {
    unsigned shards;
    uint32_t segments;
    uint32_t steps;
    bool frees_segments;
};

struct hr_result {
    uint64_t requests;
    uint64_t misses;
    uint64_t bytes;        /* that were asked for */
    uint64_t missed_bytes; /* that were not in the cache */
};

/* Runs the whole trace through an empty cache of that capacity. */
struct hr_result hr_simulate(const struct hr_trace *trace,
                             const struct hr_policy *policy, uint64_t capacity,
                             const struct hr_engine *engine);
