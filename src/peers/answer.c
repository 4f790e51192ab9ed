/* SPDX-License-Identifier: MIT */
/* The requests of other nodes: Hello, and whether a sender is a member.
 * These functions run on the loops of the server, and read the state. */
#include "base/container.h"
#include "base/limits.h"
#include "base/status.h"
#include "peers/state.h"
#include "wire/msg/peer.h"

#include <string.h>

static kama_bytes bytes_of_id(const struct km_member_id *id)
{
    return km_member_id_is_none(id)
               ? kama_bytes_make(NULL, 0)
               : kama_bytes_make(id->bytes, sizeof id->bytes);
}

/* Reads an id. Returns false for anything but 16 bytes that are not all 0. */
static bool read_id(kama_bytes bytes, struct km_member_id *ret_id)
{
    if (bytes.len != sizeof ret_id->bytes) {
        return false;
    }
    memcpy(ret_id->bytes, bytes.data, sizeof ret_id->bytes);
    return !km_member_id_is_none(ret_id);
}

/* -- views and members that are remembered ---------------------------------------------------- */

/* Returns how many views had been noticed when this one was last noticed, itself
 * included, or 0 if it is not known. The caller holds the lock. */
static uint64_t noticed_locked(const struct km_peers *peers, uint64_t view_id)
{
    KM_ASSERT_HELD(&peers->lock);
    uint64_t oldest = peers->view_count < KM_PEERS_VIEWS_KEPT
                          ? 0
                          : peers->view_count - KM_PEERS_VIEWS_KEPT;
    for (uint64_t n = peers->view_count; n > oldest; n--) {
        if (peers->views[(n - 1) % KM_PEERS_VIEWS_KEPT] == view_id) {
            return n;
        }
    }
    return 0;
}

/* A view that comes back has a new place, because it is not adopted yet. */
void km_peers_remember_view(struct km_peers *peers, uint64_t view_id)
{
    km_mutex_lock(&peers->lock);
    if (peers->view_count == 0 ||
        noticed_locked(peers, view_id) != peers->view_count) {
        peers->views[peers->view_count++ % KM_PEERS_VIEWS_KEPT] = view_id;
    }
    km_mutex_unlock(&peers->lock);
}

void km_peers_remember_adopted(struct km_peers *peers, uint64_t view_id)
{
    km_mutex_lock(&peers->lock);
    uint64_t noticed = noticed_locked(peers, view_id);
    if (noticed > peers->adopted_count) {
        peers->adopted_count = noticed;
    }
    km_mutex_unlock(&peers->lock);
}

static bool has_gone(struct km_peers *peers, const struct km_member_id *id)
{
    bool found = false;
    km_mutex_lock(&peers->lock);
    uint64_t count = peers->gone_count < KM_PEERS_GONE_KEPT
                         ? peers->gone_count
                         : KM_PEERS_GONE_KEPT;
    for (uint64_t i = 0; i < count && !found; i++) {
        found = km_member_id_equal(&peers->gone[i], id);
    }
    km_mutex_unlock(&peers->lock);
    return found;
}

bool km_peers_knows_view(const struct km_peers *peers, uint64_t view_id)
{
    struct km_peers *p = (struct km_peers *)(uintptr_t)peers;
    if (km_peers_view_id(peers) == view_id) {
        return true;
    }
    km_mutex_lock(&p->lock);
    bool known = noticed_locked(p, view_id) != 0;
    km_mutex_unlock(&p->lock);
    return known;
}

void km_peers_remember_gone(struct km_peers *peers,
                            const struct km_member_id *id)
{
    if (has_gone(peers, id)) {
        return;
    }
    km_mutex_lock(&peers->lock);
    peers->gone[peers->gone_count++ % KM_PEERS_GONE_KEPT] = *id;
    km_mutex_unlock(&peers->lock);
}

bool km_peers_has_adopted(const struct km_peers *peers, uint64_t view_id)
{
    struct km_peers *p = (struct km_peers *)(uintptr_t)peers;
    if (km_peers_view_id(peers) == view_id) {
        return true;
    }
    km_mutex_lock(&p->lock);
    uint64_t noticed = noticed_locked(p, view_id);
    bool adopted = noticed != 0 && noticed <= p->adopted_count;
    km_mutex_unlock(&p->lock);
    return adopted;
}

/* -- senders --------------------------------------------------------------- */

void km_peers_fill_sender(struct km_peers *peers,
                          const struct km_peers_state *state,
                          struct km_msg_peer_sender *ret_sender)
{
    *ret_sender = (struct km_msg_peer_sender){
        .cluster = KAMA_STR(peers->cluster),
        .service = KAMA_STR(peers->service),
        .id = bytes_of_id(&state->self),
        .view_id = state->table->view != NULL ? state->table->view->id : 0};
}

/* Returns the peer with that id, referenced, or NULL. */
static struct km_peer *find_sender(struct km_peers *peers,
                                   const struct km_member_id *id)
{
    struct km_peer *peer = NULL;
    struct km_snapshot_reader reader;
    const struct km_peers_state *state = km_peers_enter(peers, &reader);
    const struct km_view *view = state->table->view;
    const struct km_member *member =
        view != NULL ? km_view_find_id(view, id) : NULL;
    if (member != NULL) {
        peer = state->table->members[member - view->members];
        peer = peer != NULL ? km_peer_ref(peer) : NULL;
    }
    km_peers_leave(&reader);
    return peer;
}

static bool is_our_cluster(const struct km_peers *peers, kama_bytes cluster,
                           kama_bytes service)
{
    return km_bytes_eq(cluster, KAMA_STR(peers->cluster)) &&
           km_bytes_eq(service, KAMA_STR(peers->service));
}

static kama_status refuse_unknown(struct km_peers *peers,
                                  const struct km_member_id *id)
{
    char text[KM_MEMBER_ID_TEXT_BYTES];
    (void)km_member_id_format(id, text);
    if (has_gone(peers, id)) {
        return km_fail(KAMA_ERR_NOT_MEMBER,
                       "the member %s was removed from the cluster", text);
    }
    km_peers_poke(&peers->read_poke);
    return km_fail(KAMA_ERR_NOT_MEMBER,
                   "the member %s is not known here yet; try again", text);
}

kama_status km_peers_admit(struct km_peers *peers,
                           const struct km_peers_sender *sender)
{
    struct km_member_id id;
    if (!is_our_cluster(peers, sender->cluster, sender->service)) {
        return km_fail(KAMA_ERR_NOT_MEMBER,
                       "this node is of cluster \"%s\", service \"%s\"",
                       peers->cluster, peers->service);
    }
    if (!read_id(sender->id, &id)) {
        return km_fail(KAMA_ERR_NOT_MEMBER,
                       "only members of the cluster may ask this; the id of "
                       "the sender is missing");
    }
    struct km_peer *peer = find_sender(peers, &id);
    if (peer == NULL) {
        return refuse_unknown(peers, &id);
    }
    (void)atomic_fetch_add(&peer->served, 1);
    km_peer_unref(peer);
    return KAMA_OK;
}

/* -- Hello ----------------------------------------------------------------- */

/* A peer that has just learnt its own id says Hello: this node does the same,
 * instead of a second later. Only a peer that has not answered yet is greeted, so
 * that no two nodes answer each other's Hellos for ever. */
static void greet_back(struct km_peer *peer)
{
    if (peer->place == KM_PEER_IN &&
        atomic_load(&peer->state) == KM_PEER_UNKNOWN) {
        km_peer_hello(peer);
    }
}

static void on_heard(struct km_lane_job *job)
{
    struct km_peer *peer = KM_CONTAINER_OF(job, struct km_peer, heard_job);
    struct km_peers *peers = peer->peers;
    km_mutex_lock(&peers->lock);
    uint64_t view_id = peer->heard_view_id;
    enum km_standing standing = peer->heard_standing;
    peer->heard_posted = false;
    km_mutex_unlock(&peers->lock);
    if (!atomic_load(&peers->closing)) {
        km_peer_heard(peer, view_id, standing);
        greet_back(peer);
    }
    km_peer_unref(peer);
}

/* Hands an announcement over to lane 0; a later one replaces one that has not
 * arrived there. peer: taken. */
static void hand_over(struct km_peer *peer, uint64_t view_id,
                      enum km_standing standing)
{
    struct km_peers *peers = peer->peers;
    km_mutex_lock(&peers->lock);
    bool posted = peer->heard_posted;
    peer->heard_view_id = view_id;
    peer->heard_standing = standing;
    peer->heard_posted = true;
    if (!posted) { /* lane 0 may be reading a job that is posted */
        peer->heard_job.run = on_heard;
    }
    km_mutex_unlock(&peers->lock);
    if (posted) {
        km_peer_unref(peer);
    } else {
        km_peers_post(peers, 0, &peer->heard_job);
    }
}

/* A node that is in no view here has adopted a view: lane 0 looks whether this
 * node can learn it. */
static void note_stranger(struct km_peers *peers, uint64_t view_id)
{
    km_mutex_lock(&peers->lock);
    peers->stranger_view_id = view_id;
    peers->stranger_heard = true;
    km_mutex_unlock(&peers->lock);
}

/* Returns whether a sender may become a member here. One that says no range may. */
static bool is_spoken(const struct km_msg_peer_hello_request *request)
{
    return request->proto_max == 0 ||
           km_member_is_spoken(request->proto_min, request->proto_max);
}

/* Takes the announcement of the sender. Returns how this node knows it. A node of another
 * protocol is never a member here, and the views that it has adopted say nothing. */
static enum km_msg_peer_welcome welcome(
    struct km_peers *peers, const struct km_msg_peer_hello_request *request)
{
    struct km_member_id id;
    if (!is_our_cluster(peers, request->sender.cluster,
                        request->sender.service) ||
        !read_id(request->sender.id, &id)) {
        return KM_MSG_PEER_WELCOME_UNKNOWN;
    }
    struct km_peer *peer = find_sender(peers, &id);
    if (peer == NULL) {
        if (has_gone(peers, &id)) {
            return KM_MSG_PEER_WELCOME_GONE;
        }
        if (!is_spoken(request)) {
            return KM_MSG_PEER_WELCOME_UNKNOWN;
        }
        if (request->standing == KM_MSG_PEER_STANDING_MEMBER ||
            request->standing == KM_MSG_PEER_STANDING_TURNING) {
            note_stranger(peers, request->sender.view_id);
        }
        km_peers_poke(&peers->read_poke);
        return KM_MSG_PEER_WELCOME_UNKNOWN;
    }
    hand_over(peer, request->sender.view_id,
              km_peers_standing_of(request->standing));
    return KM_MSG_PEER_WELCOME_MEMBER;
}

/* The caller holds the lock, under which the address stays as it is. */
static kama_status append_locked(struct km_peers *peers,
                                 struct km_msg_peer_hello_response *response,
                                 struct km_buf *out)
{
    KM_ASSERT_HELD(&peers->lock);
    response->address = KAMA_STR(peers->address);
    return km_pb_append(out, &km_msg_peer_hello_response_pb, response);
}

kama_status km_peers_hello(struct km_peers *peers,
                           const struct km_msg_peer_hello_request *request,
                           struct km_buf *out)
{
    const struct km_transport *t = &peers->transport;
    struct km_msg_peer_hello_response response = {
        .nonce = kama_bytes_make(peers->nonce.bytes, sizeof peers->nonce.bytes),
        .cluster = KAMA_STR(peers->cluster),
        .service = KAMA_STR(peers->service),
        .welcome = (int32_t)welcome(peers, request),
        .proto_min = KM_MEMBER_PROTO_MIN,
        .proto_max = KM_MEMBER_PROTO_MAX,
        .wall_ms = t->ops->wall_ms(t->arg),
        .version = KAMA_STR(kama_version())};
    struct km_snapshot_reader reader;
    const struct km_peers_state *state = km_peers_enter(peers, &reader);
    struct km_member_id self = state->self;
    response.id = bytes_of_id(&self);
    response.view_id = state->table->view != NULL ? state->table->view->id : 0;
    response.standing = (int32_t)atomic_load(&state->announced);
    km_peers_leave(&reader);
    km_mutex_lock(&peers->lock);
    kama_status st = append_locked(peers, &response, out);
    km_mutex_unlock(&peers->lock);
    return st;
}
