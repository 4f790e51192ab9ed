/* SPDX-License-Identifier: MIT */
#include "wire/h2/abuse.h"

#include "base/assert.h"

const char *km_h2_abuse_name(enum km_h2_abuse abuse)
{
    static const char *const names[KM_H2_ABUSE_COUNT] = {
        [KM_H2_RATE_RESET] = "reset",
        [KM_H2_RATE_RESET_SENT] = "reset_sent",
        [KM_H2_RATE_PING] = "ping",
        [KM_H2_RATE_SETTINGS] = "settings",
        [KM_H2_RATE_PRIORITY] = "priority",
        [KM_H2_RATE_WINDOW] = "window",
        [KM_H2_ABUSE_FLOOD] = "flood",
        [KM_H2_ABUSE_EMPTY_DATA] = "empty_data",
        [KM_H2_ABUSE_STALL] = "stall",
    };
    KM_ASSERT((unsigned)abuse < KM_H2_ABUSE_COUNT);
    return names[abuse];
}
