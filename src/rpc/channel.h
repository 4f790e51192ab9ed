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
 * and another call waits. A name is resolved anew by each attempt, outside of
 * the loop. Between the beginnings of two attempts at least a backoff passes,
 * which starts at backoff_ms_min, grows by 1.6 up to backoff_ms_max, varies by
 * a fifth so that many clients do not come at once, and is small again when a
 * server has sent its SETTINGS.
 *
 * A server that is frozen, or behind a network that swallows packets, is found
 * out by PINGs: when nothing has arrived for keepalive_ms, one is sent, and
 * when nothing arrives for keepalive_timeout_ms after that either, the
 * connection is closed and its calls end with KAMA_ERR_DISCONNECTED. So the
 * fault is noticed after the sum of the two at the latest, and at most one PING
 * is sent in keepalive_ms. Our own server permits 100 a second; etcd ends
 * connections that send one more often than every 5 s, or without a stream.
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

struct km_h2_loop_cache;

/* When a connection sends PINGs. */
enum km_channel_keepalive {
    KM_CHANNEL_KEEPALIVE_CALLS, /* while it has calls */
    KM_CHANNEL_KEEPALIVE_ALWAYS
};

/* The callbacks of a channel's owner. Members may be NULL. They run at the end of a
 * turn, before the on_end of calls that ended for the same reason, and never
 * after km_channel_close. */
struct km_channel_ops {
    /* A connection is ready. local_address, such as "10.0.0.1:51034", is
     * borrowed until return. */
    void (*on_connected)(void *arg, const char *local_address);
    /* The connection takes no more calls. why: KAMA_ERR_CLOSED if the server
     * ends it in order (calls that it has taken may still be answered),
     * otherwise KAMA_ERR_DISCONNECTED or KAMA_ERR_NO_MEMORY. text is a
     * sentence, borrowed until return. */
    void (*on_disconnected)(void *arg, kama_status why, const char *text);
};

struct km_channel_options {
    const kama_allocator *mem;
    const struct km_clock *clock;
    const char *address;          /* "host:port" */
    const char *user_agent;       /* NULL: grpc-c-kamacache/VERSION */
    uint64_t max_message_bytes;   /* 0: KM_RPC_MESSAGE_BYTES_MIN */
    int64_t connect_timeout_ms;   /* 0: 5000 */
    int64_t backoff_ms_min;       /* 0: 100 */
    int64_t backoff_ms_max;       /* 0: 3000; at least backoff_ms_min */
    int64_t keepalive_ms;         /* 0: no PINGs */
    int64_t keepalive_timeout_ms; /* 0: 2000 */
    enum km_channel_keepalive keepalive;
    struct km_h2_loop_cache *loop_cache; /* of the same loop, borrowed until the
                                          * channel is freed; NULL: its own */
    const struct km_channel_ops *ops;    /* borrowed likewise; NULL: none */
    void *arg;                           /* for ops */
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

/* Returns the address of this side of the connection, "10.0.0.1:51034", or NULL
 * while the channel is not connected. Valid until the loop's turn ends. */
const char *km_channel_local_address(const struct km_channel *channel);

/* Ends the backoff, for instance because a server is known to be back: calls
 * that wait, or the next one, begin an attempt at once. Does nothing while the
 * channel is connected or an attempt runs. */
void km_channel_reconnect_now(struct km_channel *channel);
