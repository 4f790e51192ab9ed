/* SPDX-License-Identifier: MIT */
/*
 * One connection of a server: it stands between net, which moves its bytes
 * (net/conn.h), and HTTP/2, which cuts them into requests (wire/h2/h2.h), and
 * makes each request a call.
 *
 *     net/conn  --bytes-->  wire/h2  --events-->  server_conn  -->  calls
 *               <--bytes--           <------ answers, windows -------+
 *
 * Life: the acceptor gives a descriptor to km_server_conn_open. HTTP/2 ends
 * first (h2 is NULL from then on, and no call is left), the descriptor is
 * closed after that, and then the connection frees itself and says so to the
 * acceptor and to the drain.
 *
 *     open --> h2 and descriptor --on_gone--> descriptor --on_closed--> freed
 *
 * A drain ends it with two GOAWAYs: the first one has the highest stream id,
 * so that the client opens nothing new and nothing that it had sent is lost,
 * and the second one has the last stream that was served. It is in two drains:
 * that of all connections, and that of the clients, until its calls show that
 * it is a peer's (rpc/server_admit.h).
 *
 * Threads: the loop of the connection. Errors: a connection for which there is
 * no memory is closed. Cost: about 14 KiB, of which HTTP/2 takes most.
 */
#pragma once

#include "net/conn.h"

#include "rpc/server_admit.h"
#include "rpc/server_loop.h"

#include <stddef.h>

struct km_h2;

/* The favoured call, while others are stalled (rpc/server_held.h). */
enum km_server_stall {
    KM_SERVER_STALL_STILL, /* it got no byte since the timer was armed */
    KM_SERVER_STALL_MOVED, /* it got some */
    KM_SERVER_STALL_NEVER /* it got none in time: no call is stalled any more */
};

struct km_server_conn {
    struct km_conn_owner owner; /* first */
    struct km_server_loop *server_loop;
    struct km_h2 *h2; /* NULL once it is gone */
    struct km_conn *conn;
    struct km_list node;                /* in server_loop->conns */
    struct km_drain_entry drain;        /* in server->drain */
    struct km_drain_entry client_drain; /* in server->client_drain, unless it is
                                         * a peer's or has come too late */
    enum km_server_party party;
    enum km_acceptor_place place;
    struct km_timer place_timer;     /* armed while a RESERVED place has to be
                                  * earned */
    struct km_list calls;            /* those that have not ended */
    km_ns called_at;                 /* when the last one began; 0: never */
    struct km_list stalled;          /* calls whose windows stay closed */
    struct km_server_call *favoured; /* the one call that may go on while the
                                      * others are stalled */
    size_t held_bytes;               /* of requests that come in pieces */
    enum km_server_stall stall;
    struct km_timer stall_timer; /* armed while calls are stalled */
    max_align_t state[];         /* options.conn_state_bytes */
};

/* Opens a connection on a descriptor that the acceptor has counted. Takes fd,
 * and closes it if the connection cannot be opened. */
void km_server_conn_open(struct km_server_loop *server_loop, int fd,
                         enum km_acceptor_place place);

/* Asks for a write at the end of the turn. */
void km_server_conn_wake(struct km_server_conn *conn);
