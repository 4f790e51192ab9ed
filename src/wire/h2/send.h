/* SPDX-License-Identifier: MIT */
/*
 * What nghttp2 says about frames that were sent, or that could not be sent.
 *
 * Threads: loop thread.
 */
#pragma once

#include <nghttp2/nghttp2.h>

/* Registers the callbacks of this file with nghttp2. */
void km_h2_send_register(nghttp2_session_callbacks *callbacks);
