/* SPDX-License-Identifier: MIT */
/*
 * Errors of the system, as sentences for people: "Address already in use" says
 * more to an operator than a number does.
 *
 *     return km_net_fail(KAMA_ERR_IO, "cannot watch the socket", errno);
 *     km_last_error()  ->  "cannot watch the socket: too many open files"
 *
 * The texts come from libuv, because those of libc depend on the locale.
 *
 * Threads: any thread; the sentence is kept for the calling thread. Cost: a few
 * string copies, on paths that have failed.
 */
#pragma once

#include <kamacache/kamacache.h>

/* Enough for every text of libuv; longer ones are cut. */
#define KM_NET_REASON_BYTES 128

/* Writes the text of an errno. Returns `text`. */
const char *km_net_reason(int error, char text[KM_NET_REASON_BYTES]);

/* Keeps the sentence "what: reason" as the thread's last error, for an errno.
 * Returns `status`. */
kama_status km_net_fail(kama_status status, const char *what, int error);
