/* SPDX-License-Identifier: MIT */
/*
 * A call, as the handler of its method sees it.
 *
 * The handler gets the call with on_message (rpc/server_method.h), and answers
 * it there or later:
 *
 *     on_message(call, message)
 *         |-- km_server_call_reply(call, head, value)       a unary answer
 *         |-- km_server_call_send(..), .., km_server_call_finish(..)  a stream
 *         +-- km_server_call_hold(call)                     an answer later:
 *                ... a mail to km_server_call_loop(call) ...
 *             km_server_call_reply(call, head, value)
 *             km_server_call_release(call)
 *
 * A call ends once: with km_server_call_finish (or _reply) by the handler, or
 * with on_cancel, when the client, the deadline or the connection ended it
 * first. No callback follows either of them.
 *
 * Ownership: a call that has ended is freed when its last hold is released. So
 * a handler that answers later must hold the call. It need not find out first
 * whether the call has ended: every function below does nothing, or returns
 * KAMA_ERR_CLOSED, for a call that has.
 *
 * Threads: the loop of the call, for every function. Cost: O(1), and without
 * an allocation for the answer to a hit. Errors: where a function returns them.
 */
#pragma once

#include "base/bytes.h"
#include "net/loop.h"

struct km_server_call;

/* -- questions ----------------------------------------------------------- */

/* Returns the memory of state_bytes that the method's row asks for. It is
 * zeroed when the call begins and lives as long as the call. */
void *km_server_call_state(struct km_server_call *call);
/* Returns the call whose state this is. */
struct km_server_call *km_server_call_of_state(void *state);
/* Returns the `arg` of the server's options. */
void *km_server_call_arg(struct km_server_call *call);
/* Returns the loop on which the call lives. */
struct km_loop *km_server_call_loop(struct km_server_call *call);
/* Returns the milliseconds that are left of the client's grpc-timeout, for
 * kama_ctx.deadline_ms: at least 1, or 0 if the client gave none. The server
 * itself keeps the deadline, and calls on_cancel with KAMA_ERR_TIMEOUT. */
int64_t km_server_call_deadline_ms(const struct km_server_call *call);
/* Returns whether the call has ended, so that an answer would be dropped. */
bool km_server_call_ended(const struct km_server_call *call);
/* Returns the value of "authorization", or of a name that the method's row asks
 * for, as it came: binary metadata ("-bin") is not decoded. Returns no bytes if
 * the client sent none; of several values of a name, the last one counts. The
 * value is borrowed, and there for the first callback of the call only: it is
 * gone when that returns, or when the call ends. A handler that needs it later
 * copies it.
 *
 * The values of a call have KM_RPC_METADATA_BYTES_MAX bytes at most. A call
 * with more is refused with KAMA_ERR_TOO_LARGE before its handler sees it. */
kama_bytes km_server_call_metadata(const struct km_server_call *call,
                                   const char *name);
/* Returns the address of the other side, "127.0.0.1:4711", or "" once the
 * stream is gone. Borrowed until then. */
const char *km_server_call_peer_address(const struct km_server_call *call);
/* Returns the memory of conn_state_bytes that the server's options ask for. It
 * is zeroed when the connection opens, and all calls of the connection share
 * it. Returns NULL once the call's stream is gone (so in on_cancel, and for a
 * call that was only held), or if the options ask for none. */
void *km_server_call_conn_state(const struct km_server_call *call);
/* Gives the call's connection the limits of a peer for frames that cost
 * nothing (KM_H2_PEER_RESET_PER_S), for good: the other side has shown who it
 * is. Does nothing once the stream is gone. */
void km_server_call_trust_peer(struct km_server_call *call);
/* Returns whether stream and connection have room for output. If not, a
 * handler should wait for on_writable before it makes a large message. */
bool km_server_call_writable(const struct km_server_call *call);

/* -- life ---------------------------------------------------------------- */

/* Keeps the call's memory until km_server_call_release, once for each hold. */
void km_server_call_hold(struct km_server_call *call);
/* Gives a hold back; the last one frees a call that has ended. */
void km_server_call_release(struct km_server_call *call);

/* -- the rest of the request ---------------------------------------------- */

/* Stops the messages of a bidi call: until km_server_call_resume_reading the
 * handler gets neither on_message nor on_half_close, and the client gets no
 * window for this stream, so that at most KM_H2_STREAM_WINDOW_BYTES of it wait
 * here. The other streams of the connection go on. The call can still be
 * cancelled, and be answered. Does nothing for other kinds of calls, for a call
 * that has ended, and for one that is paused. */
void km_server_call_pause_reading(struct km_server_call *call);
/* Lets the messages go on. Those that wait are delivered at the end of this turn
 * of the loop, never from inside this function. Does nothing for a call that is
 * not paused. */
void km_server_call_resume_reading(struct km_server_call *call);

/* -- the answer ---------------------------------------------------------- */

/* Queues one message. `head` is copied; the bytes of `body` follow it without
 * a copy, with a reference that the call takes (NULL: none).
 * Errors: KAMA_ERR_NO_MEMORY and KAMA_ERR_TOO_LARGE, after which the handler
 * must still finish the call; KAMA_ERR_CLOSED if the call has ended. */
KAMA_NODISCARD kama_status km_server_call_send(struct km_server_call *call,
                                               kama_bytes head,
                                               kama_value *body);

/* Ends the call with the trailers grpc-status, kama-status and, for an error,
 * grpc-message. `text` is copied and percent-encoded; NULL stands for
 * kama_strerror(status). */
void km_server_call_finish(struct km_server_call *call, kama_status status,
                           const char *text);

/* Sends one message and ends the call with KAMA_OK, or, if the message could
 * not be queued, with that error. */
void km_server_call_reply(struct km_server_call *call, kama_bytes head,
                          kama_value *body);
