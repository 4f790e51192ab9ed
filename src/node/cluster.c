/* SPDX-License-Identifier: MIT */
/*
 * The life of a cluster. The thread that starts or stops the node sends mails to
 * the control loop, and waits for results that are written under the lock.
 */
#include "node/cluster.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/hash.h"
#include "base/status.h"
#include "base/text.h"
#include "node/cluster_groups.h"
#include "node/cluster_parts.h"
#include "node/cluster_status.h"
#include "node/node.h"
#include "node/node_event.h"
#include "sync/log.h"

/* -- mails to the control loop ------------------------------------------- */

static void start_here(struct km_mail *mail)
{
    struct km_cluster *cluster =
        KM_CONTAINER_OF(mail, struct km_cluster, start_mail);
    cluster->was_started = true;
    km_cluster_step_done(cluster, KM_STEP_LISTEN);
    km_membership_start(cluster->membership);
}

static void leave_here(struct km_mail *mail)
{
    struct km_cluster *cluster =
        KM_CONTAINER_OF(mail, struct km_cluster, leave_mail);
    if (cluster->was_started) {
        cluster->goodbye = KM_GOODBYE_ASKED;
        km_membership_leave(cluster->membership);
    } else {
        km_cluster_move(cluster, KM_CLUSTER_LEFT);
    }
}

/* R11. Without the lease, or with a doubtful one, others may have given this node up, and
 * the record must not say that they know everything (R12). */
static void write_goodbye(struct km_cluster *cluster)
{
    struct km_sync_log_state state;
    if (cluster->lease == KM_LEASE_HELD) {
        km_sync_log_get(cluster->node->sync_log, &state);
        km_membership_set_goodbye(cluster->membership, state.seq, state.newest);
    }
}

/* Membership ends first, because it asks the peers; then the peers. */
static void close_here(struct km_mail *mail)
{
    struct km_cluster *cluster =
        KM_CONTAINER_OF(mail, struct km_cluster, close_mail);
    km_cluster_steps_stop(cluster);
    if (cluster->was_started) {
        write_goodbye(cluster);
        km_membership_close(cluster->membership);
    } else {
        km_peers_close(cluster->peers);
    }
}

/* -- life ---------------------------------------------------------------- */

static kama_status make_lock(struct km_cluster *cluster)
{
    return km_mutex_init_with(&cluster->lock, KM_RANK_CLUSTER,
                              &cluster->changed)
               ? KAMA_OK
               : km_fail(KAMA_ERR_THREADS, "no resources for a lock");
}

static void free_lock(struct km_cluster *cluster)
{
    km_cond_fini(&cluster->changed);
    km_mutex_fini(&cluster->lock);
}

/* Of starts that have failed, only the last one is kept: a thread may still be in
 * a question about it. The others give their loops and their memory back. */
static void keep_earlier(struct km_cluster *cluster, struct km_cluster *earlier)
{
    cluster->earlier = earlier;
    if (earlier != NULL) {
        km_cluster_free(earlier->earlier);
        earlier->earlier = NULL;
    }
}

kama_status km_cluster_open(kama_node *node, struct km_server *server,
                            struct km_cluster **ret_cluster)
{
    struct km_cluster *cluster = km_mem_zalloc(&node->mem, 1, sizeof *cluster);
    if (cluster == NULL) {
        return km_fail(KAMA_ERR_NO_MEMORY, "no memory for a node");
    }
    cluster->node = node;
    cluster->registration = "none";
    cluster->degraded = "";
    cluster->steps.done = KM_STEPS_AT_FIRST;
    cluster->life.log = node->sync_log;
    km_hash_random_fill(cluster->nonce.bytes, sizeof cluster->nonce.bytes);
    kama_status status = make_lock(cluster);
    if (status != KAMA_OK) {
        km_mem_free(&node->mem, cluster);
        return status;
    }
    status = km_cluster_make_parts(cluster, server);
    if (status != KAMA_OK) {
        km_cluster_free_parts(cluster);
        free_lock(cluster);
        km_mem_free(&node->mem, cluster);
        return status;
    }
    keep_earlier(cluster, node->cluster);
    *ret_cluster = cluster;
    return KAMA_OK;
}

kama_status km_cluster_start(struct km_cluster *cluster)
{
    kama_status status = km_cluster_make_membership(cluster);
    if (status != KAMA_OK) {
        return status;
    }
    km_etcd_bind(cluster->etcd, &km_membership_registry_events,
                 cluster->membership);
    km_cluster_move(cluster, KM_CLUSTER_STARTING);
    km_cluster_groups_open(cluster);
    cluster->start_mail.run = start_here;
    km_loop_post(cluster->control, &cluster->start_mail);
    return KAMA_OK;
}

/* Returns whether the start has come to an end. */
static bool start_has_ended_locked(const struct km_cluster *cluster)
{
    KM_ASSERT_HELD(&cluster->lock);
    return cluster->failure != KAMA_OK || cluster->ready;
}

/* Writes the names of the missing steps. */
static void list_missing(struct km_cluster *cluster, char *text, size_t cap)
{
    const char *names[KM_STEP_COUNT];
    size_t len = 0;
    text[0] = '\0';
    km_mutex_lock(&cluster->lock);
    unsigned missing = cluster->missing;
    km_mutex_unlock(&cluster->lock);
    size_t count = km_cluster_steps_name(missing, names);
    for (size_t i = 0; i < count; i++) {
        len += km_text_printf(text + len, cap - len, "%s%s", i > 0 ? ", " : "",
                              names[i]);
    }
}

/* The start has taken too long: it fails, or the node serves alone until the
 * missing steps are done. */
static kama_status end_late(struct km_cluster *cluster)
{
    const struct km_node_config *config = &cluster->node->config;
    char steps[128];
    list_missing(cluster, steps, sizeof steps);
    if (config->cluster.require_discovery) {
        return km_fail(KAMA_ERR_TIMEOUT,
                       "start_timeout_ms: after %lld ms these steps are "
                       "missing: %s; is etcd running at %s?",
                       (long long)config->start_timeout_ms, steps,
                       config->cluster.etcd);
    }
    km_node_emit_event(cluster->node, KM_NODE_WARN, "degraded",
                       "serving alone: after %lld ms these steps are missing: "
                       "%s; is etcd running at %s?",
                       (long long)config->start_timeout_ms, steps,
                       config->cluster.etcd);
    return KAMA_OK;
}

kama_status km_cluster_wait_start(struct km_cluster *cluster)
{
    const kama_node *node = cluster->node;
    km_ns deadline = km_ns_after_ms(km_clock_mono(node->clock),
                                    node->config.start_timeout_ms);
    km_mutex_lock(&cluster->lock);
    for (;;) {
        km_ns now = km_clock_mono(node->clock);
        km_ns until =
            cluster->wait_until > deadline ? cluster->wait_until : deadline;
        if (start_has_ended_locked(cluster) || now >= until) {
            break;
        }
        (void)km_cond_wait_until(&cluster->changed, &cluster->lock, until);
    }
    kama_status status = cluster->failure;
    char text[KM_ERROR_BYTES_MAX];
    (void)km_text_printf(text, sizeof text, "%s", cluster->failure_text);
    bool ready = cluster->ready;
    cluster->is_late =
        status == KAMA_OK && !ready && !node->config.cluster.require_discovery;
    km_mutex_unlock(&cluster->lock);
    if (status != KAMA_OK) {
        return km_fail(status, "%s", text);
    }
    return ready ? KAMA_OK : end_late(cluster);
}

/* Waits for a state, at most until the deadline. Returns whether it came. */
static bool wait_for(struct km_cluster *cluster, enum km_cluster_state state,
                     km_ns deadline)
{
    km_mutex_lock(&cluster->lock);
    while (cluster->state < state) {
        km_ns now = km_clock_mono(cluster->node->clock);
        if (now >= deadline) {
            break;
        }
        (void)km_cond_wait_until(&cluster->changed, &cluster->lock, deadline);
    }
    bool came = cluster->state >= state;
    km_mutex_unlock(&cluster->lock);
    return came;
}

void km_cluster_leave(struct km_cluster *cluster)
{
    km_ns now = km_clock_mono(cluster->node->clock);
    km_cluster_move(cluster, KM_CLUSTER_LEAVING);
    cluster->leave_mail.run = leave_here;
    km_loop_post(cluster->control, &cluster->leave_mail);
    (void)wait_for(cluster, KM_CLUSTER_LEFT,
                   km_ns_after_ms(now, KM_CLUSTER_LEAVE_MS));
}

void km_cluster_refuse_streams(struct km_cluster *cluster)
{
    km_cluster_sync_refuse(cluster->sync);
}

void km_cluster_say_goodbye(struct km_cluster *cluster, km_ns deadline)
{
    km_cluster_sync_retire(cluster);
    km_cluster_sync_goodbye(cluster->sync, deadline);
}

void km_cluster_close(struct km_cluster *cluster)
{
    km_cluster_groups_close(cluster);
    km_cluster_move(cluster, KM_CLUSTER_CLOSING);
    cluster->close_mail.run = close_here;
    km_loop_post(cluster->control, &cluster->close_mail);
    bool closed = wait_for(cluster, KM_CLUSTER_CLOSED, KM_NS_NEVER);
    KM_ASSERT(closed);
    km_pulse_remove(&cluster->node->pulse, &cluster->beat);
    km_loop_join(cluster->control);
    km_cluster_sync_close(cluster->sync);
}

bool km_cluster_is_inside(const struct km_cluster *cluster)
{
    return km_loop_is_inside(cluster->control) ||
           km_cluster_sync_is_inside(cluster->sync);
}

void km_cluster_free(struct km_cluster *cluster)
{
    if (cluster == NULL) {
        return;
    }
    kama_allocator mem = cluster->node->mem;
    km_cluster_free(cluster->earlier);
    km_cluster_free_parts(cluster);
    free_lock(cluster);
    km_mem_free(&mem, cluster);
}
