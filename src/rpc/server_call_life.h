/* SPDX-License-Identifier: MIT */
/*
 * The inside of a call: its structure, and its life from the first header of its
 * request to the end of its stream.
 *
 * Threads: the loop of the call. Cost: O(1). Errors: none, except that there may
 * be no memory for a new call.
 */
#pragma once

#include "rpc/server_call.h"
#include "rpc/server_conn.h"
#include "rpc/server_refuse.h"
#include "wire/grpc/grpc.h"

#define KM_SERVER_CALL_MAGIC 0x6b63616cu

struct km_server_call {
    uint32_t magic;
    uint32_t refs; /* the stream's, and holds */
    struct km_server_loop *server_loop;
    struct km_server_conn *conn; /* NULL once the stream is gone */
    struct km_h2_stream *stream; /* as conn */
    const struct km_server_method *method;
    struct km_server_call *next_spare;
    struct km_list node;    /* in conn->calls while it runs */
    struct km_list unarmed; /* in server_loop->unarmed */
    struct km_list stalled; /* in conn->stalled */
    struct km_timer timer;
    km_ns deadline;
    km_ns reset_fair_at; /* from here on a reset may be the client's deadline */
    struct km_grpc_reader reader;
    kama_bytes message;   /* unary: complete, waits for END_STREAM */
    size_t held_bytes;    /* of reader, as counted */
    size_t window_bytes;  /* not given back to the stream */
    size_t refused_bytes; /* read and thrown away */
    enum km_server_refusal refusal;
    kama_status refusal_status;
    const char *refusal_text; /* static; NULL: the text of the status */
    uint64_t refusal_limit;   /* If this is not 0, a message was larger than
                               * this many bytes; refusal_text ends the
                               * sentence. */
    bool is_post;
    bool is_grpc;
    bool bad_timeout;
    bool has_message;     /* message is set */
    bool seen_by_handler; /* the handler has seen it */
    bool in_message;      /* on_message runs: its bytes must stay */
    bool started;         /* response headers are queued */
    bool ended;           /* finished, cancelled or refused */
};

/* Of the zeroed state behind the struct. */
#define KM_SERVER_CALL_STATE_OFFSET                                            \
    ((sizeof(struct km_server_call) + 15) & ~(size_t)15)

/* A call at its first header, with the stream's reference; NULL without
 * memory. */
struct km_server_call *km_server_call_new(struct km_server_conn *conn,
                                          struct km_h2_stream *stream);
/* May a reset that arrives now come from the client's own deadline? */
bool km_server_call_reset_is_fair(const struct km_server_call *call);
/* The call's deadline has passed. */
void km_server_call_on_deadline(struct km_timer *timer);
/* The call runs no more; status decides how it is counted. */
void km_server_call_end(struct km_server_call *call, kama_status status);
/* Tells the handler, then the client. */
void km_server_call_cancel(struct km_server_call *call, kama_status why);
/* Tells the handler that the call is over, if it has seen the call. */
void km_server_call_tell_cancelled(struct km_server_call *call,
                                   kama_status why);
/* The stream is gone; gives back its reference. */
void km_server_call_closed(struct km_server_call *call, uint32_t error_code);
