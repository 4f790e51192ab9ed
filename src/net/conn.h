/* SPDX-License-Identifier: MIT */
/*
 * A TCP connection that drives a km_session: bytes in are fed, bytes out are
 * taken and written, at the end of each turn of the loop, in as few writes as
 * possible. Nothing is queued inside libuv beyond one unfinished write: a
 * session whose peer reads slowly is simply not asked for more.
 *
 * Reading stops while the session holds more than KM_H2_OUTBOUND_BYTES_MAX to
 * write; a connection whose write makes no progress for KM_H2_WRITE_STALL_MS
 * is closed. At most KM_H2_READ_BYTES_PER_TURN are read per turn.
 *
 * Life: km_conn_open takes fd and session; on_closed is the last sign of it,
 * after session->ops->close ran. Thread-safety: loop thread.
 */
#pragma once

#include "base/session.h"
#include "net/loop.h"

struct km_conn;

struct km_conn_owner {
    /* why: KAMA_ERR_CLOSED for the normal end. conn is gone after return. */
    void (*on_closed)(struct km_conn_owner *owner, struct km_conn *conn,
                      kama_status why);
};

/* Takes fd (a connected, non-blocking TCP socket; closed on error) and, on
 * success, session. owner is borrowed until on_closed. */
KAMA_NODISCARD kama_status km_conn_open(struct km_loop *loop, int fd,
                                        struct km_session *session,
                                        struct km_conn_owner *owner,
                                        struct km_conn **ret_conn);

/* Connects to a numeric or named address (resolved off the loop), then as
 * km_conn_open; on failure cb gets the error and session is closed. cb runs
 * exactly once, not from inside. deadline: KM_NS_NEVER for none. */
typedef void (*km_connect_cb)(void *arg, kama_status status,
                              struct km_conn *conn, const char *sentence);
struct km_connect;
KAMA_NODISCARD kama_status km_connect_start(
    struct km_loop *loop, const char *address, km_ns deadline,
    struct km_session *session, struct km_conn_owner *owner, km_connect_cb cb,
    void *arg, struct km_connect **ret_connect);
/* cb runs with KAMA_ERR_CANCELLED. Only before cb ran. */
void km_connect_cancel(struct km_connect *connect);

/* The session has something to write, or its deadline changed. */
void km_conn_wake(struct km_conn *conn);

/* Flushes what the session has ready for at most grace_ms, then closes. */
void km_conn_close(struct km_conn *conn, int64_t grace_ms);

/* "127.0.0.1:4711"; valid as long as conn. */
const char *km_conn_peer_address(const struct km_conn *conn);
