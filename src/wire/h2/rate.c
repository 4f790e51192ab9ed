/* SPDX-License-Identifier: MIT */
/*
 * Token buckets with credit, over one table of kinds.
 *
 * GCRA: a bucket that is full at the time t has lost (t - now) / interval
 * tokens, rounded up. Taking one moves t by an interval; the limit is passed
 * when more than `burst` intervals are missing.
 */
#include "wire/h2/rate.h"

#include "base/assert.h"
#include "base/limits.h"

#include <stdio.h>

/* Every interval brings a token, and at most `burst` of them are saved up. */
static const struct rate_row {
    km_ns interval;
    uint32_t burst;
    uint32_t credit_max;
    const char *frames; /* the name of the frames in a sentence */
} rate_rows[KM_H2_RATE_COUNT] = {
    [KM_H2_RATE_RESET] = {KM_NS_PER_S / KM_H2_RESET_PER_S, KM_H2_RESET_BURST,
                          KM_H2_CREDIT_MAX,
                          "RST_STREAM frames for unanswered calls"},
    [KM_H2_RATE_RESET_SENT] = {10 * KM_NS_PER_S / KM_H2_RESET_SENT_PER_10S,
                               KM_H2_RESET_SENT_PER_10S, 0,
                               "streams reset for protocol errors"},
    [KM_H2_RATE_PING] = {KM_NS_PER_S / KM_H2_PING_PER_S, KM_H2_PING_BURST,
                         KM_H2_CREDIT_MAX, "PING frames without traffic"},
    [KM_H2_RATE_SETTINGS] = {KM_NS_PER_S / KM_H2_SETTINGS_PER_S,
                             KM_H2_SETTINGS_PER_S, 0, "SETTINGS frames"},
    [KM_H2_RATE_PRIORITY] = {KM_NS_PER_S / KM_H2_PRIORITY_PER_S,
                             KM_H2_PRIORITY_PER_S, KM_H2_CREDIT_MAX,
                             "PRIORITY frames without requests"},
    [KM_H2_RATE_WINDOW] = {KM_NS_PER_S / KM_H2_WINDOW_UPDATE_PER_S,
                           KM_H2_WINDOW_UPDATE_PER_S, KM_H2_CREDIT_MAX,
                           "WINDOW_UPDATE frames without traffic"},
};

/* The one limit of a peer that differs. */
static const struct rate_row peer_reset_row = {
    KM_NS_PER_S / KM_H2_PEER_RESET_PER_S, KM_H2_PEER_RESET_BURST,
    KM_H2_CREDIT_MAX, "RST_STREAM frames for unanswered calls"};

static const struct rate_row *row_of(const struct km_h2_rates *rates,
                                     enum km_h2_rate kind)
{
    return rates->trust == KM_H2_PEER && kind == KM_H2_RATE_RESET
               ? &peer_reset_row
               : &rate_rows[kind];
}

void km_h2_rate_earn(struct km_h2_rates *rates, enum km_h2_rate kind,
                     uint32_t frames)
{
    KM_DEBUG_ASSERT(rates->kinds[kind].credit <= rate_rows[kind].credit_max);
    uint32_t room = rate_rows[kind].credit_max - rates->kinds[kind].credit;
    rates->kinds[kind].credit += frames < room ? frames : room;
}

static bool take_token(struct km_h2_rates *rates, enum km_h2_rate kind,
                       km_ns now)
{
    const struct rate_row *row = row_of(rates, kind);
    km_ns full_at = rates->kinds[kind].full_at;
    if (full_at <= now) {
        full_at = now;
        rates->kinds[kind].since = now;
        rates->kinds[kind].taken = 0;
    }
    full_at += row->interval;
    rates->kinds[kind].full_at = full_at;
    rates->kinds[kind].taken++;
    return full_at - now <= row->interval * row->burst;
}

bool km_h2_rate_take(struct km_h2_rates *rates, enum km_h2_rate kind, km_ns now)
{
    if (rates->kinds[kind].credit > 0) {
        rates->kinds[kind].credit--;
        return true;
    }
    return take_token(rates, kind, now);
}

void km_h2_rate_describe(const struct km_h2_rates *rates, enum km_h2_rate kind,
                         km_ns now, char *buf, size_t cap)
{
    const struct rate_row *row = row_of(rates, kind);
    uint64_t ms = (now - rates->kinds[kind].since) / KM_NS_PER_MS;
    (void)snprintf(buf, cap,
                   "%u %s in %llu.%03llu s, the limit is %llu a second and %u "
                   "at once",
                   (unsigned)rates->kinds[kind].taken, row->frames,
                   (unsigned long long)(ms / 1000),
                   (unsigned long long)(ms % 1000),
                   (unsigned long long)(KM_NS_PER_S / row->interval),
                   (unsigned)row->burst);
}
