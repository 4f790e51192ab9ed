/* SPDX-License-Identifier: MIT */
/*
 * The state that a cluster shows, and for which the starting and the stopping thread
 * wait. All of it is under the lock of struct km_cluster.
 *
 * Threads: any thread, without a lock held. Errors: none. Ownership: texts are
 * static, or copied.
 */
#pragma once

#include "node/cluster_state.h"

/* Says that the shown state has changed. */
void km_cluster_touch(struct km_cluster *cluster);
/* Moves to a later state; an earlier one is ignored. */
void km_cluster_move(struct km_cluster *cluster, enum km_cluster_state to);
/* Shows another state of the registration. name: static. */
void km_cluster_set_registration(struct km_cluster *cluster, const char *name);
/* Ends the start, because the node is stopped. */
void km_cluster_cancel_start(struct km_cluster *cluster);
/* Ends the start with an error; only the first one counts. */
void km_cluster_fail_start(struct km_cluster *cluster, kama_status status,
                           const char *text);
