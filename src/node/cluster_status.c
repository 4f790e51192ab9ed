/* SPDX-License-Identifier: MIT */
#include "node/cluster_status.h"

#include "base/text.h"
#include "node/node.h"
#include "services/cluster.h"

void km_cluster_touch(struct km_cluster *cluster)
{
    km_mutex_lock(&cluster->lock);
    cluster->version++;
    km_mutex_unlock(&cluster->lock);
    km_cluster_changed(&cluster->node->services);
}

void km_cluster_move(struct km_cluster *cluster, enum km_cluster_state to)
{
    km_mutex_lock(&cluster->lock);
    if (to > cluster->state) {
        cluster->state = to;
        km_cond_broadcast(&cluster->changed);
    }
    km_mutex_unlock(&cluster->lock);
}

void km_cluster_set_registration(struct km_cluster *cluster, const char *name)
{
    km_mutex_lock(&cluster->lock);
    cluster->registration = name;
    km_mutex_unlock(&cluster->lock);
    km_cluster_touch(cluster);
}

void km_cluster_cancel_start(struct km_cluster *cluster)
{
    km_cluster_fail_start(cluster, KAMA_ERR_CANCELLED,
                          "the node was stopped before it was ready");
}

void km_cluster_fail_start(struct km_cluster *cluster, kama_status status,
                           const char *text)
{
    km_mutex_lock(&cluster->lock);
    if (cluster->failure == KAMA_OK) {
        cluster->failure = status;
        (void)km_text_printf(cluster->failure_text,
                             sizeof cluster->failure_text, "%s", text);
        km_cond_broadcast(&cluster->changed);
    }
    km_mutex_unlock(&cluster->lock);
}
