/* SPDX-License-Identifier: MIT */
/*
 * An attempt to connect, from an address in text to a connection (net/conn.h).
 *
 * The name is resolved on a thread of libuv's pool, then the addresses that it
 * has are tried one after the other until one of them answers.
 *
 *     km_connect_start --> resolving --> trying address 1, 2, ... --> cb
 *
 * Thread-safety: loop thread. Ownership: the session is the callee's from a
 * successful km_connect_start on; on a failure it is closed before cb runs.
 */
#pragma once

#include "net/conn.h"

/* Connects to a numeric or named address (resolved off the loop; all its
 * addresses are tried), then as km_conn_open. cb runs exactly once, not from
 * inside; on failure session was closed before, conn is NULL, and sentence
 * (borrowed) says why. deadline: KM_NS_NEVER for none. A resolver that hangs
 * keeps the loop from ending, not cb from running.
 * Errors, returned: KAMA_ERR_INVALID (address), KAMA_ERR_NO_MEMORY; session is
 * the caller's then. To cb: KAMA_ERR_UNREACHABLE, KAMA_ERR_CANCELLED,
 * KAMA_ERR_NO_MEMORY, KAMA_ERR_IO. */
typedef void (*km_connect_cb)(void *arg, kama_status status,
                              struct km_conn *conn, const char *sentence);
struct km_connect;
KAMA_NODISCARD kama_status km_connect_start(struct km_loop *loop,
                                            const char *address, km_ns deadline,
                                            struct km_session *session,
                                            struct km_conn_owner *owner,
                                            km_connect_cb cb, void *arg,
                                            struct km_connect **ret_connect);
/* cb runs with KAMA_ERR_CANCELLED. Only before cb ran. */
void km_connect_cancel(struct km_connect *connect);
