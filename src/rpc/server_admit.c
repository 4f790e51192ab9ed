/* SPDX-License-Identifier: MIT */
/*
 * A refused connection gets a GOAWAY, ends its calls and closes by itself. It
 * keeps its reserved place until then.
 */
#include "rpc/server_admit.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/limits.h"
#include "rpc/server_call_life.h"

static void say_goaway(struct km_server_conn *conn)
{
    if (conn->h2 != NULL) {
        km_h2_goaway(conn->h2);
        km_server_conn_wake(conn);
    }
}

/* -- reserved places ----------------------------------------------------- */

/* The connection must leave its reserved place. */
static void evict(struct km_server_conn *conn)
{
    if (conn->place_timer.at != 0) {
        km_loop_timer_disarm(conn->server_loop->loop, &conn->place_timer);
        km_server_loop_count(conn->server_loop,
                             KM_SERVER_M_REFUSED_CONNECTIONS);
    }
    say_goaway(conn);
}

static void on_place_timer(struct km_timer *timer)
{
    struct km_server_conn *conn =
        KM_CONTAINER_OF(timer, struct km_server_conn, place_timer);
    km_server_loop_count(conn->server_loop, KM_SERVER_M_REFUSED_CONNECTIONS);
    say_goaway(conn);
}

void km_server_admit_opened(struct km_server_conn *conn,
                            enum km_acceptor_place place)
{
    struct km_loop *loop = conn->server_loop->loop;
    conn->place = place;
    if (place == KM_ACCEPTOR_RESERVED) {
        conn->place_timer.fire = on_place_timer;
        km_loop_timer_arm(
            loop, &conn->place_timer,
            km_ns_after_ms(km_loop_now(loop), KM_RPC_PEER_CALL_MS));
    }
}

void km_server_admit_closed(struct km_server_conn *conn)
{
    if (conn->place_timer.at != 0) {
        km_loop_timer_disarm(conn->server_loop->loop, &conn->place_timer);
    }
}

/* -- calls --------------------------------------------------------------- */

static void become_peer(struct km_server_conn *conn)
{
    struct km_server_loop *server_loop = conn->server_loop;
    if (conn->party == KM_SERVER_PEER) {
        return;
    }
    conn->party = KM_SERVER_PEER;
    km_server_admit_closed(conn);
    km_drain_remove(&server_loop->server->client_drain, server_loop->loop_index,
                    &conn->client_drain);
}

/* Returns whether the clients' connections are drained, and this one is not
 * among them, because it has come too late or is a peer's. */
static bool is_too_late(const struct km_server_conn *conn)
{
    const struct km_server_loop *server_loop = conn->server_loop;
    return km_list_empty(&conn->client_drain.node) &&
           !km_drain_accepts(&server_loop->server->client_drain,
                             server_loop->loop_index);
}

static void admit_client(struct km_server_call *call)
{
    struct km_server_conn *conn = call->conn;
    if (is_too_late(conn) && conn->party == KM_SERVER_CLIENT) {
        km_server_refuse_stream(call);
        say_goaway(conn);
    } else if (is_too_late(conn)) {
        km_server_refuse(call, KAMA_ERR_CLOSED, "the node is stopping");
    }
}

void km_server_admit(struct km_server_call *call)
{
    struct km_server_conn *conn = call->conn;
    if (call->method->audience == KM_SERVER_FOR_PEERS) {
        become_peer(conn);
    } else if (conn->place == KM_ACCEPTOR_RESERVED &&
               conn->party == KM_SERVER_CLIENT) {
        km_server_refuse(call, KAMA_ERR_OVERLOADED,
                         "the node has max_connections connections already");
        evict(conn);
    } else if (call->method->audience == KM_SERVER_FOR_CLIENTS) {
        admit_client(call);
    }
}
