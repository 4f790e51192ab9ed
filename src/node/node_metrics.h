/* SPDX-License-Identifier: MIT */
/*
 * The metrics of a node: those of its groups, of its server, of its cluster and of
 * the process, in one text.
 *
 *     status = km_node_metrics_append(node, KM_METRIC_OPENMETRICS, &buf);
 *
 * Threads: any thread, in any state of the node. While the node does not run, it has
 * no figures of its server. Cost: see services/metrics.h and group/metrics.h; the
 * lock of the node is held while the figures of the server are read. Errors:
 * KAMA_ERR_NO_MEMORY, and KAMA_ERR_TOO_LARGE if the buffer has a bound. The buffer
 * has a part of the text then. Ownership: everything is borrowed.
 */
#pragma once

#include "base/metric_text.h"

/* Appends the families of a node: the function of its struct km_metrics_source. */
void km_node_metrics_write(kama_node *node, struct km_metric_text *text);

/* Appends a whole text to buf. */
KAMA_NODISCARD kama_status km_node_metrics_append(kama_node *node,
                                                  enum km_metric_format format,
                                                  struct km_buf *buf);
