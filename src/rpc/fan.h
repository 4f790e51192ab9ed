/* SPDX-License-Identifier: MIT */
/*
 * One unary call to each of several servers at the same time, for programs that
 * have no event loop.
 *
 *     struct km_fan_call calls[2];
 *     km_fan_call_init(&calls[0], "10.0.0.1:8001", path, message);
 *     km_fan_call_init(&calls[1], "10.0.0.2:8001", path, message);
 *     km_fan(calls, 2, 2000, KM_FAN_ALL);      takes 2 s at most
 *     ... calls[i].status, .text, .reply ...
 *     km_fan_call_fini(&calls[i]);
 *
 * A server that stands still ends its own call when the time is over, and delays
 * no other one. Nor does a name that cannot be resolved in time: what is left of it
 * then ends behind the caller's back.
 *
 * Threads: any thread but that of a loop. Errors: those of making a loop; how a
 * call has ended is in the call. Ownership: the calls, their addresses, their path
 * and their message are the caller's memory. Cost: two threads, and one connection
 * for each call.
 */
#pragma once

#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"

struct km_fan;
struct km_channel_call;

struct km_fan_call {
    const char *address;
    const char *path;
    kama_bytes message;
    /* ---- the result ---- */
    kama_status status; /* KAMA_ERR_UNREACHABLE: no connection could be made;
                         * KAMA_ERR_TIMEOUT: the server stands still */
    char text[KM_ERROR_BYTES_MAX]; /* a sentence about an error, or "" */
    struct km_buf reply;           /* with KAMA_OK */
    uint64_t begin_ms; /* milliseconds since 1970 when it began, and when it */
    uint64_t end_ms;   /* has ended */
    /* ---- of the fan ---- */
    struct km_fan *fan;
    struct km_channel_call *call; /* NULL: it has ended, or was not made */
};

enum km_fan_patience {
    KM_FAN_ALL,  /* waits until each call has ended */
    KM_FAN_FIRST /* ends the others when the first one has succeeded */
};

void km_fan_call_init(struct km_fan_call *call, const char *address,
                      const char *path, kama_bytes message);
void km_fan_call_fini(struct km_fan_call *call);

/* Makes the calls and waits. timeout_ms: at least 1. Errors: KAMA_ERR_NO_MEMORY,
 * KAMA_ERR_THREADS, KAMA_ERR_IO; no call was made then. */
KAMA_NODISCARD kama_status km_fan(struct km_fan_call *calls, size_t count,
                                  int64_t timeout_ms,
                                  enum km_fan_patience patience);
