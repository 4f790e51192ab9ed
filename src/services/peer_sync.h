/* SPDX-License-Identifier: MIT */
/*
 * The method Sync of kama.peer.v1.Peer: the stream of another node's mutations. Its
 * call lives on an event loop, and all streams are applied on one loop of the node
 * (sync_source.h), so each message travels between the two as mail.
 *
 *     call:   Hello: admitted? --no, for half a second--> NOT_MEMBER
 *                       | yes
 *                       v
 *             message --copy--> mail --> the node applies it
 *             pause <-- KM_SYNC_QUEUED_BYTES are under way
 *             resume <-- mail: half of them are applied
 *
 * A node that has just registered begins its streams at once, and the registry may tell this
 * node of it a moment later; so its Hello waits for that.
 *
 * The call and the node end independently of each other, and mails may be under way
 * in both directions. The last mail to the node says that the call has ended; the
 * answer to it is the last mail to the call, which frees the stream:
 *
 *     the call ends   --end-->   sync_source's `end`   --gone-->   freed
 *
 * Until then the stream holds its call, and counts as parked (services/env.h), so
 * that the loop of the call is there when the last mail comes.
 *
 * Threads: loop thread; km_peer_stream_reply and _refuse on the loop of the node.
 * Errors: the status of the call. Ownership: the stream owns itself. Cost: one
 * allocation for each stream, and one for each message and reply.
 */
#pragma once

#include "rpc/server.h"
#include "services/sync_source.h"
#include "services/waiting_call.h"

/* How long the Hello of a node that is not known yet waits. */
#define KM_SERVICE_SYNC_WAIT_MS 500
#define KM_SERVICE_SYNC_POLL_MS 5

struct km_server_call;

/* The state of a call. */
struct km_service_peer_sync {
    struct km_peer_stream *stream; /* NULL: before the Hello, or it has ended */
    struct km_waiting_call waiting; /* a Hello */
    km_ns until;                    /* of the wait */
};

void km_service_peer_sync(struct km_server_call *call, kama_bytes message);
void km_service_peer_sync_half_closed(struct km_server_call *call);
void km_service_peer_sync_cancelled(struct km_server_call *call,
                                    kama_status why);
