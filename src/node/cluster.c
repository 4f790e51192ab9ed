/* SPDX-License-Identifier: MIT */
/*
 * The life of a cluster, and what happens when membership and peers tell
 * something. Everything that is told arrives on the control loop; what the
 * starting and the stopping thread wait for is written under the lock.
 */
#include "node/cluster.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/hash.h"
#include "base/status.h"
#include "base/text.h"
#include "node/cluster_env.h"
#include "node/cluster_groups.h"
#include "node/cluster_source.h"
#include "node/cluster_state.h"
#include "node/node.h"
#include "node/node_event.h"
#include "rpc/server_loop.h"

#include <stdlib.h>

/* -- what is shown ------------------------------------------------------- */

void km_cluster_touch(struct km_cluster *cluster)
{
    km_mutex_lock(&cluster->lock);
    cluster->version++;
    km_mutex_unlock(&cluster->lock);
    km_cluster_changed(&cluster->node->services);
}

/* Moves to a later state; an earlier one is ignored. */
static void move(struct km_cluster *cluster, enum km_cluster_state to)
{
    km_mutex_lock(&cluster->lock);
    if (to > cluster->state) {
        cluster->state = to;
        km_cond_broadcast(&cluster->changed);
    }
    km_mutex_unlock(&cluster->lock);
}

static void set_registration(struct km_cluster *cluster, const char *name)
{
    km_mutex_lock(&cluster->lock);
    cluster->registration = name;
    km_mutex_unlock(&cluster->lock);
    km_cluster_touch(cluster);
}

void km_cluster_fail_start(struct km_cluster *cluster, kama_status status,
                           const char *text)
{
    km_mutex_lock(&cluster->lock);
    if (cluster->failure == KAMA_OK) {
        cluster->failure = status;
        (void)km_text_printf(cluster->failure_text,
                             sizeof cluster->failure_text, "%s", text);
        km_cond_broadcast(&cluster->changed);
    }
    km_mutex_unlock(&cluster->lock);
}

/* -- the state in the view ------------------------------------------------ */

static void read_settled(void *arg, const struct km_peers_routing *routing)
{
    bool *settled = arg;
    *settled = routing->settled;
}

static bool is_settled(struct km_cluster *cluster)
{
    bool settled = false;
    km_peers_routing(cluster->peers, read_settled, &settled);
    return settled;
}

/* A goodbye is complete when everybody has announced the view in which this
 * node owns nothing. */
static void look_goodbye(struct km_cluster *cluster)
{
    if (cluster->goodbye == KM_GOODBYE_ADOPTED && is_settled(cluster)) {
        move(cluster, KM_CLUSTER_LEFT);
    }
}

/* The state of this node in the adopted view decides what comes next. */
static void follow_self(struct km_cluster *cluster)
{
    if (cluster->view == NULL) {
        return;
    }
    const struct km_member *self = km_view_find_id(cluster->view, &cluster->id);
    if (self != NULL && self->state == KM_MEMBER_ACTIVE) {
        move(cluster, KM_CLUSTER_MEMBER);
    }
    if (cluster->goodbye == KM_GOODBYE_WRITTEN &&
        (self == NULL || self->state == KM_MEMBER_LEAVING)) {
        cluster->goodbye = KM_GOODBYE_ADOPTED;
    }
    look_goodbye(cluster);
}

/* -- membership tells ---------------------------------------------------- */

static void on_view(void *owner, struct km_view *view)
{
    struct km_cluster *cluster = owner;
    km_peers_notice(cluster->peers, view);
}

/* The first registration has no entries to lose. After a later one, others may
 * have owned the keys of this node meanwhile. */
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
    km_peers_set_self(cluster->peers, id, address);
    if (registrations > 1) {
        km_cluster_groups_forget(cluster);
    }
    km_node_tell_member(cluster->node, KM_NODE_INFO, "register", address,
                        (uint64_t)registrations,
                        "registered as %s with the id %s", address,
                        km_member_id_format(id, text));
    km_cluster_step_done(cluster, KM_STEP_REGISTER);
}

static void on_activated(void *owner)
{
    set_registration(owner, "active");
}

/* The view that follows from the record may have been adopted already. */
static void on_leaving(void *owner)
{
    struct km_cluster *cluster = owner;
    set_registration(cluster, "leaving");
    if (cluster->goodbye == KM_GOODBYE_ASKED) {
        cluster->goodbye = KM_GOODBYE_WRITTEN;
        follow_self(cluster);
    }
}

static void on_forget(void *owner, const char *why)
{
    struct km_cluster *cluster = owner;
    km_cluster_groups_forget(cluster);
    km_node_emit_event(cluster->node, KM_NODE_WARN, "degraded",
                       "all groups were emptied: %s", why);
}

/* Mutations are refused while this node can be sure of nothing: its lease may
 * have expired, and no member answers. */
static void look_mutable(struct km_cluster *cluster);

static void on_lease(void *owner, enum km_membership_lease lease)
{
    struct km_cluster *cluster = owner;
    cluster->lease = lease;
    km_mutex_lock(&cluster->lock);
    cluster->degraded =
        lease == KM_LEASE_DOUBTFUL || lease == KM_LEASE_LOST ? "lease" : "";
    if (lease == KM_LEASE_LOST) {
        cluster->registration = "lost";
        cluster->lease_id = 0;
    }
    km_mutex_unlock(&cluster->lock);
    look_mutable(cluster);
    if (lease == KM_LEASE_HELD) {
        km_cluster_step_done(cluster, KM_STEP_LEASE);
    } else {
        km_cluster_step_undone(cluster, KM_STEP_LEASE);
    }
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
    if (cluster->membership != NULL) {
        km_membership_probed(cluster->membership, answer, id);
    }
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

/* A read that began before the unknown view was heard of says nothing about
 * it. */
static void on_read(void *owner, km_ns sent_at)
{
    struct km_cluster *cluster = owner;
    if (cluster->unknown_at != 0 && sent_at >= cluster->unknown_at) {
        cluster->unknown_at = 0;
        km_peers_read(cluster->peers);
    }
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
            reachable ? "etcd answers at %s" : "etcd does not answer: %s",
            text);
        km_cluster_touch(cluster);
    }
}

static const struct km_membership_events membership_events = {
    .view = on_view,
    .registered = on_registered,
    .activated = on_activated,
    .leaving = on_leaving,
    .forget = on_forget,
    .lease = on_lease,
    .failed = on_failed,
    .probe = on_probe,
    .waiting = on_waiting,
    .log = on_log,
    .read = on_read,
    .registry = on_registry,
    .closed = on_membership_closed,
};

/* -- peers tell ---------------------------------------------------------- */

/* Tells how the members of two views differ, a line for each member. */
static void tell_changes(struct km_cluster *cluster, const struct km_view *from,
                         const struct km_view *to)
{
    size_t others = to->count;
    if (km_view_find_id(to, &cluster->id) != NULL) {
        others--;
    }
    for (size_t i = 0; i < to->count; i++) {
        const struct km_member *m = &to->members[i];
        const struct km_member *old =
            from != NULL ? km_view_find_id(from, &m->id) : NULL;
        if (km_member_id_equal(&m->id, &cluster->id)) {
            continue;
        }
        if (old == NULL) {
            km_node_tell_member(cluster->node, KM_NODE_INFO, "peers",
                                m->address, others,
                                "%s has joined (%s); peers: %zu", m->address,
                                km_member_state_name(m->state), others);
        } else if (old->state != m->state) {
            km_node_tell_member(cluster->node, KM_NODE_INFO, "peers",
                                m->address, others, "%s is %s; peers: %zu",
                                m->address, km_member_state_name(m->state),
                                others);
        }
    }
    for (size_t i = 0; from != NULL && i < from->count; i++) {
        const struct km_member *m = &from->members[i];
        if (km_view_find_id(to, &m->id) == NULL &&
            !km_member_id_equal(&m->id, &cluster->id)) {
            km_node_tell_member(
                cluster->node, KM_NODE_INFO, "peers", m->address, others,
                m->state == KM_MEMBER_LEAVING
                    ? "%s has left; peers: %zu"
                    : "%s is gone without a goodbye; peers: %zu",
                m->address, others);
        }
    }
}

static void on_adopted(void *owner, uint64_t adoption, struct km_view *view,
                       const struct km_slot_map *lost)
{
    struct km_cluster *cluster = owner;
    struct km_view *before = cluster->view;
    km_cluster_groups_adopt(cluster, adoption, lost);
    if (before == NULL || before->id != view->id) {
        tell_changes(cluster, before, view);
        km_node_tell_member(cluster->node, KM_NODE_INFO, "view", NULL,
                            view->count, "adopted the view %016llx of %zu",
                            (unsigned long long)view->id, view->count);
    }
    cluster->view = km_view_ref(view);
    km_view_unref(before);
    follow_self(cluster);
    km_cluster_step_done(cluster, KM_STEP_VIEW);
    km_cluster_steps_look(cluster);
}

static void count_up(void *arg, const struct km_peer_info *info)
{
    bool *up = arg;
    *up = *up || info->state == KM_PEER_UP;
}

static void look_mutable(struct km_cluster *cluster)
{
    bool up = false;
    bool is_mutable = cluster->lease == KM_LEASE_HELD;
    if (!is_mutable && cluster->lease != KM_LEASE_NONE) {
        km_peers_visit(cluster->peers, count_up, &up);
        is_mutable = up;
    }
    if (is_mutable != cluster->is_mutable) {
        cluster->is_mutable = is_mutable;
        km_peers_set_mutable(cluster->peers,
                             is_mutable ? KAMA_OK : KAMA_ERR_NOT_READY);
    }
}

static void on_peer(void *owner, const char *address,
                    const struct km_member_id *id, enum km_peer_state state,
                    const char *text)
{
    struct km_cluster *cluster = owner;
    (void)id;
    if (state != KM_PEER_UNKNOWN) {
        km_node_tell_member(cluster->node,
                            state == KM_PEER_UP ? KM_NODE_INFO : KM_NODE_WARN,
                            "peer", address, 0, "%s", text);
    }
    look_mutable(cluster);
    km_cluster_touch(cluster);
    km_cluster_steps_look(cluster);
}

static void on_unknown_view(void *owner)
{
    struct km_cluster *cluster = owner;
    cluster->unknown_at = km_loop_now(cluster->control);
    if (cluster->membership != NULL) {
        km_membership_refresh(cluster->membership);
    }
}

static void on_told_gone(void *owner, const char *address)
{
    struct km_cluster *cluster = owner;
    km_node_tell_member(cluster->node, KM_NODE_WARN, "degraded", address, 0,
                        "%s says that this node was given up", address);
    km_membership_told_gone(cluster->membership);
}

static void on_settled(void *owner)
{
    struct km_cluster *cluster = owner;
    if (is_settled(cluster)) {
        km_node_emit_event(cluster->node, KM_NODE_DEBUG, "settled",
                           "every member has adopted the view");
    }
    look_goodbye(cluster);
    km_cluster_touch(cluster);
}

static void on_peers_closed(void *owner)
{
    struct km_cluster *cluster = owner;
    km_cluster_steps_stop(cluster);
    km_loop_stop(cluster->control);
    move(cluster, KM_CLUSTER_CLOSED);
}

static const struct km_peers_events peers_events = {
    .adopted = on_adopted,
    .peer = on_peer,
    .unknown_view = on_unknown_view,
    .told_gone = on_told_gone,
    .settled = on_settled,
    .closed = on_peers_closed,
};

/* -- mails to the control loop ------------------------------------------- */

static void start_here(struct km_mail *mail)
{
    struct km_cluster *cluster =
        KM_CONTAINER_OF(mail, struct km_cluster, start_mail);
    km_cluster_step_done(cluster, KM_STEP_LISTEN);
    km_membership_start(cluster->membership);
}

static void leave_here(struct km_mail *mail)
{
    struct km_cluster *cluster =
        KM_CONTAINER_OF(mail, struct km_cluster, leave_mail);
    cluster->goodbye = KM_GOODBYE_ASKED;
    km_membership_leave(cluster->membership);
}

/* Membership ends first, because it asks the peers; then the peers. */
static void close_here(struct km_mail *mail)
{
    struct km_cluster *cluster =
        KM_CONTAINER_OF(mail, struct km_cluster, close_mail);
    km_cluster_steps_stop(cluster);
    if (cluster->was_started) {
        km_membership_close(cluster->membership);
    } else {
        km_peers_close(cluster->peers);
    }
}

/* -- life ---------------------------------------------------------------- */

static void random_id(struct km_member_id *id)
{
    uint64_t words[2] = {km_hash_random_seed(), km_hash_random_seed()};
    memcpy(id->bytes, words, sizeof id->bytes);
}

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

/* Membership is made when the server listens, because a port that was given as 0
 * is known only then. */
static kama_status make_membership(struct km_cluster *cluster)
{
    const kama_node *node = cluster->node;
    const struct km_node_cluster_config *config = &node->config.cluster;
    char text[KM_MEMBER_ADDRESS_BYTES];
    const char *address;
    kama_status status = advertised(node, text, &address);
    if (status != KAMA_OK) {
        return status;
    }
    struct km_membership_options options = {
        .mem = &node->mem,
        .env = km_cluster_env_of(cluster->control),
        .registry_ops = &km_etcd_ops,
        .registry = cluster->etcd,
        .events = &membership_events,
        .owner = cluster,
        .cluster = config->name,
        .service = node->config.service,
        .address = address,
        .port = port_of(node->address),
        .admin = "",
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
        .events = &peers_events,
        .owner = cluster,
        .cluster = node->config.cluster.name,
        .service = node->config.service,
        .nonce = cluster->nonce,
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

static kama_status make_parts(struct km_cluster *cluster,
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
    return status == KAMA_OK ? km_loop_start(cluster->control) : status;
}

static void free_parts(struct km_cluster *cluster)
{
    km_membership_free(cluster->membership);
    km_etcd_free(cluster->etcd);
    km_peers_free(cluster->peers);
    km_node_transport_free(cluster->transport);
    km_loop_free(cluster->control);
    km_view_unref(cluster->view);
}

static kama_status make_lock(struct km_cluster *cluster)
{
    if (!km_mutex_init(&cluster->lock, KM_RANK_CLUSTER)) {
        return km_fail(KAMA_ERR_THREADS, "no resources for a lock");
    }
    if (!km_cond_init(&cluster->changed)) {
        km_mutex_fini(&cluster->lock);
        return km_fail(KAMA_ERR_THREADS, "no resources for a lock");
    }
    return KAMA_OK;
}

static void free_lock(struct km_cluster *cluster)
{
    km_cond_fini(&cluster->changed);
    km_mutex_fini(&cluster->lock);
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
    random_id(&cluster->nonce);
    kama_status status = make_lock(cluster);
    if (status != KAMA_OK) {
        km_mem_free(&node->mem, cluster);
        return status;
    }
    status = make_parts(cluster, server);
    if (status != KAMA_OK) {
        free_parts(cluster);
        free_lock(cluster);
        km_mem_free(&node->mem, cluster);
        return status;
    }
    *ret_cluster = cluster;
    return KAMA_OK;
}

kama_status km_cluster_start(struct km_cluster *cluster)
{
    kama_status status = make_membership(cluster);
    if (status != KAMA_OK) {
        return status;
    }
    km_etcd_bind(cluster->etcd, &km_membership_registry_events,
                 cluster->membership);
    cluster->was_started = true;
    move(cluster, KM_CLUSTER_STARTING);
    km_cluster_groups_open(cluster);
    cluster->start_mail.run = start_here;
    km_loop_post(cluster->control, &cluster->start_mail);
    return KAMA_OK;
}

/* Whether the start has come to an end: 0 while it has not. */
static bool start_has_ended_locked(const struct km_cluster *cluster)
{
    KM_ASSERT_HELD(&cluster->lock);
    return cluster->failure != KAMA_OK || cluster->ready;
}

/* The start has taken too long. Names the steps that are missing. */
static kama_status fail_late(struct km_cluster *cluster)
{
    char text[128];
    size_t len = 0;
    text[0] = '\0';
    km_mutex_lock(&cluster->lock);
    unsigned missing = cluster->missing;
    km_mutex_unlock(&cluster->lock);
    for (unsigned step = 0; step < KM_STEP_COUNT; step++) {
        if ((missing >> step & 1) != 0) {
            len += km_text_printf(
                text + len, sizeof text - len, "%s%s", len > 0 ? ", " : "",
                km_cluster_step_name((enum km_cluster_step)step));
        }
    }
    return km_fail(KAMA_ERR_TIMEOUT,
                   "start_timeout_ms: after %lld ms these steps are missing: "
                   "%s; is etcd running at %s?",
                   (long long)cluster->node->config.start_timeout_ms, text,
                   cluster->node->config.cluster.etcd);
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
    km_mutex_unlock(&cluster->lock);
    if (status != KAMA_OK) {
        return km_fail(status, "%s", text);
    }
    if (!ready && node->config.cluster.require_discovery) {
        return fail_late(cluster);
    }
    return KAMA_OK;
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
    move(cluster, KM_CLUSTER_LEAVING);
    cluster->leave_mail.run = leave_here;
    km_loop_post(cluster->control, &cluster->leave_mail);
    (void)wait_for(cluster, KM_CLUSTER_LEFT,
                   km_ns_after_ms(now, KM_CLUSTER_LEAVE_MS));
}

void km_cluster_close(struct km_cluster *cluster)
{
    km_cluster_groups_close(cluster);
    move(cluster, KM_CLUSTER_CLOSING);
    cluster->close_mail.run = close_here;
    km_loop_post(cluster->control, &cluster->close_mail);
    bool closed = wait_for(cluster, KM_CLUSTER_CLOSED, KM_NS_NEVER);
    KM_ASSERT(closed);
    km_loop_join(cluster->control);
}

struct km_peers *km_cluster_peers(struct km_cluster *cluster)
{
    return cluster->peers;
}

bool km_cluster_is_inside(const struct km_cluster *cluster)
{
    return km_loop_is_inside(cluster->control);
}

void km_cluster_free(struct km_cluster *cluster)
{
    if (cluster == NULL) {
        return;
    }
    kama_allocator mem = cluster->node->mem;
    free_parts(cluster);
    free_lock(cluster);
    km_mem_free(&mem, cluster);
}
