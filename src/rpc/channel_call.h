/* SPDX-License-Identifier: MIT */
/*
 * A call on a channel, as its caller sees it.
 *
 *     km_channel_call_new(channel, &options, &ops, arg, &call);
 *     km_channel_call_send(call, request);      once, or more often
 *     km_channel_call_half_close(call);
 *        ops.on_message(arg, message) ..        as answers arrive
 *        ops.on_end(arg, result)                exactly once; the call is gone
 *
 * The channel keeps the deadline and sends it as grpc-timeout. A call without
 * wait_for_ready fails when an attempt to connect fails, and at once between
 * two failed attempts; a call with it waits for the next attempt, until its
 * deadline.
 *
 * A call that the server says it has not processed (the stream was refused, or
 * is above the last stream of a GOAWAY) is sent again without the caller's
 * notice: once, or, if the server ends its connections in order and the call
 * has wait_for_ready, as long as it has time.
 *
 * A call that ends without a grpc-status ends as gRPC's mapping of HTTP/2
 * errors says. The trailer kama-status names our status exactly; without it
 * the status is the one that is nearest to the gRPC code.
 *
 * Threads: the loop of the channel. Ownership: ops and arg are borrowed until
 * on_end, which never runs from inside a function of this header. Cost: about
 * 700 bytes per call, and its request until the answer begins (to send it
 * again; at most 1 MiB is kept for that). Errors: where a function returns
 * them.
 */
#pragma once

#include "base/bytes.h"
#include "base/clock.h"

struct km_channel;
struct km_channel_call;

/* The most pairs of metadata that a call may have. */
#define KM_CHANNEL_METADATA_MAX 32

struct km_channel_call_options {
    const char *path;    /* "/kama.v1.KamaCacheService/Get" */
    km_ns deadline;      /* monotonic; KM_NS_NEVER: none */
    bool wait_for_ready; /* outlive failed attempts until the deadline */
    bool unary;          /* other than one message is KAMA_ERR_PROTOCOL */
    const char *const (*metadata)[2]; /* pairs of lower-case name and value;
                                       * NULL: none */
    size_t metadata_count;
};

/* How a call ended. text is borrowed until on_end returns. */
struct km_channel_result {
    kama_status status; /* from kama-status, else from the gRPC code */
    int grpc_code;
    const char *text;
    bool unreached; /* the deadline passed before any connection was ready, so
                     * that the request was not sent */
};

struct km_channel_call_ops {
    /* A message, borrowed until return. */
    void (*on_message)(void *arg, kama_bytes message);
    /* The call has ended, and is gone after return. */
    void (*on_end)(void *arg, const struct km_channel_result *result);
};

/* Starts a call. The options and their texts are borrowed until return.
 * Errors: KAMA_ERR_NO_MEMORY, KAMA_ERR_INVALID (more metadata than
 * KM_CHANNEL_METADATA_MAX), KAMA_ERR_CLOSED (the channel was closed). */
KAMA_NODISCARD kama_status km_channel_call_new(
    struct km_channel *channel, const struct km_channel_call_options *options,
    const struct km_channel_call_ops *ops, void *arg,
    struct km_channel_call **ret_call);

/* Copies and queues one message. Errors: KAMA_ERR_NO_MEMORY,
 * KAMA_ERR_TOO_LARGE (over 4 GiB), KAMA_ERR_STATE (after half_close),
 * KAMA_ERR_CLOSED (the call has ended, and on_end follows). */
KAMA_NODISCARD kama_status km_channel_call_send(struct km_channel_call *call,
                                                kama_bytes message);
/* Says that no more messages follow. Doing so again does nothing. */
void km_channel_call_half_close(struct km_channel_call *call);
/* Ends the call with KAMA_ERR_CANCELLED, unless it has ended already. No
 * message follows, but on_end does. */
void km_channel_call_cancel(struct km_channel_call *call);
