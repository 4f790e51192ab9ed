/* SPDX-License-Identifier: MIT */
/*
 * The inside of kama_node: a server of groups, put together from loops, one
 * pool for loads, one gRPC server with the services, and a registry of groups.
 * This folder makes the parts, tells them of each other, and ends them in the
 * right order.
 *
 *            start           ready            stop
 *     NEW --------> STARTING -----> RUNNING --------> DRAINING
 *      ^             |    |                            ^    |
 *      |   failed    |    |   it could not join, or    |    | no client is left
 *      +-------------+    |   start_timeout_ms over    |    v
 *      |                  +----------------------------+  CLIENTS_GONE
 *      |                                                    |
 *      |                                    no call runs    |
 *      +-------- a start that was undone ------- DRAINED <--+
 *                                  the loops are freed |
 *                                         STOPPED <----+
 *
 * The groups and the pool live from kama_node_new to kama_node_free; the loops
 * and the server live from STARTING to DRAINED, and so does the membership in a
 * cluster (cluster.h). In between they end in this
 * order: the calls, the answers of pool threads that are under way, the loops,
 * the server. In kama_node_free the groups end first, then the pool that their
 * loads run on, and then the logs of the groups, to which the pool's threads
 * may still tell the end of a load.
 *
 * Threads: as the public calls. The lock guards the state, and adding to the
 * registry; looking a group up needs no lock.
 * Errors: those of the public calls.
 * Ownership: the node owns all of its parts.
 */
#pragma once

#include "base/pool.h"
#include "base/snapshot.h"
#include "base/sync.h"
#include "group/metrics.h"
#include "group/registry.h"
#include "net/loop.h"
#include "net/pulse.h"
#include "node/cluster.h"
#include "node/keeper.h"
#include "node/node_options.h"
#include "rpc/server.h"
#include "services/env.h"

enum km_node_state {
    KM_NODE_NEW,
    KM_NODE_STARTING,
    KM_NODE_RUNNING,
    KM_NODE_DRAINING,
    KM_NODE_CLIENTS_GONE,
    KM_NODE_DRAINED,
    KM_NODE_STOPPED
};

struct kama_node {
    struct km_metrics_source metrics; /* the first member */
    kama_allocator mem;
    const struct km_clock *clock;
    struct km_node_config config;
    struct km_pool *pool;
    struct km_registry registry;
    struct km_service_env services;
    struct km_cluster *cluster;     /* NULL: the node is alone, or has not
                                     * started yet */
    struct km_snapshot cluster_now; /* the cluster, while it can be asked */
    struct km_sync_log *sync_log;   /* NULL: the node is alone */
    struct km_sync_feed *sync_feed; /* likewise */
    _Atomic uint64_t adoption;      /* that the groups have adopted, in this
                                     * cluster or an earlier one; written under
                                     * `lock` */
    struct km_loop **loops;
    unsigned loop_count;     /* of loops that were started */
    struct km_pulse pulse;   /* of all loops, the control loop as well */
    struct km_beat *beats;   /* one for each of `loops` */
    struct km_keeper keeper; /* on the first of `loops` */
    char address[80];        /* with the real port; "" before the start; written
                            * under `lock` */
    char *admin;             /* the address of the admin port; NULL: none */
    char http1_hint[400];    /* which names it */

    struct km_mutex lock; /* of all members below, and of adding groups */
    struct km_cond drained_cond;
    enum km_node_state state;
    struct km_server *server;   /* NULL unless RUNNING */
    bool start_cancelled;       /* a stop has come while it was STARTING */
    struct km_cluster *joining; /* whose start is waited for; NULL: none */
    struct km_list group_logs;  /* of km_group_log.in_node */
    unsigned cut;               /* how many calls the drains have cut off */
};

/* Copies the address that the node listens on, "" before that. Any thread, also
 * while the node starts. */
void km_node_copy_address(const kama_node *node, char *text, size_t cap);
/* Returns whether the calling thread is one of the node's, for which a wait on
 * the node would have no end. */
bool km_node_is_own_thread(const kama_node *node);
