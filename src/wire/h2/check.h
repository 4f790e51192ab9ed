/* SPDX-License-Identifier: MIT */
/*
 * Checks the invariants of a connection, which hold between two calls: its
 * lists, its counters and the states of its streams agree. Tests and fuzz
 * targets call this after each step; a fault stops the process at an assertion.
 *
 * Cost: O(streams and queued messages). Threads: the loop's thread, outside of
 * any callback.
 */
#pragma once

struct km_h2;

/* Stops at an assertion if the connection is not consistent. */
void km_h2_check(const struct km_h2 *h2);
