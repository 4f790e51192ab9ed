/* SPDX-License-Identifier: MIT */
/* The server is freed after the stop has taken it from the node, under the lock of
 * the node; so its figures are read under that lock. */
#include "node/node_metrics.h"

#include "node/node.h"
#include "services/metrics.h"

/* kama_metrics_write asks a node through its first member. */
_Static_assert(offsetof(struct kama_node, metrics) == 0,
               "the first member of a node is its source of metrics");

void km_node_metrics_write(kama_node *node, struct km_metric_text *text)
{
    km_group_metrics_write_all(text, &node->registry);
    km_mutex_lock(&node->lock);
    if (node->server != NULL) {
        km_service_metrics_server(text, node->server);
    }
    km_mutex_unlock(&node->lock);
    km_service_metrics_cluster(text, &node->services);
    km_service_metrics_process(text, &node->services);
}

kama_status km_node_metrics_append(kama_node *node,
                                   enum km_metric_format format,
                                   struct km_buf *buf)
{
    struct km_metric_text text;
    km_metric_text_init(&text, buf, format);
    km_node_metrics_write(node, &text);
    return km_metric_text_end(&text);
}
