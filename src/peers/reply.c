/* SPDX-License-Identifier: MIT */
/* The messages that come back, and the replies that they are for the requests. */
#include "base/bytes.h"
#include "base/limits.h"
#include "base/text.h"
#include "group/unsynced.h"
#include "peers/requests.h"
#include "wire/msg/peer.h"

#include <string.h>

#define NS_PER_US 1000u

/* Returns whether a request of the kind can end with an outcome that is no error. For whoever
 * has asked, KAMA_DEFERRED would mean that the answer comes later: it would wait for ever. */
static bool is_outcome(enum km_peers_kind kind, int64_t number)
{
    return number == KAMA_OK || number == KAMA_MISS ||
           number == (km_peers_kind_is_mutation(kind) ? KAMA_UNSYNCED
                                                      : KAMA_WOULD_LOAD);
}

/* A status that is none, or that no request of the kind has, becomes an internal error. */
static kama_status read_status(enum km_peers_kind kind, int64_t number)
{
    bool is_error = number >= -999 && number < 0;
    return is_error || is_outcome(kind, number) ? (kama_status)number
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
        reply->text = km_peers_sentence(text, address, reply->outcome,
                                        "its view is another one");
        return;
    }
    reply->status = read_status(call->kind, status);
    if (reply->status < 0 && message.len > 0) {
        (void)km_text_clean(message, text, KM_ERROR_BYTES_MAX);
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

/* R8: remembers what the peer lacks, or that it has it now. */
static void note_lacking(struct km_peers_call *call,
                         const struct km_msg_peer_fill_response *r)
{
    struct km_peer *peer = call->on->peer;
    struct km_lack lack = {.clock = r->lacking.clock};
    if (r->outcome == KM_MSG_PEER_ANSWERED && call->marked) {
        call->marked = false;
        km_lacking_end(&peer->lacking);
    } else if (r->outcome == KM_MSG_PEER_BEHIND &&
               r->lacking.member_id.len == sizeof lack.id.bytes) {
        memcpy(lack.id.bytes, r->lacking.member_id.data, sizeof lack.id.bytes);
        km_lacking_note(&peer->lacking, &lack, km_peers_now(peer->peers));
    }
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
    note_lacking(call, r);
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

/* Copies an address of another node, which need not be one. */
static bool read_address(kama_bytes address, char text[KAMA_ADDRESS_BYTES])
{
    bool is_good = address.len > 0 && address.len < KAMA_ADDRESS_BYTES;
    if (is_good) {
        (void)km_text_clean(address, text, KAMA_ADDRESS_BYTES);
    }
    return is_good;
}

/* Returns a list with one reference. It is short, because a view is; what is longer is
 * cut off, whatever it consists of: an answer has room for millions of elements. */
static struct km_unsynced *read_unsynced(const struct km_peers_call *call,
                                         struct km_pb_list list)
{
    const kama_allocator *mem = call->on->peer->peers->mem;
    struct km_unsynced *all = NULL;
    kama_bytes element;
    char text[KAMA_ADDRESS_BYTES];
    const char *const address = text;
    for (unsigned i = 0;
         i < KM_PEERS_UNSYNCED_MAX && km_pb_next(&list, &element); i++) {
        if (read_address(element, text)) {
            km_unsynced_add(mem, &all, km_unsynced_new(mem, &address, 1));
        }
    }
    return all;
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
    reply->unsynced = read_unsynced(call, result.unsynced);
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
            km_unsynced_unref(reply.unsynced);
        }
    }
}
