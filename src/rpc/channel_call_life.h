/* SPDX-License-Identifier: MIT */
/*
 * The inside of a channel's call: its structure, its states, and how it comes
 * to a stream and away from it.
 *
 *     WAITING --start--> RUNNING --end--> ENDED --deliver--> freed
 *        ^  |               |               ^
 *        |  +---------------|------ end ----+
 *        +---- requeue -----+
 *
 *     WAITING  in channel->waiting: it has no stream
 *     RUNNING  in link->calls: it has a stream
 *     ENDED    in channel->ended: its result is known, and on_end is due
 *
 * The request is kept so that it can be sent a second time:
 *
 *     FRESH --requeue--> REPEATED      one more time only for wait_for_ready
 *       |                   |
 *       +---------+---------+
 *                 v
 *             FORGOTTEN   the answer has begun, the request is too large, or
 *                         the caller has forbidden a second attempt; the call
 *                         cannot be requeued
 *
 * Threads: the loop of the channel. Cost: O(1), and the copy of the request.
 * Errors: none are returned; they end the call.
 */
#pragma once

#include "rpc/channel_call.h"
#include "rpc/channel_kept.h"
#include "rpc/channel_link.h"
#include "wire/grpc/grpc.h"

#define KM_CHANNEL_CALL_MAGIC 0x6363616cu

/* A larger request is not kept for a second attempt. */
#define KM_CHANNEL_REPEAT_BYTES_MAX (1u << 20)

/* In place of a gRPC code: none has arrived, or that of the status. */
#define KM_CHANNEL_NO_CODE (-1)

enum km_channel_call_state {
    KM_CHANNEL_CALL_WAITING,
    KM_CHANNEL_CALL_RUNNING,
    KM_CHANNEL_CALL_ENDED
};

enum km_channel_request {
    KM_CHANNEL_REQUEST_FRESH,
    KM_CHANNEL_REQUEST_REPEATED,
    KM_CHANNEL_REQUEST_FORGOTTEN
};

struct km_channel_call {
    uint32_t magic;
    enum km_channel_call_state state;
    enum km_channel_request request_state;
    struct km_channel *channel;
    struct km_channel_link *link; /* RUNNING */
    struct km_h2_stream *stream;  /* RUNNING; NULL once it is gone */
    struct km_list node;          /* in the list of its state */
    const struct km_channel_call_ops *ops;
    void *arg;
    struct km_timer timer;
    km_ns deadline;
    bool wait_for_ready;           /* as in the options */
    bool unary;                    /* as in the options */
    bool half_closed;              /* the caller sends no more */
    bool unreached;                /* as in km_channel_result */
    bool awaits_room;              /* on_writable is due when there is room */
    bool paused;                   /* reading is, also on the next stream */
    enum km_channel_repeat repeat; /* as in the options */
    enum km_channel_fate fate;     /* of the streams before the current one */
    /* the request */
    struct km_channel_kept request; /* unless FORGOTTEN */
    const char *path; /* behind the struct, as are metadata's strings */
    const char *(*metadata)[2];
    size_t metadata_count;
    /* the answer */
    struct km_grpc_reader reader;
    unsigned messages;
    int http_status;
    bool grpc_content; /* its content-type is gRPC's */
    int code;          /* grpc-status, or KM_CHANNEL_NO_CODE */
    kama_status kama;  /* kama-status; KAMA_OK: none came */
    /* the result, with code */
    kama_status status;
    char text[KM_CHANNEL_TEXT_BYTES]; /* grpc-message, then the result's */
};

/* Gives a waiting call a stream on the link, and sends the part of its request
 * that the caller has given so far. */
void km_channel_call_start(struct km_channel_call *call,
                           struct km_channel_link *link);

/* Frees the request that was kept: it cannot be sent again. */
void km_channel_call_forget_request(struct km_channel_call *call);

/* Ends the call; on_end follows at the end of the turn. Does nothing if it has
 * ended. `code` may be KM_CHANNEL_NO_CODE, for the code of the status; `text`
 * is copied, and NULL stands for the text of the status. */
void km_channel_call_end(struct km_channel_call *call, kama_status status,
                         int code, const char *text);

/* Its stream is gone: notes whether the server can have processed the request. Call this before
 * the call lets go of the stream. */
void km_channel_call_note_fate(struct km_channel_call *call,
                               uint32_t error_code);

/* Tells the caller that there is room, if it waits for that. */
void km_channel_call_tell_room(struct km_channel_call *call);

/* Its stream was refused: makes the call wait for another one. Returns false if
 * it may not be sent again, and must be ended. */
bool km_channel_call_requeue(struct km_channel_call *call);

/* The deadline of the call; the timer's function. */
void km_channel_call_on_deadline(struct km_timer *timer);

/* Calls on_end of an ended call and frees it. */
void km_channel_call_deliver(struct km_channel_call *call);
