/* SPDX-License-Identifier: MIT */
/*
 * The other members, as metrics show them: the first KM_METRIC_PEERS_MAX of them with
 * their address, and the counters of the rest summed as "other".
 *
 *     struct km_metrics_peers peers;
 *     size_t i = 0;
 *     size_t n = 0;
 *     km_metrics_peers_read(&peers, view);
 *     while ((member = km_metrics_peers_shown(&peers, &i, &n)) != NULL) {
 *         ... one sample, whose label is member->address ...
 *     }
 *
 * Threads: any thread. Cost: O(members). Errors: none. Ownership: the view is
 * borrowed.
 */
#pragma once

#include "services/cluster.h"

struct km_metrics_peers {
    const struct km_cluster_view *view;
    struct km_cluster_member others; /* the sums of those without a name */
    size_t named;                    /* so many have their address */
    size_t count;
};

void km_metrics_peers_read(struct km_metrics_peers *ret_peers,
                           const struct km_cluster_view *view);

/* Returns a member that is not this node, and moves *i behind it, or NULL. *i is 0 at
 * first. */
const struct km_cluster_member *km_metrics_peers_next(
    const struct km_cluster_view *view, size_t *i);

/* Moves to the next member that is shown: those with their address, and then the
 * sum of the others. *i and *n are 0 at first. */
const struct km_cluster_member *km_metrics_peers_shown(
    const struct km_metrics_peers *peers, size_t *i, size_t *n);
