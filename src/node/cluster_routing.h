/* SPDX-License-Identifier: MIT */
/*
 * The events that the peers of a node tell it: views that were adopted, members that answer
 * or do not, and how far the turn of a view is.
 *
 * Threads: the control loop. Errors: none. Ownership: views are borrowed.
 */
#pragma once

#include "peers/peers.h"

struct km_cluster;

/* The table that the peers are made with; its owner is the cluster. */
extern const struct km_peers_events km_cluster_peers_events;

/* Looks how this node stands in the adopted view, which decides what comes next
 * in its start and its stop. */
void km_cluster_follow_self(struct km_cluster *cluster);
/* Refuses mutations while this node can be sure of nothing: its lease may have
 * expired, and no member answers. */
void km_cluster_look_mutable(struct km_cluster *cluster);
