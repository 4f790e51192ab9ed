/* SPDX-License-Identifier: MIT */
/*
 * The streams of mutations as metrics, for services/metrics.h: the log of this node,
 * and for each other member what waits for it, what went to it and what came from it.
 *
 *     km_service_metrics_sync(&text, env);
 *
 * The first KM_METRIC_PEERS_MAX other members have their address as the label `peer`;
 * the counters of the others are summed as "other". A member without streams has no
 * samples.
 *
 * Threads: any thread. Cost: O(members). Errors: the text keeps them. Ownership:
 * everything is borrowed until the call returns.
 */
#pragma once

struct km_metric_text;
struct km_service_env;

void km_service_metrics_sync(struct km_metric_text *text,
                             struct km_service_env *env);
