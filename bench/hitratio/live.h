/* SPDX-License-Identifier: MIT */
/*
 * Runs a trace through a group of the library, to compare the policy as it is built with
 * the policy as it is simulated.
 *
 *     struct hr_live live;
 *     kama_status status = hr_live_run(&trace, &(struct hr_live_shape){
 *         .policy = "s3fifo+", .max_bytes = 16 << 20, .value_bytes = 1000}, &live);
 *     ... hr_simulate(&trace, policy, live.entries, &engine) ...
 *
 * Every key has a value of one length, and a key that is missed is set at once. The
 * bound of a group is in bytes, and its shards, its index and its holes are part of it.
 * So the number of entries that it keeps is measured: it is the mean of the time since the
 * first eviction.
 *
 * Threads: one owner. Errors: those of kama_group_new. Ownership: nothing is left.
 */
#pragma once

#include "trace.h"

struct hr_live_shape {
    const char *policy;
    uint64_t max_bytes;
    uint64_t value_bytes; /* of each key */
};

struct hr_live {
    uint64_t misses;
    uint64_t cleared_misses; /* of a second run, after a clear */
    uint64_t entries;        /* the mean; 0 if nothing was evicted */
};

/* Runs the whole trace through an empty group, clears it, and runs it once more. */
KAMA_NODISCARD kama_status hr_live_run(const struct hr_trace *trace,
                                       const struct hr_live_shape *shape,
                                       struct hr_live *ret_live);
