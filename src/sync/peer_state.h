/* SPDX-License-Identifier: MIT */
/*
 * How far a member has this node's mutations, in one word for people: for metrics, the
 * command line and the API.
 *
 *     in_sync    the stream stands, and nothing waits for longer than 500 ms
 *     lagging    the stream stands, and something does
 *     gapped     the member is told that it has missed mutations for good, and has not
 *                acknowledged that yet: it may still show what they have changed
 *     down       no stream stands, and nothing waits for longer than sync_timeout
 *     unsynced   something does, whether a stream stands or not
 *
 * A mutation waits from when it has begun until the member has acknowledged it.
 *
 * Threads: the sync loop; the names: any. Errors: none. Ownership: the names are
 * constant. Cost: the lock of the log.
 */
#pragma once

#include <stdint.h>

struct km_sync_out;

enum km_sync_peer_state {
    KM_SYNC_PEER_IN_SYNC,
    KM_SYNC_PEER_LAGGING,
    KM_SYNC_PEER_UNSYNCED,
    KM_SYNC_PEER_GAPPED,
    KM_SYNC_PEER_DOWN
};

/* Returns the state of a member. seq: of the newest mutation of this node. */
enum km_sync_peer_state km_sync_peer_state_of(const struct km_sync_out *out,
                                              uint64_t seq);
/* Returns "in_sync", "lagging", "unsynced", "gapped" or "down". */
const char *km_sync_peer_state_name(enum km_sync_peer_state state);
