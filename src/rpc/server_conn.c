/* SPDX-License-Identifier: MIT */
/*
 * HTTP/2 events become calls, and the steps of a drain become GOAWAYs. Nothing
 * here waits: the last sign of a connection is on_closed, which frees it.
 */
#include "rpc/server_conn.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/limits.h"
#include "rpc/server_call_life.h"
#include "rpc/server_held.h"
#include "rpc/server_request.h"

#include <unistd.h>

/* Time for the last answers, to calls that were cut off by a drain. */
#define CUT_GRACE_MS 200

static struct km_server_call *call_of(struct km_h2_stream *stream)
{
    struct km_server_call *call = stream->user;
    KM_ASSERT(call->magic == KM_SERVER_CALL_MAGIC);
    return call;
}

/* -- HTTP/2 events ------------------------------------------------------- */

/* Without memory for a call its stream is refused, and the client may try
 * again. */
static kama_status on_open(void *arg, struct km_h2_stream *stream)
{
    stream->user = km_server_call_new(arg, stream);
    return stream->user != NULL ? KAMA_OK : KAMA_ERR_NO_MEMORY;
}

static void on_header(void *arg, struct km_h2_stream *stream, kama_bytes name,
                      kama_bytes value)
{
    (void)arg;
    km_server_request_header(call_of(stream), name, value);
}

static void on_headers(void *arg, struct km_h2_stream *stream,
                       enum km_h2_headers kind, enum km_h2_list list)
{
    (void)arg;
    if (kind != KM_H2_HEADERS_FIRST) {
        return;
    }
    if (list == KM_H2_LIST_CUT) {
        km_server_request_begin_cut(call_of(stream));
    } else {
        km_server_request_begin(call_of(stream));
    }
}

static void on_data(void *arg, struct km_h2_stream *stream, kama_bytes chunk,
                    enum km_h2_chunk place)
{
    (void)arg;
    km_server_request_data(call_of(stream), chunk, place);
}

static void on_end(void *arg, struct km_h2_stream *stream)
{
    (void)arg;
    km_server_request_end(call_of(stream));
}

/* A call that no handler has seen, or that has ended, is passed over. */
static void on_writable(void *arg, struct km_h2_stream *stream)
{
    (void)arg;
    struct km_server_call *call = call_of(stream);
    if (km_server_call_has_handler(call->state) &&
        call->method->on_writable != NULL) {
        call->method->on_writable(call);
    }
}

static void on_close(void *arg, struct km_h2_stream *stream,
                     uint32_t error_code)
{
    (void)arg;
    km_server_call_closed(call_of(stream), error_code);
}

static bool reset_is_fair(void *arg, struct km_h2_stream *stream)
{
    (void)arg;
    return km_server_call_reset_is_fair(call_of(stream));
}

static void on_abuse(void *arg, const char *text)
{
    struct km_server_conn *conn = arg;
    const struct km_server_options *options =
        &conn->server_loop->server->options;
    if (options->on_abuse != NULL) {
        options->on_abuse(options->arg, km_conn_peer_address(conn->conn), text);
    }
}

/* All calls have ended before; the descriptor is closed later (on_closed). */
static void on_gone(void *arg, enum km_h2_why why)
{
    struct km_server_conn *conn = arg;
    KM_ASSERT(km_list_empty(&conn->calls));
    if (why == KM_H2_WHY_ABUSE) {
        (void)atomic_fetch_add(
            &conn->server_loop->server->abuses[km_h2_abuse(conn->h2)], 1);
        km_server_loop_count(conn->server_loop, KM_SERVER_M_ABUSE_CLOSED);
    } else if (why == KM_H2_WHY_FOREIGN) {
        km_server_loop_count(conn->server_loop, KM_SERVER_M_FOREIGN);
    }
    conn->h2 = NULL;
}

static const struct km_h2_ops h2_ops = {
    .on_open = on_open,
    .on_header = on_header,
    .on_headers = on_headers,
    .on_data = on_data,
    .on_end = on_end,
    .on_writable = on_writable,
    .on_close = on_close,
    .reset_is_fair = reset_is_fair,
    .on_abuse = on_abuse,
    .on_gone = on_gone,
};

/* -- the steps of a drain ------------------------------------------------ */

/* Returns whether the client is likely to miss the connection. */
static bool was_used(const struct km_server_conn *conn)
{
    km_ns now = km_loop_now(conn->server_loop->loop);
    return !km_list_empty(&conn->calls) ||
           (conn->called_at != 0 &&
            now < km_ns_after_ms(conn->called_at, KM_NET_DRAIN_USED_MS));
}

/* A connection whose HTTP/2 is gone is about to close by itself. */
static enum km_drain_use on_drain_notice(struct km_drain_entry *entry)
{
    struct km_server_conn *conn = entry->owner;
    if (conn->h2 != NULL) {
        km_h2_goaway_notice(conn->h2);
        km_server_conn_wake(conn);
    }
    return was_used(conn) ? KM_DRAIN_USED : KM_DRAIN_IDLE;
}

static void on_drain_finish(struct km_drain_entry *entry)
{
    struct km_server_conn *conn = entry->owner;
    if (conn->h2 != NULL) {
        km_h2_goaway(conn->h2);
        km_server_conn_wake(conn);
    }
}

/* Ends every running call with KAMA_ERR_CLOSED. */
static unsigned on_drain_cut(struct km_drain_entry *entry)
{
    struct km_server_conn *conn = entry->owner;
    unsigned n = 0;
    struct km_list *node;
    while ((node = km_list_first(&conn->calls)) != NULL) {
        km_server_call_cancel(
            KM_CONTAINER_OF(node, struct km_server_call, node),
            KAMA_ERR_CLOSED);
        n++;
    }
    if (conn->h2 != NULL) {
        km_conn_close(conn->conn, CUT_GRACE_MS);
    }
    return n;
}

/* For both drains of the connection. */
static const struct km_drain_ops drain_ops = {
    .notice = on_drain_notice,
    .finish = on_drain_finish,
    .cut = on_drain_cut,
};

/* -- life ---------------------------------------------------------------- */

/* Takes the connection out of the counts that the accepting loop keeps. */
static void uncount(struct km_server_loop *server_loop)
{
    km_acceptor_count_closed(server_loop->server->acceptor,
                             server_loop->loop_index);
    km_metric_sub(server_loop->server->metrics, KM_SERVER_M_CONNECTIONS, 1);
}

static void end_state(struct km_server_conn *conn)
{
    const struct km_server_options *options =
        &conn->server_loop->server->options;
    if (options->on_conn_end != NULL) {
        options->on_conn_end(options->arg, conn->state);
    }
}

static void free_conn(struct km_server_conn *conn)
{
    struct km_server_loop *server_loop = conn->server_loop;
    KM_ASSERT(km_list_empty(&conn->calls) && conn->held_bytes == 0);
    KM_ASSERT(km_list_empty(&conn->stalled) && conn->favoured == NULL);
    km_server_held_forget(conn);
    end_state(conn);
    km_list_remove(&conn->node);
    uncount(server_loop);
    km_server_admit_closed(conn);
    km_drain_remove(&server_loop->server->client_drain, server_loop->loop_index,
                    &conn->client_drain);
    km_drain_remove(&server_loop->server->drain, server_loop->loop_index,
                    &conn->drain);
    km_mem_free(server_loop->server->mem, conn);
}

static void on_closed(struct km_conn_owner *owner, struct km_conn *conn,
                      kama_status why)
{
    (void)conn;
    (void)why;
    free_conn((struct km_server_conn *)(void *)owner);
}

/* HTTP/2 reads the client's preface first; a client that speaks HTTP/1.1 gets
 * http1_hint. */
static kama_status open_h2(struct km_server_conn *conn)
{
    struct km_server_loop *server_loop = conn->server_loop;
    const struct km_h2_options options = {
        .mem = server_loop->server->mem,
        .cache = server_loop->cache,
        .role = KM_H2_SERVER,
        .clock = server_loop->server->options.clock,
        .ops = &h2_ops,
        .arg = conn,
        .http1_hint = server_loop->server->options.http1_hint,
    };
    return km_h2_new(&options, km_loop_now(server_loop->loop), &conn->h2);
}

/* Returns false if the loop takes no connections any more. One that comes while
 * only the clients are drained may be a peer's. */
static bool join_drains(struct km_server_conn *conn)
{
    const struct km_server_loop *server_loop = conn->server_loop;
    struct km_server *server = server_loop->server;
    conn->drain = (struct km_drain_entry){.ops = &drain_ops, .owner = conn};
    conn->client_drain = conn->drain;
    km_list_init(&conn->client_drain.node);
    if (!km_drain_add(&server->drain, server_loop->loop_index, &conn->drain)) {
        return false;
    }
    (void)!km_drain_add(&server->client_drain, server_loop->loop_index,
                        &conn->client_drain);
    return true;
}

/* NULL: there is no memory, or the loop is draining. */
static struct km_server_conn *new_conn(struct km_server_loop *server_loop)
{
    struct km_server_conn *conn = km_mem_zalloc(
        server_loop->server->mem, 1,
        sizeof *conn + server_loop->server->options.conn_state_bytes);
    if (conn == NULL) {
        return NULL;
    }
    conn->owner.on_closed = on_closed;
    conn->server_loop = server_loop;
    if (!join_drains(conn)) {
        km_mem_free(server_loop->server->mem, conn);
        return NULL;
    }
    km_list_push_back(&server_loop->conns, &conn->node);
    km_list_init(&conn->calls);
    km_list_init(&conn->stalled);
    return conn;
}

/* Every failure here closes the descriptor, and takes the connection out of the
 * counts: the client sees a connection that is closed at once. */
void km_server_conn_open(struct km_server_loop *server_loop, int fd,
                         enum km_acceptor_place place)
{
    struct km_server_conn *conn = new_conn(server_loop);
    if (conn == NULL) {
        close(fd);
        uncount(server_loop);
        return;
    }
    if (open_h2(conn) != KAMA_OK) {
        close(fd);
        free_conn(conn);
        return;
    }
    struct km_session *session = km_h2_session(conn->h2);
    if (km_conn_open(server_loop->loop, fd, session, &conn->owner,
                     &conn->conn) != KAMA_OK) {
        session->ops->close(session);
        free_conn(conn);
        return;
    }
    km_server_admit_opened(conn, place);
}

void km_server_conn_wake(struct km_server_conn *conn)
{
    if (conn->conn != NULL) {
        km_conn_wake(conn->conn);
    }
}
