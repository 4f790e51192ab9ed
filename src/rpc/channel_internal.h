/* SPDX-License-Identifier: MIT */
/*
 * The inside of the channel: channel.c (life, when to connect, who goes
 * next), channel_link.c (one connection), channel_call.c (one call: what the
 * caller does), channel_answer.c (what the server says).
 *
 *   waiting --start--> running on a link --end--> ended --on_end--> gone
 *      ^                    |
 *      +---- refused -------+
 *
 * Callers and HTTP/2 only move calls between lists; on_end is called, links
 * are made and calls are started at the end of the turn (km_channel_turn).
 * Thread-safety: loop thread.
 */
#pragma once

#include "base/assert.h"
#include "base/buf.h"
#include "base/list.h"
#include "net/connect.h"
#include "rpc/channel.h"
#include "wire/grpc/grpc.h"
#include "wire/h2/h2.h"

#define KM_CHANNEL_TEXT_BYTES 256

struct km_channel {
    const kama_allocator *mem;
    const struct km_clock *clock;
    struct km_loop *loop;
    struct km_h2_loop_cache *cache;
    char *address;
    char *user_agent;
    uint64_t max_message_bytes;
    int64_t connect_timeout_ms;
    struct km_mail turn;
    struct km_mail again; /* more has ended, for the loop's next turn */
    bool again_posted;
    struct km_timer timer;        /* next attempt, or the end of this one */
    struct km_list waiting;       /* calls without a stream */
    struct km_list ended;         /* calls whose on_end is due */
    struct km_list links;         /* every connection */
    struct km_channel_link *link; /* where new calls go; NULL: none */
    km_ns attempt_at;             /* the last one, 0: none yet */
    km_ns next_attempt_at;
    int64_t backoff_ms;
    uint64_t random;
    bool failing; /* the last attempt failed */
    bool closing;
    kama_status failure; /* of the last attempt, with its sentence */
    char sentence[KM_CHANNEL_TEXT_BYTES];
    void (*on_freed)(void *arg);
    void *on_freed_arg;
};

/* One connection, or the attempt at one. */
struct km_channel_link {
    struct km_conn_owner owner; /* first */
    struct km_channel *channel;
    struct km_list node;  /* channel->links */
    struct km_list calls; /* running */
    struct km_h2 *h2;     /* NULL once it is gone */
    struct km_conn *conn; /* NULL until connected */
    struct km_connect *connect;
    bool ready;     /* SETTINGS arrived */
    bool retired;   /* GOAWAY arrived, or it is lost */
    bool timed_out; /* no SETTINGS in time */
};

#define KM_CHANNEL_CALL_MAGIC 0x6363616cu

enum km_channel_call_state {
    KM_CHANNEL_CALL_WAITING,
    KM_CHANNEL_CALL_RUNNING,
    KM_CHANNEL_CALL_ENDED
};

struct km_channel_call {
    uint32_t magic;
    enum km_channel_call_state state;
    struct km_channel *channel;
    struct km_channel_link *link; /* running */
    struct km_h2_stream *stream;  /* running */
    struct km_list node;          /* waiting, link->calls, or ended */
    const struct km_channel_call_ops *ops;
    void *arg;
    struct km_timer timer;
    km_ns deadline;
    bool wait_for_ready;
    bool unary;
    bool half_closed;
    bool retried;
    bool answered;   /* the final headers came: no second attempt */
    bool unrepeated; /* the request was not kept */
    bool unreached;  /* as in km_channel_result */
    /* the request */
    struct km_buf request; /* framed messages: all that were sent, if kept */
    const char *path;      /* behind the struct, as are metadata's strings */
    const char *(*metadata)[2];
    size_t metadata_count;
    /* the answer */
    struct km_grpc_reader reader;
    unsigned messages;
    int http_status;
    bool grpc_content;
    bool has_code;
    int code;
    kama_status kama; /* KAMA_OK: none came */
    /* the result */
    kama_status status;
    char text[KM_CHANNEL_TEXT_BYTES]; /* grpc-message, then the result's */
};

/* -- channel.c ----------------------------------------------------------- */

/* Something has changed: km_channel_turn runs at the end of this turn. */
void km_channel_wake(struct km_channel *channel);
/* An attempt came to nothing. sentence is copied. */
void km_channel_failed(struct km_channel *channel, kama_status status,
                       const char *sentence);
/* The link is ready: attempts may follow fast again. */
void km_channel_ready(struct km_channel *channel);

/* -- channel_link.c ------------------------------------------------------ */

/* Begins to connect; the link is the channel's. */
KAMA_NODISCARD kama_status km_channel_link_open(struct km_channel *channel);
/* Room for one more call? */
bool km_channel_link_accepts(const struct km_channel_link *link);
/* There is something to write. */
void km_channel_link_wake(struct km_channel_link *link);
/* Ends the connection or the attempt, soon. */
void km_channel_link_close(struct km_channel_link *link);
/* No SETTINGS in time. */
void km_channel_link_time_out(struct km_channel_link *link);
/* What a link that is not ready waits for, as the sentence of a call whose
 * deadline has passed. */
const char *km_channel_link_waits_for(const struct km_channel_link *link);

/* -- channel_call.c ------------------------------------------------------ */

/* Gives a waiting call a stream on the link. */
void km_channel_call_start(struct km_channel_call *call,
                           struct km_channel_link *link);
/* The call is over; on_end follows at the end of the turn. text is copied
 * (NULL: the status's own). code -1: the status's own. */
void km_channel_call_end(struct km_channel_call *call, kama_status status,
                         int code, const char *text);
/* Takes the call off its stream, which is reset unless it has closed. */
void km_channel_call_detach(struct km_channel_call *call);
/* Its stream was refused: once more? false: it is to be ended. */
bool km_channel_call_requeue(struct km_channel_call *call);
/* Calls on_end and frees it. */
void km_channel_call_deliver(struct km_channel_call *call);

/* -- channel_answer.c ---------------------------------------------------- */

void km_channel_answer_header(struct km_channel_call *call, kama_bytes name,
                              kama_bytes value);
void km_channel_answer_headers(struct km_channel_call *call,
                               enum km_h2_headers kind, enum km_h2_list list);
void km_channel_answer_data(struct km_channel_call *call, kama_bytes chunk);
void km_channel_answer_end(struct km_channel_call *call);
/* The stream is gone, and the answer was not complete. */
void km_channel_answer_lost(struct km_channel_call *call, uint32_t error_code);
