/* SPDX-License-Identifier: MIT */
/*
 * nghttp2's callbacks for frames that were sent, or that could not be sent.
 *
 * Threads: the loop's thread, inside take.
 */
#pragma once

#include <nghttp2/nghttp2.h>

/* Registers the callbacks of this file with nghttp2. */
void km_h2_send_register(nghttp2_session_callbacks *callbacks);
