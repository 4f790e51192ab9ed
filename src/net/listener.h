/* SPDX-License-Identifier: MIT */
/*
 * A TCP socket that listens on one loop, and hands out the descriptors of the
 * connections that it accepts.
 *
 *     km_listener_open(loop, "127.0.0.1:8001", on_accept, arg, &listener);
 *        on_accept(arg, fd) ..
 *     km_listener_close(listener);
 *
 * There is one socket, without SO_REUSEPORT, so that a second daemon on the
 * same port fails instead of getting half of the connections.
 *
 * When the process has no descriptors left, the connections that wait are
 * refused, because a client that is told tries elsewhere and one that hangs
 * does not. Then accepting pauses:
 *
 *     accepting --EMFILE--> refuse with the spare one --> paused --100 ms--+
 *         ^                                                                |
 *         +----------------------------------------------------------------+
 *
 * Threads: the loop's, except open, which is setup before the loop runs.
 * Ownership: the listener frees itself after km_listener_close. Cost: at most
 * KM_NET_ACCEPTS_PER_TURN connections per turn of the loop.
 */
#pragma once

#include "net/loop.h"

struct km_listener;

/* Takes fd, a connected socket that is non-blocking and close-on-exec. */
typedef void (*km_accept_fn)(void *arg, int fd);

/* Listens on `address`, whose port may be 0 for any free one.
 * Errors, with a sentence that names the address: KAMA_ERR_INVALID,
 * KAMA_ERR_ADDR_IN_USE, KAMA_ERR_IO; and KAMA_ERR_NO_MEMORY. */
KAMA_NODISCARD kama_status km_listener_open(struct km_loop *loop,
                                            const char *address,
                                            km_accept_fn on_accept, void *arg,
                                            struct km_listener **ret_listener);
/* Returns the address with the port that it was given, "127.0.0.1:8001". Valid
 * as long as the listener. */
const char *km_listener_address(const struct km_listener *listener);
/* Stops accepting. The listener frees itself. Passing NULL does nothing. */
void km_listener_close(struct km_listener *listener);
