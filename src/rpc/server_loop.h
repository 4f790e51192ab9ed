/* SPDX-License-Identifier: MIT */
/*
 * The part of a server that belongs to one loop, and the part that all its
 * loops share.
 *
 *     km_server ---+--> server_loop 0 --> connections --> calls
 *      (shared,    +--> server_loop 1 --> connections --> calls
 *       read-only, |        |
 *       or atomic) |        +--> spare calls, unarmed calls, held bytes,
 *                  |             decode budget
 *
 * A server_loop is touched by the thread of its loop alone. The server itself
 * is written by setup, and then only through atomics and counters.
 *
 * Calls with a deadline are armed late: most calls are answered within the turn
 * of the loop in which they arrive, and a timer for these would be armed and
 * disarmed for nothing. So a call waits in `unarmed` until the turn ends, and
 * gets a timer only if it has not ended by then.
 *
 *     begins --> unarmed --end of the turn--> timer armed --> fires, or
 *                   |                             |           is disarmed
 *                   +------------ ended ----------+
 *
 * Cost: ended calls stay in `spare_calls`, at most KM_RPC_CALLS_SPARE_MAX, so
 * that a busy loop allocates none. Errors: KAMA_ERR_NO_MEMORY, from init.
 */
#pragma once

#include "base/list.h"
#include "net/acceptor.h"
#include "net/drain.h"
#include "rpc/server.h"
#include "rpc/server_figures.h"
#include "rpc/server_method.h"
#include "wire/grpc/budget.h"
#include "wire/h2/abuse.h"

struct km_h2_loop_cache;
struct km_server_call;

struct km_server_loop {
    struct km_server *server;
    struct km_loop *loop;
    unsigned loop_index;
    struct km_h2_loop_cache *cache;
    struct km_list conns;   /* every km_server_conn */
    struct km_list unarmed; /* calls whose deadline no timer keeps yet */
    struct km_list resumed; /* calls that are RESUMING */
    struct km_mail turn;    /* sees to both lists at the end of the turn */
    struct km_server_call *spare_calls; /* linked by ->next_spare */
    unsigned spare_call_count;
    size_t held_bytes;                   /* of requests that come in pieces */
    struct km_grpc_budget decode_budget; /* of its compressed requests */
    struct km_server_figures_table figures; /* of the ends of its calls */
};

/* The server. Only server.c makes one; the files of a call read it. */
struct km_server {
    struct km_server_options options;
    const kama_allocator *mem;
    struct km_server_methods methods;
    struct km_metric_set *metrics;
    size_t call_bytes; /* of a call, with the largest state of a method */
    _Atomic uint64_t max_message_bytes;
    struct km_acceptor *acceptor;
    _Atomic uint64_t abuses[KM_H2_ABUSE_COUNT]; /* connections, by limit */
    struct km_drain drain;
    struct km_drain client_drain; /* of the connections that are no peer's */
    struct km_server_loop *server_loops; /* one per loop */
};

/* Adds 1 to the counter KM_SERVER_M_... */
static inline void km_server_loop_count(struct km_server_loop *server_loop,
                                        unsigned row)
{
    km_metric_add(server_loop->server->metrics, row, 1);
}

/* Returns the memory that the server's connections on the loop of this index
 * share, for channels on the same loop. They must be freed before the
 * server. */
static inline struct km_h2_loop_cache *km_server_loop_cache(
    const struct km_server *server, unsigned loop_index)
{
    return server->server_loops[loop_index].cache;
}

/* Prepares the part of the server on the loop of this index. Setup. */
KAMA_NODISCARD kama_status
km_server_loop_init(struct km_server_loop *server_loop,
                    struct km_server *server, unsigned loop_index);
/* Frees it, when no connection is left. Setup. Does nothing for a server_loop
 * that was never prepared. */
void km_server_loop_fini(struct km_server_loop *server_loop);

/* Lets the budget for compressed requests refill until now. It must be called
 * before a compressed message is decoded; more calls in one turn do nothing. */
void km_server_loop_fill_budget(struct km_server_loop *server_loop);

/* Returns memory for one call, of which nothing is set, or NULL. */
struct km_server_call *km_server_loop_take_call(
    struct km_server_loop *server_loop);
/* Takes the memory back, for the next call or for the allocator. */
void km_server_loop_put_call(struct km_server_loop *server_loop,
                             struct km_server_call *call);

/* Arms the call's timer for its deadline at the end of this turn, unless the
 * call leaves the list `unarmed` before. */
void km_server_loop_arm_later(struct km_server_loop *server_loop,
                              struct km_server_call *call);
