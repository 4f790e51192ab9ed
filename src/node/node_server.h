/* SPDX-License-Identifier: MIT */
/*
 * The part of a node that exists from start to stop: its loops, the gRPC server
 * with the services, and the listener.
 *
 *     km_node_server_open(node, &server)        loops run, the server listens
 *     ...                                       node->state is RUNNING
 *     km_node_server_close(node, server, ms)    drains, then nothing is left
 *
 * The loops run before the server listens, because a socket that a loop has
 * opened can only be closed by the loop's own thread. If opening fails half-way,
 * the loops are stopped, and they close the sockets that are open.
 *
 * Threads: one thread at a time, which kama_node_start and kama_node_stop see
 * to.
 * Errors: those of kama_node_start, with a sentence.
 * Ownership: loops and server belong to the node between open and close.
 */
#pragma once

#include <kamacache/kamacache.h>

struct km_server;

/* Makes and starts the loops, the server and the listener. On an error nothing
 * of them is left. */
KAMA_NODISCARD kama_status km_node_server_open(kama_node *node,
                                               struct km_server **ret_server);

/* Lets first the clients' and then the peers' running calls end, for at most
 * timeout_ms together, and cuts off the others; then ends the loops and frees
 * both. The node is in the state DRAINING, and DRAINED afterwards. Returns the
 * number of calls that were cut off. */
unsigned km_node_server_close(kama_node *node, struct km_server *server,
                              int64_t timeout_ms);
