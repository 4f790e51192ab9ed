/* SPDX-License-Identifier: MIT */
/*
 * How often the other side may send what costs us work and it nothing, per
 * connection. Every rate is a token bucket kept as one time (the moment at
 * which it would be full again).
 * Thread-safety: one owner. Cost: O(1), no clock of its own.
 */
#pragma once

#include "base/clock.h"

#include <stdbool.h>

enum km_h2_rate {
    KM_H2_RATE_RESET,      /* RST_STREAM received */
    KM_H2_RATE_RESET_SENT, /* RST_STREAM that we had to send */
    KM_H2_RATE_PING,
    KM_H2_RATE_SETTINGS,
    KM_H2_RATE_PRIORITY,
    KM_H2_RATE_WINDOW, /* WINDOW_UPDATE beyond its credit */
    KM_H2_RATE_COUNT
};

struct km_h2_rates {
    km_ns full_at[KM_H2_RATE_COUNT];
    uint32_t window_credit; /* WINDOW_UPDATEs earned by frames we sent */
};

/* Takes one token; false: the rate is passed. */
bool km_h2_rate_take(struct km_h2_rates *rates, enum km_h2_rate rate,
                     km_ns now);

/* A frame was sent: each earns KM_H2_WINDOW_UPDATES_PER_FRAME updates. */
void km_h2_rate_earn(struct km_h2_rates *rates);

/* A WINDOW_UPDATE came: from the credit, else from the bucket. */
bool km_h2_rate_take_window(struct km_h2_rates *rates, km_ns now);
