/* SPDX-License-Identifier: MIT */
#include "services/metrics_peers.h"

#include "base/limits.h"

const struct km_cluster_member *km_metrics_peers_next(
    const struct km_cluster_view *view, size_t *i)
{
    while (*i < view->count) {
        const struct km_cluster_member *member = &view->members[(*i)++];
        if (!member->self) {
            return member;
        }
    }
    return NULL;
}

static void add_peer(struct km_cluster_member *sum,
                     const struct km_cluster_member *member)
{
    const struct km_cluster_stream *from = &member->stream;
    struct km_cluster_stream *to = &sum->stream;
    sum->served += member->served;
    if (from->sync_state != NULL) {
        to->sync_state = "";
        to->sent += from->sent;
        to->received += from->received;
        to->duplicates += from->duplicates;
        to->bytes_sent += from->bytes_sent;
        to->bytes_received += from->bytes_received;
        to->gaps_sent += from->gaps_sent;
        to->gaps_received += from->gaps_received;
    }
}

void km_metrics_peers_read(struct km_metrics_peers *ret_peers,
                           const struct km_cluster_view *view)
{
    const struct km_cluster_member *member;
    size_t at = 0;
    *ret_peers =
        (struct km_metrics_peers){.view = view, .others = {.address = "other"}};
    while ((member = km_metrics_peers_next(view, &at)) != NULL) {
        if (ret_peers->count++ < KM_METRIC_PEERS_MAX) {
            ret_peers->named++;
        } else {
            add_peer(&ret_peers->others, member);
        }
    }
}

const struct km_cluster_member *km_metrics_peers_shown(
    const struct km_metrics_peers *peers, size_t *i, size_t *n)
{
    size_t index = (*n)++;
    if (index < peers->named) {
        return km_metrics_peers_next(peers->view, i);
    }
    return index == peers->named && peers->count > peers->named ? &peers->others
                                                                : NULL;
}
