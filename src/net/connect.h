/* SPDX-License-Identifier: MIT */
/*
 * An attempt to connect, from an address in text to a connection (net/conn.h).
 *
 *     km_connect_start(loop, &options, &connect);
 *        options.cb(arg, KAMA_OK, conn, "")             connected, or
 *        options.cb(arg, status, NULL, "cannot connect to x:80: timed out")
 *
 *     start --> resolving --> trying address 1, 2, .. --> cb
 *         numeric or localhost -----^
 *
 * A name is resolved on a thread of libuv's pool. Then the addresses that it
 * has are tried one after the other, each with its share of the time that is
 * left, until one of them answers.
 *
 * Threads: the loop's. Ownership: the session is taken by a km_connect_start
 * that succeeds; after a failure it is closed before cb runs. The attempt is
 * gone when cb has run. A resolver that hangs keeps the loop from ending, but
 * not cb from running. Errors: returned for an address that cannot be read and
 * for want of memory, and told to cb for the rest. Cost: about 2 KiB while it
 * lasts.
 */
#pragma once

#include "net/conn.h"

struct km_connect;

/* Tells the outcome. On a failure conn is NULL, and sentence (borrowed until
 * return) says what failed and why.
 * Errors: KAMA_ERR_UNREACHABLE, KAMA_ERR_CANCELLED, KAMA_ERR_NO_MEMORY,
 * KAMA_ERR_IO. */
typedef void (*km_connect_fn)(void *arg, kama_status status,
                              struct km_conn *conn, const char *sentence);

struct km_connect_options {
    const char *address;         /* "host:port", borrowed until start returns */
    km_ns deadline;              /* KM_NS_NEVER: none */
    struct km_session *session;  /* for km_conn_open */
    struct km_conn_owner *owner; /* for km_conn_open */
    km_connect_fn cb;            /* runs exactly once, never from inside */
    void *arg;
};

/* Begins to connect. Errors: KAMA_ERR_INVALID with a sentence (the address),
 * KAMA_ERR_NO_MEMORY; cb does not run then, and the session stays the
 * caller's. */
KAMA_NODISCARD kama_status
km_connect_start(struct km_loop *loop, const struct km_connect_options *options,
                 struct km_connect **ret_connect);

/* Gives the attempt up: cb runs with KAMA_ERR_CANCELLED. Only before cb ran. */
void km_connect_cancel(struct km_connect *connect);
