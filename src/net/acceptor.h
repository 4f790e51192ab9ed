/* SPDX-License-Identifier: MIT */
/*
 * Accepts connections for a server that runs on several loops, and deals them
 * out: the first loop listens, and the loop that has the fewest connections
 * gets the descriptor.
 *
 *     km_acceptor_new(&options, &acceptor);
 *     km_acceptor_listen(acceptor, "127.0.0.1:8001");
 *       first loop:   accept --> is there room? --> the loop with the fewest
 *       that loop:    options.on_connection(arg, index, fd)
 *       that loop:    km_acceptor_count_closed(acceptor, index)     later
 *
 * Threads: new, listen and free are setup; close runs on the first loop;
 * count_closed runs on the loop of the connection; address is for any thread
 * after listen. Ownership: a descriptor belongs to on_connection; every one
 * that it was given is counted until km_acceptor_count_closed. Cost: one mail
 * per connection. Errors: those of km_listener_open.
 */
#pragma once

#include "net/loop.h"

#include <kamacache/kamacache.h>

struct km_acceptor;

/* Whether a connection was accepted below max_connections, or beyond it. */
enum km_acceptor_place { KM_ACCEPTOR_ORDINARY, KM_ACCEPTOR_RESERVED };

struct km_acceptor_options {
    const kama_allocator *mem;
    struct km_loop **loops; /* borrowed until free; the first one listens */
    unsigned loop_count;
    unsigned max_connections; /* 0: no limit */
    /* So many connections beyond max_connections are accepted and marked, for
     * the owner to decide whether they may stay. */
    unsigned reserved_connections;
    /* fd is connected and belongs to the callee. Runs on the loop of that
     * index. */
    void (*on_connection)(void *arg, unsigned loop_index, int fd,
                          enum km_acceptor_place place);
    /* A connection was accepted and counted. Runs on the first loop. */
    void (*on_accepted)(void *arg);
    /* A connection was closed at once, because there are max_connections and
     * reserved_connections. Runs on the first loop. */
    void (*on_refused)(void *arg);
    void *arg;
};

/* Makes an acceptor that does not listen yet. The options are copied. Errors:
 * KAMA_ERR_NO_MEMORY. */
KAMA_NODISCARD kama_status
km_acceptor_new(const struct km_acceptor_options *options,
                struct km_acceptor **ret_acceptor);

/* Listens on the first loop, before that loop runs or while it runs; in the
 * second case the calling thread waits for it. Only once. Errors: those of
 * km_listener_open, KAMA_ERR_THREADS. */
KAMA_NODISCARD kama_status km_acceptor_listen(struct km_acceptor *acceptor,
                                              const char *address);

/* Returns the address with the port that the listener was given, or NULL before
 * listen. Valid as long as the acceptor. */
const char *km_acceptor_address(const struct km_acceptor *acceptor);

/* Stops accepting. Descriptors that are on their way to their loops still
 * arrive. */
void km_acceptor_close(struct km_acceptor *acceptor);

/* Counts a connection of this loop as closed. */
void km_acceptor_count_closed(struct km_acceptor *acceptor,
                              unsigned loop_index);

/* Frees an acceptor that was closed, after the loops have ended. Passing NULL
 * does nothing. */
void km_acceptor_free(struct km_acceptor *acceptor);
