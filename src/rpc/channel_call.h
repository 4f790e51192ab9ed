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
 * has wait_for_ready, as long as it has time. KM_CHANNEL_REPEAT_NEVER forbids
 * that; the `fate` of the result says then whether another try is safe.
 *
 * A caller that sends much asks km_channel_call_writable before each message,
 * and goes on in on_writable. One that does not ask is stopped at
 * KM_RPC_CALL_QUEUED_BYTES_MAX. A caller that cannot use more messages for now
 * pauses the reading of its call; the other calls of the connection go on.
 *
 * A call that ends without a grpc-status ends as gRPC's mapping of HTTP/2
 * errors says. The trailer kama-status names our status exactly; without it
 * the status is the one that is nearest to the gRPC code. A success may have
 * the status KAMA_UNSYNCED instead of KAMA_OK (km_status_is_success).
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

/* Whether the channel may send a request a second time, after the server has
 * said that it did not process the first one. */
enum km_channel_repeat {
    KM_CHANNEL_REPEAT_REFUSED, /* yes */
    KM_CHANNEL_REPEAT_NEVER    /* no: it is sent at most once */
};

struct km_channel_call_options {
    const char *path;    /* "/kama.v1.KamaCacheService/Get" */
    km_ns deadline;      /* monotonic; KM_NS_NEVER: none */
    bool wait_for_ready; /* outlive failed attempts until the deadline */
    bool unary;          /* other than one message is KAMA_ERR_PROTOCOL */
    const char *const (*metadata)[2]; /* pairs of lower-case name and value;
                                       * NULL: none */
    size_t metadata_count;
    enum km_channel_repeat repeat;
};

/* Whether the request of a call that has ended may have been processed. */
enum km_channel_fate {
    KM_CHANNEL_FATE_MAYBE,    /* it was sent, and may have been processed */
    KM_CHANNEL_FATE_NOT_SENT, /* certainly no byte of it was sent */
    KM_CHANNEL_FATE_REFUSED   /* it was sent, and the server has said that it
                               * did not process it */
};

/* How a call ended. text is borrowed until on_end returns. */
struct km_channel_result {
    kama_status status; /* from kama-status, else from the gRPC code */
    int grpc_code;
    const char *text;
    enum km_channel_fate fate;
    bool unreached; /* the deadline passed before any connection was ready; the
                     * fate is KM_CHANNEL_FATE_NOT_SENT then, or _REFUSED */
};

struct km_channel_call_ops {
    /* A message, borrowed until return. */
    void (*on_message)(void *arg, kama_bytes message);
    /* The call has ended, and is gone after return. */
    void (*on_end)(void *arg, const struct km_channel_result *result);
    /* There is room again after km_channel_call_writable has said no. May be
     * NULL. */
    void (*on_writable)(void *arg);
};

/* Starts a call. The options and their texts are borrowed until return.
 * Errors: KAMA_ERR_NO_MEMORY, KAMA_ERR_INVALID (more metadata than
 * KM_CHANNEL_METADATA_MAX), KAMA_ERR_CLOSED (the channel was closed). */
KAMA_NODISCARD kama_status km_channel_call_new(
    struct km_channel *channel, const struct km_channel_call_options *options,
    const struct km_channel_call_ops *ops, void *arg,
    struct km_channel_call **ret_call);

/* Queues one message: the bytes of head, which are copied, and those of body.
 * A reference to body is taken, or its bytes are copied if they are few; NULL
 * means that there are none. Errors: KAMA_ERR_NO_MEMORY, KAMA_ERR_TOO_LARGE
 * (over 4 GiB), KAMA_ERR_OVERLOADED with a sentence
 * (KM_RPC_CALL_QUEUED_BYTES_MAX are queued already), KAMA_ERR_STATE (after
 * half_close), KAMA_ERR_CLOSED (the call has ended, and on_end follows). */
KAMA_NODISCARD kama_status km_channel_call_send_parts(
    struct km_channel_call *call, kama_bytes head, kama_value *body);
/* Copies and queues one message. Errors: as km_channel_call_send_parts. */
KAMA_NODISCARD kama_status km_channel_call_send(struct km_channel_call *call,
                                                kama_bytes message);
/* Returns whether there is room for more output. If not, on_writable follows,
 * unless the call ends or is half closed before. */
bool km_channel_call_writable(struct km_channel_call *call);
/* Returns how many bytes of the request wait to be sent; 0 once the call has
 * ended. */
size_t km_channel_call_queued_bytes(const struct km_channel_call *call);
/* Says that no more messages follow. Doing so again does nothing. */
void km_channel_call_half_close(struct km_channel_call *call);
/* Ends the call with KAMA_ERR_CANCELLED, unless it has ended already. No
 * message follows, but on_end does. */
void km_channel_call_cancel(struct km_channel_call *call);
/* Lets the server send no more than its window (KM_H2_STREAM_WINDOW_BYTES),
 * until reading is resumed. Messages inside the window are still delivered.
 * The connection's other calls go on. Doing so again does nothing, as does
 * each of the two for a call that has ended. */
void km_channel_call_pause_reading(struct km_channel_call *call);
/* Lets the server send again. */
void km_channel_call_resume_reading(struct km_channel_call *call);
