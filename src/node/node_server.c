/* SPDX-License-Identifier: MIT */
/* The order in which the parts end is the point of this file; the reasons stand
 * at km_node_server_close. */
#include "node/node_server.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/status.h"
#include "node/cluster_peers.h"
#include "node/cluster_source.h"
#include "node/cluster_sync.h"
#include "node/linger.h"
#include "node/node.h"
#include "node/node_event.h"
#include "node/sync_feed.h"
#include "services/methods.h"

#include <stdio.h>

/* What a client that speaks HTTP/1.1 is told at the data port. */
static const char *write_hint(kama_node *node)
{
    if (node->admin == NULL) {
        return "This port speaks gRPC (HTTP/2 without upgrade); this node has "
               "no admin port for HTTP/1.1.";
    }
    snprintf(node->http1_hint, sizeof node->http1_hint,
             "This port speaks gRPC (HTTP/2 without upgrade); the admin port "
             "%s speaks HTTP/1.1.",
             node->admin);
    return node->http1_hint;
}

/* -- loops --------------------------------------------------------------- */

/* All loops are told to stop before the first is joined, so that they end at
 * the same time. */
static void stop_loops(kama_node *node)
{
    for (unsigned i = 0; i < node->loop_count; i++) {
        km_pulse_remove(&node->pulse, &node->beats[i]);
    }
    for (unsigned i = 0; i < node->loop_count; i++) {
        km_loop_stop(node->loops[i]);
    }
    for (unsigned i = 0; i < node->loop_count; i++) {
        km_loop_join(node->loops[i]);
    }
}

static void free_loops(kama_node *node)
{
    for (unsigned i = 0; i < node->loop_count; i++) {
        km_loop_free(node->loops[i]);
    }
    node->loop_count = 0;
    km_mem_free(&node->mem, node->loops);
    km_mem_free(&node->mem, node->beats);
    node->loops = NULL;
    node->beats = NULL;
}

/* Makes a loop and starts its thread. */
static kama_status start_loop(kama_node *node, unsigned index)
{
    struct km_loop *loop;
    kama_status status = km_loop_new(&node->mem, node->clock, index, &loop);
    if (status != KAMA_OK) {
        return status;
    }
    status = km_loop_start(loop);
    if (status != KAMA_OK) {
        km_loop_free(loop);
        return status;
    }
    KM_ASSERT(node->loop_count == index);
    char name[KM_PULSE_NAME_BYTES];
    snprintf(name, sizeof name, "loop %u", index);
    km_pulse_add(&node->pulse, &node->beats[index], loop, name);
    node->loops[node->loop_count++] = loop;
    return KAMA_OK;
}

static kama_status start_loops(kama_node *node)
{
    unsigned count = node->config.threads;
    node->loops = km_mem_zalloc(&node->mem, count, sizeof(struct km_loop *));
    node->beats = km_mem_zalloc(&node->mem, count, sizeof(struct km_beat));
    if (node->loops == NULL || node->beats == NULL) {
        free_loops(node);
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for a node");
    }
    kama_status status = KAMA_OK;
    for (unsigned i = 0; i < count && status == KAMA_OK; i++) {
        status = start_loop(node, i);
    }
    if (status != KAMA_OK) {
        stop_loops(node);
        free_loops(node);
        return status;
    }
    km_keeper_start(&node->keeper, node->loops[0]);
    return KAMA_OK;
}

/* -- server -------------------------------------------------------------- */

/* Runs on the thread of the connection's loop. arg: the environment of the
 * services, which is the `arg` of the server. */
static void on_abuse(void *arg, const char *peer, const char *text)
{
    struct km_service_env *services = arg;
    const kama_node *node = KM_CONTAINER_OF(services, kama_node, services);
    km_node_emit_event(node, KM_NODE_WARN, "abuse",
                       "closing the connection of %s, which passed a limit: %s",
                       peer, text);
}

static kama_status make_server(kama_node *node, struct km_server **ret_server)
{
    struct km_server_options options = {
        .mem = &node->mem,
        .clock = node->clock,
        .loops = node->loops,
        .loop_count = node->loop_count,
        .methods = km_service_methods,
        .method_count = km_service_method_count,
        .arg = &node->services,
        .max_message_bytes = KM_RPC_MESSAGE_BYTES_MIN,
        .max_connections = node->config.max_connections,
        .http1_hint = write_hint(node),
        .company = node->config.cluster.etcd != NULL ? KM_SERVER_AMONG_PEERS
                                                     : KM_SERVER_ALONE,
        .on_abuse = on_abuse,
    };
    return km_server_new(&options, ret_server);
}

/* Makes the cluster of a node that has one, and names it to the services, before
 * the first request can come. */
static kama_status open_cluster(kama_node *node, struct km_server *server)
{
    struct km_service_env *services = &node->services;
    if (node->config.cluster.etcd == NULL) {
        return KAMA_OK;
    }
    kama_status status = km_cluster_open(node, server, &node->cluster);
    if (status == KAMA_OK) {
        const struct km_cluster_source source = {&km_cluster_source_ops,
                                                 node->cluster};
        km_service_env_set_cluster(services, source);
        services->peers =
            (struct km_service_peers){&km_cluster_peer_ops, node->cluster};
        services->sync = km_cluster_sync_service(node->cluster);
        services->feed = (struct km_service_feed){&km_node_feed_ops, node};
    }
    return status;
}

static void close_cluster(kama_node *node)
{
    if (node->cluster != NULL) {
        km_cluster_close(node->cluster);
    }
}

kama_status km_node_server_open(kama_node *node, struct km_server **ret_server)
{
    struct km_server *server = NULL;
    const struct km_cluster *earlier = node->cluster; /* closed already */
    KM_ASSERT(node->loop_count == 0 && node->loops == NULL);
    kama_status status = start_loops(node);
    if (status != KAMA_OK) {
        return status;
    }
    status = make_server(node, &server);
    if (status == KAMA_OK) {
        status = open_cluster(node, server);
    }
    if (status == KAMA_OK) {
        km_service_env_open(&node->services, server);
        status = km_server_listen(server, node->config.listen);
    }
    if (status != KAMA_OK) {
        if (node->cluster != earlier) {
            close_cluster(node);
        }
        km_service_env_open(&node->services, NULL);
        stop_loops(node);
        km_server_free(server);
        free_loops(node);
        return status;
    }
    km_mutex_lock(&node->lock);
    snprintf(node->address, sizeof node->address, "%s",
             km_server_address(server));
    km_mutex_unlock(&node->lock);
    *ret_server = server;
    return KAMA_OK;
}

/* -- the end ------------------------------------------------------------- */

/* A step of the drain is over. Runs on the thread of a loop. */
static void end_step(kama_node *node, enum km_node_state from,
                     enum km_node_state to, unsigned cut)
{
    km_mutex_lock(&node->lock);
    KM_ASSERT(node->state == from);
    node->state = to;
    node->cut += cut;
    km_cond_signal(&node->drained_cond);
    km_mutex_unlock(&node->lock);
}

static void on_clients_gone(void *arg, unsigned cut)
{
    end_step(arg, KM_NODE_DRAINING, KM_NODE_CLIENTS_GONE, cut);
}

static void on_drained(void *arg, unsigned cut)
{
    end_step(arg, KM_NODE_CLIENTS_GONE, KM_NODE_DRAINED, cut);
}

/* Returns how many calls were cut off so far. */
static unsigned wait_for_step(kama_node *node, enum km_node_state state)
{
    km_mutex_lock(&node->lock);
    while (node->state != state) {
        km_cond_wait(&node->drained_cond, &node->lock);
    }
    unsigned cut = node->cut;
    km_mutex_unlock(&node->lock);
    return cut;
}

static int64_t ms_until(const kama_node *node, km_ns deadline)
{
    km_ns now = km_clock_mono(node->clock);
    return now < deadline ? (int64_t)((deadline - now) / KM_NS_PER_MS) : 0;
}

/* Clients go first, because their calls may need the peers of this node, and
 * the peers need it until it has told them that it goes. Both steps share one
 * timeout. The streams of other nodes would never end by themselves. */
static unsigned drain(kama_node *node, struct km_server *server, km_ns left_at,
                      km_ns deadline)
{
    km_server_drain_clients(server, ms_until(node, deadline), on_clients_gone,
                            node);
    (void)wait_for_step(node, KM_NODE_CLIENTS_GONE);
    km_node_linger(node, left_at, deadline);
    if (node->cluster != NULL) {
        km_cluster_refuse_streams(node->cluster);
    }
    km_server_drain(server, ms_until(node, deadline), on_drained, node);
    return wait_for_step(node, KM_NODE_DRAINED);
}

/*
 * Each step needs the one before it. The services close first, so that watches
 * and streams of reflection end and do not use up the time of the drain. When the
 * server has drained, no call runs, and nothing can be mutated here any more: the
 * goodbye of the streams is the last word. But an operation of a call that was cut off
 * may go on: a change waits for another view for as long as its client was
 * willing to, so the end of the cluster ends it. Another thread may still be about
 * to post the answer: the loops that receive such mails must be there until
 * km_service_env_settle has returned. The server is used by the threads of the
 * loops, and is freed when these have ended.
 */
unsigned km_node_server_close(kama_node *node, struct km_server *server,
                              int64_t timeout_ms)
{
    km_ns deadline = km_ns_after_ms(km_clock_mono(node->clock), timeout_ms);
    km_service_env_close(&node->services);
    if (node->cluster != NULL) {
        km_cluster_leave(node->cluster);
    }
    unsigned cut = drain(node, server, km_clock_mono(node->clock), deadline);
    if (node->cluster != NULL) {
        km_cluster_say_goodbye(node->cluster, deadline);
    }
    close_cluster(node);
    km_service_env_settle(&node->services);
    stop_loops(node);
    km_server_free(server);
    free_loops(node);
    KM_ASSERT(node->loop_count == 0 && node->loops == NULL);
    return cut;
}
