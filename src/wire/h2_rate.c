/* SPDX-License-Identifier: MIT */
/* Token buckets (GCRA) over one table of rates. */
#include "wire/h2_rate.h"

#include "base/limits.h"

#define WINDOW_CREDIT_MAX 100000

/* A token every interval, at most burst saved up. */
static const struct {
    km_ns interval;
    uint32_t burst;
} rate_rows[KM_H2_RATE_COUNT] = {
    [KM_H2_RATE_RESET] = {KM_NS_PER_S / KM_H2_RESET_PER_S, KM_H2_RESET_BURST},
    [KM_H2_RATE_RESET_SENT] = {10 * KM_NS_PER_S / KM_H2_RESET_SENT_PER_10S,
                               KM_H2_RESET_SENT_PER_10S},
    [KM_H2_RATE_PING] = {KM_NS_PER_S / KM_H2_PING_PER_S, KM_H2_PING_BURST},
    [KM_H2_RATE_SETTINGS] = {KM_NS_PER_S / KM_H2_SETTINGS_PER_S,
                             KM_H2_SETTINGS_PER_S},
    [KM_H2_RATE_PRIORITY] = {KM_NS_PER_S / KM_H2_PRIORITY_PER_S,
                             KM_H2_PRIORITY_PER_S},
    [KM_H2_RATE_WINDOW] = {KM_NS_PER_S / KM_H2_WINDOW_UPDATE_PER_S,
                           KM_H2_WINDOW_UPDATE_PER_S},
};

bool km_h2_rate_take(struct km_h2_rates *rates, enum km_h2_rate rate, km_ns now)
{
    km_ns full_at = rates->full_at[rate];
    if (full_at < now) {
        full_at = now;
    }
    full_at += rate_rows[rate].interval;
    rates->full_at[rate] = full_at;
    return full_at - now <= rate_rows[rate].interval * rate_rows[rate].burst;
}

void km_h2_rate_earn(struct km_h2_rates *rates)
{
    if (rates->window_credit < WINDOW_CREDIT_MAX) {
        rates->window_credit += KM_H2_WINDOW_UPDATES_PER_FRAME;
    }
}

bool km_h2_rate_take_window(struct km_h2_rates *rates, km_ns now)
{
    if (rates->window_credit > 0) {
        rates->window_credit--;
        return true;
    }
    return km_h2_rate_take(rates, KM_H2_RATE_WINDOW, now);
}
