/* SPDX-License-Identifier: MIT */
#include "node/cluster_parts.h"

#include "base/hash.h"
#include "node/cluster_env.h"
#include "node/cluster_members.h"
#include "node/cluster_peers.h"
#include "node/cluster_routing.h"
#include "node/node.h"
#include "node/node_event.h"
#include "rpc/server_loop.h"

#include <stdlib.h>

/* The port of "host:port". */
static uint16_t port_of(const char *address)
{
    const char *colon = strrchr(address, ':');
    return colon != NULL ? (uint16_t)strtoul(colon + 1, NULL, 10) : 0;
}

/* The address that is advertised: the configured one, or the one that the node
 * listens on. One that stands for all addresses is left to membership, which
 * takes this machine's address on the connection to etcd. */
static kama_status advertised(const kama_node *node, char *ret_text,
                              const char **ret_address)
{
    const struct km_node_cluster_config *config = &node->config.cluster;
    const char *text =
        config->advertise != NULL ? config->advertise : node->address;
    kama_status status = km_member_address(text, ret_text);
    if (status != KAMA_OK && config->advertise == NULL) {
        *ret_address = NULL;
        return KAMA_OK;
    }
    *ret_address = ret_text;
    return status;
}

/* A port that was given as 0 is known when the server listens. */
kama_status km_cluster_make_membership(struct km_cluster *cluster)
{
    const kama_node *node = cluster->node;
    const struct km_node_cluster_config *config = &node->config.cluster;
    char text[KM_MEMBER_ADDRESS_BYTES];
    const char *address;
    kama_status status = advertised(node, text, &address);
    if (status != KAMA_OK) {
        return status;
    }
    km_node_tell_member(
        node, KM_NODE_INFO, "etcd", NULL, 0,
        "joining the cluster %s of the service %s by etcd at %s", config->name,
        node->config.service, config->etcd);
    struct km_membership_options options = {
        .mem = &node->mem,
        .env = km_cluster_env_of(cluster->control),
        .registry_ops = &km_etcd_ops,
        .registry = cluster->etcd,
        .events = &km_cluster_membership_events,
        .owner = cluster,
        .cluster = config->name,
        .service = node->config.service,
        .address = address,
        .port = port_of(node->address),
        .admin = node->admin,
        .labels = config->labels.items,
        .label_count = config->labels.count,
        .weight = config->weight,
        .nonce = cluster->nonce,
    };
    return km_membership_new(&options, &cluster->membership);
}

static kama_status make_etcd(struct km_cluster *cluster)
{
    const kama_node *node = cluster->node;
    const struct km_etcd_options options = {
        .mem = &node->mem,
        .clock = node->clock,
        .endpoints = node->config.cluster.etcd,
        .user = node->config.cluster.etcd_user,
        .password = node->config.cluster.etcd_password,
    };
    return km_etcd_new(cluster->control, &options, &cluster->etcd);
}

static kama_status make_peers(struct km_cluster *cluster)
{
    kama_node *node = cluster->node;
    const struct km_peers_options options = {
        .mem = &node->mem,
        .transport = km_node_transport_of(cluster->transport),
        .events = &km_cluster_peers_events,
        .owner = cluster,
        .cluster = node->config.cluster.name,
        .service = node->config.service,
        .nonce = cluster->nonce,
        .adoption = atomic_load(&node->adoption),
        .fence = &km_cluster_fence_ops,
        .fence_arg = cluster,
    };
    return km_peers_new(&options, &cluster->peers);
}

/* Lane 0 is the control loop, the others are the loops of the server, whose
 * caches their channels share. */
static kama_status make_transport(struct km_cluster *cluster,
                                  struct km_server *server)
{
    kama_node *node = cluster->node;
    unsigned count = node->loop_count + 1;
    struct km_loop **loops = km_mem_zalloc(&node->mem, count, sizeof *loops);
    struct km_h2_loop_cache **caches =
        km_mem_zalloc(&node->mem, count, sizeof *caches);
    kama_status status = KAMA_ERR_NO_MEMORY;
    if (loops != NULL && caches != NULL) {
        loops[0] = cluster->control;
        for (unsigned i = 1; i < count; i++) {
            loops[i] = node->loops[i - 1];
            caches[i] = km_server_loop_cache(server, i - 1);
        }
        const struct km_node_transport_options options = {
            .mem = &node->mem,
            .clock = node->clock,
            .loops = loops,
            .caches = caches,
            .loop_count = count,
            .pool = node->pool,
            .max_message_bytes =
                KM_VALUE_BYTES_CLUSTER_MAX + KM_RPC_MESSAGE_SLACK_BYTES,
        };
        status = km_node_transport_new(&options, &cluster->transport);
    }
    km_mem_free(&node->mem, loops);
    km_mem_free(&node->mem, caches);
    return status;
}

kama_status km_cluster_make_parts(struct km_cluster *cluster,
                                  struct km_server *server)
{
    kama_node *node = cluster->node;
    kama_status status = km_loop_new(&node->mem, node->clock, node->loop_count,
                                     &cluster->control);
    if (status == KAMA_OK) {
        status = make_transport(cluster, server);
    }
    if (status == KAMA_OK) {
        status = make_peers(cluster);
    }
    if (status == KAMA_OK) {
        status = make_etcd(cluster);
    }
    if (status == KAMA_OK) {
        status = km_cluster_sync_new(cluster, &cluster->sync);
    }
    if (status == KAMA_OK) {
        status = km_cluster_sync_start(cluster->sync);
    }
    if (status == KAMA_OK) {
        status = km_loop_start(cluster->control);
    }
    if (status == KAMA_OK) {
        km_pulse_add(&node->pulse, &cluster->beat, cluster->control,
                     "control loop");
    }
    return status;
}

/* The sync loop runs already if the control loop could not be started. */
static void free_sync(struct km_cluster_sync *sync)
{
    if (sync != NULL) {
        km_cluster_sync_close(sync);
        km_cluster_sync_free(sync);
    }
}

void km_cluster_free_parts(struct km_cluster *cluster)
{
    free_sync(cluster->sync);
    km_membership_free(cluster->membership);
    km_etcd_free(cluster->etcd);
    km_peers_free(cluster->peers);
    km_node_transport_free(cluster->transport);
    km_loop_free(cluster->control);
    km_view_unref(cluster->view);
}
