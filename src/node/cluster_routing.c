/* SPDX-License-Identifier: MIT */
/*
 * The goodbye of a node ends here: its record says `leaving`, the view that
 * follows is adopted, and everybody has announced it.
 */
#include "node/cluster_routing.h"

#include "node/cluster_groups.h"
#include "node/cluster_status.h"
#include "node/node.h"
#include "node/node_event.h"

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
 * node owns nothing. A node without a view has nobody to tell. */
static void look_goodbye(struct km_cluster *cluster)
{
    if (cluster->goodbye == KM_GOODBYE_ADOPTED &&
        (cluster->view == NULL || is_settled(cluster))) {
        km_cluster_move(cluster, KM_CLUSTER_LEFT);
    }
}

void km_cluster_follow_self(struct km_cluster *cluster)
{
    const struct km_member *self =
        cluster->view != NULL ? km_view_find_id(cluster->view, &cluster->id)
                              : NULL;
    if (self != NULL && self->state == KM_MEMBER_ACTIVE) {
        km_cluster_sync_activate(cluster);
        km_cluster_move(cluster, KM_CLUSTER_MEMBER);
    }
    if (cluster->goodbye == KM_GOODBYE_WRITTEN &&
        (self == NULL || self->state == KM_MEMBER_LEAVING)) {
        cluster->goodbye = KM_GOODBYE_ADOPTED;
    }
    look_goodbye(cluster);
}

/* -- what the peers tell ---------------------------------------------------- */

/* Tells what is new about a member. old: in the view before, or NULL. */
static void tell_member(struct km_cluster *cluster, const struct km_member *old,
                        const struct km_member *m, size_t others)
{
    const kama_node *node = cluster->node;
    if (old == NULL && m->held) {
        km_node_tell_member(node, KM_NODE_WARN, "peers", m->address, others,
                            "%s is held in the view for a while, although its "
                            "record is gone; peers: %zu",
                            m->address, others);
    } else if (old == NULL) {
        km_node_tell_member(node, KM_NODE_INFO, "peers", m->address, others,
                            "%s has joined (%s); peers: %zu", m->address,
                            km_member_state_name(m->state), others);
    } else if (old->state != m->state) {
        km_node_tell_member(node, KM_NODE_INFO, "peers", m->address, others,
                            "%s is %s; peers: %zu", m->address,
                            km_member_state_name(m->state), others);
    }
}

static void tell_gone(struct km_cluster *cluster, const struct km_member *m,
                      size_t others)
{
    km_node_tell_member(cluster->node, KM_NODE_INFO, "peers", m->address,
                        others,
                        m->state == KM_MEMBER_LEAVING
                            ? "%s has left; peers: %zu"
                            : "%s is gone without a goodbye; peers: %zu",
                        m->address, others);
}

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
        if (!km_member_id_equal(&m->id, &cluster->id)) {
            tell_member(cluster,
                        from != NULL ? km_view_find_id(from, &m->id) : NULL, m,
                        others);
        }
    }
    for (size_t i = 0; from != NULL && i < from->count; i++) {
        const struct km_member *m = &from->members[i];
        if (km_view_find_id(to, &m->id) == NULL &&
            !km_member_id_equal(&m->id, &cluster->id)) {
            tell_gone(cluster, m, others);
        }
    }
}

static void set_given_up(struct km_cluster *cluster, bool given_up)
{
    km_mutex_lock(&cluster->lock);
    cluster->given_up = given_up;
    km_mutex_unlock(&cluster->lock);
}

static void on_adopted(void *owner, uint64_t adoption, struct km_view *view,
                       const struct km_slot_map *lost)
{
    struct km_cluster *cluster = owner;
    struct km_view *before = cluster->view;
    set_given_up(cluster, km_peers_is_given_up(cluster->peers));
    km_cluster_groups_adopt(cluster, adoption, lost);
    km_cluster_sync_adopt(cluster->sync, view);
    if (before == NULL || before->id != view->id) {
        (void)atomic_fetch_add(&cluster->views, 1);
        tell_changes(cluster, before, view);
        km_node_tell_member(cluster->node, KM_NODE_INFO, "view", NULL,
                            view->count, "adopted the view %016llx of %zu",
                            (unsigned long long)view->id, view->count);
    }
    cluster->view = km_view_ref(view);
    km_view_unref(before);
    km_cluster_follow_self(cluster);
    km_cluster_step_done(cluster, KM_STEP_VIEW);
}

static void count_up(void *arg, const struct km_peer_info *info)
{
    bool *up = arg;
    *up = *up || info->state == KM_PEER_UP;
}

void km_cluster_look_mutable(struct km_cluster *cluster)
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
    km_cluster_look_mutable(cluster);
    km_cluster_steps_look(cluster);
}

static void on_unknown_view(void *owner)
{
    struct km_cluster *cluster = owner;
    if (cluster->was_started) {
        km_membership_refresh(cluster->membership);
    }
}

static void on_told_gone(void *owner, const char *address)
{
    struct km_cluster *cluster = owner;
    km_node_tell_member(cluster->node, KM_NODE_WARN, "degraded", address, 0,
                        "%s says that this node was given up", address);
    set_given_up(cluster, true);
    km_cluster_touch(cluster);
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
    km_cluster_look_end(cluster);
}

const struct km_peers_events km_cluster_peers_events = {
    .adopted = on_adopted,
    .peer = on_peer,
    .unknown_view = on_unknown_view,
    .told_gone = on_told_gone,
    .settled = on_settled,
    .closed = on_peers_closed,
};
