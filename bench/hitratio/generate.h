/* SPDX-License-Identifier: MIT */
/*
 * Traces that are generated: keys by a Zipf distribution, mixed with requests that
 * disturb a cache.
 *
 *     struct hr_generate g = {.theta = 0.99, .keys = 20000,
 *                             .requests = 400000, .mix = "scan", .span = 2000};
 *     status = hr_generate(&g, &trace);
 *
 *     mix        beside the keys by Zipf
 *     none       nothing
 *     one-hit    a quarter of the requests is for keys that never come back
 *     scan       eight times, `span` keys that never come back, one after another
 *     drift      every hundredth of the trace, each rank belongs to the key that
 *                was keys / 500 ranks further on
 *     loop       three tenths of the requests go round and round `span` keys
 *
 * With sizes, a key has from 64 bytes to 64 KiB, and each power of two is as
 * frequent as the others. The same numbers make the same trace.
 *
 * Cost: requests * log2(keys). Threads: any. Errors: KAMA_ERR_INVALID for an
 * unknown mix. Ownership: that of hr_trace.
 */
#pragma once

#include "trace.h"

struct hr_generate {
    double theta;      /* the exponent of the distribution */
    uint64_t keys;     /* the number of ranks */
    uint64_t requests; /* the length of the trace */
    const char *mix;
    uint64_t span; /* the keys of one scan, or of the loop */
    uint64_t seed;
    bool with_sizes;
};

/* Generates a trace. */
KAMA_NODISCARD kama_status hr_generate(const struct hr_generate *g,
                                       struct hr_trace *ret_trace);
