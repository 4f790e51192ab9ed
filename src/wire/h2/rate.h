/* SPDX-License-Identifier: MIT */
/*
 * Limits for the frames of a connection that cost the other side nothing and us
 * work.
 *
 * Each kind of frame has a token bucket and, in front of it, a credit. A frame
 * that an honest connection sends because of traffic is paid for by that
 * traffic: grpc-go and grpc-java send one PING for each message they read (they
 * estimate the bandwidth), C-core sends two WINDOW_UPDATEs for each call. Every
 * HEADERS or DATA frame therefore earns credit, and only frames beyond the
 * credit take a token. So a connection with calls may send as many PINGs as it
 * likes, and a connection that sends only PINGs is stopped.
 *
 *     km_h2_rate_earn(&rates, KM_H2_RATE_PING, 1);      for a DATA frame
 *     if (!km_h2_rate_take(&rates, KM_H2_RATE_PING, now)) {
 *         km_h2_rate_describe(&rates, KM_H2_RATE_PING, now, text, sizeof text);
 *         ... end the connection with this sentence ...
 *     }
 *
 *     frame that costs nothing --> credit > 0? --> credit - 1
 *                                     | no
 *                                     v
 *                                  token left? --> token - 1
 *                                     | no
 *                                     v
 *                                  the limit is passed
 *
 * A bucket is kept as the time at which it would be full again (GCRA), so that
 * nothing needs to be done as time passes.
 *
 * Cost: O(1). Threads: one owner. Time: the caller's.
 */
#pragma once

#include "base/clock.h"

#include <stdbool.h>
#include <stddef.h>

/* The kinds of frames that are limited. */
enum km_h2_rate {
    KM_H2_RATE_RESET,      /* RST_STREAM of the other side */
    KM_H2_RATE_RESET_SENT, /* RST_STREAM that its faults made us send */
    KM_H2_RATE_PING,
    KM_H2_RATE_SETTINGS,
    KM_H2_RATE_PRIORITY, /* also frames of types that we do not know */
    KM_H2_RATE_WINDOW,   /* WINDOW_UPDATE */
    KM_H2_RATE_COUNT
};

/* Who the other side is. A peer resets the calls of thousands of clients over
 * one connection, and has limits of its own. */
enum km_h2_trust {
    KM_H2_STRANGER, /* whoever has connected; the state of zeroed memory */
    KM_H2_PEER
};

/* The buckets of one connection. Zeroed memory is a full set without credit. */
struct km_h2_rates {
    enum km_h2_trust trust; /* set by the owner, at any time */
    struct {
        km_ns full_at;   /* when the bucket is full again */
        km_ns since;     /* when it was full last */
        uint32_t taken;  /* tokens taken since then */
        uint32_t credit; /* frames that need no token */
    } kinds[KM_H2_RATE_COUNT];
};

/* Adds to the credit of a kind, at most up to the kind's maximum. */
void km_h2_rate_earn(struct km_h2_rates *rates, enum km_h2_rate kind,
                     uint32_t frames);

/* Pays for one frame, with credit if there is any, otherwise with a token.
 * Returns false if there is neither, which means that the limit is passed. */
bool km_h2_rate_take(struct km_h2_rates *rates, enum km_h2_rate kind,
                     km_ns now);

/* Writes a sentence that names the limit of a kind and says by how much it was
 * passed. The sentence ends with a NUL and is cut at cap bytes. */
void km_h2_rate_describe(const struct km_h2_rates *rates, enum km_h2_rate kind,
                         km_ns now, char *buf, size_t cap);
