/* SPDX-License-Identifier: MIT */
/*
 * A gRPC server: a table of methods, a listener, connections spread over
 * loops. The handler of a method runs on the connection's loop and never
 * blocks; an answer that comes later is sent from a mail to that loop.
 *
 * Life of a call: on_message (and on_half_close) .. km_server_call_finish by the
 * handler, or on_cancel when the other side, the deadline or the connection
 * ended it first: after either no further callback comes. The call object and
 * its state stay valid while they are held (km_server_call_hold), for handlers
 * with something on its way; every function below is a no-op on an ended call.
 *
 * Thread-safety: loop thread (the call's), except new, listen, free: setup,
 * and drain, stats: any thread.
 */
#pragma once

#include "base/bytes.h"
#include "base/metric.h"
#include "net/drain.h"
#include "net/loop.h"

struct km_server_call;
struct km_server;

enum km_rpc_kind { KM_RPC_UNARY, KM_RPC_SERVER_STREAM, KM_RPC_BIDI_STREAM };

/* One row per method. */
struct km_server_method {
    const char *path; /* "/kama.v1.KamaCacheService/Get" */
    enum km_rpc_kind kind;
    size_t state_bytes; /* zeroed state per call, km_server_call_state */
    /* The message (unary, server stream: exactly one, delivered after its
     * END_STREAM), or the next (bidi). Borrowed until return. NULL: the method
     * belongs to a later version, and calls of it are refused as such. */
    void (*on_message)(struct km_server_call *call, kama_bytes message);
    /* bidi: the client will send no more. NULL: nothing to do. */
    void (*on_half_close)(struct km_server_call *call);
    /* km_server_call_writable was false, or would have been, and is true again. May
     * be NULL. */
    void (*on_writable)(struct km_server_call *call);
    /* The call is over without km_server_call_finish; why: also what a message that
     * breaks the rules was refused with. May be NULL. */
    void (*on_cancel)(struct km_server_call *call, kama_status why);
};

struct km_server_options {
    const kama_allocator *mem;
    const struct km_clock *clock;
    struct km_loop **loops; /* borrowed, running or about to */
    unsigned loop_count;
    const struct km_server_method *methods; /* static */
    size_t method_count;
    void *arg; /* km_server_call_arg */
    uint64_t max_message_bytes;
    uint64_t held_bytes_max; /* requests in pieces, per loop; 0: the limit */
    int64_t stall_ms;        /* of requests that wait for another one of their
                              * connection; 0: the limit */
    unsigned max_connections;
    const char *http1_hint; /* the sentence that an HTTP/1.1 client gets */
    /* A connection passed a limit and is about to be closed. peer is its
     * address, text names the limit; both are borrowed until return. Runs on
     * the connection's loop thread, with `arg`. May be NULL. */
    void (*on_abuse)(void *arg, const char *peer, const char *text);
};

KAMA_NODISCARD kama_status km_server_new(
    const struct km_server_options *options, struct km_server **ret_server);

/* Raises the cap for messages (a group with larger values was added). */
void km_server_allow_message(struct km_server *server, uint64_t bytes);

/* Listens on loop 0 (before it runs, or from setup while it runs). */
KAMA_NODISCARD kama_status km_server_listen(struct km_server *server,
                                            const char *address);
/* With the port it got; NULL before listen. */
const char *km_server_address(const struct km_server *server);

/* Stops accepting, GOAWAY on every connection (first with the highest stream
 * id, then the real one), lets running calls end for at most timeout_ms, then
 * cuts off. done runs once, on a loop thread; cut counts calls cut off. */
void km_server_drain(struct km_server *server, int64_t timeout_ms,
                     km_drained_fn done, void *arg);

/* After drain's done, and after the loops were joined. NULL is a no-op. */
void km_server_free(struct km_server *server);

/* Rows of the server's metrics (KM_SERVER_M_), readable from any thread. */
enum {
    KM_SERVER_M_CONNECTIONS, /* gauge */
    KM_SERVER_M_ACCEPTED,
    KM_SERVER_M_REFUSED_CONNECTIONS, /* over max_connections */
    KM_SERVER_M_CALLS,
    KM_SERVER_M_CALLS_RUNNING, /* gauge */
    KM_SERVER_M_CALLS_FAILED,  /* ended with another status than OK */
    KM_SERVER_M_CANCELLED,
    KM_SERVER_M_ABUSE_CLOSED, /* a limit of limits.h was passed */
    KM_SERVER_M_FOREIGN,      /* not HTTP/2 or not gRPC */
    KM_SERVER_M_HELD_BYTES,   /* gauge: of requests that came in pieces */
    KM_SERVER_M_COUNT
};
extern const struct km_metric km_server_metric_rows[KM_SERVER_M_COUNT];
struct km_metric_set *km_server_metrics(struct km_server *server);

/* -- inside a handler --------------------------------------------------- */

void *km_server_call_state(struct km_server_call *call);
/* From state back to its call. */
struct km_server_call *km_server_call_of_state(void *state);
void *km_server_call_arg(struct km_server_call *call);
struct km_loop *km_server_call_loop(struct km_server_call *call);
/* The milliseconds that are left of the client's grpc-timeout, for
 * kama_ctx.deadline_ms: at least 1, or 0 if the client gave none. The server
 * itself keeps the deadline, and calls on_cancel with KAMA_ERR_TIMEOUT. */
int64_t km_server_call_deadline_ms(const struct km_server_call *call);
bool km_server_call_ended(const struct km_server_call *call);
void km_server_call_hold(struct km_server_call *call);
void km_server_call_release(struct km_server_call *call);

/* Queues one message: head is copied, body's bytes follow it without a copy
 * (a reference is taken; NULL: none). Errors: KAMA_ERR_NO_MEMORY,
 * KAMA_ERR_TOO_LARGE, KAMA_ERR_CLOSED (call ended); the call is then still to
 * be finished. */
KAMA_NODISCARD kama_status km_server_call_send(struct km_server_call *call,
                                               kama_bytes head,
                                               kama_value *body);
/* Is there room on stream and connection, or should the handler wait for
 * on_writable before it makes a large message? */
bool km_server_call_writable(const struct km_server_call *call);

/* Ends the call: trailers with grpc-status, kama-status and, for an error,
 * grpc-message (percent-encoded; text NULL: kama_strerror). */
void km_server_call_finish(struct km_server_call *call, kama_status status,
                           const char *text);

/* km_server_call_send and km_server_call_finish(KAMA_OK); without memory it finishes with
 * that error. */
void km_server_call_reply(struct km_server_call *call, kama_bytes head,
                          kama_value *body);
