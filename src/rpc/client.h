/* SPDX-License-Identifier: MIT */
/*
 * A blocking client for programs without a loop: one loop thread, one channel.
 * Thread-safety: any thread; new and free setup.
 * Errors: the call's status; the sentence is km_last_error.
 */
#pragma once

#include "base/buf.h"
#include "rpc/channel.h"

struct km_client;

/* Nothing is connected yet. Errors: KAMA_ERR_INVALID (address),
 * KAMA_ERR_NO_MEMORY, KAMA_ERR_THREADS, KAMA_ERR_IO. */
KAMA_NODISCARD kama_status km_client_new(
    const struct km_channel_options *options, struct km_client **ret_client);
/* NULL is a no-op. */
void km_client_free(struct km_client *client);

struct km_client_request {
    const char *path;
    kama_bytes message;
    int64_t timeout_ms;    /* 0: none */
    bool wait_for_ready;   /* KAMA_ERR_UNREACHABLE only after the deadline */
    kama_status unreached; /* the status of a call whose time is over before any
                            * connection was ready, so that nothing was sent;
                            * 0: KAMA_ERR_TIMEOUT, as when an answer is late */
};

/* One unary call; the reply is appended to ret_reply, which is unchanged after
 * an error. Not from the client's own callbacks (KAMA_ERR_WOULD_DEADLOCK). */
KAMA_NODISCARD kama_status km_client_unary(
    struct km_client *client, const struct km_client_request *request,
    struct km_buf *ret_reply);

/* One server-streaming call; cb runs on the loop thread per message; not
 * KAMA_OK cancels the call and is the result. */
typedef kama_status (*km_client_message_fn)(void *arg, kama_bytes message);
KAMA_NODISCARD kama_status km_client_stream(
    struct km_client *client, const struct km_client_request *request,
    km_client_message_fn cb, void *arg);
