/* SPDX-License-Identifier: MIT */
/*
 * Whether a connection may have the call that has just begun on it. The calls
 * of a connection show whose it is:
 *
 *     CLIENT --the first call of a method for peers--> PEER
 *
 * Two things ask for it. While the clients are drained, a peer is served and a
 * client is not, unless its connection is among those that are drained. And of
 * the connections beyond max_connections, which have a reserved place, only
 * those of peers stay:
 *
 *     reserved place --a call for peers-->             kept
 *          |---------- any other call ->               refused, GOAWAY
 *          +---------- KM_RPC_PEER_CALL_MS pass -----> GOAWAY
 *
 * A method is marked as one for peers, for clients or for probes in its row
 * (rpc/server_method.h). Whether a peer is who it says is not decided here: that
 * is the work of the method's handler.
 *
 * Threads: the loop of the call. Cost: O(1). Errors: none are returned.
 */
#pragma once

#include "net/acceptor.h"

struct km_server_call;
struct km_server_conn;

/* Whose connection it is. */
enum km_server_party { KM_SERVER_CLIENT, KM_SERVER_PEER };

/* Refuses the call if its connection may not have it. The method is known. */
void km_server_admit(struct km_server_call *call);

/* A connection has opened in this place. */
void km_server_admit_opened(struct km_server_conn *conn,
                            enum km_acceptor_place place);
/* A connection is gone. */
void km_server_admit_closed(struct km_server_conn *conn);
