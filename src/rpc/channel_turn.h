/* SPDX-License-Identifier: MIT */
/*
 * The inside of a channel: when it connects, which call goes next, and when the
 * caller hears of the end.
 *
 * Callers and HTTP/2 only move calls between lists and then ask for a turn
 * (km_channel_wake). At the end of the loop's turn the channel calls on_end,
 * makes links and starts calls, so that nothing of this happens from inside a
 * function that a caller or HTTP/2 is in.
 *
 *     waiting --start--> running on a link --end--> ended --on_end--> gone
 *        ^                    |
 *        +---- requeued ------+     the server has not processed it
 *
 * An attempt to connect begins when a call waits and there is no link, but not
 * earlier than one backoff after the beginning of the attempt before. That
 * holds after attempts that went well too, so that a server which accepts and
 * says GOAWAY at once is not dialled in a tight loop; the backoff is the
 * shortest then.
 *
 * Threads: the loop's. Cost: O(1) per turn, and O(calls) for those that start,
 * end, or fail with an attempt. Errors: none are returned; they end calls.
 */
#pragma once

#include "base/list.h"
#include "net/address.h"
#include "rpc/channel.h"

#define KM_CHANNEL_TEXT_BYTES 256

struct km_channel_link;

/* News that the owner has not been told yet. One turn cannot bring more: the next
 * attempt begins in a turn of its own. */
enum {
    KM_CHANNEL_NEWS_CONNECTED = 1u << 0,
    KM_CHANNEL_NEWS_LOST = 1u << 1 /* after CONNECTED, if both are set */
};

struct km_channel {
    const kama_allocator *mem;
    const struct km_clock *clock;
    struct km_loop *loop;
    struct km_h2_loop_cache *cache;
    struct km_h2_loop_cache *own_cache; /* the same, or NULL */
    const struct km_channel_ops *ops;   /* may be NULL */
    void *arg;
    char *address;
    char *user_agent;
    uint64_t max_message_bytes;
    int64_t connect_timeout_ms;
    int64_t backoff_ms_min;
    int64_t backoff_ms_max;
    int64_t keepalive_ms;
    int64_t keepalive_timeout_ms;
    enum km_channel_keepalive keepalive;
    struct km_mail turn;
    struct km_mail again; /* for the loop's next turn: more calls have ended */
    bool again_posted;
    bool closing;
    struct km_timer timer;        /* next attempt, or the end of this one */
    struct km_list waiting;       /* calls without a stream */
    struct km_list ended;         /* calls whose on_end is due */
    struct km_list links;         /* every connection */
    struct km_channel_link *link; /* where new calls go; NULL: none */
    km_ns attempt_at;             /* the beginning of the last one; 0: none */
    km_ns next_attempt_at;
    int64_t backoff_ms;
    uint64_t random;
    kama_status failure; /* of the last attempt; KAMA_OK: it has not failed */
    char sentence[KM_CHANNEL_TEXT_BYTES];      /* of the failure */
    char local_address[KM_ADDRESS_TEXT_BYTES]; /* of the last connection */
    unsigned news;
    kama_status lost_why; /* of NEWS_LOST, with its sentence */
    char lost_text[KM_CHANNEL_TEXT_BYTES];
    void (*on_freed)(void *arg);
    void *on_freed_arg;
};

/* Prepares the lists, the timer and the backoff of a zeroed channel. */
void km_channel_turn_init(struct km_channel *channel);

/* Asks for a turn: something has changed. */
void km_channel_wake(struct km_channel *channel);

/* An attempt came to nothing. Ends the calls that do not wait for another one.
 * The sentence is copied. */
void km_channel_failed(struct km_channel *channel, kama_status status,
                       const char *sentence);

/* The link is ready, so that calls may start and the backoff is small again. The
 * address is copied. */
void km_channel_ready(struct km_channel *channel, const char *local_address);

/* A link that was ready takes no more calls. The text is copied. */
void km_channel_lost(struct km_channel *channel, kama_status why,
                     const char *text);

/* Frees a channel that has neither links nor calls, and calls its on_freed. */
void km_channel_free(struct km_channel *channel);
