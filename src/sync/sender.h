/* SPDX-License-Identifier: MIT */
/*
 * The stream to one member (R2, R3).
 *
 *     DOWN --dial--> HELLO --welcome--> LIVE --goodbye sent--> OVER
 *       ^              |                  |
 *       +---- closed, refused, silent ----+         again after a pause, which doubles
 *                                                   from 50 ms up to 1 s
 *
 * A stream has a position in the log: the seq that it sends next. When the member has
 * said what it has applied, the position is behind that, and a Gap covers the records that
 * have left the ring. Frames are built only while the network can take them, so that a slow member
 * costs no memory: it falls behind in the ring, and beyond its end it gets a Gap.
 *
 *     log   | ... 40 | 41 | 42 | 43 | 44 | 45 |
 *                  ^ acked   ^ next             sent and not acknowledged: 41, 42
 *
 * Threads: the sync loop. Errors: lack of memory and every wrong answer end the stream,
 * which begins anew. Ownership: the structure is a part of the member. Cost: as
 * sync.h says.
 */
#pragma once

#include "sync/sync_internal.h"

/* Makes the stream of a member, which is down. */
void km_sync_out_init(struct km_sync_out *out, struct km_sync_member *member);
/* Begins the stream, or does so after its pause; nothing if it is not down. */
void km_sync_out_start(struct km_sync_out *out);
/* Ends the stream; it stays down until km_sync_out_start. */
void km_sync_out_stop(struct km_sync_out *out);
/* Ends the stream from this side, and begins it again after the pause. */
void km_sync_out_hang_up(struct km_sync_out *out);
/* Sends the message that was built (sync->head), or one that has a single field. Returns
 * false if the stream has ended. */
bool km_sync_out_send_head(struct km_sync_out *out);
bool km_sync_out_send_field(struct km_sync_out *out, uint32_t field,
                            const struct km_pb_message *table,
                            const void *message);
/* Sends everything that waits, as far as the network takes it. */
void km_sync_out_pump(struct km_sync_out *out);
/* R10. Tells the noticed view. */
void km_sync_out_announce(struct km_sync_out *out);
/* Counts the member as having acknowledged everything up to seq: a life has begun. */
void km_sync_out_rebase(struct km_sync_out *out, uint64_t seq);
/* Returns how long the oldest mutation waits that the member has not acknowledged; 0:
 * none does. */
km_ns km_sync_out_lag(const struct km_sync_out *out, uint64_t seq);
/* Returns whether the member was told a Gap that it has not acknowledged. */
bool km_sync_out_is_gapped(const struct km_sync_out *out);
