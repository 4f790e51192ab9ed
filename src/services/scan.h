/* SPDX-License-Identifier: MIT */
/*
 * kama.v2.Cache/Scan: a stream with the keys of a group that match a pattern.
 *
 * Each turn of the loop makes one step of kama_scan and sends at most one
 * message of about KM_SCAN_MESSAGE_BYTES. While the client does not read,
 * nothing but the cursor and the pattern is kept:
 *
 *                  go on, there is room
 *     STEPPING ---------------------------> TURN_POSTED
 *        |     <---------------------------      |
 *        |              the mail runs            | the mail runs, and the
 *        |                                       | room has gone
 *        | go on, there is no room               v
 *        +--------------------------------> WAITS_FOR_ROOM
 *                                                +--writable--> TURN_POSTED
 *
 * A message that is not the last one carries a cursor, with which the client
 * can go on later. It names the group and its instance, so that a cursor of
 * another group, or from before a restart, is refused.
 *
 * Cost: one allocation and one buffer for a message per call that is stepping.
 * Threads: loop thread.
 * Errors: KAMA_ERR_MALFORMED, KAMA_ERR_NO_GROUP, KAMA_ERR_INVALID for a pattern
 * that is too long or a cursor that is not one of the group,
 * KAMA_ERR_NO_MEMORY.
 */
#pragma once

#include <kamacache/kamacache.h>

struct km_server_call;
struct km_service_scan;

/* The state of a call. */
struct km_service_scan_state {
    struct km_service_scan *scan; /* NULL before the start and after the end */
};

/* on_message; message: borrowed until return. */
void km_service_v2_scan(struct km_server_call *call, kama_bytes message);

/* on_writable: goes on behind the cursor. */
void km_service_scan_writable(struct km_server_call *call);

/* on_cancel: frees the scan, at once or when its mail has run. */
void km_service_scan_cancelled(struct km_server_call *call, kama_status why);
