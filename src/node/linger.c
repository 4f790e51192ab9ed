/* SPDX-License-Identifier: MIT */
/* The time of the last peek grows while this waits, so that it looks again whenever it
 * wakes. Nobody signals the condition meanwhile. */
#include "node/linger.h"

#include "group/sync_apply.h"
#include "node/cluster_state.h"
#include "node/node.h"
#include "peers/peers.h"

static void count_members(void *arg, const struct km_peers_routing *routing)
{
    *(size_t *)arg = routing->view != NULL ? routing->view->count : 0;
}

static bool has_others(kama_node *node)
{
    size_t count = 0;
    if (node->cluster != NULL) {
        km_peers_routing(node->cluster->peers, count_members, &count);
    }
    return count > 1;
}

static bool has_synced_group(const kama_node *node)
{
    unsigned count = km_registry_count(&node->registry);
    for (unsigned i = 0; i < count; i++) {
        if (km_group_is_synced(km_registry_at(&node->registry, i))) {
            return true;
        }
    }
    return false;
}

/* Returns how long to stay, as far as is known now. */
static km_ns linger_until(kama_node *node, km_ns left_at, km_ns deadline)
{
    km_ns peeked_at = atomic_load(&node->services.peeked_at);
    km_ns until = km_ns_after_ms(left_at, KM_NODE_LINGER_MS);
    km_ns quiet = km_ns_after_ms(peeked_at, KM_NODE_LINGER_QUIET_MS);
    until = peeked_at != 0 && quiet > until ? quiet : until;
    return until < deadline ? until : deadline;
}

void km_node_linger(kama_node *node, km_ns left_at, km_ns deadline)
{
    if (!has_others(node) || !has_synced_group(node)) {
        return;
    }
    km_mutex_lock(&node->lock);
    for (;;) {
        km_ns until = linger_until(node, left_at, deadline);
        if (km_clock_mono(node->clock) >= until) {
            break;
        }
        (void)km_cond_wait_until(&node->drained_cond, &node->lock, until);
    }
    km_mutex_unlock(&node->lock);
}
