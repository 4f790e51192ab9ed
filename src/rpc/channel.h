/* SPDX-License-Identifier: MIT */
/*
 * A gRPC channel: calls to one address, over a connection that the channel
 * opens and opens again by itself.
 *
 *     km_channel_new(loop, &options, &channel);
 *     km_channel_call_new(channel, &call_options, &ops, arg, &call);
 *     ...                                    (rpc/channel_call.h)
 *     km_channel_close(channel, on_freed, arg);
 *
 * It connects when the first call waits, and again when the connection is lost
 * and another call waits. Between the beginnings of two attempts at least a
 * backoff passes, which starts at 100 ms, grows by 1.6 up to 3 s, varies by a
 * fifth so that many clients do not come at once, and is small again when a
 * server has sent its SETTINGS.
 *
 * Calls made while it connects wait for the connection. If the server permits
 * fewer calls at a time than there are, the others wait for a free place.
 *
 * Threads: the loop's, except km_channel_new, which may also run in setup.
 * Ownership: the loop, the clock and the allocator are borrowed until the
 * channel is freed; texts are copied. Errors: an address that cannot be read;
 * everything else is how a call ends. Cost: one connection, about 14 KiB.
 */
#pragma once

#include "base/bytes.h"
#include "net/loop.h"

struct km_channel;

struct km_channel_options {
    const kama_allocator *mem;
    const struct km_clock *clock;
    const char *address;        /* "host:port" */
    const char *user_agent;     /* NULL: grpc-c-kamacache/VERSION */
    uint64_t max_message_bytes; /* 0: KM_RPC_MESSAGE_BYTES_MIN */
    int64_t connect_timeout_ms; /* 0: 5000 */
};

/* Makes a channel that connects to nothing yet. Errors: KAMA_ERR_INVALID with a
 * sentence (the address), KAMA_ERR_NO_MEMORY. */
KAMA_NODISCARD kama_status
km_channel_new(struct km_loop *loop, const struct km_channel_options *options,
               struct km_channel **ret_channel);

/* Ends all calls with KAMA_ERR_CANCELLED and closes the connections. The
 * channel frees itself after that, and on_freed (which may be NULL) is the
 * last sign of it. No call may be made from now on. */
void km_channel_close(struct km_channel *channel, void (*on_freed)(void *arg),
                      void *arg);
