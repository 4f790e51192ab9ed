/* SPDX-License-Identifier: MIT */
/*
 * Sums of the memory of requests, and the decision whose window opens. Both
 * limits are checked after the bytes of a read were counted, so they are
 * passed by at most one read.
 */
#include "rpc/server_held.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/limits.h"
#include "rpc/server_call_life.h"

/* -- windows ------------------------------------------------------------- */

/* Returns whether streams of the connection must wait for the favoured one. */
static bool holds_too_much(const struct km_server_conn *conn)
{
    return conn->held_bytes > KM_RPC_HELD_BYTES_CONN &&
           conn->stall != KM_SERVER_STALL_NEVER;
}

/* Lets the streams go on that memory has room for; one always. */
static void unstall(struct km_server_conn *conn)
{
    while (!km_list_empty(&conn->stalled) &&
           (!holds_too_much(conn) || conn->favoured == NULL)) {
        struct km_server_call *call = KM_CONTAINER_OF(
            km_list_pop_front(&conn->stalled), struct km_server_call, stalled);
        if (holds_too_much(conn)) {
            conn->favoured = call;
        }
        km_h2_consume_stream(call->stream, call->window_bytes);
        call->window_bytes = 0;
    }
    if (km_list_empty(&conn->stalled)) {
        km_server_held_forget(conn);
    }
}

/* Watches the favoured stream for another stall_ms. */
static void arm_stall_timer(struct km_server_conn *conn)
{
    const struct km_server_loop *server_loop = conn->server_loop;
    conn->stall = KM_SERVER_STALL_STILL;
    km_loop_timer_arm(server_loop->loop, &conn->stall_timer,
                      km_ns_after_ms(km_loop_now(server_loop->loop),
                                     server_loop->server->options.stall_ms));
}

/* A favoured stream that has not moved cannot, and so all are let go. */
static void on_stall_timer(struct km_timer *timer)
{
    struct km_server_conn *conn =
        KM_CONTAINER_OF(timer, struct km_server_conn, stall_timer);
    if (conn->stall == KM_SERVER_STALL_MOVED) {
        arm_stall_timer(conn);
        return;
    }
    conn->stall = KM_SERVER_STALL_NEVER;
    unstall(conn);
    km_server_conn_wake(conn);
}

/* Keeps n bytes of the call's window back. */
static void stall(struct km_server_call *call, size_t n)
{
    struct km_server_conn *conn = call->conn;
    call->window_bytes += n;
    if (km_list_empty(&call->stalled)) {
        km_list_push_back(&conn->stalled, &call->stalled);
    }
    if (conn->stall_timer.at == 0) {
        conn->stall_timer.fire = on_stall_timer;
        arm_stall_timer(conn);
    }
}

void km_server_held_forget(struct km_server_conn *conn)
{
    if (conn->stall_timer.at != 0) {
        km_loop_timer_disarm(conn->server_loop->loop, &conn->stall_timer);
    }
}

/* Opens the stream's window by n bytes, or keeps them back. */
static void open_stream(struct km_server_call *call, size_t n)
{
    struct km_server_conn *conn = call->conn;
    if (holds_too_much(conn)) {
        if (conn->favoured == NULL) {
            conn->favoured = call;
        }
        if (conn->favoured != call) {
            stall(call, n);
            return;
        }
        conn->stall = KM_SERVER_STALL_MOVED;
    }
    km_h2_consume_stream(call->stream, n);
}

void km_server_held_consume(struct km_server_call *call, size_t n)
{
    km_h2_consume_connection(call->stream, n);
    if (call->reading != KM_SERVER_READING) {
        call->window_bytes += n;
        return;
    }
    open_stream(call, n);
}

void km_server_held_pause(struct km_server_call *call)
{
    struct km_server_conn *conn = call->conn;
    km_list_remove(&call->stalled);
    if (conn->favoured == call) {
        conn->favoured = NULL;
    }
    unstall(conn);
}

void km_server_held_resume(struct km_server_call *call)
{
    size_t n = call->window_bytes;
    KM_ASSERT(call->reading == KM_SERVER_READING);
    call->window_bytes = 0;
    open_stream(call, n);
}

/* A call that holds nothing need not be favoured, even if it goes on. */
static void let_others_go_on(struct km_server_call *call)
{
    struct km_server_conn *conn = call->conn;
    if (conn->favoured == call && call->held_bytes == 0) {
        conn->favoured = NULL;
    }
    unstall(conn);
}

/* The memory of the call's request. */
static size_t held_of(const struct km_server_call *call)
{
    return km_grpc_reader_held(&call->reader) + call->metadata_bytes +
           call->waiting.cap;
}

void km_server_held_count(struct km_server_call *call)
{
    size_t held = held_of(call);
    size_t before = call->held_bytes;
    if (held == before) {
        return;
    }
    KM_ASSERT(call->conn->held_bytes >= before);
    KM_ASSERT(call->server_loop->held_bytes >= call->conn->held_bytes);
    size_t more = held - before; /* or less, modulo 2^64 */
    call->conn->held_bytes += more;
    call->server_loop->held_bytes += more;
    km_metric_add(call->server_loop->server->metrics, KM_SERVER_M_HELD_BYTES,
                  more);
    call->held_bytes = held;
    if (held < before) {
        let_others_go_on(call);
    }
}

void km_server_held_drop(struct km_server_call *call)
{
    KM_ASSERT(call->message_state != KM_SERVER_MESSAGE_LENT);
    call->message_state = KM_SERVER_MESSAGE_NONE;
    km_list_remove(&call->stalled);
    km_h2_consume_stream(call->stream, call->window_bytes);
    call->window_bytes = 0;
    km_grpc_reader_fini(&call->reader);
    if (call->metadata != NULL) {
        km_server_metadata_drop(call);
    }
    if (call->waiting.mem != NULL) {
        km_server_pause_drop(call);
    }
    km_server_held_count(call);
    KM_ASSERT(call->held_bytes == 0);
    let_others_go_on(call);
}

/* -- the largest --------------------------------------------------------- */

/* The connection of a loop that holds most. */
static struct km_server_conn *greediest(
    const struct km_server_loop *server_loop)
{
    struct km_server_conn *most = NULL;
    struct km_list *node;
    struct km_list *tmp;
    KM_LIST_FOREACH(node, tmp, &server_loop->conns) {
        struct km_server_conn *conn =
            KM_CONTAINER_OF(node, struct km_server_conn, node);
        if (most == NULL || conn->held_bytes > most->held_bytes) {
            most = conn;
        }
    }
    return most;
}

/* The call of a connection that holds most; NULL: none holds anything. */
static struct km_server_call *largest(const struct km_server_conn *conn)
{
    struct km_server_call *most = NULL;
    struct km_list *node;
    struct km_list *tmp;
    KM_LIST_FOREACH(node, tmp, &conn->calls) {
        struct km_server_call *call =
            KM_CONTAINER_OF(node, struct km_server_call, node);
        if (call->held_bytes > (most != NULL ? most->held_bytes : 0)) {
            most = call;
        }
    }
    return most;
}

struct km_server_call *km_server_held_largest(struct km_server_call *newest)
{
    struct km_server_conn *conn = greediest(newest->server_loop);
    struct km_server_call *call = conn != newest->conn ? largest(conn) : newest;
    return call != NULL ? call : newest;
}

/* -- the invariants ------------------------------------------------------ */

static void check_call(const struct km_server_call *call)
{
    KM_ASSERT(call->magic == KM_SERVER_CALL_MAGIC);
    KM_ASSERT(call->state != KM_SERVER_CALL_ENDED);
    KM_ASSERT(call->message_state != KM_SERVER_MESSAGE_LENT);
    KM_ASSERT(call->held_bytes == held_of(call) ||
              call->state == KM_SERVER_CALL_HEADERS);
    bool reading = call->reading == KM_SERVER_READING;
    KM_ASSERT(reading || km_list_empty(&call->stalled));
    KM_ASSERT(!reading || call->window_bytes == 0 ||
              !km_list_empty(&call->stalled));
}

/* Returns the bytes that the connection holds. */
static size_t check_conn(const struct km_server_conn *conn)
{
    size_t held_bytes = 0;
    struct km_list *node;
    struct km_list *tmp;
    bool found_favoured = conn->favoured == NULL;
    KM_LIST_FOREACH(node, tmp, &conn->calls) {
        const struct km_server_call *call =
            KM_CONTAINER_OF(node, struct km_server_call, node);
        check_call(call);
        held_bytes += call->held_bytes;
        found_favoured |= call == conn->favoured;
    }
    KM_ASSERT(held_bytes == conn->held_bytes && found_favoured);
    KM_ASSERT(km_list_empty(&conn->stalled) ||
              (holds_too_much(conn) && conn->favoured != NULL));
    KM_ASSERT(km_list_empty(&conn->stalled) == (conn->stall_timer.at == 0));
    return held_bytes;
}

void km_server_held_check(const struct km_server_loop *server_loop)
{
    size_t held_bytes = 0;
    struct km_list *node;
    struct km_list *tmp;
    KM_LIST_FOREACH(node, tmp, &server_loop->conns) {
        held_bytes +=
            check_conn(KM_CONTAINER_OF(node, struct km_server_conn, node));
    }
    KM_ASSERT(held_bytes == server_loop->held_bytes);
}
