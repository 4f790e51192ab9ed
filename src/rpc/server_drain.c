/* SPDX-License-Identifier: MIT */
/*
 * The end of a server, in steps that lose no call: stop accepting; GOAWAY with
 * the highest stream id, so that nobody starts anew; a moment later the real
 * GOAWAY, so that what was under way before the first arrived is served;
 * connections end by themselves when their last call does; past the deadline
 * calls are cut off.
 */
#include "rpc/server_internal.h"

#include "base/container.h"

/* Time for the last answers of calls that were cut off. */
#define CUT_GRACE_MS 200

/* -- one home ------------------------------------------------------------ */

static void home_drained(struct km_rpc_home *home)
{
    struct km_rpc_server *server = home->server;
    home->drained = true;
    if (atomic_fetch_sub(&server->homes_left, 1) == 1) {
        km_loop_post(server->homes[0].loop, &server->done_mail);
    }
}

void km_rpc_home_conn_gone(struct km_rpc_home *home)
{
    if (!home->draining || home->drained || !km_list_empty(&home->conns)) {
        return;
    }
    km_loop_timer_disarm(home->loop, &home->drain_timer);
    home_drained(home);
}

static void send_notices(struct km_rpc_home *home)
{
    struct km_list *node;
    struct km_list *tmp;
    KM_LIST_FOREACH(node, tmp, &home->conns) {
        struct km_rpc_conn *conn =
            KM_CONTAINER_OF(node, struct km_rpc_conn, node);
        if (conn->h2 != NULL) {
            km_h2_goaway_notice(conn->h2);
            km_rpc_conn_wake(conn);
        }
    }
}

static void send_goaways(struct km_rpc_home *home)
{
    struct km_list *node;
    struct km_list *tmp;
    KM_LIST_FOREACH(node, tmp, &home->conns) {
        struct km_rpc_conn *conn =
            KM_CONTAINER_OF(node, struct km_rpc_conn, node);
        if (conn->h2 != NULL) {
            km_h2_goaway(conn->h2);
            km_rpc_conn_wake(conn);
        }
    }
}

static void cut_off(struct km_rpc_home *home)
{
    struct km_list *node;
    struct km_list *tmp;
    unsigned cut = 0;
    KM_LIST_FOREACH(node, tmp, &home->conns) {
        struct km_rpc_conn *conn =
            KM_CONTAINER_OF(node, struct km_rpc_conn, node);
        cut += km_rpc_conn_cut(conn);
        if (conn->h2 != NULL) {
            km_conn_close(conn->conn, CUT_GRACE_MS);
        }
    }
    atomic_fetch_add(&home->server->cut, cut);
}

static void on_drain_timer(struct km_timer *timer)
{
    struct km_rpc_home *home =
        KM_CONTAINER_OF(timer, struct km_rpc_home, drain_timer);
    if (!home->goaway_sent) {
        home->goaway_sent = true;
        km_loop_timer_arm(home->loop, timer, home->drain_until);
        send_goaways(home);
    } else {
        cut_off(home);
    }
}

void km_rpc_home_drain(struct km_mail *mail)
{
    struct km_rpc_home *home =
        KM_CONTAINER_OF(mail, struct km_rpc_home, drain_mail);
    int64_t timeout_ms = home->server->drain_timeout_ms;
    int64_t gap_ms = timeout_ms / 2 < KM_RPC_GOAWAY_GAP_MS
                         ? timeout_ms / 2
                         : KM_RPC_GOAWAY_GAP_MS;
    km_ns now = km_loop_now(home->loop);
    home->draining = true;
    home->drain_until = km_ns_after_ms(now, timeout_ms);
    if (km_list_empty(&home->conns)) {
        home_drained(home);
        return;
    }
    home->drain_timer.fire = on_drain_timer;
    km_loop_timer_arm(home->loop, &home->drain_timer,
                      km_ns_after_ms(now, gap_ms));
    send_notices(home);
}

/* -- the server ---------------------------------------------------------- */

static void on_done(struct km_mail *mail)
{
    struct km_rpc_server *server =
        KM_CONTAINER_OF(mail, struct km_rpc_server, done_mail);
    server->done(server->done_arg, atomic_load(&server->cut));
}

/* On loop 0: what it has accepted was posted to the homes before. */
static void on_drain(struct km_mail *mail)
{
    struct km_rpc_server *server =
        KM_CONTAINER_OF(mail, struct km_rpc_server, drain_mail);
    km_listener_close(server->listener);
    server->listener = NULL;
    for (unsigned i = 0; i < server->options.loop_count; i++) {
        struct km_rpc_home *home = &server->homes[i];
        home->drain_mail.run = km_rpc_home_drain;
        km_loop_post(home->loop, &home->drain_mail);
    }
}

void km_rpc_server_drain(struct km_rpc_server *server, int64_t timeout_ms,
                         km_rpc_drained_fn done, void *arg)
{
    KM_ASSERT(!atomic_exchange(&server->drain_asked, true));
    server->drain_timeout_ms = timeout_ms > 0 ? timeout_ms : 0;
    server->done = done;
    server->done_arg = arg;
    server->drain_mail.run = on_drain;
    server->done_mail.run = on_done;
    atomic_store(&server->homes_left, server->options.loop_count);
    km_loop_post(server->homes[0].loop, &server->drain_mail);
}
