/* SPDX-License-Identifier: MIT */
/*
 * The log of a node's mutations, as services/cluster.h shows it.
 *
 *     km_cluster_log_show(node->sync_log, node->clock, &shown);
 *     km_cluster_log_find(node->sync_log, node->clock, "users", key, &record);
 *
 * Threads: any thread. Errors: none. Ownership: everything is borrowed. Cost: O(1), and
 * O(log) for a key, during which mutations wait.
 */
#pragma once

#include "base/clock.h"
#include "services/cluster.h"

struct km_sync_log;

/* log: NULL if the node has none. */
void km_cluster_log_show(struct km_sync_log *log, const struct km_clock *clock,
                         struct km_cluster_log *ret_log);
void km_cluster_log_find(struct km_sync_log *log, const struct km_clock *clock,
                         const char *group, kama_bytes key,
                         struct km_cluster_record *ret_record);
