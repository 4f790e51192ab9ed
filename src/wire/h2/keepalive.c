/* SPDX-License-Identifier: MIT */
/*
 * The connection knows the time only from feed and tick; the beginning of a
 * stream, which comes from the owner, is the one event for which the clock is
 * read.
 */
#include "wire/h2/keepalive.h"

#include "base/assert.h"
#include "wire/h2/fail.h"

/* A tick that is later than this has not had a fair chance to hear. */
#define LATE_NS (250 * KM_NS_PER_MS)

void km_h2_keepalive_init(struct km_h2 *h2, const struct km_h2_options *options)
{
    KM_ASSERT(options->keepalive_ms == 0 || options->clock != NULL);
    h2->keepalive.ms = options->keepalive_ms;
    h2->keepalive.timeout_ms = options->keepalive_timeout_ms;
    h2->keepalive.when = options->keepalive;
    h2->keepalive.heard_at = h2->now;
}

void km_h2_keepalive_busy(struct km_h2 *h2)
{
    if (h2->keepalive.ms > 0 && h2->keepalive.when == KM_H2_KEEPALIVE_STREAMS) {
        h2->keepalive.busy_at = km_clock_mono(h2->clock);
    }
}

km_ns km_h2_keepalive_until(const struct km_h2 *h2)
{
    const struct km_h2_silence *k = &h2->keepalive;
    if (k->ms == 0 || h2->preface_until != KM_NS_NEVER ||
        h2->life != KM_H2_LIVE) {
        return KM_NS_NEVER;
    }
    if (k->pinged_at != 0) {
        return km_ns_after_ms(k->pinged_at, k->timeout_ms);
    }
    if (k->when == KM_H2_KEEPALIVE_STREAMS && h2->stream_count == 0) {
        return KM_NS_NEVER;
    }
    km_ns since = k->busy_at > k->heard_at ? k->busy_at : k->heard_at;
    return km_ns_after_ms(since, k->ms);
}

/* Without memory for the PING it is tried again after another keepalive_ms. */
static void ping(struct km_h2 *h2)
{
    if (nghttp2_submit_ping(h2->ng, NGHTTP2_FLAG_NONE, NULL) == 0) {
        h2->keepalive.pinged_at = h2->now;
    } else {
        h2->keepalive.heard_at = h2->now;
    }
}

kama_status km_h2_keepalive_tick(struct km_h2 *h2)
{
    km_ns until = km_h2_keepalive_until(h2);
    if (h2->now < until) {
        return KAMA_OK;
    }
    if (h2->keepalive.pinged_at == 0) {
        ping(h2);
        return KAMA_OK;
    }
    if (h2->now - until > LATE_NS) {
        h2->keepalive.pinged_at = h2->now;
        return KAMA_OK;
    }
    return km_h2_fail(h2, KM_H2_WHY_SILENT, KAMA_ERR_DISCONNECTED);
}
