/* SPDX-License-Identifier: MIT */
/*
 * A gRPC server: it listens on one address, spreads the connections over event
 * loops, and gives each call to the handler of its method.
 *
 *     km_server_new(&options, &server);
 *     km_server_listen(server, "127.0.0.1:8001");
 *     ... the loops run; handlers answer calls (rpc/server_call.h) ...
 *     km_server_drain_clients(server, 5000, on_clients_gone, arg);
 *     ... on_clients_gone has run; peers are still served ...
 *     km_server_drain(server, 5000, on_drained, arg);
 *     ... on_drained has run, and the loops were joined ...
 *     km_server_free(server);
 *
 *     loop 0   listens --+--> connection --> calls --> handlers
 *     loop 1             +--> connection --> calls --> handlers
 *
 * A connection stays on the loop that it was given, with everything that
 * belongs to it. Between loops there are only mails and counters, so that no
 * call takes a lock.
 *
 * Threads: new, allow_message, listen and free are setup; the two drains,
 * address and metrics are for any thread. Handlers run on the loop of their
 * call.
 *
 * Cost: about 14 KiB for an idle connection. A call allocates nothing once its
 * loop has seen a few, because ended calls are reused.
 *
 * Errors: KAMA_ERR_NO_MEMORY, and those of km_listener_open.
 *
 * Ownership: the server borrows its loops, its rows of methods and its clock
 * until it is freed.
 */
#pragma once

#include "base/bytes.h"
#include "base/metric.h"
#include "net/drain.h"
#include "net/loop.h"

struct km_server;
struct km_server_method;

/* Whether other nodes call this one. */
enum km_server_company {
    KM_SERVER_ALONE,
    /* Rows for peers are served longer than others (km_server_drain_clients),
     * and KM_RPC_PEER_CONNECTIONS_MAX connections beyond max_connections are
     * kept for peers. */
    KM_SERVER_AMONG_PEERS
};

struct km_server_options {
    const kama_allocator *mem;
    const struct km_clock *clock;
    struct km_loop **loops; /* borrowed, running or about to */
    unsigned loop_count;
    const struct km_server_method *methods; /* borrowed */
    size_t method_count;
    void *arg; /* for handlers (km_server_call_arg) and on_abuse */
    uint64_t max_message_bytes;
    uint64_t held_bytes_max;  /* of requests that come in pieces, per loop; 0:
                              * KM_RPC_HELD_BYTES_LOOP */
    int64_t stall_ms;         /* how long requests wait for another one of their
                              * connection that does not move; 0:
                              * KM_RPC_STALL_MS */
    unsigned max_connections; /* 0: no limit */
    enum km_server_company company;
    size_t conn_state_bytes; /* of zeroed memory per connection:
                              * km_server_call_conn_state */
    /* A connection is gone, and its state is about to be freed. Runs on the
     * connection's loop, with `arg`. May be NULL. */
    void (*on_conn_end)(void *arg, void *conn_state);
    const char *http1_hint; /* the sentence that an HTTP/1.1 client gets */
    /* A connection passed a limit and is about to be closed. peer is its
     * address, text names the limit; both are borrowed until return. Runs on
     * the connection's loop thread, with `arg`. May be NULL. */
    void (*on_abuse)(void *arg, const char *peer, const char *text);
};

/* Makes a server that does not listen yet. */
KAMA_NODISCARD kama_status km_server_new(
    const struct km_server_options *options, struct km_server **ret_server);

/* Raises the largest size of a message, if `bytes` is more than it is now: a
 * group with larger values was added. Calls that have begun keep the size that
 * they began with. */
void km_server_allow_message(struct km_server *server, uint64_t bytes);

/* Listens on loop 0, before that loop runs or while it runs; in the second
 * case the calling thread waits for it. Only once. */
KAMA_NODISCARD kama_status km_server_listen(struct km_server *server,
                                            const char *address);
/* Returns the address with the port that the server was given, or NULL before
 * it listens. Valid as long as the server. */
const char *km_server_address(const struct km_server *server);

/* Returns how many connections the server accepts; 0: no limit. */
unsigned km_server_connections_max(const struct km_server *server);

/* The first step of a stop: ends the clients' connections in the steps of
 * net/drain.h, while peers are still served. `done` runs once, on a loop thread,
 * when no connection of a client is left, and is told how many calls were cut
 * off because they had not ended within timeout_ms. Only once, and before
 * km_server_drain.
 *
 *     connection that is open        client   NOTICED: GOAWAY, served
 *                                             FINISHING: ends after its calls
 *                                    peer     served
 *     connection that is accepted    client   NOTICED: served, ends with the
 *                                             others
 *                                             FINISHING: its call is refused
 *                                             with REFUSED_STREAM, then GOAWAY
 *                                    peer     served
 *
 * A connection is a peer's from the first call of a method for peers on, and a
 * client's before. A client's call on a peer's connection is refused, too, with
 * KAMA_ERR_CLOSED. A server alone stops accepting at FINISHING: there is no one
 * left to accept, and a client that waits for a server to be ready had better
 * find none. */
void km_server_drain_clients(struct km_server *server, int64_t timeout_ms,
                             km_drained_fn done, void *arg);

/* The second step, or the only one: stops accepting connections, and ends those
 * that are open in the steps of net/drain.h. Calls that run may end within
 * timeout_ms, and are then cut off with KAMA_ERR_CLOSED. `done` runs once, on a
 * loop thread, and is told how many calls were cut off. Only once, and not
 * before the `done` of km_server_drain_clients, if that was called. */
void km_server_drain(struct km_server *server, int64_t timeout_ms,
                     km_drained_fn done, void *arg);

/* Frees a server after the `done` of its drain ran (or if it never listened),
 * and after the loops were joined. Passing NULL does nothing. */
void km_server_free(struct km_server *server);

/* The server's counters, one row each. */
enum {
    KM_SERVER_M_CONNECTIONS, /* gauge */
    KM_SERVER_M_ACCEPTED,
    KM_SERVER_M_REFUSED_CONNECTIONS, /* there were max_connections */
    KM_SERVER_M_CALLS,
    KM_SERVER_M_CALLS_RUNNING, /* gauge */
    KM_SERVER_M_CALLS_FAILED,  /* ended with another status than KAMA_OK */
    KM_SERVER_M_CANCELLED,
    KM_SERVER_M_ABUSE_CLOSED, /* a limit of limits.h was passed */
    KM_SERVER_M_FOREIGN,      /* not HTTP/2, or not gRPC */
    KM_SERVER_M_HELD_BYTES,   /* gauge: of requests that came in pieces */
    KM_SERVER_M_COUNT
};
/* The names, kinds and sentences of the counters. */
extern const struct km_metric km_server_metric_rows[KM_SERVER_M_COUNT];
/* Returns the counters, which any thread may read. Valid as long as the
 * server. */
struct km_metric_set *km_server_metrics(struct km_server *server);

/* The connections of KM_SERVER_M_ABUSE_CLOSED, by the limit that they passed. */
struct km_server_abuse {
    const char *reason; /* "ping" */
    uint64_t closed;
};
/* Reads the limit of an index from 0. Returns false behind the last one. Any
 * thread. */
bool km_server_abuse(const struct km_server *server, unsigned index,
                     struct km_server_abuse *ret_abuse);
