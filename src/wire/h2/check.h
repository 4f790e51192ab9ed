/* SPDX-License-Identifier: MIT */
/*
 * Checks what must hold for a connection between two calls: its lists, counters
 * and the states of its streams agree. Tests and fuzz targets call it after each
 * step; it stops at an assertion that names what is wrong.
 *
 * Cost: O(streams and queued messages). Threads: loop thread, outside of any
 * callback.
 */
#pragma once

struct km_h2;

/* Stops at an assertion if the connection is not consistent. */
void km_h2_check(const struct km_h2 *h2);
