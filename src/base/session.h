/* SPDX-License-Identifier: MIT */
/*
 * What net/ drives and wire/ (or rpc/) implements: a protocol on one
 * connection, without a descriptor, a thread or a clock.
 *
 * net feeds what it read; then asks for bytes to write until there are none.
 * Thread-safety: loop thread.
 */
#pragma once

#include "base/clock.h"

#include <kamacache/kamacache.h>
#include <stdbool.h>

struct km_session;

struct km_session_ops {
    const char *name;
    /* Takes len bytes that arrived. An error (or KAMA_ERR_CLOSED, the normal
     * end) closes the connection after pending bytes were written. */
    kama_status (*feed)(struct km_session *s, const uint8_t *data, size_t len,
                        km_ns now);
    /* The next bytes to write, valid until the next take or close; len 0: none
     * now. Called again after each full write. An error closes, after the
     * bytes, if any, were written. */
    kama_status (*take)(struct km_session *s, kama_bytes *ret_bytes);
    /* false: nothing more is to be read or written, close when flushed. */
    bool (*alive)(struct km_session *s);
    /* The other side closed its half, or reading failed. */
    void (*eof)(struct km_session *s);
    /* When tick wants to run next; KM_NS_NEVER: not. */
    km_ns (*deadline)(struct km_session *s);
    kama_status (*tick)(struct km_session *s, km_ns now);
    /* The connection is gone; free the session. Last call. */
    void (*close)(struct km_session *s);
    /* May more be read now? false while too much waits to be written; asked
     * before each read and after each write. NULL: always. */
    bool (*wants_read)(struct km_session *s);
};

/* Embedded first in each protocol's state. */
struct km_session {
    const struct km_session_ops *ops;
};
