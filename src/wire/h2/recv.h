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

/* Registers the callbacks of this file with nghttp2. */
void km_h2_recv_register(nghttp2_session_callbacks *callbacks);
