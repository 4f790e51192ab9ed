/* SPDX-License-Identifier: MIT */
/*
 * Bidi calls whose handlers take no messages for a while.
 *
 *     READING --pause--> PAUSED --resume--> RESUMING --end of the turn--+
 *        ^                  ^                  |                        |
 *        |                  +------ pause -----+                        |
 *        +--------------------------------------------------------------+
 *
 *     READING   messages are delivered as they arrive
 *     PAUSED    the bytes that arrive are kept, and their window is withheld;
 *               so at most a window of the stream is kept
 *     RESUMING  the same; at the end of the turn what was kept is delivered,
 *               and then the window is given back
 *
 * A handler may pause again while what was kept is delivered. The rest stays,
 * and the window is withheld until all of it was delivered.
 *
 * Threads: the loop of the call. Cost: one copy of the bytes that arrive while a
 * call is paused. Errors: without memory for them the call is refused.
 * Ownership: the call owns the bytes.
 */
#pragma once

#include "base/bytes.h"

struct km_server_call;
struct km_server_loop;

enum km_server_reading {
    KM_SERVER_READING,
    KM_SERVER_PAUSED,
    KM_SERVER_RESUMING
};

/* Keeps bytes of the request of a call that is not READING. */
void km_server_pause_keep(struct km_server_call *call, kama_bytes bytes);

/* Delivers what the RESUMING calls of the loop have kept. */
void km_server_pause_end_turn(struct km_server_loop *server_loop);

/* Frees what the call has kept; it is paused no more. */
void km_server_pause_drop(struct km_server_call *call);
