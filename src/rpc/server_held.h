/* SPDX-License-Identifier: MIT */
/*
 * The memory of requests that come in pieces, and the windows that bound it.
 *
 * A message that lies whole in the bytes of one read is given to its handler
 * where it lies. Any other message is collected in memory, and a client may
 * begin many of them and end none. Metadata that handlers read is memory of the
 * request, too. Two limits hold:
 *
 *     connection   over KM_RPC_HELD_BYTES_CONN its streams get no more window
 *                  (they are *stalled*), except one (the *favoured* one), so
 *                  that always one request can be completed
 *     loop         over options.held_bytes_max the largest request of the
 *                  connection that holds most is refused
 *
 *     bytes arrive --> room?  --yes--> window opens at once
 *                        |
 *                        no --> favoured? --yes--> window opens at once
 *                                  |
 *                                  no --> stalled, until there is room or
 *                                         the favoured call holds nothing
 *
 * A proxy may be unable to send on the favoured stream: bytes of the stalled
 * ones fill the window that the proxy gave to its own client's connection, and
 * the bytes of the favoured stream are behind them. Nothing would move until
 * the calls' deadlines. So if the favoured stream gets no byte for
 * options.stall_ms, all streams of the connection are let go, for good; then
 * refusals alone bound it.
 *
 * The window of a call whose handler has paused it (rpc/server_pause.h) is
 * withheld as well. Such a call is neither stalled nor favoured, because it does
 * not wait for the others.
 *
 * Threads: the loop of the call. Cost: O(1), except the search for the largest
 * request, which is O(connections + calls) and runs before a refusal only.
 */
#pragma once

#include <stddef.h>

struct km_server_call;
struct km_server_conn;
struct km_server_loop;

/* Opens the windows by `n` bytes that were read of a request that goes on: the
 * connection's at once, the stream's perhaps later. */
void km_server_held_consume(struct km_server_call *call, size_t n);

/* The call takes no messages for a while: its window is withheld, and it leaves
 * its place among the stalled and favoured ones to others. */
void km_server_held_pause(struct km_server_call *call);
/* The call goes on, and the window that was withheld opens, perhaps later. */
void km_server_held_resume(struct km_server_call *call);

/* Stops to watch the favoured stream: no call of the connection is stalled any
 * more. */
void km_server_held_forget(struct km_server_conn *conn);

/* Brings the sums of connection and loop up to date with the memory that the
 * call's request holds now. */
void km_server_held_count(struct km_server_call *call);

/* Frees the memory of the call's request, and opens the window that was
 * withheld from it: a refused request is read on and thrown away, and a client
 * that waits for window would never end it. */
void km_server_held_drop(struct km_server_call *call);

/* Returns the call that is to be refused when a loop holds too much and
 * `newest` has brought more: the largest one of the connection that holds
 * most, or `newest` itself if its own connection is that one. */
struct km_server_call *km_server_held_largest(struct km_server_call *newest);

/* Asserts that the sums of the loop, its connections and its calls agree, and
 * that streams are stalled only while their connection holds too much and
 * another call is favoured. For tests, on the loop's thread, outside of any
 * callback of a handler. Cost: O(connections + calls). */
void km_server_held_check(const struct km_server_loop *server_loop);
