/* SPDX-License-Identifier: MIT */
#include "node/cluster_peers.h"

#include "peers/peers.h"
#include "wire/msg/peer.h"

static kama_status hello(void *peers,
                         const struct km_msg_peer_hello_request *request,
                         struct km_buf *out)
{
    return km_peers_hello(peers, request, out);
}

static kama_status admit(void *peers, const struct km_msg_peer_sender *sender)
{
    const struct km_peers_sender who = {
        .cluster = sender->cluster,
        .service = sender->service,
        .id = sender->id,
        .view_id = sender->view_id,
    };
    return km_peers_admit(peers, &who);
}

static bool has_adopted(void *peers, uint64_t view_id)
{
    return km_peers_has_adopted(peers, view_id);
}

static uint64_t view_id(void *peers)
{
    return km_peers_view_id(peers);
}

static enum km_service_place place(void *peers, const char *group,
                                   kama_bytes key)
{
    struct km_owner_answer answer;
    km_peers_owner_ops.ask(peers, km_owner_slot(km_owner_seed(group), key),
                           &answer);
    switch (answer.place) {
    case KM_OWNER_HERE:
    case KM_OWNER_HERE_UNSETTLED:
        return KM_SERVICE_OWNER;
    case KM_OWNER_PEER:
        km_peers_owner_ops.release(peers, answer.peer);
        return KM_SERVICE_NOT_OWNER;
    case KM_OWNER_NOBODY:
        break;
    }
    return KM_SERVICE_BEHIND;
}

const struct km_service_peer_ops km_cluster_peer_ops = {
    .hello = hello,
    .admit = admit,
    .has_adopted = has_adopted,
    .view_id = view_id,
    .place = place,
};
