/* SPDX-License-Identifier: MIT */
#include "peers/peer.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/limits.h"
#include "peers/state.h"

/* -- kicks ----------------------------------------------------------------- */

/* On the lane: looks at the state that the peer has now. */
static void on_kick(struct km_lane_job *job)
{
    struct km_peer_lane *lane = KM_CONTAINER_OF(job, struct km_peer_lane, job);
    struct km_peer *peer = lane->peer;
    atomic_store(&lane->kicked, false);
    if (!km_peer_is_open(peer)) {
        km_peer_lane_end_calls(lane);
    }
    if (atomic_load(&peer->has_left) && lane->link != NULL) {
        struct km_link *link = lane->link;
        lane->link = NULL;
        peer->peers->transport.ops->close(link);
    }
    km_peer_unref(peer);
}

/* The kick that is posted last sees what was written before it. */
static void kick(struct km_peer *peer)
{
    for (unsigned i = 1; i < peer->peers->lane_count; i++) {
        struct km_peer_lane *lane = &peer->lanes[i];
        if (!atomic_exchange(&lane->kicked, true)) {
            (void)km_peer_ref(peer);
            km_peers_post(peer->peers, i, &lane->job);
        }
    }
}

/* -- life ------------------------------------------------------------------ */

static void on_suspect(struct km_lane_job *job)
{
    struct km_peer *peer = KM_CONTAINER_OF(job, struct km_peer, suspect_job);
    atomic_store(&peer->suspected, false);
    if (peer->place == KM_PEER_IN) {
        km_peer_hello(peer);
    }
    km_peer_unref(peer);
}

void km_peer_suspect(struct km_peer *peer)
{
    if (!atomic_exchange(&peer->suspected, true)) {
        (void)km_peer_ref(peer);
        km_peers_post(peer->peers, 0, &peer->suspect_job);
    }
}

static void lanes_init(struct km_peer *peer)
{
    for (unsigned i = 0; i < peer->peers->lane_count; i++) {
        peer->lanes[i].peer = peer;
        peer->lanes[i].index = i;
        peer->lanes[i].job.run = on_kick;
        km_list_init(&peer->lanes[i].calls);
    }
}

kama_status km_peer_new(struct km_peers *peers, const struct km_member *member,
                        struct km_peer **ret_peer)
{
    struct km_peer *peer =
        km_mem_zalloc(peers->mem, 1,
                      sizeof *peer + peers->lane_count * sizeof peer->lanes[0]);
    if (peer == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    peer->address = km_mem_strdup(peers->mem, member->address);
    if (peer->address == NULL) {
        km_mem_free(peers->mem, peer);
        return KAMA_ERR_NO_MEMORY;
    }
    atomic_init(&peer->refs, 1);
    atomic_init(&peer->since, km_peers_now(peers));
    peer->peers = peers;
    peer->id = member->id;
    peer->suspect_job.run = on_suspect;
    km_histogram_init(&peer->times);
    km_lacking_init(&peer->lacking, &peers->lock);
    lanes_init(peer);
    km_peers_hold(peers);
    *ret_peer = peer;
    return KAMA_OK;
}

struct km_peer *km_peer_ref(struct km_peer *peer)
{
    unsigned before = atomic_fetch_add(&peer->refs, 1);
    KM_ASSERT(before > 0);
    return peer;
}

void km_peer_unref(struct km_peer *peer)
{
    if (atomic_fetch_sub(&peer->refs, 1) != 1) {
        return;
    }
    struct km_peers *peers = peer->peers;
    for (unsigned i = 0; i < peers->lane_count; i++) {
        KM_ASSERT(peer->lanes[i].link == NULL);
        KM_ASSERT(km_list_empty(&peer->lanes[i].calls));
    }
    km_mem_free(peers->mem, peer->address);
    km_mem_free(peers->mem, peer);
    km_peers_release(peers);
}

/* -- states (lane 0) ------------------------------------------------------- */

void km_peer_set_state(struct km_peer *peer, enum km_peer_state state,
                       const char *text)
{
    struct km_peers *peers = peer->peers;
    if (atomic_load(&peer->state) == state || peer->place != KM_PEER_IN) {
        return;
    }
    atomic_store(&peer->state, state);
    atomic_store(&peer->since, km_peers_now(peers));
    if (state == KM_PEER_UNREACHABLE || state == KM_PEER_REFUSED) {
        kick(peer);
    }
    peers->events->peer(peers->owner, peer->address, &peer->id, state, text);
}

void km_peer_part(struct km_peer *peer)
{
    KM_ASSERT(peer->place == KM_PEER_PARTING);
    peer->place = KM_PEER_OUT;
    km_list_remove(&peer->node);
    km_peer_hello_end(peer);
    km_peer_unref(peer);
}

static void start_parting(struct km_peer *peer)
{
    peer->place = KM_PEER_PARTING;
    km_list_push_back(&peer->peers->parting, &km_peer_ref(peer)->node);
    km_peer_hello(peer);
}

static bool is_parting(const struct km_peers *peers,
                       const struct km_member_id *id)
{
    const struct km_list *node = peers->parting.next;
    for (; node != &peers->parting; node = node->next) {
        const struct km_peer *peer =
            KM_CONTAINER_OF(node, const struct km_peer, node);
        if (km_member_id_equal(&peer->id, id)) {
            return true;
        }
    }
    return false;
}

kama_status km_peer_pass(struct km_peers *peers, const struct km_member *member)
{
    struct km_peer *peer;
    if (is_parting(peers, &member->id)) {
        return KAMA_OK;
    }
    kama_status status = km_peer_new(peers, member, &peer);
    if (status == KAMA_OK) {
        atomic_store(&peer->has_left, true);
        start_parting(peer);
        km_peer_unref(peer);
    }
    return status;
}

void km_peer_leave(struct km_peer *peer)
{
    bool was_in = peer->place == KM_PEER_IN;
    atomic_store(&peer->has_left, true);
    kick(peer);
    if (was_in) {
        start_parting(peer);
    }
}
