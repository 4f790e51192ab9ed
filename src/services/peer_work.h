/* SPDX-License-Identifier: MIT */
/*
 * The parts that the files of kama.peer.v1 share: how a method begins when its
 * sender was admitted and its view is known, or was waited for in vain.
 *
 * Threads: loop thread. Ownership: everything is borrowed. Errors: a function
 * that fails finishes the call.
 */
#pragma once

#include "services/peer.h"
#include "services/service.h"
#include "wire/msg/peer.h"

/* Whether this node has adopted the view of the sender, or a newer one, and has what
 * the sender needs (R8). */
enum km_peer_knowledge { KM_PEER_IS_LEVEL, KM_PEER_IS_BEHIND };

typedef void (*km_peer_begin_fn)(struct km_server_call *call,
                                 kama_bytes message,
                                 enum km_peer_knowledge knowledge);

/* The state of a call. */
struct km_peer_method_state {
    struct km_service_peer_state base;
    km_peer_begin_fn begin;
    void (*cancel)(struct km_server_call *call);   /* when there is work */
    void (*writable)(struct km_server_call *call); /* likewise */
};

/* Admits the sender, waits for its view, and begins. */
void km_peer_method_start(struct km_server_call *call, kama_bytes message,
                          km_peer_begin_fn begin);

/* Returns KM_MSG_PEER_ANSWERED if this node owns the key. */
enum km_msg_peer_outcome km_peer_place(struct km_server_call *call,
                                       kama_group *group, kama_bytes key);
uint64_t km_peer_view_id(struct km_server_call *call);
/* Returns the need that this node lacks, if the knowledge of the call is IS_BEHIND for
 * that; otherwise one without a member. It is borrowed from the call. */
struct km_msg_peer_need km_peer_lacking(struct km_server_call *call);
