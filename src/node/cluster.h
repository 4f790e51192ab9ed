/* SPDX-License-Identifier: MIT */
/*
 * The part of a node that makes it a member of a cluster: it puts membership,
 * peers and etcd together on a loop of their own, the control loop, and leads
 * the node through its start and its stop.
 *
 *     km_cluster_open(node, server, &cluster)   the server does not listen yet
 *     km_cluster_start(cluster)             the server listens: register
 *     km_cluster_wait_start(cluster)        ready, or why not
 *     ...
 *     km_cluster_leave(cluster)             others take the keys over
 *     km_cluster_refuse_streams(cluster)    while the server drains
 *     km_cluster_say_goodbye(cluster)       the server has drained
 *     km_cluster_close(cluster)             goodbye; the control loop ends
 *     km_cluster_free(cluster)              with the node
 *
 *     etcd --> membership --view--> peers --adopted--> groups (cluster_groups.h)
 *                  ^                  |
 *                  +-- unknown view --+
 *
 * The steps of the start (cluster_steps.h) decide when the node is ready.
 *
 * Threads: open, close and free are setup; start, wait_start and leave are
 * called by the thread that starts or stops the node. Events of
 * membership and peers run on the control loop.
 * Errors: those of kama_node_start, with a sentence.
 * Ownership: the cluster belongs to the node. It is freed with the node and not
 * before, because groups may still give back the peers of old answers.
 * Cost: one thread, two connections to etcd, one to each member.
 */
#pragma once

#include "base/clock.h"

#include <kamacache/kamacache.h>
#include <stdbool.h>

struct km_cluster;
struct km_server;

/* Makes the parts and starts the control loop. On an error nothing is left. */
KAMA_NODISCARD kama_status km_cluster_open(kama_node *node,
                                           struct km_server *server,
                                           struct km_cluster **ret_cluster);
/* Begins to register. The server listens already. Errors: KAMA_ERR_INVALID (the
 * advertised address), KAMA_ERR_NO_MEMORY. */
KAMA_NODISCARD kama_status km_cluster_start(struct km_cluster *cluster);
/* Waits until the node is ready, or the start has failed, or start_timeout_ms is
 * over. Without require_discovery the last one is a success: the node serves
 * alone until the registry can be reached. */
KAMA_NODISCARD kama_status km_cluster_wait_start(struct km_cluster *cluster);
/* Says goodbye to the members, and waits until they have taken over, at most
 * KM_CLUSTER_LEAVE_MS. */
void km_cluster_leave(struct km_cluster *cluster);
/* Ends the streams of mutations of other nodes, which the drain of the server would
 * wait for. */
void km_cluster_refuse_streams(struct km_cluster *cluster);
/* From now on mutations of synchronized groups run at the owners. Sends the members the
 * last ones of this node, and says on its streams that there are no more, until
 * `deadline`. The server has drained. */
void km_cluster_say_goodbye(struct km_cluster *cluster, km_ns deadline);
/* Revokes the lease, ends all requests to peers and the control loop. The loops
 * of the node must still run. */
void km_cluster_close(struct km_cluster *cluster);
/* Returns whether the calling thread is the control loop's. */
bool km_cluster_is_inside(const struct km_cluster *cluster);
/* Frees the cluster, after close. No group may use it any more. */
void km_cluster_free(struct km_cluster *cluster);
