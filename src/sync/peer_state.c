/* SPDX-License-Identifier: MIT */
#include "sync/peer_state.h"

#include "sync/sender.h"

enum km_sync_peer_state km_sync_peer_state_of(const struct km_sync_out *out,
                                              uint64_t seq)
{
    km_ns lag = km_sync_out_lag(out, seq);
    if (lag > out->member->sync->timeout) {
        return KM_SYNC_PEER_UNSYNCED;
    }
    if (out->state != KM_SYNC_OUT_LIVE) {
        return KM_SYNC_PEER_DOWN;
    }
    if (km_sync_out_is_gapped(out)) {
        return KM_SYNC_PEER_GAPPED;
    }
    return lag > KM_SYNC_LAGGING_MS * KM_NS_PER_MS ? KM_SYNC_PEER_LAGGING
                                                   : KM_SYNC_PEER_IN_SYNC;
}

const char *km_sync_peer_state_name(enum km_sync_peer_state state)
{
    static const char *const names[] = {
        [KM_SYNC_PEER_IN_SYNC] = "in_sync",
        [KM_SYNC_PEER_LAGGING] = "lagging",
        [KM_SYNC_PEER_UNSYNCED] = "unsynced",
        [KM_SYNC_PEER_GAPPED] = "gapped",
        [KM_SYNC_PEER_DOWN] = "down",
    };
    return names[state];
}
