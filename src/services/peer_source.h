/* SPDX-License-Identifier: MIT */
/*
 * The questions that the methods of kama.peer.v1 ask of the node. node/ fills the table in; a
 * node that is in no cluster has none.
 *
 * Threads: any thread; the functions do not block. Ownership: arguments are
 * borrowed until return. Errors: as each function says.
 */
#pragma once

#include "base/buf.h"

struct km_msg_peer_hello_request;
struct km_msg_peer_sender;

/* Whether this node may answer for a key as its owner. */
enum km_service_place {
    KM_SERVICE_OWNER,
    KM_SERVICE_NOT_OWNER,
    KM_SERVICE_BEHIND /* this node cannot know it */
};

struct km_service_peer_ops {
    /* Appends the HelloResponse. Errors: those of km_buf_reserve. */
    kama_status (*hello)(void *peers,
                         const struct km_msg_peer_hello_request *request,
                         struct km_buf *out);
    /* KAMA_OK, or KAMA_ERR_NOT_MEMBER with a sentence. */
    kama_status (*admit)(void *peers, const struct km_msg_peer_sender *sender);
    /* Whether this node has adopted the view of the sender or a later one. Until
     * then it may own a key without knowing it. */
    bool (*has_adopted)(void *peers, uint64_t view_id);
    uint64_t (*view_id)(void *peers);
    enum km_service_place (*place)(void *peers, const char *group,
                                   kama_bytes key);
    /* R8. Returns whether this node has applied the mutations of a member up to a clock.
     * Bytes that are no id of a member count as one that is not here any more. */
    bool (*has)(void *peers, kama_bytes member_id, uint64_t clock);
};

struct km_service_peers {
    const struct km_service_peer_ops *ops; /* NULL: in no cluster */
    void *arg;
};
