/* SPDX-License-Identifier: MIT */
/*
 * A TCP connection that drives a session (base/session.h): bytes that arrive
 * are fed to it, and bytes that it wants to send are taken from it and
 * written.
 *
 *     socket --read--> session->ops->feed    at once
 *     socket <--write-- session->ops->take   at the end of the turn
 *
 * Output is written once per turn of the loop, in as few writes as possible.
 * Nothing is queued here beyond one unfinished write: a session whose other
 * side reads slowly is simply not asked for more. Reading stops while the
 * session says so (wants_read), and a turn reads at most
 * KM_NET_READ_BYTES_PER_TURN. A connection whose write makes no progress for
 * KM_NET_WRITE_STALL_MS is closed.
 *
 * Life: km_conn_open takes the descriptor and the session. The session is
 * closed (session->ops->close) as soon as nothing more can be said; on_closed
 * runs when the descriptor is closed, up to a second later, and is the last
 * sign of the connection. Neither runs from inside a function of this header.
 *
 * Threads: the loop's. Errors: those that km_conn_open returns, and the `why`
 * of on_closed. Ownership: the owner's structure is borrowed until on_closed.
 * Cost: one read and one write per turn and burst of bytes; less than 512
 * bytes of memory, beside the session.
 */
#pragma once

#include "base/session.h"
#include "net/loop.h"

struct km_conn;

/* Embedded in the structure of the connection's owner. */
struct km_conn_owner {
    /* The connection is gone after return. why: KAMA_ERR_CLOSED for the normal
     * end, KAMA_ERR_DISCONNECTED, KAMA_ERR_TIMEOUT (a write made no progress),
     * or the error that the session returned. */
    void (*on_closed)(struct km_conn_owner *owner, struct km_conn *conn,
                      kama_status why);
};

/* Opens a connection on fd, a connected, non-blocking TCP socket. Takes fd,
 * which is closed on an error, and takes the session on success. Errors:
 * KAMA_ERR_NO_MEMORY, KAMA_ERR_IO. */
KAMA_NODISCARD kama_status km_conn_open(struct km_loop *loop, int fd,
                                        struct km_session *session,
                                        struct km_conn_owner *owner,
                                        struct km_conn **ret_conn);

/* Says that the session has something to write, or that its deadline or its
 * wish to read has changed. */
void km_conn_wake(struct km_conn *conn);

/* Drops all input from now on, writes the output that the session has ready
 * for at most grace_ms (0: one attempt), and closes. A second call can only
 * shorten the time. */
void km_conn_close(struct km_conn *conn, int64_t grace_ms);

/* Returns the address of the other side, "127.0.0.1:4711". Valid as long as the
 * connection. */
const char *km_conn_peer_address(const struct km_conn *conn);

/* Returns the address of this side, in the same form. Valid as long as the
 * connection. */
const char *km_conn_local_address(const struct km_conn *conn);
