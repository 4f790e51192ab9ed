/* SPDX-License-Identifier: MIT */
/*
 * Limits for the frames that cost the other side nothing and us work, per
 * connection.
 *
 * Each kind of frame has a token bucket and, in front of it, a credit. A frame
 * that an honest connection sends because of traffic is paid for by that
 * traffic: grpc-go and grpc-java send one PING for each message they read (they
 * estimate the bandwidth), C-core sends two WINDOW_UPDATEs for each call. Every
 * HEADERS or DATA frame therefore earns credit, and only frames beyond the
 * credit take a token. A connection on which calls are made can so send as many
 * PINGs as it likes to, and one that only sends PINGs is stopped.
 *
 *     km_h2_rate_earn(&rates, KM_H2_RATE_PING, 1);      a DATA frame passed
 *     if (!km_h2_rate_take(&rates, KM_H2_RATE_PING, now)) {
 *         km_h2_rate_describe(&rates, KM_H2_RATE_PING, now, text, sizeof text);
 *         ... say so and end the connection ...
 *     }
 *
 * A bucket is kept as the time at which it would be full again (GCRA).
 * Thread-safety: one owner. Cost: O(1), no clock of its own.
 */
#pragma once

#include "base/clock.h"

#include <stdbool.h>
#include <stddef.h>

enum km_h2_rate {
    KM_H2_RATE_RESET,      /* RST_STREAM received */
    KM_H2_RATE_RESET_SENT, /* RST_STREAM that we had to send */
    KM_H2_RATE_PING,
    KM_H2_RATE_SETTINGS,
    KM_H2_RATE_PRIORITY, /* also frames of types that we do not know */
    KM_H2_RATE_WINDOW,   /* WINDOW_UPDATE */
    KM_H2_RATE_COUNT
};

struct km_h2_rates {
    struct {
        km_ns full_at;   /* when the bucket is full again */
        km_ns since;     /* when it was full last */
        uint32_t taken;  /* tokens taken since then */
        uint32_t credit; /* frames that need no token */
    } kinds[KM_H2_RATE_COUNT];
};

/* Adds to the credit of a kind; what is over its maximum is lost. */
void km_h2_rate_earn(struct km_h2_rates *rates, enum km_h2_rate kind,
                     uint32_t frames);

/* Pays for one frame, with credit if there is any, else with a token. Returns
 * false if there is neither: the frame is over the limit. */
bool km_h2_rate_take(struct km_h2_rates *rates, enum km_h2_rate kind,
                     km_ns now);

/* Writes a sentence that names the limit of a kind and tells by how much it
 * was passed; NUL-terminated, cut at cap. */
void km_h2_rate_describe(const struct km_h2_rates *rates, enum km_h2_rate kind,
                         km_ns now, char *buf, size_t cap);
