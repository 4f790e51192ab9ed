/* SPDX-License-Identifier: MIT */
/*
 * The inside of the gRPC server: server.c (its life, on top of net's acceptor
 * and drain), server_conn.c (one connection: HTTP/2 events to calls, and the
 * steps of a drain), server_call.c (one call from its headers to its end),
 * server_held.c (requests that come in pieces), server_refuse.c (calls that no
 * handler gets), server_reply.c (the functions that handlers call),
 * server_method.c (the method table).
 *
 * Everything of a connection and its calls belongs to one loop (its server_loop);
 * between loops there is only mail, and counters.
 */
#pragma once

#include "base/assert.h"
#include "base/limits.h"
#include "base/list.h"
#include "net/acceptor.h"
#include "net/conn.h"
#include "net/drain.h"
#include "rpc/server.h"
#include "wire/grpc/grpc.h"
#include "wire/h2/h2.h"

struct km_server_conn;
struct km_server_loop;

/* -- methods ------------------------------------------------------------- */

/* An open-addressing table, built once: a hit costs one hash and one compare.
 */
struct km_server_methods {
    const struct km_server_method **slots;
    size_t mask; /* slot count - 1 */
    uint64_t seed;
};

KAMA_NODISCARD kama_status km_server_methods_init(
    struct km_server_methods *table, const kama_allocator *mem,
    const struct km_server_method *methods, size_t count);
void km_server_methods_fini(struct km_server_methods *table,
                            const kama_allocator *mem);
/* NULL: no such method. */
const struct km_server_method *km_server_methods_find(
    const struct km_server_methods *table, kama_bytes path);

/* -- server and loops ------------------------------------------------------ */

/* What a server has on one loop. */
struct km_server_loop {
    struct km_server *server;
    struct km_loop *loop;
    unsigned loop_index;
    struct km_h2_loop_cache *cache;
    struct km_list conns;
    struct km_list unarmed; /* calls whose deadline no timer keeps yet */
    struct km_mail turn;    /* arms them at the end of the turn */
    bool turn_asked;
    struct km_server_call *spare_calls; /* by ->next_spare */
    unsigned spare_call_count;
    size_t held_bytes; /* request messages in pieces */
};

struct km_server {
    struct km_server_options options;
    const kama_allocator *mem;
    struct km_server_methods methods;
    struct km_metric_set *metrics;
    size_t call_bytes; /* of any call, with its state */
    _Atomic uint64_t max_message_bytes;
    struct km_acceptor *acceptor;
    struct km_drain drain;
    struct km_server_loop *server_loops; /* one per loop */
};

static inline void km_server_count(struct km_server *server, unsigned row)
{
    km_metric_add(server->metrics, row, 1);
}

/* -- connections --------------------------------------------------------- */

struct km_server_conn {
    struct km_conn_owner owner; /* first */
    struct km_server_loop *server_loop;
    struct km_h2 *h2; /* NULL once it is gone */
    struct km_conn *conn;
    struct km_list node;             /* in server_loop->conns */
    struct km_drain_entry drain;     /* in server->drain */
    struct km_list calls;            /* running ones */
    struct km_list stalled;          /* calls whose windows stay closed */
    struct km_server_call *favoured; /* the one that goes on when all stall */
    size_t held_bytes;               /* request messages in pieces */
    struct km_timer stall_timer;     /* runs while calls are stalled */
    bool favoured_moved; /* the favoured one, since the timer was armed */
    bool never_stalls;   /* it did not move: see server_held.c */
};

/* Takes fd; counts the connection. Runs on that loop. */
void km_server_conn_adopt(struct km_server_loop *server_loop, int fd);
/* Something waits to be sent. */
void km_server_conn_wake(struct km_server_conn *conn);

/* -- calls --------------------------------------------------------------- */

#define KM_SERVER_CALL_MAGIC 0x6b63616cu

/* Why a call is not given to a handler; answered once its body is in. */
enum km_server_refusal {
    KM_SERVER_ACCEPTED,
    KM_SERVER_REFUSED,       /* with status and text */
    KM_SERVER_REFUSED_TYPE,  /* 415 */
    KM_SERVER_REFUSED_METHOD /* 405 */
};

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
void km_server_call_header(struct km_server_call *call, kama_bytes name,
                           kama_bytes value);
/* The header list is complete. */
void km_server_call_begin(struct km_server_call *call, bool too_large);
void km_server_call_data(struct km_server_call *call, kama_bytes chunk,
                         bool last);
void km_server_call_half_closed(struct km_server_call *call);
/* May a reset that arrives now come from the client's own deadline? */
bool km_server_call_reset_is_fair(const struct km_server_call *call);
/* The stream is gone; gives back its reference. */
void km_server_call_closed(struct km_server_call *call, uint32_t error_code);
/* Tells the handler, then the client. */
void km_server_call_cancel(struct km_server_call *call, kama_status why);
/* The call runs no more; status decides how it is counted. */
void km_server_call_end(struct km_server_call *call, kama_status status);
/* Arms the timer of the call's deadline at the end of the turn. */
void km_server_call_arm(struct km_server_call *call);
/* Tells the handler that the call is over, if it has seen the call. */
void km_server_call_tell_cancelled(struct km_server_call *call,
                                   kama_status why);
/* Opens the windows by n bytes of a message that goes on. */
void km_server_call_consume(struct km_server_call *call, size_t n);
/* No call of the connection is stalled any more: it goes away. */
void km_server_conn_forget_stalled(struct km_server_conn *conn);
/* Counts what its reader holds now. */
void km_server_call_count_held(struct km_server_call *call);
/* Who is to be refused when a loop holds too much and newest brought more: the
 * largest of the connection that holds most, if that is another one. */
struct km_server_call *km_server_call_largest_holder(
    struct km_server_call *newest);
/* Gives back the memory of its request, and the window that was withheld from
 * it: a refused request is read on, and a client that waits for window would
 * never end it. */
void km_server_call_drop_request(struct km_server_call *call);

/* -- refusals ------------------------------------------------------------ */

/* Marks a call that no handler is to see, or to see more of; it is answered
 * once its request is in, or soon. The first reason counts. text is static;
 * NULL: the text of the status. */
void km_server_refuse(struct km_server_call *call, kama_status status,
                      const char *text);
/* The same for a request that is not gRPC, with the answer of HTTP. */
void km_server_refuse_foreign(struct km_server_call *call,
                              enum km_server_refusal refusal);
/* Drops n bytes of a refused or ended call's request. */
void km_server_refusal_data(struct km_server_call *call, size_t n);
/* Answers a refused call now, and tells its handler if it has seen the call. */
void km_server_refusal_answer(struct km_server_call *call, kama_status why);
