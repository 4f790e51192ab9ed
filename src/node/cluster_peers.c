/* SPDX-License-Identifier: MIT */
#include "node/cluster_peers.h"

#include "node/cluster_state.h"
#include "node/node.h"
#include "sync/origins.h"
#include "wire/msg/peer.h"

static struct km_peers *peers_of(void *cluster)
{
    return ((struct km_cluster *)cluster)->peers;
}

static kama_status hello(void *cluster,
                         const struct km_msg_peer_hello_request *request,
                         struct km_buf *out)
{
    return km_peers_hello(peers_of(cluster), request, out);
}

static kama_status admit(void *cluster, const struct km_msg_peer_sender *sender)
{
    const struct km_peers_sender who = {
        .cluster = sender->cluster,
        .service = sender->service,
        .id = sender->id,
        .view_id = sender->view_id,
    };
    return km_peers_admit(peers_of(cluster), &who);
}

/* R8. The streams hear of an adoption later than peers do, and drop then what a member that
 * has left has set. A fill that came in between would bring that back. */
static bool has_adopted(void *cluster, uint64_t view_id)
{
    return km_peers_has_adopted(peers_of(cluster), view_id) &&
           km_sync_knows_view(km_cluster_sync_origins(cluster), view_id);
}

static uint64_t view_id(void *cluster)
{
    return km_peers_view_id(peers_of(cluster));
}

static enum km_service_place place(void *cluster, const char *group,
                                   kama_bytes key)
{
    struct km_owner_answer answer;
    km_peers_owner_ops.ask(peers_of(cluster),
                           km_owner_slot(km_owner_seed(group), key), &answer);
    switch (answer.place) {
    case KM_OWNER_HERE:
    case KM_OWNER_HERE_UNSETTLED:
        return KM_SERVICE_OWNER;
    case KM_OWNER_PEER:
        km_peers_owner_ops.release(peers_of(cluster), answer.peer);
        return KM_SERVICE_NOT_OWNER;
    case KM_OWNER_NOBODY:
        break;
    }
    return KM_SERVICE_BEHIND;
}

static bool has(void *cluster, kama_bytes member_id, uint64_t clock)
{
    struct km_sync_need need = {.clock = clock};
    if (member_id.len != KM_MEMBER_ID_BYTES) {
        return true;
    }
    memcpy(need.id.bytes, member_id.data, KM_MEMBER_ID_BYTES);
    return km_sync_has(km_cluster_sync_origins(cluster), &need);
}

const struct km_service_peer_ops km_cluster_peer_ops = {
    .hello = hello,
    .admit = admit,
    .has_adopted = has_adopted,
    .view_id = view_id,
    .place = place,
    .has = has,
};

/* -- needs ------------------------------------------------------------------- */

struct question {
    void (*cb)(void *arg, const struct km_member_id *id, uint64_t clock);
    void *arg;
};

static void pass_on(void *arg, const struct km_sync_need *need)
{
    const struct question *question = arg;
    question->cb(question->arg, &need->id, need->clock);
}

static void needs(void *cluster, uint64_t floor, const struct km_member_id *to,
                  void (*cb)(void *cb_arg, const struct km_member_id *id,
                             uint64_t clock),
                  void *cb_arg)
{
    struct question question = {cb, cb_arg};
    km_sync_needs(km_cluster_sync_origins(cluster), floor, to, pass_on,
                  &question);
}

static uint64_t clock_of(void *arg)
{
    const struct km_cluster *cluster = arg;
    struct km_sync_log_state log;
    km_sync_log_get(cluster->node->sync_log, &log);
    return log.hlc;
}

const struct km_peers_fence_ops km_cluster_fence_ops = {.needs = needs,
                                                        .clock = clock_of};
