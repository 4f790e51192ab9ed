/* SPDX-License-Identifier: MIT */
/*
 * The course of the stream to a member: the records that it sends, from its position in the
 * log on.
 *
 *     km_sync_course_position(out, &welcome);      resumes, or sends a Gap (R3)
 *     while (... && km_sync_course_next(out)) {    a frame, a chunk or a Gap (R2)
 *     }
 *     km_sync_course_heartbeat(out);
 *
 * Threads: the sync loop. Errors: lack of memory ends the stream, which begins anew; the
 * functions return false then. Ownership: nothing is kept but the pin of a large value.
 * Cost: O(bytes) of the message.
 */
#pragma once

#include "sync/sync_internal.h"

/* Finds the position of a stream that was answered. Returns false if it has ended. */
bool km_sync_course_position(struct km_sync_out *out,
                             const struct km_msg_sync_welcome *welcome);
/* Sends the next message. Returns false if there is none, or the stream has ended. */
bool km_sync_course_next(struct km_sync_out *out);
/* Says up to which clock everything was sent. */
void km_sync_course_heartbeat(struct km_sync_out *out);
