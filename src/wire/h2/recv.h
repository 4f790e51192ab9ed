/* SPDX-License-Identifier: MIT */
/*
 * nghttp2's callbacks for frames that arrived. They call the owner's callbacks,
 * and they count the frames that cost their sender nothing.
 *
 * For each frame nghttp2 calls on_begin_frame first, then on_header or
 * on_data_chunk for each piece, and on_frame_recv at its end. It does not call
 * them for frames that break the protocol.
 *
 * Threads: the loop's thread, inside feed.
 */
#pragma once

#include <nghttp2/nghttp2.h>
#include <stdbool.h>

struct km_h2;

/* Counts a reset that was not handed to nghttp2 (early_reset.h). Returns false if it is
 * one too many, and the connection ends. */
bool km_h2_recv_early_reset(struct km_h2 *h2);

/* Registers the callbacks of this file with nghttp2. */
void km_h2_recv_register(nghttp2_session_callbacks *callbacks);
