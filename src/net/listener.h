/* SPDX-License-Identifier: MIT */
/*
 * A listening TCP socket on one loop; accepted descriptors are handed out.
 * One socket without SO_REUSEPORT: a second daemon on the same port must fail.
 * Without descriptors (EMFILE) it pauses and tries again after 100 ms.
 * Thread-safety: loop thread, except open (setup, before the loop runs or
 * from it).
 */
#pragma once

#include "net/loop.h"

struct km_listener;

/* fd: accepted, non-blocking, close-on-exec; the callee's. */
typedef void (*km_accept_fn)(void *arg, int fd);

/* Errors: KAMA_ERR_ADDR_IN_USE, KAMA_ERR_IO, both with a sentence that names
 * the address. */
KAMA_NODISCARD kama_status km_listener_open(struct km_loop *loop,
                                            const char *address,
                                            km_accept_fn on_accept, void *arg,
                                            struct km_listener **ret_listener);
/* "127.0.0.1:8001" with the port it got; valid as long as the listener. */
const char *km_listener_address(const struct km_listener *listener);
/* Stops accepting; frees itself when closed. NULL is a no-op. */
void km_listener_close(struct km_listener *listener);
