/* SPDX-License-Identifier: MIT */
/* Asks whoever listens at an address who it is, with a link of its own. */
#include "base/assert.h"
#include "base/container.h"
#include "base/limits.h"
#include "peers/state.h"
#include "wire/msg/peer.h"

#include <string.h>

/* In the `use` of a probe. */
struct probe_use {
    struct km_link_call call;
    struct km_lane_job job; /* if the probe fails before a call is made */
    struct km_peers *peers;
    struct km_link *link;
    kama_status status;
    bool answered;
    struct km_member_id id;
    struct km_member_id nonce;
    char *cluster; /* owned */
};
_Static_assert(sizeof(struct probe_use) <=
                   sizeof(((struct km_peers_probe *)0)->use),
               "a probe has room for its call");

static struct probe_use *use_of(struct km_peers_probe *probe)
{
    return (struct probe_use *)(void *)probe->use;
}

/* The probe is the caller's memory again. */
static void end(struct km_peers_probe *probe, kama_status status,
                const char *text)
{
    struct probe_use *use = use_of(probe);
    struct km_peers *peers = use->peers;
    char *cluster = use->cluster;
    if (use->link != NULL) {
        peers->transport.ops->close(use->link);
    }
    if (use->answered && status == KAMA_OK) {
        struct km_member_id id = use->id;
        struct km_member_id nonce = use->nonce;
        probe->done(probe, KAMA_OK, "", &id, &nonce, cluster);
    } else {
        probe->done(probe, status == KAMA_OK ? KAMA_ERR_PROTOCOL : status, text,
                    NULL, NULL, NULL);
    }
    km_mem_free(peers->mem, cluster);
    km_peers_release(peers);
}

static void copy_id(kama_bytes bytes, struct km_member_id *ret_id)
{
    memset(ret_id, 0, sizeof *ret_id);
    if (bytes.len == sizeof ret_id->bytes) {
        memcpy(ret_id->bytes, bytes.data, bytes.len);
    }
}

static void on_message(struct km_link_call *call, kama_bytes message)
{
    struct probe_use *use = KM_CONTAINER_OF(call, struct probe_use, call);
    struct km_msg_peer_hello_response r;
    if (use->answered ||
        km_pb_decode(&km_msg_peer_hello_response_pb, message, &r) != KAMA_OK) {
        return;
    }
    copy_id(r.id, &use->id);
    copy_id(r.nonce, &use->nonce);
    use->cluster =
        km_mem_strndup(use->peers->mem, r.cluster.len > 0 ? r.cluster.data : "",
                       r.cluster.len);
    use->answered = use->cluster != NULL;
}

static void on_end(struct km_link_call *call, enum km_link_end how,
                   kama_status status, const char *text)
{
    struct probe_use *use = KM_CONTAINER_OF(call, struct probe_use, call);
    if (how != KM_LINK_ANSWERED && status == KAMA_OK) {
        status = KAMA_ERR_UNREACHABLE;
    }
    end(KM_CONTAINER_OF(use, struct km_peers_probe, use), status, text);
}

static void on_failed(struct km_lane_job *job)
{
    struct probe_use *use = KM_CONTAINER_OF(job, struct probe_use, job);
    end(KM_CONTAINER_OF(use, struct km_peers_probe, use), use->status,
        use->status == KAMA_ERR_INVALID ? "the address cannot be read"
                                        : "out of memory");
}

static kama_status start(struct km_peers_probe *probe, const char *address,
                         km_ns deadline, struct km_buf *buf)
{
    struct probe_use *use = use_of(probe);
    struct km_peers *peers = use->peers;
    const struct km_transport *t = &peers->transport;
    const struct km_peers_state *state = km_peers_own(peers);
    struct km_msg_peer_hello_request request = {
        .address = kama_bytes_make(peers->address, strlen(peers->address)),
        .proto_min = KM_MEMBER_PROTO_MIN,
        .proto_max = KM_MEMBER_PROTO_MAX,
        .wall_ms = t->ops->wall_ms(t->arg)};
    km_peers_fill_sender(peers, state, &request.sender);
    kama_status st = km_pb_append(buf, &km_msg_peer_hello_request_pb, &request);
    if (st == KAMA_OK) {
        st = t->ops->open(t->arg, 0, address, &use->link);
    }
    if (st == KAMA_OK) {
        use->call = (struct km_link_call){.path = "/kama.peer.v1.Peer/Hello",
                                          .deadline = deadline,
                                          .head = km_buf_bytes(buf),
                                          .on_message = on_message,
                                          .on_end = on_end};
        t->ops->call(use->link, &use->call);
    }
    return st;
}

void km_peers_probe(struct km_peers *peers, const char *address, km_ns deadline,
                    struct km_peers_probe *probe)
{
    struct probe_use *use = use_of(probe);
    struct km_buf buf;
    *use = (struct probe_use){.peers = peers};
    km_peers_hold(peers);
    km_buf_init(&buf, peers->mem, SIZE_MAX);
    kama_status st = start(probe, address, deadline, &buf);
    km_buf_fini(&buf);
    if (st != KAMA_OK) {
        use->link = NULL;
        use->status = st;
        use->job.run = on_failed;
        km_peers_post(peers, 0, &use->job);
    }
}
