/* SPDX-License-Identifier: MIT */
/*
 * The view and its members as metrics, for services/metrics.h: the other members by
 * state, the requests to each, and how long these took. The first
 * KM_METRIC_PEERS_MAX of them have their address as the label `peer`; the counters
 * of the others are summed as "other".
 *
 *     km_service_metrics_members(&text, env, &source);
 *
 * Threads: any thread. Cost: O(members), and 5 KiB of memory for each member that
 * has its name. Errors: the text keeps them. Ownership: everything is borrowed
 * until the call returns.
 */
#pragma once

#include "services/cluster.h"

struct km_metric_text;

void km_service_metrics_members(struct km_metric_text *text,
                                struct km_service_env *env,
                                const struct km_cluster_source *source);
