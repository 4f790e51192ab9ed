/* SPDX-License-Identifier: MIT */
/*
 * The transport of peers/ on a node: lanes are event loops, links are gRPC
 * channels.
 *
 *     lane 0            the control loop
 *     lanes 1, 2, ...   the event loops of the server
 *
 * A frozen peer is found out by PINGs, and a call is sent once at most: the fate
 * that the channel reports decides how a call has ended.
 *
 *     fate of the channel's call      end of the link's call
 *     NOT_SENT, REFUSED               UNREACHABLE
 *     MAYBE, the deadline             LATE
 *     MAYBE, the connection           LOST
 *     MAYBE, cancelled here           CANCELLED
 *     anything else                   ANSWERED
 *
 * Threads: new and free are setup; the rest as transport.h of peers/ says.
 * Errors: KAMA_ERR_NO_MEMORY. Ownership: loops, caches, pool and clock are
 * borrowed until km_node_transport_free, before which all links must be closed
 * and freed. Cost: a channel for each link.
 */
#pragma once

#include "base/mem.h"
#include "base/pool.h"
#include "net/loop.h"
#include "peers/transport.h"

struct km_h2_loop_cache;
struct km_node_transport;

struct km_node_transport_options {
    const kama_allocator *mem;
    const struct km_clock *clock;
    struct km_loop *const *loops; /* the control loop first; at least 2 */
    struct km_h2_loop_cache *const *caches; /* of the same loops; NULL: none */
    unsigned loop_count;
    struct km_pool *pool; /* for compute; NULL: the control loop computes */
    uint64_t max_message_bytes;
};

KAMA_NODISCARD kama_status
km_node_transport_new(const struct km_node_transport_options *options,
                      struct km_node_transport **ret_transport);
/* Passing NULL does nothing. */
void km_node_transport_free(struct km_node_transport *transport);
/* Returns the table for peers/. Valid as long as the transport. */
struct km_transport km_node_transport_of(struct km_node_transport *transport);
/* Returns how many links are open or are being closed. Any thread. The loops may
 * end when it is 0. */
unsigned km_node_transport_links(const struct km_node_transport *transport);
