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
#include "rpc/server.h"
#include "services/env.h"

enum km_node_state {
    KM_NODE_NEW,
    KM_NODE_STARTING,
    KM_NODE_RUNNING,
    KM_NODE_DRAINING,
    KM_NODE_STOPPED
};

/* What a node was told, checked and completed; texts are owned. */
struct km_node_config {
    char *listen;
    char *service;
    unsigned threads;
    unsigned max_connections;
    int64_t start_timeout_ms;
    int64_t drain_timeout_ms;
    void (*event)(void *arg, const kama_node_event *event);
    void *event_arg;
    int event_level;
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

enum { KM_NODE_DEBUG, KM_NODE_INFO, KM_NODE_WARN, KM_NODE_ERROR };

/* Tells the node's event function, if the event's level is not too low; no lock
 * is held. */
void km_node_tell(const kama_node *node, const kama_node_event *event);

/* km_node_tell of an event about the node. */
void km_node_emit_event(const kama_node *node, int level, const char *name,
                        const char *fmt, ...) KAMA_PRINTF(4, 5);

/* Checks options, which may be of an older or newer size. Errors: as
 * kama_node_new. */
KAMA_NODISCARD kama_status
km_node_config_init(const kama_node_options *options,
                    struct km_node_config *ret_config, kama_allocator *ret_mem);
void km_node_config_fini(struct km_node_config *config,
                         const kama_allocator *mem);

/* Makes and starts loops, server and listener; on an error nothing is left of
 * them. */
KAMA_NODISCARD kama_status km_node_open(kama_node *node,
                                        struct km_server **ret_server);
/* Drains the server for at most timeout_ms, ends the loops and frees both.
 * Returns the number of calls that were cut off. */
unsigned km_node_close(kama_node *node, struct km_server *server,
                       int64_t timeout_ms);
