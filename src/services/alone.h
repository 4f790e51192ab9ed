/* SPDX-License-Identifier: MIT */
/*
 * A node alone, shown as a cluster of itself: it is its only member, it is
 * active while it serves, and it owns every key.
 *
 *     phase of the node    members          missing   registration
 *     STARTING             none             listen    none
 *     SERVING              itself, active   none      none
 *     CLOSING              itself, leaving  listen    none
 *
 * Its id is random and new for each node. Its view id is a hash of (address, id,
 * state, weight), so that it changes when those do.
 *
 * Threads: any thread. Errors: none. Cost: O(1).
 * Ownership: the texts of km_alone are borrowed as long as the environment
 * lives; `address` is read only after the node has begun to serve.
 */
#pragma once

#include "services/cluster.h"

/* The facts about a node alone that its options say. */
struct km_alone {
    const char *address;   /* that it listens on */
    const char *advertise; /* NULL: the address */
    const char *admin;     /* of the admin port; NULL: none */
    const char *cluster;
    const char *const *labels;
    size_t label_count;
    uint32_t weight;
    uint8_t id[KM_MEMBER_ID_BYTES];
};

/* The defaults: no address, the cluster "default", the weight 1, a new id. */
void km_alone_init(struct km_alone *alone);

/* What the functions of km_cluster_ops say of a node alone. */
void km_alone_view(struct km_service_env *env, km_cluster_view_fn cb,
                   void *arg);
void km_alone_node(struct km_service_env *env, km_cluster_node_fn cb,
                   void *arg);
void km_alone_owner(struct km_service_env *env, const char *group,
                    kama_bytes key, km_cluster_owner_fn cb, void *arg);
uint64_t km_alone_version(struct km_service_env *env);
