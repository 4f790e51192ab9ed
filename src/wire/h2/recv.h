/* SPDX-License-Identifier: MIT */
/*
 * What nghttp2 says about frames that arrived: the owner's callbacks run from
 * here, and frames that cost the sender nothing are counted.
 *
 * Threads: loop thread.
 */
#pragma once

#include <nghttp2/nghttp2.h>

/* Registers the callbacks of this file with nghttp2. */
void km_h2_recv_register(nghttp2_session_callbacks *callbacks);
