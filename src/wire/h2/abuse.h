/* SPDX-License-Identifier: MIT */
/*
 * The limits that the other side of a connection can pass: those of the frames that
 * cost it nothing (rate.h), and three of the connection.
 *
 *     on_gone: if (why == KM_H2_WHY_ABUSE) {
 *         counts[km_h2_abuse(h2)]++;
 *     }
 *     km_h2_abuse_name(KM_H2_ABUSE_STALL)   "stall"
 *
 * Cost: O(1). Threads: any. Errors: none.
 */
#pragma once

#include "wire/h2/rate.h"

enum km_h2_abuse {
    /* The kinds of rate.h come first. */
    KM_H2_ABUSE_FLOOD =
        KM_H2_RATE_COUNT,   /* too much at once, as nghttp2 says */
    KM_H2_ABUSE_EMPTY_DATA, /* DATA frames without a byte, in one stream */
    KM_H2_ABUSE_STALL,      /* answers wait, and the client reads nothing */
    KM_H2_ABUSE_COUNT
};

/* Returns the name of a limit for a metric, such as "ping". */
const char *km_h2_abuse_name(enum km_h2_abuse abuse);
