/* SPDX-License-Identifier: MIT */
/*
 * How calls of each method have ended, and how long they took. The metrics
 * grpc_server_handled_total and grpc_server_handling_seconds are made from this.
 *
 *     km_server_figures_count(call, status);             at the end of each call
 *
 *     for (size_t i = 0; i < km_server_figures_rows(server); i++) {
 *         km_server_figures_read(server, i, &figures);   any thread
 *     }
 *
 *     loop 0   | Get *--|--> codes, times      made at the first end of a call of
 *              | Set .  |                      the method on this loop
 *              | none . |                      calls whose path is no method
 *     loop 1   | ...    |
 *
 * Each loop writes its own, so that no call waits for another one's cache line.
 *
 * A call begins when its first header is read, by the time of the loop's turn, and
 * it ends when the handler has finished it, so that the time of its load is in it,
 * and the time that the client takes to read the answer is not.
 *
 * Cost: one reading of the clock and three additions per call, and 5 KiB for each
 * method that is called, on each loop. Threads: count runs on the loop of the call;
 * read is for any thread. Errors: KAMA_ERR_NO_MEMORY from init; without memory for a
 * method's figures its calls are counted as those without a method. Ownership: the figures belong
 * to the loop's part of the server.
 */
#pragma once

#include "base/histogram.h"
#include "base/mem.h"
#include "base/status.h"

struct km_server;
struct km_server_call;
struct km_server_method;

/* The figures of one method on one loop. */
struct km_server_figures {
    _Atomic uint64_t codes[KM_STATUS_GRPC_CODES];
    struct km_histogram times;
};

/* The figures of one loop, by the index of the method. */
struct km_server_figures_table {
    _Atomic(struct km_server_figures *) *rows;
    size_t count;
};

/* The figures of one method on all loops. */
struct km_server_figures_sum {
    const struct km_server_method *method; /* NULL: paths that are no method */
    uint64_t codes[KM_STATUS_GRPC_CODES];
    struct km_histogram times;
};

/* Makes an empty table for a server with so many methods. Setup. */
KAMA_NODISCARD kama_status
km_server_figures_init(struct km_server_figures_table *table,
                       const kama_allocator *mem, size_t method_count);
/* Frees it. Does nothing for a table that is zeroed. Setup. */
void km_server_figures_fini(struct km_server_figures_table *table,
                            const kama_allocator *mem);

/* Counts the end of a call. */
void km_server_figures_count(const struct km_server_call *call,
                             kama_status status);

/* Returns how many rows there are: the methods, and one for all other paths. */
size_t km_server_figures_rows(const struct km_server *server);

/* Writes the sum of a row over the loops. Returns whether any call of it has
 * ended. */
bool km_server_figures_read(const struct km_server *server, size_t row,
                            struct km_server_figures_sum *ret_sum);
