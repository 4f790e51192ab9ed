/* SPDX-License-Identifier: MIT */
/* What the requests of all kinds have, and how each of them ends. */
#include "base/assert.h"
#include "base/text.h"
#include "peers/requests.h"

/* A request takes so much besides its key and its value. */
#define HEAD_BYTES 48

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
                                      .key = kama_bytes_make(NULL, 0),
                                      .deadline = one->deadline};
        break;
    }
    case KM_PEERS_ASK: {
        struct km_peers_ask_one *one = request;
        r = (struct km_peers_request){.peer = &one->peer,
                                      .group = "",
                                      .key = kama_bytes_make(NULL, 0),
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

const char *km_peers_sentence(char text[KM_ERROR_BYTES_MAX],
                              const char *address,
                              enum km_owner_outcome outcome, const char *why)
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
        .text = call->kind == KM_PEERS_ASK
                    ? why
                    : km_peers_sentence(text, call->on->peer->address, outcome,
                                        why)};
    for (size_t i = 0; i < call->count; i++) {
        if (call->requests[i] != NULL) {
            km_peers_end_one(call, i, &reply);
        }
    }
}
