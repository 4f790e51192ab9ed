/* SPDX-License-Identifier: MIT */
/*
 * What the methods that show the cluster (Node, Members, WatchMembers, Owner)
 * and those of kama.peer.v1 ask of the node. node/ fills the tables in; a node
 * alone has none, and answers as a cluster of itself.
 *
 * Threads: any thread; the functions do not block. Ownership: texts are
 * borrowed until the callback returns. Errors: none.
 */
#pragma once

#include <kamacache/kamacache.h>
#include <stdbool.h>

/* A member, as it is shown. */
struct km_cluster_member {
    const char *address;
    const char *admin;
    const char *version;
    uint8_t id[16];
    int state; /* enum km_member_state */
    const char *const *labels;
    size_t label_count;
    uint32_t weight;
    uint32_t share_ppm;
    bool self;
    /* How this node reaches it: "self", "up", "unknown", "unreachable" or
     * "refused". */
    const char *reach;
    uint64_t latency_ns;
    uint64_t since_ms; /* how long it has been so */
};

struct km_cluster_view {
    const char *cluster;
    const char *service;
    uint64_t view_id;
    bool settled;
    bool registry_up;
    const struct km_cluster_member *members; /* sorted by address */
    size_t count;
};

/* The node itself, as it is shown. */
struct km_cluster_node {
    const char *listen;
    const char *advertise;
    const char *cluster;
    const char *service;
    const char *etcd; /* the endpoints, "" if there are none */
    uint8_t id[16];
    int64_t lease_id;
    const char *registration; /* "none", "joining", "active", "leaving",
                               * "lost" */
    uint32_t peer_count;
    bool ready;
    const char *const *missing; /* steps that are missing */
    size_t missing_count;
    const char *degraded; /* "" or a reason, for example "lease" */
};

struct km_cluster_owner_info {
    const char *const *addresses; /* the owner first */
    size_t count;
    uint8_t owner_id[16];
    uint32_t slot;
    uint64_t view_id;
    bool self;
};

struct km_cluster_ops {
    /* Call cb once, before they return. */
    void (*view)(void *cluster,
                 void (*cb)(void *arg, const struct km_cluster_view *view),
                 void *arg);
    void (*node)(void *cluster,
                 void (*cb)(void *arg, const struct km_cluster_node *node),
                 void *arg);
    void (*owner)(void *cluster, const char *group, kama_bytes key,
                  void (*cb)(void *arg,
                             const struct km_cluster_owner_info *info),
                  void *arg);
    /* A number that grows with each change of `view`, for WatchMembers. */
    uint64_t (*version)(void *cluster);
};

struct km_cluster_source {
    const struct km_cluster_ops *ops; /* NULL: the node is alone */
    void *arg;
};
