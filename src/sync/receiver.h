/* SPDX-License-Identifier: MIT */
/*
 * A stream that another node has begun (R2, R4).
 *
 *     NEW --hello--> HELD --its member is noticed--> LIVE --wrong, silent, goodbye--> OVER
 *              \_______________________________________^
 *
 * A Hello of a node that this one does not know yet is held for a second, because its
 * registration may be on its way here. When two streams of one member meet, the newer
 * one stays: messages of the older one are ignored, so that nothing is applied
 * twice.
 *
 * Each record must have the seq behind the one that was applied last; anything else ends
 * the stream, and the next one begins where this one has ended.
 *
 * Threads: the sync loop. Errors: bad input ends the stream with a sentence. Ownership:
 * the network frees the structure when the stream has ended. Cost: as sync.h says.
 */
#pragma once

#include "sync/sync_internal.h"

/* Answers the streams that were held for a member that is known now. */
void km_sync_in_answer_held(struct km_sync *sync);
/* Ends the stream of a member that has parted, or all streams. */
void km_sync_in_end(struct km_sync_in *in, kama_status status,
                    const char *text);
void km_sync_in_end_all(struct km_sync *sync, kama_status status,
                        const char *text);
