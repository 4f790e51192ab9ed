/* SPDX-License-Identifier: MIT */
/*
 * PINGs that find out whether the other side still lives.
 *
 * A process that is stopped, or a network that swallows packets, leaves the
 * connection open: the kernel of the other side still takes bytes, and calls
 * would wait until their deadlines. So a connection that has heard nothing for
 * a while asks, and ends if it still hears nothing.
 *
 *     QUIET --nothing heard for keepalive_ms: send a PING--> ASKED
 *       ^                                                      |
 *       +--------------- any byte arrives ---------------------+
 *                                                              |
 *            nothing heard for keepalive_timeout_ms: the connection ends
 *
 * Any byte counts as an answer, so that a busy connection sends no PING.
 *
 * If our own process was stopped, the time has passed without a chance to read
 * the answer that the kernel holds. A tick that comes much too late therefore
 * only begins the wait again.
 *
 * Cost: O(1). Threads: the loop's thread. Errors: KAMA_ERR_DISCONNECTED.
 */
#pragma once

#include "wire/h2/h2_impl.h"

/* Takes the options of a new connection. */
void km_h2_keepalive_init(struct km_h2 *h2,
                          const struct km_h2_options *options);

/* Notes that a client has opened its only stream: the silence of the time
 * before it does not count. */
void km_h2_keepalive_busy(struct km_h2 *h2);

/* Returns when km_h2_keepalive_tick has something to do. */
km_ns km_h2_keepalive_until(const struct km_h2 *h2);

/* Sends the PING that is due, or fails the connection. */
kama_status km_h2_keepalive_tick(struct km_h2 *h2);

/* Notes that bytes have arrived. */
static inline void km_h2_keepalive_heard(struct km_h2 *h2)
{
    h2->keepalive.heard_at = h2->now;
    h2->keepalive.pinged_at = 0;
}
