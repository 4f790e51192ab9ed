/* SPDX-License-Identifier: MIT */
/*
 * A call that waits on its loop until this node knows, or has, what the call needs. The
 * method looks again and again, because nothing tells it when that has come:
 *
 *     on_message        km_waiting_call_start: copies the message, holds the call
 *                            | timer
 *                            v
 *                       look(call, message) --a pause--> timer
 *                            | 0: the call has gone on, or is finished
 *                            v
 *                       the copy is freed, and the call is released
 *
 *     on_cancel         if (km_waiting_call_waits(&state->waiting)) {
 *                           km_waiting_call_end(&state->waiting);
 *                       }
 *
 * It is a part of the state of the call, which is zeroed when the call begins.
 *
 * Threads: loop thread. Errors: as each function says. Ownership: it owns the copy of the
 * message and one hold of its call, from the start to the end. Cost: one allocation, and
 * a timer.
 */
#pragma once

#include "base/timer.h"
#include "rpc/server.h"

#include <stdbool.h>

struct km_server_call;

/* Looks whether the call may go on. Returns how many milliseconds to wait before the next
 * look, or 0 after it has gone on with the message, or has finished the call. The message
 * is borrowed until return. */
typedef int64_t (*km_waiting_call_look)(struct km_server_call *call,
                                        kama_bytes message);

struct km_waiting_call {
    struct km_timer timer; /* armed while the call waits */
    struct km_server_call *call;
    km_waiting_call_look look;
    uint8_t *copy; /* of the message, owned; NULL: the call does not wait */
    size_t bytes;
};

/* Looks for the first time after pause_ms. The message is copied. Returns false without
 * memory; the call is finished then. */
bool km_waiting_call_start(struct km_waiting_call *waiting,
                           struct km_server_call *call, kama_bytes message,
                           int64_t pause_ms, km_waiting_call_look look);

/* Ends a wait: of a call that is cancelled, because otherwise it ends by itself. The call
 * may be freed. */
void km_waiting_call_end(struct km_waiting_call *waiting);

/* Returns whether the call waits. */
static inline bool km_waiting_call_waits(const struct km_waiting_call *waiting)
{
    return waiting->copy != NULL;
}
