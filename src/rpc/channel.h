/* SPDX-License-Identifier: MIT */
/*
 * A gRPC channel to one address: connects on the first call, again after a
 * loss (100 ms x 1.6 +-20 %, at most 3 s; reset when SETTINGS arrive), keeps
 * deadlines and sends grpc-timeout. Calls made while it connects wait; a call
 * without wait_for_ready fails when the attempt fails, and at once between
 * failed attempts. More calls than the other side permits wait for a slot.
 *
 * A call that the server says it has not processed (REFUSED_STREAM, or above
 * the last stream of a GOAWAY) is sent again, unseen by the caller: once; when
 * it is the connection that ends, as long as a wait_for_ready call has time.
 *
 * How a call ends without a grpc-status follows gRPC's HTTP/2 mapping. The
 * kama-status trailer says which of our statuses it is; without it the nearest
 * to the gRPC code.
 *
 * Thread-safety: loop thread, except km_channel_new: setup or loop.
 * Ownership: ops and arg are borrowed until on_end, which runs exactly once,
 * never from inside a function of this header; the call is gone after it.
 * Cost: about 700 bytes per call, and its request until the answer begins (to
 * send it again; at most 1 MiB is kept for that).
 */
#pragma once

#include "base/bytes.h"
#include "net/loop.h"

struct km_channel;
struct km_channel_call;

struct km_channel_options {
    const kama_allocator *mem;
    const struct km_clock *clock;
    const char *address;        /* "host:port", copied */
    const char *user_agent;     /* NULL: grpc-c-kamacache/VERSION */
    uint64_t max_message_bytes; /* 0: KM_RPC_MESSAGE_BYTES_MIN */
    int64_t connect_timeout_ms; /* 0: 5000 */
};

/* How a call ended. text is borrowed until return. */
struct km_channel_result {
    kama_status status; /* from kama-status, else from the gRPC code */
    int grpc_code;
    const char *text;
    bool unreached; /* the deadline passed before any connection was ready, so
                     * the request was not sent */
};

struct km_channel_call_ops {
    /* A message, borrowed until return. */
    void (*on_message)(void *arg, kama_bytes message);
    void (*on_end)(void *arg, const struct km_channel_result *result);
};

struct km_channel_call_options {
    const char *path;
    km_ns deadline;      /* monotonic; KM_NS_NEVER: none */
    bool wait_for_ready; /* outlive failed attempts until the deadline */
    bool unary;          /* other than one message: KAMA_ERR_PROTOCOL */
    const char *const (*metadata)[2]; /* name, value pairs; NULL: none */
    size_t metadata_count;
};

/* Connects to nothing yet. Errors: KAMA_ERR_INVALID (address, with a
 * sentence), KAMA_ERR_NO_MEMORY. */
KAMA_NODISCARD kama_status
km_channel_new(struct km_loop *loop, const struct km_channel_options *options,
               struct km_channel **ret_channel);
/* Running calls end with KAMA_ERR_CANCELLED; frees itself; on_freed (may be
 * NULL) is the last sign. */
void km_channel_close(struct km_channel *channel, void (*on_freed)(void *arg),
                      void *arg);

/* Starts a call; options, path and metadata (lower-case names; at most
 * KM_CHANNEL_METADATA_MAX) are borrowed until return.
 * Errors: KAMA_ERR_NO_MEMORY, KAMA_ERR_INVALID (metadata), KAMA_ERR_CLOSED. */
#define KM_CHANNEL_METADATA_MAX 32
KAMA_NODISCARD kama_status km_channel_call_new(
    struct km_channel *channel, const struct km_channel_call_options *options,
    const struct km_channel_call_ops *ops, void *arg,
    struct km_channel_call **ret_call);
/* Copies and queues one message. Errors: KAMA_ERR_NO_MEMORY,
 * KAMA_ERR_TOO_LARGE (over 4 GiB), KAMA_ERR_STATE (after half_close),
 * KAMA_ERR_CLOSED (the call has ended, on_end follows). */
KAMA_NODISCARD kama_status km_channel_call_send(struct km_channel_call *call,
                                                kama_bytes message);
/* No more messages. Idempotent. */
void km_channel_call_half_close(struct km_channel_call *call);
/* on_end follows with KAMA_ERR_CANCELLED, unless the call has ended already;
 * no message follows. */
void km_channel_call_cancel(struct km_channel_call *call);
