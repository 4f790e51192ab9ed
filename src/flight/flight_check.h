/* SPDX-License-Identifier: MIT */
/*
 * The invariants of a flight, for tests:
 *
 *     km_flight_join(&flight, hash, key, &waiter, &call, &status);
 *     km_flight_check(&flight);
 *
 * Every linked call is in the chain of its hash and has not ended, waiters are
 * counted and belong to their call, and the deadline of the oldest call of each
 * shard is known. A violation ends the process.
 *
 * Cost: O(calls + waiters), under the lock of each shard in turn. Threads: any
 * thread. Errors: none. Ownership: the flight is borrowed.
 */
#pragma once

struct km_flight;

/* Asserts the invariants of the flight. */
void km_flight_check(struct km_flight *flight);
