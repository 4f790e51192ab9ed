/* SPDX-License-Identifier: MIT */
/*
 * A session: a protocol on one connection, without a descriptor, a thread or a
 * clock of its own. net/ drives it, and wire/ or rpc/ implements it, so that
 * neither knows the other.
 *
 *     net (descriptor, loop)                    session (protocol)
 *     reads bytes        --feed(bytes)-->       changes its state
 *     writes bytes       <--take()-------       frames to send
 *     a timer            --tick(now)----->      its deadlines
 *     the peer has ended --eof()--------->
 *     the connection is  --close()------->      frees itself
 *     gone
 *
 * After each feed, tick or eof, net calls take until there are no bytes left,
 * and then asks alive, deadline and wants_read.
 *
 * Threads: every function runs on the thread of the connection's loop.
 * Errors: a status from feed, take or tick ends the connection, after the bytes
 * that take returned before were written. KAMA_ERR_CLOSED is the normal end.
 * Ownership: the session is made by the protocol, given to net, and freed by
 * the protocol in close. Bytes that take returns belong to the session.
 */
#pragma once

#include "base/clock.h"

#include <kamacache/kamacache.h>
#include <stdbool.h>

struct km_session;

struct km_session_ops {
    const char *name; /* of the protocol, for messages */

    /* Takes len bytes that have arrived. */
    kama_status (*feed)(struct km_session *s, const uint8_t *data, size_t len,
                        km_ns now);

    /* Returns the next bytes to write, which stay valid until the next take or
     * close. No bytes mean that there is nothing to write now. It is called
     * again after all of them were written. */
    kama_status (*take)(struct km_session *s, kama_bytes *ret_bytes);

    /* Returns whether the connection has to stay open. After false, nothing is
     * read any more, and it is closed as soon as everything is written. */
    bool (*alive)(struct km_session *s);

    /* Tells that the peer has closed its half, or that reading has failed. */
    void (*eof)(struct km_session *s);

    /* Returns when tick has to be called next; KM_NS_NEVER if it need not. */
    km_ns (*deadline)(struct km_session *s);

    /* Tells that the time of `deadline` has come. KAMA_ERR_DISCONNECTED says
     * that the other side is not there any more, so that nothing is written. */
    kama_status (*tick)(struct km_session *s, km_ns now);

    /* Frees the session, whose connection is gone. This is the last call. */
    void (*close)(struct km_session *s);

    /* Returns whether more may be read now. A session returns false while too
     * much waits to be written. It is asked before each read and after each
     * write. NULL means always. */
    bool (*wants_read)(struct km_session *s);
};

/* The first member of each protocol's own structure. */
struct km_session {
    const struct km_session_ops *ops;
};
