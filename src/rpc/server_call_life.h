/* SPDX-License-Identifier: MIT */
/*
 * The inside of a call: its structure and its states, from the first header of
 * its request to the end of its stream.
 *
 *     HEADERS ----> RECEIVING ----> SERVING ----> ANSWERING
 *        |              |              |              |
 *        +--------------+------+-------+--------------+
 *                              v
 *                            ENDED ----> freed, when nothing refers to it
 *
 *     state      meaning                                  it is left when
 *     HEADERS    the headers of its request arrive        they are complete
 *     RECEIVING  its handler has seen nothing of it       a message is given
 *                                                         to the handler
 *     SERVING    its handler has seen it                  the handler sends
 *     ANSWERING  the headers of the response are queued   the call ends
 *     ENDED      it was answered, cancelled or lost; no   nothing refers to it
 *                callback follows
 *
 * A refusal (call->refusal, rpc/server_refuse.h) is a mark beside the state: a
 * refused call keeps its state until it is answered, because a handler that has
 * seen the call is told, and a response that has begun is ended with trailers.
 *
 * The message of the request has a state of its own:
 *
 *     NONE --complete (unary)--> WHOLE --request ended--> LENT ----> NONE
 *       +------- complete (bidi) -------------------------^
 *
 *     NONE   there is none, or a part of one in the reader
 *     WHOLE  it is complete, and waits until the client has ended its request
 *     LENT   on_message runs with its bytes, so nothing may free them
 *
 * Threads: the loop of the call. Cost: O(1). Errors: none, except that there
 * may be no memory for a new call. Ownership: the stream has one reference,
 * and each hold of the handler is another one.
 */
#pragma once

#include "rpc/server_call.h"
#include "rpc/server_conn.h"
#include "rpc/server_metadata.h"
#include "rpc/server_pause.h"
#include "rpc/server_refuse.h"
#include "wire/grpc/grpc.h"

#define KM_SERVER_CALL_MAGIC 0x6b63616cu

/* In the order in which a call passes through them. */
enum km_server_call_state {
    KM_SERVER_CALL_HEADERS,
    KM_SERVER_CALL_RECEIVING,
    KM_SERVER_CALL_SERVING,
    KM_SERVER_CALL_ANSWERING,
    KM_SERVER_CALL_ENDED
};

enum km_server_message {
    KM_SERVER_MESSAGE_NONE,
    KM_SERVER_MESSAGE_WHOLE,
    KM_SERVER_MESSAGE_LENT
};

/* Properties of a request, as its headers tell them. */
enum {
    KM_SERVER_REQUEST_POST = 1u << 0,        /* :method is POST */
    KM_SERVER_REQUEST_GRPC = 1u << 1,        /* content-type is gRPC's */
    KM_SERVER_REQUEST_BAD_TIMEOUT = 1u << 2, /* grpc-timeout cannot be read */
    KM_SERVER_REQUEST_METADATA_LARGE = 1u << 3, /* not all of it was kept: it is
                                                 * too large, */
    KM_SERVER_REQUEST_END_WAITS = 1u << 5, /* the client has ended the request
                                             * of a call that is paused */
    KM_SERVER_REQUEST_METADATA_LOST = 1u << 4 /* or there was no memory */
};

struct km_server_call {
    uint32_t magic;
    uint32_t refs; /* the stream's, and holds */
    enum km_server_call_state state;
    enum km_server_message message_state;
    unsigned properties; /* KM_SERVER_REQUEST_ */
    struct km_server_loop *server_loop;
    struct km_server_conn *conn;           /* NULL once the stream is gone */
    struct km_h2_stream *stream;           /* NULL with conn */
    const struct km_server_method *method; /* NULL: the path has none */
    struct km_server_call *next_spare;
    struct km_list node;    /* in conn->calls until it ends */
    struct km_list unarmed; /* in server_loop->unarmed */
    struct km_list stalled; /* in conn->stalled */
    struct km_list resumed; /* in server_loop->resumed */
    struct km_timer timer;
    km_ns begun_at; /* the turn of the loop that has read its first header */
    km_ns deadline;
    km_ns reset_fair_at; /* a reset from here on may be caused by the client's
                          * own deadline */
    struct km_grpc_reader reader;
    kama_bytes message;                  /* WHOLE: the message */
    struct km_server_metadata *metadata; /* until the first callback is over */
    size_t metadata_bytes;
    enum km_server_reading reading;
    struct km_buf waiting; /* not READING: bytes that were not delivered */
    size_t waiting_read;   /* of them, delivered meanwhile */
    size_t held_bytes;     /* of the request, when they were last counted */
    size_t window_bytes;   /* read, and not given back to the stream's window */
    size_t refused_bytes;  /* of the request, thrown away after the refusal */
    enum km_server_refusal refusal;
    kama_status refusal_status;
    const char *refusal_text; /* static; NULL: the text of the status */
    uint64_t refusal_limit;   /* If this is not 0, a message was larger than
                               * this many bytes, and refusal_text ends the
                               * sentence that says so. */
};

/* Where the zeroed state of the handler begins, behind the structure. */
#define KM_SERVER_CALL_STATE_OFFSET                                            \
    ((sizeof(struct km_server_call) + 15) & ~(size_t)15)

/* Returns whether the handler has seen the call and is to hear of its end. */
static inline bool km_server_call_has_handler(enum km_server_call_state state)
{
    return state == KM_SERVER_CALL_SERVING || state == KM_SERVER_CALL_ANSWERING;
}

/* Returns a call for a stream that has just begun, or NULL if there is no
 * memory. The stream owns one reference. */
struct km_server_call *km_server_call_new(struct km_server_conn *conn,
                                          struct km_h2_stream *stream);

/* Returns whether a reset that arrives now may come from the client's own
 * deadline, so that it is not counted as abuse. */
bool km_server_call_reset_is_fair(const struct km_server_call *call);

/* Ends the call for the server: it leaves all lists and its timer, and `status`
 * decides how it is counted. Sends nothing. Returns the state that it left. */
enum km_server_call_state km_server_call_end(struct km_server_call *call,
                                             kama_status status);

/* Ends the call on the server's behalf: answers the client with `why`, and then
 * tells the handler. */
void km_server_call_cancel(struct km_server_call *call, kama_status why);

/* Tells the handler that the call has ended, if the state that the call left
 * says that the handler has seen it. */
void km_server_call_tell_cancelled(struct km_server_call *call,
                                   enum km_server_call_state left,
                                   kama_status why);

/* The stream is gone. Ends the call if it still runs, and gives the stream's
 * reference back. */
void km_server_call_closed(struct km_server_call *call, uint32_t error_code);
