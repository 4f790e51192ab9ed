/* SPDX-License-Identifier: MIT */
/*
 * Freshness: how long a response may be kept, by its headers (RFC 9111).
 *
 *     Cache-Control: max-age=60            60 seconds
 *     Cache-Control: s-maxage=30           30 seconds; it overrides max-age
 *     Age: 10                              so many seconds less
 *     Cache-Control: no-store              not at all, as no-cache, private,
 *                                          and an age that is used up
 *
 * Expires is not evaluated. A number that makes no sense counts as 0. The
 * result holds for a value as well as for a key that does not exist.
 *
 *     km_freshness_init(&freshness);
 *     km_freshness_read(&freshness, line, len);        for each header line
 *     km_freshness_options(&freshness, &options);
 *
 * Cost: linear in the headers. Threads: one owner. Errors: none.
 */
#pragma once

#include <kamacache/loader.h>

#include <stdbool.h>

struct km_freshness {
    int64_t max_age_s;  /* -1 without a max-age */
    int64_t s_maxage_s; /* -1 without an s-maxage */
    int64_t age_s;
    bool do_not_keep;
};

/* Begins a response, whose headers were not read yet. */
void km_freshness_init(struct km_freshness *freshness);

/* Reads one header line. Lines other than Cache-Control and Age change
 * nothing. */
void km_freshness_read(struct km_freshness *freshness, const char *line,
                       size_t len);

/* Writes the options of the sink: ttl_ms is 0 if the headers say nothing, and a
 * time to live if they give one. If the response must not be kept, the flags
 * are KAMA_NO_STORE and ttl_ms is the shortest time, for a reader that only
 * looks at that. */
void km_freshness_options(const struct km_freshness *freshness,
                          kama_sink_options *ret_options);
