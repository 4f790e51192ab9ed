/* SPDX-License-Identifier: MIT */
/* The messages of calls, and the answers to each request. */
#include "base/assert.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "base/text.h"
#include "peers/requests.h"
#include "wire/msg/peer.h"

#include <string.h>

#define SERVICE "/kama.peer.v1.Peer/"
/* A request takes so much besides its key and its value. */
#define HEAD_BYTES 48
#define NS_PER_US 1000u

static kama_bytes bytes_of(const char *string)
{
    return string != NULL ? kama_bytes_make(string, strlen(string))
                          : kama_bytes_make(NULL, 0);
}

/* -- requests of all kinds ------------------------------------------------- */

struct km_peers_request km_peers_request_of(enum km_peers_kind kind,
                                            void *request)
{
    struct km_peers_request r = {.peer = NULL};
    switch (kind) {
    case KM_PEERS_FILL: {
        struct km_owner_fill *fill = request;
        r = (struct km_peers_request){.peer = &fill->peer,
                                      .group = fill->group,
                                      .key = fill->key,
                                      .traceparent = fill->traceparent,
                                      .deadline = fill->deadline,
                                      .floor = fill->floor,
                                      .effort = fill->effort};
        break;
    }
    case KM_PEERS_MUTATE: {
        struct km_owner_mutation *mutation = request;
        r = (struct km_peers_request){.peer = &mutation->peer,
                                      .group = mutation->group,
                                      .key = mutation->key,
                                      .deadline = mutation->deadline,
                                      .bytes = mutation->value.len};
        break;
    }
    case KM_PEERS_PEEK: {
        struct km_owner_peek *peek = request;
        r = (struct km_peers_request){.peer = &peek->peer,
                                      .group = peek->group,
                                      .key = peek->key,
                                      .deadline = peek->deadline,
                                      .floor = peek->floor};
        break;
    }
    case KM_PEERS_CLEAR: {
        struct km_peers_clear_one *one = request;
        r = (struct km_peers_request){.peer = &one->peer,
                                      .group = one->group,
                                      .key = bytes_of(NULL),
                                      .deadline = one->deadline};
        break;
    }
    case KM_PEERS_ASK: {
        struct km_peers_ask_one *one = request;
        r = (struct km_peers_request){.peer = &one->peer,
                                      .group = "",
                                      .key = bytes_of(NULL),
                                      .deadline = one->deadline,
                                      .bytes = one->message.len};
        break;
    }
    }
    r.bytes += r.key.len + HEAD_BYTES;
    return r;
}

void km_peers_done(enum km_peers_kind kind, void *request,
                   const struct km_owner_reply *reply)
{
    switch (kind) {
    case KM_PEERS_FILL:
        ((struct km_owner_fill *)request)->done(request, reply);
        return;
    case KM_PEERS_MUTATE:
        ((struct km_owner_mutation *)request)->done(request, reply);
        return;
    case KM_PEERS_PEEK:
        ((struct km_owner_peek *)request)->done(request, reply);
        return;
    case KM_PEERS_CLEAR:
        ((struct km_peers_clear_one *)request)->done(request, reply);
        return;
    case KM_PEERS_ASK:
        ((struct km_peers_ask_one *)request)->done(request, reply);
        return;
    }
}

/* Returns the code with which the request counts: that of the peer's answer, or one
 * that says why there is none. */
static int code_of(const struct km_peers_call *call,
                   const struct km_owner_reply *reply)
{
    if (reply->outcome == KM_OWNER_ANSWERED) {
        return km_status_grpc(reply->status);
    }
    if (call->error != KAMA_OK) {
        return km_status_grpc(call->error);
    }
    return km_status_grpc(reply->outcome == KM_OWNER_NOT_OWNER ||
                                  reply->outcome == KM_OWNER_BEHIND
                              ? KAMA_ERR_NOT_MEMBER
                              : KAMA_ERR_PEER);
}

static void count(const struct km_peers_call *call, struct km_peer *peer,
                  const struct km_owner_reply *reply)
{
    bool failed = reply->outcome != KM_OWNER_ANSWERED;
    int code = code_of(call, reply);
    if (call->kind == KM_PEERS_FILL) {
        (void)atomic_fetch_add(&peer->fill_codes[code], 1);
        (void)atomic_fetch_add(&peer->fills_failed, failed);
    } else if (km_peers_kind_is_mutation(call->kind)) {
        (void)atomic_fetch_add(&peer->mutation_codes[code], 1);
        (void)atomic_fetch_add(&peer->mutations_failed, failed);
    }
}

/* `done` may free the request, so the peer is taken out of it before. */
void km_peers_end_one(struct km_peers_call *call, size_t index,
                      const struct km_owner_reply *reply)
{
    void *request = call->requests[index];
    KM_ASSERT(index < call->count && request != NULL && call->left > 0);
    struct km_peer *peer = *km_peers_request_of(call->kind, request).peer;
    call->requests[index] = NULL;
    call->left--;
    count(call, peer, reply);
    km_peers_done(call->kind, request, reply);
    km_peer_unref(peer);
}

/* -- sentences ------------------------------------------------------------- */

static const char *write_sentence(char text[KM_ERROR_BYTES_MAX],
                                  const char *address,
                                  enum km_owner_outcome outcome,
                                  const char *why)
{
    static const char *const formats[] = {
        [KM_OWNER_ANSWERED] = "the owner %s: %s",
        [KM_OWNER_NOT_OWNER] = "%s does not own the key in its view%.0s",
        [KM_OWNER_BEHIND] = "the owner %s does not know this node: %s",
        [KM_OWNER_UNREACHABLE] = "the owner %s cannot be reached: %s",
        [KM_OWNER_LOST] = "the owner %s has not answered: %s"};
    (void)km_text_printf(text, KM_ERROR_BYTES_MAX, formats[outcome], address,
                         why);
    return text;
}

void km_peers_end_all(struct km_peers_call *call, enum km_owner_outcome outcome,
                      kama_status status, const char *why)
{
    char text[KM_ERROR_BYTES_MAX];
    struct km_owner_reply reply = {
        .outcome = outcome,
        .status = status,
        .text =
            call->kind == KM_PEERS_ASK
                ? why
                : write_sentence(text, call->on->peer->address, outcome, why)};
    for (size_t i = 0; i < call->count; i++) {
        if (call->requests[i] != NULL) {
            km_peers_end_one(call, i, &reply);
        }
    }
}

/* -- encoding -------------------------------------------------------------- */

/* The fields before the list are the same in all requests, but for the clock of a
 * Mutate. */
static kama_status append_head(struct km_peers_call *call, struct km_buf *out)
{
    struct km_peers *peers = call->on->peer->peers;
    struct km_peers_request first =
        km_peers_request_of(call->kind, call->requests[0]);
    struct km_msg_peer_mutate_request request = {.group =
                                                     bytes_of(first.group)};
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

/* A message that needs are appended to. */
struct needs {
    struct km_buf *out;
    kama_status status;
};

static void append_need(void *arg, const struct km_member_id *id,
                        uint64_t clock)
{
    struct needs *needs = arg;
    const struct km_msg_peer_need need = {
        .member_id = kama_bytes_make(id->bytes, sizeof id->bytes),
        .clock = clock};
    if (needs->status == KAMA_OK) {
        needs->status = km_pb_append_element(needs->out, KM_MSG_PEER_NEEDS,
                                             &km_msg_peer_need_pb, &need);
    }
}

/* R8: the needs are read now, when all fills of the call have begun. They have the same
 * number in Fill, FillMany and Peek. */
static kama_status append_needs(struct km_peers_call *call, struct km_buf *out)
{
    const struct km_peer *peer = call->on->peer;
    const struct km_peers *peers = peer->peers;
    struct needs needs = {.out = out, .status = KAMA_OK};
    uint64_t floor = floor_of(call);
    if (floor != 0 && peers->fence != NULL) {
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
        st = km_pb_append_bytes(out, 4, bytes_of(first->traceparent));
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

/* -- decoding -------------------------------------------------------------- */

/* A status that is none becomes an internal error. */
static kama_status read_status(int64_t number)
{
    return number >= -999 && number <= KAMA_UNSYNCED ? (kama_status)number
                                                     : KAMA_ERR_INTERNAL;
}

static enum km_owner_outcome read_outcome(int32_t number)
{
    switch (number) {
    case KM_MSG_PEER_ANSWERED:
        return KM_OWNER_ANSWERED;
    case KM_MSG_PEER_NOT_OWNER:
        return KM_OWNER_NOT_OWNER;
    case KM_MSG_PEER_BEHIND:
        return KM_OWNER_BEHIND;
    default:
        return KM_OWNER_LOST;
    }
}

/* Fills in the sentence, whose text the caller keeps. */
static void read_reply(const struct km_peers_call *call, int32_t outcome,
                       int64_t status, kama_bytes message,
                       char text[KM_ERROR_BYTES_MAX],
                       struct km_owner_reply *reply)
{
    const char *address = call->on->peer->address;
    reply->outcome = read_outcome(outcome);
    reply->text = "";
    if (reply->outcome != KM_OWNER_ANSWERED) {
        reply->status = KAMA_ERR_PEER;
        reply->text = write_sentence(text, address, reply->outcome,
                                     "its view is another one");
        return;
    }
    reply->status = read_status(status);
    if (reply->status < 0 && message.len > 0) {
        size_t len = km_text_clean(message, text, KM_ERROR_BYTES_MAX);
        text[len < KM_ERROR_BYTES_MAX ? len : KM_ERROR_BYTES_MAX - 1] = '\0';
        reply->text = text;
    }
}

/* The peer does not own the key. If this node has another view by now, the fill
 * goes to the owner in that view, once. Returns whether it does. */
static bool regroup(struct km_peers_call *call, size_t index)
{
    struct km_owner_fill *fill = call->requests[index];
    struct km_peers *peers = call->on->peer->peers;
    struct km_owner_answer answer;
    if (fill->use[0] != NULL || fill->effort == KM_FILL_PEEKS) {
        return false;
    }
    km_peers_owner_ops.ask(
        peers, km_owner_slot(km_owner_seed(fill->group), fill->key), &answer);
    if (answer.peer == NULL || answer.peer == fill->peer) {
        if (answer.peer != NULL) {
            km_peer_unref(answer.peer);
        }
        return false;
    }
    km_peer_unref(fill->peer);
    fill->peer = answer.peer;
    fill->use[0] = fill;
    call->requests[index] = NULL;
    call->left--;
    km_peers_start(&peers->lanes[call->on->index], KM_PEERS_FILL, fill);
    return true;
}

/* Returns a time that a peer has told, whatever number that is. */
static km_ns read_us(uint64_t us)
{
    return us < KM_NS_NEVER / NS_PER_US ? us * NS_PER_US : KM_NS_NEVER;
}

static void take_fill(struct km_peers_call *call, size_t index,
                      const struct km_msg_peer_fill_response *r)
{
    char text[KM_ERROR_BYTES_MAX];
    struct km_owner_reply reply = {.value = r->value,
                                   .ttl_ms = r->ttl_ms,
                                   .version = r->version,
                                   .from_memory = r->from_memory,
                                   .etag_key = r->etag_key,
                                   .stamp = {r->clock, r->origin},
                                   .view_id = r->view_id,
                                   .current = r->current,
                                   .current_ns = read_us(r->current_us)};
    if (index >= call->count || call->requests[index] == NULL) {
        return;
    }
    read_reply(call, r->outcome, r->status, r->message, text, &reply);
    if (reply.outcome == KM_OWNER_NOT_OWNER && regroup(call, index)) {
        km_peers_start_open(&call->on->peer->peers->lanes[call->on->index]);
        return;
    }
    km_peers_end_one(call, index, &reply);
}

static void take_fills(struct km_peers_call *call, kama_bytes message)
{
    struct km_msg_peer_fill_response one;
    struct km_msg_peer_fill_many_response many;
    if (call->count == 1) {
        if (km_pb_decode(&km_msg_peer_fill_response_pb, message, &one) ==
            KAMA_OK) {
            take_fill(call, 0, &one);
        }
    } else if (km_pb_decode(&km_msg_peer_fill_many_response_pb, message,
                            &many) == KAMA_OK) {
        take_fill(call, many.index, &many.answer);
    }
}

static bool read_item(const struct km_peers_call *call, kama_bytes element,
                      char text[KM_ERROR_BYTES_MAX],
                      struct km_owner_reply *reply)
{
    struct km_msg_peer_peek_item peek;
    struct km_msg_peer_mutate_result result;
    *reply = (struct km_owner_reply){.text = ""};
    if (call->kind == KM_PEERS_PEEK) {
        if (km_pb_decode(&km_msg_peer_peek_item_pb, element, &peek) !=
            KAMA_OK) {
            return false;
        }
        reply->ttl_ms = peek.ttl_ms;
        read_reply(call, peek.outcome, peek.status, kama_bytes_make(NULL, 0),
                   text, reply);
        return true;
    }
    if (km_pb_decode(&km_msg_peer_mutate_result_pb, element, &result) !=
        KAMA_OK) {
        return false;
    }
    reply->etag_key = result.etag_key;
    reply->stamp = (struct km_version){result.clock, result.origin};
    read_reply(call, result.outcome, result.status, result.message, text,
               reply);
    return true;
}

/* The status of a call comes behind its message and is KAMA_OK then. */
static void take_answer(struct km_peers_call *call, kama_bytes message)
{
    const struct km_owner_reply reply = {
        .outcome = KM_OWNER_ANSWERED, .text = "", .value = message};
    if (call->requests[0] != NULL) {
        km_peers_end_one(call, 0, &reply);
    }
}

void km_peers_decode(struct km_peers_call *call, kama_bytes message)
{
    struct km_msg_peer_items_response response;
    struct km_owner_reply reply;
    kama_bytes element;
    char text[KM_ERROR_BYTES_MAX];
    if (call->kind == KM_PEERS_FILL) {
        take_fills(call, message);
        return;
    }
    if (call->kind == KM_PEERS_ASK) {
        take_answer(call, message);
        return;
    }
    if (km_pb_decode(&km_msg_peer_items_response_pb, message, &response) !=
        KAMA_OK) {
        return;
    }
    for (size_t i = 0; i < call->count && km_pb_next(&response.items, &element);
         i++) {
        if (call->requests[i] != NULL &&
            read_item(call, element, text, &reply)) {
            km_peers_end_one(call, i, &reply);
        }
    }
}
