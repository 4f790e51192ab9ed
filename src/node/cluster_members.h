/* SPDX-License-Identifier: MIT */
/*
 * The events that membership tells a node: its registration, its lease, and the views that
 * the registry has.
 *
 * Threads: the control loop. Errors: a start that cannot succeed is failed.
 * Ownership: none.
 */
#pragma once

#include "membership/membership.h"

/* The table that membership is made with; its owner is the cluster. */
extern const struct km_membership_events km_cluster_membership_events;
