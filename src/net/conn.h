/* SPDX-License-Identifier: MIT */
/*
 * A TCP connection that drives a km_session: bytes in are fed, bytes out are
 * taken and written, at the end of each turn of the loop, in as few writes as
 * possible. Nothing is queued inside libuv beyond one unfinished write: a
 * session whose peer reads slowly is simply not asked for more.
 *
 * Reading stops while the session says so (wants_read); a connection whose
 * write makes no progress for KM_NET_WRITE_STALL_MS is closed. At most
 * KM_NET_READ_BYTES_PER_TURN are read per turn.
 *
 * Life: km_conn_open takes fd and session; session->ops->close runs as soon as
 * nothing more can be said, on_closed when the descriptor is closed, up to 1 s
 * later: the last sign of it. Neither from inside a function of this header.
 * Thread-safety: loop thread. Cost: 1 read and 1 write per turn and burst; less
 * than 512 bytes when idle, beside the session.
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

/* The session has something to write, or its deadline changed. */
void km_conn_wake(struct km_conn *conn);

/* Flushes what the session has ready for at most grace_ms, then closes; 0: one
 * attempt to write. Input is dropped from now on. Idempotent. */
void km_conn_close(struct km_conn *conn, int64_t grace_ms);

/* "127.0.0.1:4711"; valid as long as conn. */
const char *km_conn_peer_address(const struct km_conn *conn);
