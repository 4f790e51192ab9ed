/* SPDX-License-Identifier: MIT */
/*
 * How long a response may be kept, from its headers (RFC 9111): s-maxage, or
 * else max-age, less Age. no-store, no-cache, private and an age that is used
 * up mean: not at all. Expires is not looked at. A number that makes no sense
 * counts as 0. It holds for a value and for an absence.
 *
 * Pure: header lines in, a time to live out. Threads: one owner.
 */
#pragma once

#include <kamacache/loader.h>

#include <stdbool.h>

struct km_freshness {
    int64_t max_age_s;  /* -1: not said */
    int64_t s_maxage_s; /* -1: not said */
    int64_t age_s;
    bool do_not_keep;
};

/* Nothing said yet: the beginning of a response. */
void km_freshness_init(struct km_freshness *freshness);

/* Reads one header line; others than Cache-Control and Age change nothing. */
void km_freshness_read(struct km_freshness *freshness, const char *line,
                       size_t len);

/* What the headers say for the sink: nothing (ttl_ms 0), a time to live, or
 * KAMA_NO_STORE, then with the shortest ttl_ms there is for those who look at
 * it. */
void km_freshness_options(const struct km_freshness *freshness,
                          kama_sink_options *ret_options);
