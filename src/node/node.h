/* SPDX-License-Identifier: MIT */
/*
 * The inside of kama_node: a server of groups, put together from N loops, one
 * pool for loads, one gRPC server with the services, and a registry.
 *
 *   NEW --start--> STARTING --ready--> RUNNING --stop--> DRAINING --> STOPPED
 *    ^                 |
 *    +---- failed -----+
 *
 * Groups and pool live from kama_node_new to kama_node_free; loops and server
 * from start to stop.
 * Thread-safety: as the public calls; the state is under the lock.
 */
#pragma once

#include "base/pool.h"
#include "base/sync.h"
#include "group/registry.h"
#include "net/loop.h"
#include "node/node_options.h"
#include "rpc/server.h"
#include "services/env.h"

enum km_node_state {
    KM_NODE_NEW,
    KM_NODE_STARTING,
    KM_NODE_RUNNING,
    KM_NODE_DRAINING,
    KM_NODE_STOPPED
};

struct kama_node {
    kama_allocator mem;
    const struct km_clock *clock;
    struct km_node_config config;
    struct km_pool *pool;
    struct km_registry registry;
    struct km_service_env services;
    struct km_list group_logs; /* under the lock */
    struct km_loop **loops;
    unsigned loop_count; /* started ones */
    char address[80];    /* with the port it got; "" before the start */

    struct km_mutex lock; /* the rest, and adding to the registry */
    struct km_cond drained_cond;
    enum km_node_state state;
    struct km_server *server; /* while it runs */
    bool drained;
    unsigned cut; /* calls cut off by the drain */
};
