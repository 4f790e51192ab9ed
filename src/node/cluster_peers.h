/* SPDX-License-Identifier: MIT */
/*
 * Answers the questions that the methods of kama.peer.v1 (services/peer.h) have for
 * the peers and the streams of this node, and those that the peers have for the
 * streams: these folders do not know each other.
 *
 * Threads: any thread. Errors: as services/peer_source.h says. Ownership: none.
 */
#pragma once

#include "peers/peers.h"
#include "services/peer_source.h"

/* The functions; their `peers` is a struct km_cluster. */
extern const struct km_service_peer_ops km_cluster_peer_ops;

/* The table that the peers are made with; its `fence_arg` is a struct km_cluster. */
extern const struct km_peers_fence_ops km_cluster_fence_ops;
