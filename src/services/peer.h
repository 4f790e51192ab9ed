/* SPDX-License-Identifier: MIT */
/*
 * The methods of kama.peer.v1.Peer: the requests of the other nodes of the cluster.
 * A request is answered or refused, and never passed on.
 *
 *     message --> sender admitted? --> its view known? --no, 50 ms--> BEHIND
 *                     | no                 | yes                           ^
 *                     v                    v                               |
 *               NOT_MEMBER        its needs applied? --no, fence_wait------+
 *                                          | yes
 *                                          v
 *                                 Fill, FillMany: owner? --> the get of the group
 *                                 Peek: owner? --> memory
 *                                 Mutate: the mutations, one after the other
 *
 * R8: the needs are what the sender has of other members' mutations. Only when this node
 * has them, too, does it look at the key. The answer BEHIND to a fill names a need that is
 * lacking; when the sender sends it again a moment later, it is not waited for.
 *
 * Hello needs no admission, because it is how nodes get to know each other.
 *
 * A call of FillMany has at most KM_SERVICE_FILLS_PARALLEL keys under way or
 * answered and not sent; the others begin as soon as the connection has room.
 *
 * Threads: loop thread; the functions of the table, any thread. Errors: the
 * status of the call, or of the one request. Ownership: the state of a call, or
 * one object that holds the call, owns everything. Cost: none for a Fill that is
 * in memory, and at most two allocations for another call.
 */
#pragma once

#include "base/buf.h"
#include "rpc/server.h"
#include "services/peer_source.h"
#include "services/waiting_call.h"
#include "view/member.h"

/* How long a call waits for this node to learn the view of its sender. */
#define KM_SERVICE_VIEW_WAIT_MS 50
#define KM_SERVICE_VIEW_POLL_MS 5
#define KM_SERVICE_NEEDS_POLL_MS 1
#define KM_SERVICE_FILLS_PARALLEL 64

/* The beginning of the state of each call but Hello. */
struct km_service_peer_state {
    struct km_waiting_call waiting;
    km_ns view_until;   /* a call that waits goes on then, if this node */
    km_ns needs_until;  /* lacks the view, and if it lacks mutations */
    bool is_counted;    /* among those that have waited for needs */
    bool names_lacking; /* a need that this node lacks: of this member */
    uint8_t lacking_member_id[KM_MEMBER_ID_BYTES];
    uint64_t lacking_clock;
    void *work; /* the object that holds the call, or NULL */
};

struct km_server_call;

void km_service_peer_hello(struct km_server_call *call, kama_bytes message);
void km_service_peer_fill(struct km_server_call *call, kama_bytes message);
void km_service_peer_fill_many(struct km_server_call *call, kama_bytes message);
void km_service_peer_peek(struct km_server_call *call, kama_bytes message);
void km_service_peer_mutate(struct km_server_call *call, kama_bytes message);
/* on_cancel of each of them but Hello, and on_writable of FillMany. */
void km_service_peer_cancelled(struct km_server_call *call, kama_status why);
void km_service_peer_writable(struct km_server_call *call);
