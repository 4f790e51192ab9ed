/* SPDX-License-Identifier: MIT */
/*
 * The public functions of a node: its life, its start and stop, and its groups.
 *
 * No event is told while the lock is held, because the event function may call
 * the node. The lock of a node is the first in the order of locks, so a group
 * may be made while it is held.
 */
#include "node/node.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/status.h"
#include "base/text.h"
#include "group/group.h"
#include "node/cluster_groups.h"
#include "node/cluster_status.h"
#include "node/group_log.h"
#include "node/group_sync.h"
#include "node/node_event.h"
#include "node/node_metrics.h"
#include "node/node_server.h"
#include "sync/feed.h"
#include "sync/log.h"
#include "view/member.h"

/* How many threads the pool may have before a group asks for more. They run the
 * callbacks of asynchronous calls. */
#define POOL_THREADS KM_ASYNC_THREADS_DEFAULT

/* -- life ---------------------------------------------------------------- */

/* Says how the node is shown while it has no cluster. */
static void describe_alone(kama_node *node)
{
    const struct km_node_cluster_config *cluster = &node->config.cluster;
    struct km_alone *alone = &node->services.alone;
    alone->address = node->address;
    alone->advertise = cluster->advertise;
    alone->cluster = cluster->name;
    alone->labels = cluster->labels.items;
    alone->label_count = cluster->labels.count;
    alone->weight = cluster->weight;
}

static kama_status init_parts(kama_node *node)
{
    if (!km_mutex_init(&node->lock, KM_RANK_NODE)) {
        return km_fail(KAMA_ERR_THREADS, "no resources for a lock");
    }
    kama_status status = km_fail(KAMA_ERR_THREADS, "no resources for a lock");
    if (!km_cond_init(&node->drained_cond)) {
        goto fail_cond;
    }
    if (!km_pulse_init(&node->pulse)) {
        goto fail_pulse;
    }
    status = km_registry_init(&node->registry, &node->mem);
    if (status != KAMA_OK) {
        goto fail_registry;
    }
    status = km_pool_new(&node->mem, node->clock, "kama-pool", POOL_THREADS,
                         &node->pool);
    if (status != KAMA_OK) {
        goto fail_pool;
    }
    status = km_service_env_init(&node->services, &node->mem, node->clock,
                                 &node->registry, node->config.service);
    if (status != KAMA_OK) {
        goto fail_services;
    }
    status = km_node_sync_log_new(node);
    if (status != KAMA_OK) {
        goto fail_log;
    }
    km_keeper_init(&node->keeper, node->clock, &node->registry);
    describe_alone(node);
    return KAMA_OK;

fail_log:
    km_service_env_fini(&node->services);
fail_services:
    km_pool_free(node->pool);
fail_pool:
    km_registry_fini(&node->registry);
fail_registry:
    km_pulse_fini(&node->pulse);
fail_pulse:
    km_cond_fini(&node->drained_cond);
fail_cond:
    km_mutex_fini(&node->lock);
    return status;
}

kama_status kama_node_new(const kama_node_options *options,
                          kama_node **ret_node)
{
    struct km_node_config config;
    kama_allocator mem;
    kama_status status = km_node_config_init(options, &config, &mem);
    if (status != KAMA_OK) {
        return status;
    }
    kama_node *node = km_mem_zalloc(&mem, 1, sizeof *node);
    if (node == NULL) {
        km_node_config_fini(&config, &mem);
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for a node");
    }
    node->mem = mem;
    node->metrics = (struct km_metrics_source){.mem = &node->mem,
                                               .write = km_node_metrics_write};
    node->config = config;
    node->clock = km_clock_system();
    km_list_init(&node->group_logs);
    km_snapshot_init(&node->cluster_now, NULL);
    status = init_parts(node);
    if (status != KAMA_OK) {
        km_node_config_fini(&node->config, &mem);
        km_mem_free(&mem, node);
        return status;
    }
    *ret_node = node;
    return KAMA_OK;
}

/* Runs after the pool was freed: until then one of its threads may still tell
 * that a load has ended. */
static void free_group_logs(kama_node *node)
{
    struct km_list *link;
    struct km_list *next;
    KM_LIST_FOREACH(link, next, &node->group_logs) {
        km_group_log_free(KM_CONTAINER_OF(link, struct km_group_log, in_node));
    }
}

void kama_node_free(kama_node *node)
{
    if (node == NULL || km_pool_is_forked(node->pool)) {
        return;
    }
    if (node->state == KM_NODE_RUNNING) {
        kama_status status = kama_node_stop(node);
        KM_ASSERT(status == KAMA_OK || status == KAMA_ERR_TIMEOUT);
    }
    KM_ASSERT(node->state == KM_NODE_NEW || node->state == KM_NODE_STOPPED);
    km_registry_fini(&node->registry);
    km_pool_free(node->pool);
    km_cluster_free(node->cluster);
    km_sync_feed_free(node->sync_feed);
    km_sync_log_free(node->sync_log);
    free_group_logs(node);
    km_service_env_fini(&node->services);
    km_pulse_fini(&node->pulse);
    km_cond_fini(&node->drained_cond);
    km_mutex_fini(&node->lock);
    kama_allocator mem = node->mem;
    km_node_config_fini(&node->config, &mem);
    km_mem_free(&mem, node->admin);
    km_mem_free(&mem, node);
}

/* -- start and stop ------------------------------------------------------ */

/* A child process has the memory of the node, and none of its threads. */
static kama_status fail_forked(void)
{
    return km_fail(KAMA_ERR_STATE,
                   "the node belongs to the parent process; a forked child "
                   "makes one of its own");
}

/* Moves the node to another state. Returns false, and changes nothing, if it is
 * not in the state `from`. */
static bool try_move(kama_node *node, enum km_node_state from,
                     enum km_node_state to)
{
    km_mutex_lock(&node->lock);
    bool moved = node->state == from;
    if (moved) {
        node->state = to;
    }
    km_mutex_unlock(&node->lock);
    return moved;
}

/* A move that no other thread can have made meanwhile. */
static void move(kama_node *node, enum km_node_state from,
                 enum km_node_state to)
{
    bool moved = try_move(node, from, to);
    KM_ASSERT(moved);
}

/* A message may be as large as the largest value of the group and some bytes
 * for the fields around it. */
static void allow_group(struct km_server *server, const kama_group *group)
{
    km_server_allow_message(server, km_group_max_value_bytes(group) +
                                        KM_RPC_MESSAGE_SLACK_BYTES);
}

/* From here on kama_node_add_group finds the server, and raises its limit of
 * messages itself. For groups that were added before, it is raised here. */
static void publish(kama_node *node, struct km_server *server)
{
    km_mutex_lock(&node->lock);
    KM_ASSERT(node->state == KM_NODE_STARTING && node->server == NULL);
    node->server = server;
    node->state = KM_NODE_RUNNING;
    for (unsigned i = 0; i < km_registry_count(&node->registry); i++) {
        allow_group(server, km_registry_at(&node->registry, i));
    }
    km_mutex_unlock(&node->lock);
}

/* From here on kama_node_stop can cancel the start. */
static void begin_waiting(kama_node *node)
{
    km_mutex_lock(&node->lock);
    node->joining = node->cluster;
    if (node->start_cancelled) {
        km_cluster_cancel_start(node->joining);
    }
    km_mutex_unlock(&node->lock);
}

static void end_waiting(kama_node *node)
{
    km_mutex_lock(&node->lock);
    node->joining = NULL;
    km_mutex_unlock(&node->lock);
}

/* Cancels the start of a node that is starting. Returns false if it is not. */
static bool cancel_start(kama_node *node)
{
    km_mutex_lock(&node->lock);
    bool starts = node->state == KM_NODE_STARTING;
    node->start_cancelled |= starts;
    if (node->joining != NULL) {
        km_cluster_cancel_start(node->joining);
    }
    km_mutex_unlock(&node->lock);
    return starts;
}

/* Joins the cluster, if the node has one. Its members may ask for values before
 * the node is ready. */
static kama_status join(kama_node *node, struct km_server *server)
{
    if (node->cluster == NULL) {
        return KAMA_OK;
    }
    for (unsigned i = 0; i < km_registry_count(&node->registry); i++) {
        allow_group(server, km_registry_at(&node->registry, i));
    }
    kama_status status = km_cluster_start(node->cluster);
    if (status == KAMA_OK) {
        begin_waiting(node);
        status = km_cluster_wait_start(node->cluster);
        end_waiting(node);
    }
    return status;
}

/* Ends a node that could not join: nothing is left running, and the start may be
 * repeated. */
static kama_status undo_start(kama_node *node, struct km_server *server,
                              kama_status status)
{
    char text[KM_ERROR_BYTES_MAX];
    (void)km_text_printf(text, sizeof text, "%s", km_last_error());
    move(node, KM_NODE_STARTING, KM_NODE_DRAINING);
    (void)km_node_server_close(node, server, 0);
    km_service_env_reopen(&node->services);
    km_mutex_lock(&node->lock);
    node->address[0] = '\0';
    node->start_cancelled = false;
    km_mutex_unlock(&node->lock);
    move(node, KM_NODE_DRAINED, KM_NODE_NEW);
    return km_fail(status, "%s", text);
}

/* Opens the server, and closes it again if that took longer than
 * start_timeout_ms. */
static kama_status open_in_time(kama_node *node, struct km_server **ret_server)
{
    struct km_server *server;
    km_ns deadline = km_ns_after_ms(km_clock_mono(node->clock),
                                    node->config.start_timeout_ms);
    kama_status status = km_node_server_open(node, &server);
    if (status != KAMA_OK) {
        move(node, KM_NODE_STARTING, KM_NODE_NEW);
        return status;
    }
    if (km_clock_mono(node->clock) > deadline) {
        status = km_fail(KAMA_ERR_TIMEOUT,
                         "start_timeout_ms: the node was not ready after %lld "
                         "ms",
                         (long long)node->config.start_timeout_ms);
        return undo_start(node, server, status);
    }
    *ret_server = server;
    return KAMA_OK;
}

kama_status kama_node_start(kama_node *node)
{
    struct km_server *server = NULL;
    if (km_pool_is_forked(node->pool)) {
        return fail_forked();
    }
    if (!try_move(node, KM_NODE_NEW, KM_NODE_STARTING)) {
        return km_fail(KAMA_ERR_STATE,
                       "the node was started before; a node starts once");
    }
    kama_status status = open_in_time(node, &server);
    if (status != KAMA_OK) {
        return status;
    }
    KM_ASSERT(node->address[0] != '\0');
    km_node_tell_member(node, KM_NODE_INFO, "listen", node->address, 0,
                        "listening on %s", node->address);
    status = join(node, server);
    if (status != KAMA_OK) {
        return undo_start(node, server, status);
    }
    publish(node, server);
    km_service_env_ready(&node->services);
    km_node_emit_event(node, KM_NODE_INFO, "ready",
                       "ready with %u groups on %u threads",
                       km_registry_count(&node->registry), node->loop_count);
    return KAMA_OK;
}

/* A thread of the node that waits for the drain would wait for itself. */
bool km_node_is_own_thread(const kama_node *node)
{
    for (unsigned i = 0; i < node->loop_count; i++) {
        if (km_loop_is_inside(node->loops[i])) {
            return true;
        }
    }
    return km_pool_is_inside(node->pool) ||
           (node->cluster != NULL && km_cluster_is_inside(node->cluster));
}

/* Takes the server away from kama_node_add_group, and returns it. Returns NULL
 * if the node is not running: of two threads that stop a node one gets the
 * server. */
static struct km_server *begin_drain(kama_node *node)
{
    km_mutex_lock(&node->lock);
    struct km_server *server = node->server;
    KM_ASSERT((server != NULL) == (node->state == KM_NODE_RUNNING));
    if (server != NULL) {
        node->server = NULL;
        node->state = KM_NODE_DRAINING;
    }
    km_mutex_unlock(&node->lock);
    return server;
}

kama_status kama_node_stop(kama_node *node)
{
    if (km_pool_is_forked(node->pool)) {
        return fail_forked();
    }
    if (cancel_start(node)) {
        return KAMA_OK;
    }
    if (km_node_is_own_thread(node)) {
        return km_fail(KAMA_ERR_WOULD_DEADLOCK,
                       "kama_node_stop was called on a thread of the node, for "
                       "which it would have to wait");
    }
    struct km_server *server = begin_drain(node);
    if (server == NULL) {
        return km_fail(KAMA_ERR_STATE, "the node is not running");
    }
    km_node_emit_event(node, KM_NODE_INFO, "drain",
                       "draining: running calls may take %lld ms more",
                       (long long)node->config.drain_timeout_ms);
    unsigned cut =
        km_node_server_close(node, server, node->config.drain_timeout_ms);
    move(node, KM_NODE_DRAINED, KM_NODE_STOPPED);
    if (cut > 0) {
        km_node_emit_event(node, KM_NODE_WARN, "cut",
                           "%u calls had not ended in time and were cut off",
                           cut);
    }
    km_node_emit_event(node, KM_NODE_INFO, "stopped", "stopped");
    return cut == 0 ? KAMA_OK
                    : km_fail(KAMA_ERR_TIMEOUT,
                              "%u calls had not ended in time and were cut off",
                              cut);
}

void km_node_copy_address(const kama_node *node, char *text, size_t cap)
{
    struct km_mutex *lock = &((kama_node *)node)->lock;
    km_mutex_lock(lock);
    (void)km_text_printf(text, cap, "%s", node->address);
    km_mutex_unlock(lock);
}

/* No lock is needed: the address is written once, before a start succeeds. */
const char *kama_node_address(const kama_node *node)
{
    return node->address[0] != '\0' ? node->address : NULL;
}

/* -- groups -------------------------------------------------------------- */

/* Whether a group can be added. On an error km_last_error says why. */
static kama_status may_add(const kama_node *node,
                           const kama_group_options *options)
{
    if (node->state >= KM_NODE_DRAINING) {
        return km_fail(KAMA_ERR_CLOSED, "the node is stopped or about to stop");
    }
    if (km_registry_count(&node->registry) == KM_GROUPS_MAX) {
        return km_fail(KAMA_ERR_TOO_LARGE,
                       "the node has %d groups already, which is the limit",
                       KM_GROUPS_MAX);
    }
    if (options != NULL && options->name != NULL &&
        km_registry_find(&node->registry, KAMA_STR(options->name)) != NULL) {
        return km_fail(KAMA_ERR_EXISTS,
                       "group %.*s: exists already on this node",
                       KM_TEXT_UP_TO(64, options->name));
    }
    return KAMA_OK;
}

/* Makes the group, with a log if the node has an event function. */
static kama_status make_group(kama_node *node,
                              const kama_group_options *options,
                              kama_group **ret_group)
{
    struct km_group_env env = {.clock = node->clock,
                               .pool = node->pool,
                               .address = km_member_address,
                               .keep_at = km_keeper_lend(&node->keeper)};
    km_cluster_owner_of(node, &env.owner);
    km_node_group_sync_of(node, &env.sync);
    struct km_group_log *log = NULL;
    if (node->config.event != NULL) {
        log = km_group_log_new(node);
        if (log == NULL) {
            return km_fail(KAMA_ERR_NO_MEMORY, "no memory for a group");
        }
        env.observer = &log->observer;
    }
    kama_status status = km_group_new(options, &env, ret_group);
    if (status != KAMA_OK) {
        km_group_log_free(log);
    } else if (log != NULL) {
        km_list_push_back(&node->group_logs, &log->in_node);
    }
    return status;
}

static kama_status add_locked(kama_node *node,
                              const kama_group_options *options,
                              kama_group **ret_group)
{
    KM_ASSERT_HELD(&node->lock);
    kama_status status = may_add(node, options);
    if (status == KAMA_OK) {
        status = make_group(node, options, ret_group);
    }
    if (status != KAMA_OK) {
        return status;
    }
    km_registry_add(&node->registry, *ret_group);
    KM_ASSERT(node->server == NULL || node->state == KM_NODE_RUNNING);
    if (node->server != NULL) {
        allow_group(node->server, *ret_group);
    }
    if (node->cluster != NULL) {
        km_cluster_groups_added(node->cluster, *ret_group);
    }
    return KAMA_OK;
}

kama_status kama_node_add_group(kama_node *node,
                                const kama_group_options *options,
                                kama_group **ret_group)
{
    kama_group *group;
    if (km_pool_is_forked(node->pool)) {
        return fail_forked();
    }
    km_mutex_lock(&node->lock);
    kama_status status = add_locked(node, options, &group);
    km_mutex_unlock(&node->lock);
    if (status != KAMA_OK) {
        return status;
    }
    km_node_emit_event(node, KM_NODE_INFO, "group", "group %s was added",
                       kama_group_name(group));
    if (ret_group != NULL) {
        *ret_group = group;
    }
    return KAMA_OK;
}

kama_group *kama_node_group(kama_node *node, const char *name)
{
    return name != NULL ? km_registry_find(&node->registry, KAMA_STR(name))
                        : NULL;
}
