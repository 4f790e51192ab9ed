/* SPDX-License-Identifier: MIT */
/*
 * The answers of a node in a cluster about itself and the others: the source of the
 * methods of kama.v2 and of the public functions (services/cluster.h).
 *
 * Threads: any thread. Errors: none; without memory a list is shown empty.
 * Cost: O(members).
 */
#pragma once

#include "services/cluster.h"

/* The functions; their `cluster` is a struct km_cluster. */
extern const struct km_cluster_ops km_cluster_source_ops;
