/* SPDX-License-Identifier: MIT */
/*
 * The synchronized groups of a node: what they ask of it (group/sync.h), and the log
 * of their mutations.
 *
 *     group --> km_node_group_sync --snapshot--> the cluster's role and origins
 *                      |
 *                      +--> node->sync_log, which lives as long as the node
 *
 * Groups exist before the start and after the stop, so the log belongs to the node, and
 * the questions go through the snapshot of its cluster, like those about owners
 * (cluster_groups.h). A mutation runs inside a section of the snapshot; so a stop can
 * wait for those that have begun (km_cluster_sync_retire).
 *
 * Threads: any. Errors: KAMA_ERR_NO_MEMORY from km_node_sync_log_new. Ownership: the
 * node owns the log. Cost: a snapshot for each question.
 */
#pragma once

#include "group/sync.h"

#include <kamacache/kamacache.h>

/* Makes the log of a node with etcd; without, it stays NULL. */
KAMA_NODISCARD kama_status km_node_sync_log_new(kama_node *node);

/* Writes what groups are given; it has no ops if the node is alone. */
void km_node_group_sync_of(kama_node *node, struct km_group_sync *ret_sync);

/* R6 of all synchronized groups, after merging hlc. */
void km_node_invalidate_all(kama_node *node, uint64_t hlc);
/* R14. The last mutations of a member may be missing: R6 of the groups that can load
 * their values again, and of those that have promised that nothing is undone (sync_ack
 * one and all). In the others, what only that member has deleted stays. */
void km_node_invalidate_lost(kama_node *node, uint64_t hlc);
