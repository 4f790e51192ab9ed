/* SPDX-License-Identifier: MIT */
/* Everything is passed on to the peers, the groups or the steps of the start. */
#include "node/cluster_members.h"

#include "base/container.h"
#include "base/text.h"
#include "node/cluster_groups.h"
#include "node/cluster_routing.h"
#include "node/cluster_status.h"
#include "node/group_sync.h"
#include "node/node.h"
#include "node/node_event.h"

/* Copies the counters of membership for other threads. */
static void copy_stats(struct km_cluster *cluster)
{
    struct km_membership_stats stats;
    km_membership_stats_get(cluster->membership, &stats);
    km_mutex_lock(&cluster->lock);
    cluster->seen = stats;
    km_mutex_unlock(&cluster->lock);
}

static void on_view(void *owner, struct km_view *view)
{
    struct km_cluster *cluster = owner;
    copy_stats(cluster);
    km_cluster_sync_notice(cluster->sync, view);
    km_peers_notice(cluster->peers, view);
}

/* Before the first registration no stream has told this node what others have changed, so
 * that what a node has loaded while it served alone is invalidated (R6). After a later one, others may have owned the keys of this node
 * meanwhile. */
static void on_registered(void *owner, const struct km_member_id *id,
                          unsigned registrations)
{
    struct km_cluster *cluster = owner;
    const char *address = km_membership_address(cluster->membership);
    char text[KM_MEMBER_ID_TEXT_BYTES];
    km_mutex_lock(&cluster->lock);
    cluster->id = *id;
    cluster->lease_id = km_membership_lease_id(cluster->membership);
    (void)km_text_printf(cluster->address, sizeof cluster->address, "%s",
                         address);
    cluster->registration = registrations <= 1 ? "joining" : "active";
    km_mutex_unlock(&cluster->lock);
    km_cluster_life_begin(&cluster->life);
    km_cluster_sync_set_self(cluster->sync, id, address, &cluster->life.prev);
    km_peers_set_self(cluster->peers, id, address);
    if (registrations > 1) {
        km_cluster_groups_forget(cluster);
    } else {
        km_node_invalidate_all(cluster->node, 0);
    }
    km_node_tell_member(cluster->node, KM_NODE_INFO, "register", address, 0,
                        "registered %s of the service %s, %s id %s", address,
                        cluster->node->config.service,
                        registrations <= 1 ? "with the" : "again, with the new",
                        km_member_id_format(id, text));
    if (registrations <= 1) {
        km_node_tell_member(cluster->node, KM_NODE_INFO, "advertise", address,
                            0, "the other nodes reach this node at %s",
                            address);
    }
    km_cluster_step_done(cluster, KM_STEP_REGISTER);
}

static void on_life(void *owner, struct km_member_goodbye *prev)
{
    struct km_cluster *cluster = owner;
    km_cluster_life_end(&cluster->life, prev);
}

/* The goodbye is no part of the id of a view. */
static void on_goodbye(void *owner, struct km_view *view)
{
    struct km_cluster *cluster = owner;
    km_cluster_sync_notice(cluster->sync, view);
}

static void on_activated(void *owner)
{
    km_cluster_set_registration(owner, "active");
}

/* The view that follows from the record may have been adopted already. */
static void on_leaving(void *owner)
{
    struct km_cluster *cluster = owner;
    km_cluster_set_registration(cluster, "leaving");
    if (cluster->goodbye == KM_GOODBYE_ASKED) {
        cluster->goodbye = KM_GOODBYE_WRITTEN;
        km_cluster_follow_self(cluster);
    }
}

static void on_forget(void *owner, const char *why)
{
    struct km_cluster *cluster = owner;
    km_cluster_groups_forget(cluster);
    km_cluster_sync_forget(cluster->sync);
    km_node_emit_event(cluster->node, KM_NODE_WARN, "degraded",
                       "all groups were emptied: %s", why);
}

static void on_lease(void *owner, enum km_membership_lease lease)
{
    struct km_cluster *cluster = owner;
    cluster->lease = lease;
    if (lease == KM_LEASE_LOST) {
        km_cluster_life_lose(&cluster->life);
    }
    km_mutex_lock(&cluster->lock);
    cluster->degraded =
        lease == KM_LEASE_DOUBTFUL || lease == KM_LEASE_LOST ? "lease" : "";
    if (lease == KM_LEASE_LOST) {
        cluster->registration = "lost";
        cluster->lease_id = 0;
    }
    km_mutex_unlock(&cluster->lock);
    km_cluster_look_mutable(cluster);
    if (lease == KM_LEASE_HELD) {
        km_cluster_step_done(cluster, KM_STEP_LEASE);
    } else {
        km_cluster_step_undone(cluster, KM_STEP_LEASE);
    }
}

static void on_kept(void *owner, int64_t ttl_ms, km_ns sent_at)
{
    struct km_cluster *cluster = owner;
    const struct km_clock *clock = cluster->node->clock;
    km_ns age = km_clock_boot() - sent_at;
    km_cluster_life_kept(&cluster->life, clock->wall_ms(clock->arg), age);
    km_mutex_lock(&cluster->lock);
    cluster->lease_ttl_ms = ttl_ms;
    cluster->lease_kept_at = sent_at;
    cluster->registry_latency = age;
    km_mutex_unlock(&cluster->lock);
}

static void on_failed(void *owner, kama_status status, const char *text)
{
    struct km_cluster *cluster = owner;
    km_node_emit_event(cluster->node, KM_NODE_ERROR, "register", "%s", text);
    km_cluster_fail_start(cluster, status, text);
}

static void on_waiting(void *owner, km_ns until)
{
    struct km_cluster *cluster = owner;
    km_mutex_lock(&cluster->lock);
    cluster->wait_until = until;
    km_cond_broadcast(&cluster->changed);
    km_mutex_unlock(&cluster->lock);
}

static void on_log(void *owner, int level, const char *name, const char *text)
{
    struct km_cluster *cluster = owner;
    km_node_emit_event(cluster->node, (enum km_node_level)level, name, "%s",
                       text);
}

static void on_probed(struct km_peers_probe *probe, kama_status status,
                      const char *text, const struct km_member_id *id,
                      const struct km_member_id *nonce, const char *service)
{
    struct km_cluster *cluster =
        KM_CONTAINER_OF(probe, struct km_cluster, probe);
    enum km_probe_answer answer = KM_PROBE_ANOTHER;
    (void)text;
    (void)service;
    cluster->probing = false;
    if (status != KAMA_OK) {
        answer = KM_PROBE_NOBODY;
    } else if (km_member_id_equal(nonce, &cluster->nonce)) {
        answer = KM_PROBE_SELF;
    }
    km_membership_probed(cluster->membership, answer, id);
}

static void on_probe(void *owner, const char *address)
{
    struct km_cluster *cluster = owner;
    km_ns now = km_loop_now(cluster->control);
    if (cluster->probing) {
        return; /* the answer to the earlier one serves */
    }
    cluster->probing = true;
    cluster->probe.done = on_probed;
    km_peers_probe(cluster->peers, address,
                   km_ns_after_ms(now, KM_CLUSTER_PROBE_MS), &cluster->probe);
}

static void on_membership_closed(void *owner)
{
    struct km_cluster *cluster = owner;
    cluster->etcd = NULL; /* it has freed itself */
    km_peers_close(cluster->peers);
}

static void on_read(void *owner, km_ns sent_at)
{
    struct km_cluster *cluster = owner;
    copy_stats(cluster);
    km_peers_read(cluster->peers, sent_at);
}

static void on_registry(void *owner, kama_status status, const char *text)
{
    struct km_cluster *cluster = owner;
    bool reachable = status == KAMA_OK;
    km_mutex_lock(&cluster->lock);
    bool changed = cluster->registry_up != reachable;
    cluster->registry_up = reachable;
    km_mutex_unlock(&cluster->lock);
    if (changed) {
        km_node_emit_event(
            cluster->node, reachable ? KM_NODE_INFO : KM_NODE_WARN, "etcd",
            reachable ? "etcd answers at %s"
                      : "etcd does not answer: %s; the last view is kept",
            text);
        km_cluster_touch(cluster);
    }
}

const struct km_membership_events km_cluster_membership_events = {
    .view = on_view,
    .goodbye = on_goodbye,
    .registered = on_registered,
    .life = on_life,
    .activated = on_activated,
    .leaving = on_leaving,
    .forget = on_forget,
    .lease = on_lease,
    .kept = on_kept,
    .failed = on_failed,
    .probe = on_probe,
    .waiting = on_waiting,
    .log = on_log,
    .read = on_read,
    .registry = on_registry,
    .closed = on_membership_closed,
};
