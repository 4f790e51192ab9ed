/* SPDX-License-Identifier: MIT */
/*
 * Answers the questions that the methods of kama.peer.v1 (services/peer.h) have for
 * the peers of this node: the two folders do not know each other.
 *
 * Threads: any thread. Errors: as services/peer_source.h says. Ownership: none.
 */
#pragma once

#include "services/peer_source.h"

/* The functions; their `peers` is a struct km_peers. */
extern const struct km_service_peer_ops km_cluster_peer_ops;
