/* SPDX-License-Identifier: MIT */
/*
 * How long a response may be kept, from its headers (RFC 9111): s-maxage, or
 * else max-age, less Age. no-store, no-cache and private mean: not at all.
 * Expires is not looked at. A number that makes no sense counts as 0.
 *
 * Pure: header lines in, a time to live out. Threads: one owner.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

/* For kama_sink_options: 0 when the headers say nothing, else at least 1, the
 * shortest there is, which also stands for "do not keep". */
int64_t km_freshness_ttl_ms(const struct km_freshness *freshness);
