/* SPDX-License-Identifier: MIT */
/*
 * A blocking client, for programs that have no event loop: it has one channel,
 * and one thread that runs the channel's loop.
 *
 *     km_client_new(&options, &client);
 *     km_client_unary(client, &request, &reply);       waits for the answer
 *     km_client_stream(client, &request, cb, arg);     waits for the last one
 *     km_client_free(client);
 *
 * Threads: any thread, several at the same time; new and free are setup. A call
 * from the client's own thread would wait for itself: KAMA_ERR_WOULD_DEADLOCK.
 * Errors: the status of the call, with its sentence in km_last_error.
 * Ownership: requests and replies belong to the caller.
 * Cost: two wake-ups per call, of the loop and of the caller.
 */
#pragma once

#include "base/buf.h"
#include "rpc/channel.h"

struct km_client;

/* Makes a client that is not connected yet. Errors: KAMA_ERR_INVALID (address),
 * KAMA_ERR_NO_MEMORY, KAMA_ERR_THREADS, KAMA_ERR_IO. */
KAMA_NODISCARD kama_status km_client_new(
    const struct km_channel_options *options, struct km_client **ret_client);
/* Closes the connection and ends the thread. No call may be running. Passing
 * NULL does nothing. */
void km_client_free(struct km_client *client);

struct km_client_request {
    const char *path;
    kama_bytes message;
    int64_t timeout_ms;  /* 0: none */
    bool wait_for_ready; /* try again until the timeout, instead of failing
                            * with KAMA_ERR_UNREACHABLE at once */
    kama_status
        unreached; /* the status of a call whose time was over before any
                            * connection was ready, so that nothing was sent; 0:
                            * KAMA_ERR_TIMEOUT, as for an answer that is late */
    const char *const (*metadata)[2]; /* as in km_channel_call_options */
    size_t metadata_count;
};

/* Makes one unary call. The reply is appended to ret_reply, which is unchanged
 * after an error. A call that succeeded returns KAMA_OK or KAMA_UNSYNCED
 * (km_status_is_success). */
KAMA_NODISCARD kama_status km_client_unary(
    struct km_client *client, const struct km_client_request *request,
    struct km_buf *ret_reply);

/* Is given each message of a stream, on the client's thread; the message is
 * borrowed until return. Another status than KAMA_OK cancels the call, and is
 * its result. */
typedef kama_status (*km_client_message_fn)(void *arg, kama_bytes message);
/* Makes one server-streaming call. */
KAMA_NODISCARD kama_status km_client_stream(
    struct km_client *client, const struct km_client_request *request,
    km_client_message_fn cb, void *arg);
