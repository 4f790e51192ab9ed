/* SPDX-License-Identifier: MIT */
/* The messages of calls: the head, which is alike in all of them, and the requests. */
#include "base/bytes.h"
#include "base/limits.h"
#include "peers/requests.h"
#include "wire/msg/peer.h"

#define SERVICE "/kama.peer.v1.Peer/"

/* The fields before the list are the same in all requests, but for the clock of a
 * Mutate. */
static kama_status append_head(struct km_peers_call *call, struct km_buf *out)
{
    struct km_peers *peers = call->on->peer->peers;
    struct km_peers_request first =
        km_peers_request_of(call->kind, call->requests[0]);
    struct km_msg_peer_mutate_request request = {
        .group = kama_bytes_str(first.group)};
    struct km_snapshot_reader reader;
    if (call->kind == KM_PEERS_MUTATE && peers->fence != NULL &&
        peers->fence->clock != NULL) {
        request.clock = peers->fence->clock(peers->fence_arg);
    }
    const struct km_peers_state *state = km_peers_enter(peers, &reader);
    struct km_member_id self = state->self;
    km_peers_fill_sender(peers, state, &request.sender);
    km_peers_leave(&reader);
    request.sender.id = kama_bytes_make(self.bytes, sizeof self.bytes);
    return km_pb_append(out, &km_msg_peer_mutate_request_pb, &request);
}

static kama_status append_keys(struct km_peers_call *call, struct km_buf *out)
{
    kama_status st = KAMA_OK;
    for (size_t i = 0; i < call->count && st == KAMA_OK; i++) {
        st = km_pb_append_bytes(
            out, KM_MSG_PEER_KEYS,
            km_peers_request_of(call->kind, call->requests[i]).key);
    }
    return st;
}

/* Returns the largest floor of the requests of a call. What one of them needs, all wait
 * for. */
static uint64_t floor_of(const struct km_peers_call *call)
{
    uint64_t floor = 0;
    for (size_t i = 0; i < call->count; i++) {
        uint64_t own = km_peers_request_of(call->kind, call->requests[i]).floor;
        floor = own > floor ? own : floor;
    }
    return floor;
}

/* The message of a call that needs are appended to. */
struct needs {
    struct km_peers_call *call;
    struct km_buf *out;
    bool is_behind; /* the peer lacks this: */
    struct km_lack lack;
    kama_status status;
};

static void append_need(void *arg, const struct km_member_id *id,
                        uint64_t clock)
{
    struct needs *needs = arg;
    const struct km_msg_peer_need need = {
        .member_id = kama_bytes_make(id->bytes, sizeof id->bytes),
        .clock = clock,
        .at_once = needs->is_behind && km_lack_covers(&needs->lack, id, clock)};
    needs->call->marked |= need.at_once;
    if (needs->status == KAMA_OK) {
        needs->status = km_pb_append_element(needs->out, KM_MSG_PEER_NEEDS,
                                             &km_msg_peer_need_pb, &need);
    }
}

/* R8: the needs are read now, when all fills of the call have begun. They have the same
 * number in Fill, FillMany and Peek. */
static kama_status append_needs(struct km_peers_call *call, struct km_buf *out)
{
    struct km_peer *peer = call->on->peer;
    const struct km_peers *peers = peer->peers;
    struct needs needs = {.call = call, .out = out, .status = KAMA_OK};
    uint64_t floor = floor_of(call);
    call->marked = false;
    if (floor != 0 && peers->fence != NULL) {
        needs.is_behind =
            km_lacking_any(&peer->lacking) &&
            km_lacking_get(&peer->lacking, km_peers_now(peers), &needs.lack);
        peers->fence->needs(peers->fence_arg, floor, &peer->id, append_need,
                            &needs);
    }
    return needs.status;
}

/* Fill and FillMany have the same numbers for the key and for the keys, for the
 * traceparent, for the needs, and for the peek. */
static kama_status append_fills(struct km_peers_call *call, struct km_buf *out)
{
    const struct km_owner_fill *first = call->requests[0];
    kama_status st = append_keys(call, out);
    if (st == KAMA_OK && first->traceparent != NULL) {
        st = km_pb_append_bytes(out, 4, kama_bytes_str(first->traceparent));
    }
    if (st == KAMA_OK && first->effort == KM_FILL_PEEKS) {
        st = km_pb_append_varint(out, KM_MSG_PEER_PEEK, 1);
    }
    return st == KAMA_OK ? append_needs(call, out) : st;
}

/* Appends the head of a mutation whose value is sent behind the message. */
static kama_status append_last(const struct km_msg_peer_mutation *mutation,
                               size_t value_bytes, struct km_buf *out)
{
    uint8_t prefix[KM_PB_PREFIX_BYTES_MAX];
    uint8_t *end = km_pb_write_prefix(prefix, KM_MSG_PEER_VALUE, value_bytes);
    size_t len = km_pb_size(&km_msg_peer_mutation_pb, mutation) +
                 (size_t)(end - prefix) + value_bytes;
    uint8_t outer[KM_PB_PREFIX_BYTES_MAX];
    uint8_t *outer_end = km_pb_write_prefix(outer, KM_MSG_PEER_MUTATIONS, len);
    kama_status st = km_buf_append(out, outer, (size_t)(outer_end - outer));
    if (st == KAMA_OK) {
        st = km_pb_append(out, &km_msg_peer_mutation_pb, mutation);
    }
    return st == KAMA_OK ? km_buf_append(out, prefix, (size_t)(end - prefix))
                         : st;
}

static struct km_msg_peer_mutation message_of(const struct km_owner_mutation *m)
{
    bool is_conditional = m->condition.kind != KM_PUT_ALWAYS;
    return (struct km_msg_peer_mutation){
        .kind = is_conditional ? KM_MSG_PEER_SET_IF : (int32_t)m->kind,
        .key = m->key,
        .ttl_ms = m->ttl_ms,
        .condition = (int32_t)m->condition.kind,
        .if_etag = m->condition.etag,
        .value = m->value};
}

/* The value of the last mutation is sent by reference. */
static kama_status append_mutations(struct km_peers_call *call,
                                    struct km_buf *out, kama_value **ret_body)
{
    kama_status st = KAMA_OK;
    for (size_t i = 0; i < call->count && st == KAMA_OK; i++) {
        const struct km_owner_mutation *m = call->requests[i];
        struct km_msg_peer_mutation message = message_of(m);
        if (i + 1 == call->count && m->item != NULL && m->value.len > 0) {
            message.value = kama_bytes_make(NULL, 0);
            *ret_body = m->item;
            return append_last(&message, m->value.len, out);
        }
        st = km_pb_append_element(out, KM_MSG_PEER_MUTATIONS,
                                  &km_msg_peer_mutation_pb, &message);
    }
    return st;
}

static kama_status append_clear(struct km_buf *out)
{
    struct km_msg_peer_mutation message = {.kind = KM_MSG_PEER_CLEAR};
    return km_pb_append_element(out, KM_MSG_PEER_MUTATIONS,
                                &km_msg_peer_mutation_pb, &message);
}

kama_status km_peers_encode(struct km_peers_call *call, struct km_buf *out,
                            kama_value **ret_body)
{
    if (call->kind == KM_PEERS_ASK) {
        const struct km_peers_ask_one *one = call->requests[0];
        return km_buf_append(out, one->message.data, one->message.len);
    }
    kama_status st = append_head(call, out);
    if (st != KAMA_OK) {
        return st;
    }
    switch (call->kind) {
    case KM_PEERS_FILL:
        return append_fills(call, out);
    case KM_PEERS_MUTATE:
        return append_mutations(call, out, ret_body);
    case KM_PEERS_PEEK:
        st = append_keys(call, out);
        return st == KAMA_OK ? append_needs(call, out) : st;
    case KM_PEERS_CLEAR:
        return append_clear(out);
    case KM_PEERS_ASK:
        break;
    }
    return KAMA_ERR_INTERNAL;
}

const char *km_peers_path(const struct km_peers_call *call)
{
    switch (call->kind) {
    case KM_PEERS_FILL:
        return call->count == 1 ? SERVICE "Fill" : SERVICE "FillMany";
    case KM_PEERS_PEEK:
        return SERVICE "Peek";
    case KM_PEERS_ASK:
        return ((const struct km_peers_ask_one *)call->requests[0])->path;
    default:
        return SERVICE "Mutate";
    }
}
