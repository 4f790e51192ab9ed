/* SPDX-License-Identifier: MIT */
/*
 * The figures of a node as metrics (base/metric_text.h), beside those of its groups
 * (group/metrics.h):
 *
 *     km_service_metrics_server(&text, server);    while the server exists
 *     km_service_metrics_cluster(&text, env);
 *     km_service_metrics_process(&text, env);
 *
 * The server: the rows of its table, and the calls of each method by code and by
 * time, with the names that the gRPC servers of Go and Java use, so that dashboards
 * for these work. Codes and methods that have not occurred are left out.
 *
 * The cluster: whether the node is ready, its lease and its view, the other members
 * by state, what was asked of each and how long that took, and the rows of its
 * table. A node that is in no cluster has the first of these only. The first
 * KM_METRIC_PEERS_MAX other members have their address as the label `peer`; the
 * counters of the others are summed as "other".
 *
 * The process: `process_*` with the names that the client libraries of
 * Prometheus use, and the version of the library.
 *
 * The streams of mutations (services/metrics_sync.h) belong to the cluster.
 *
 * Threads: any thread. Cost: O(members + methods), two readings of files, and 5 KiB
 * of memory for each member that has its name, at most 333 KiB. Errors: the text
 * keeps them. Ownership: everything is borrowed until the call returns.
 */
#pragma once

struct km_metric_text;
struct km_server;
struct km_service_env;

void km_service_metrics_server(struct km_metric_text *text,
                               struct km_server *server);
void km_service_metrics_cluster(struct km_metric_text *text,
                                struct km_service_env *env);
void km_service_metrics_process(struct km_metric_text *text,
                                const struct km_service_env *env);
