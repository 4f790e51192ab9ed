/* SPDX-License-Identifier: MIT */
/*
 * The parts of a cluster, and the moment at which each is made.
 *
 *     control loop, transport, peers, etcd     when the server was made
 *     membership                               when it listens
 *
 * Threads: setup. Errors: KAMA_ERR_NO_MEMORY, KAMA_ERR_THREADS, KAMA_ERR_IO, and
 * KAMA_ERR_INVALID for addresses. Ownership: the cluster owns its parts.
 */
#pragma once

#include "node/cluster_state.h"

struct km_server;

/* Makes the parts and starts the control loop. On an error the parts that were
 * made are left for km_cluster_free_parts. */
KAMA_NODISCARD kama_status km_cluster_make_parts(struct km_cluster *cluster,
                                                 struct km_server *server);
/* Makes membership; the address of the server is known. */
KAMA_NODISCARD kama_status
km_cluster_make_membership(struct km_cluster *cluster);
/* Frees the parts that there are; the control loop does not run. */
void km_cluster_free_parts(struct km_cluster *cluster);
