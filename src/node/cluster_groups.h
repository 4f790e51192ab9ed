/* SPDX-License-Identifier: MIT */
/*
 * The groups of a node in a cluster: their questions about owners, and the step
 * in which they adopt a view.
 *
 * A group is given the owner of its node (km_node_owner) when it is made, which
 * may be long before the node starts. Before the start and after the stop, a
 * node owns nothing and knows nobody: gets load here and are not kept,
 * mutations are KAMA_ERR_NOT_READY. In between, questions go to the peers.
 *
 *     group --> km_node_owner --snapshot--> peers, or nobody
 *
 * Threads: the functions of the owner any thread; the rest as it says.
 * Errors: none. Cost: a question costs one more snapshot (base/snapshot.h).
 */
#pragma once

#include "group/adopt.h"
#include "view/view.h"

#include <stdbool.h>

struct km_cluster;

/* Writes the owner that the groups of the node get; it has no ops if the node is
 * alone. */
void km_cluster_owner_of(kama_node *node, struct km_owner *ret_owner);

/* From now on the questions of groups go to the cluster's peers; and no more,
 * after which no thread is inside a question. Setup. */
void km_cluster_groups_open(struct km_cluster *cluster);
void km_cluster_groups_close(struct km_cluster *cluster);

/* Lets each group adopt, and begins to sweep them on the pool. Control loop. */
void km_cluster_groups_adopt(struct km_cluster *cluster, uint64_t adoption,
                             const struct km_slot_map *lost);
/* Sweeps the groups on the pool, and tells the peers when that is done. */
void km_cluster_sweep(struct km_cluster *cluster);
/* The peers have closed: ends the control loop, on it, if no job of the cluster runs. The
 * last job that ends calls this again. */
void km_cluster_look_end(struct km_cluster *cluster);
/* A group was added after the start. node->lock is held. */
void km_cluster_groups_added(struct km_cluster *cluster, kama_group *group);
/* Empties each group that is not synchronized. Control loop. */
void km_cluster_groups_forget(struct km_cluster *cluster);
