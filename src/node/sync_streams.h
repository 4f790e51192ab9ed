/* SPDX-License-Identifier: MIT */
/*
 * The network of the streams of mutations: what src/sync calls its environment.
 *
 *     this node's streams    a channel with one call each, on the sync loop:
 *                            dial --> km_sync_out_message, _writable, _closed
 *     other nodes' streams   calls of the server, whose messages come as mail
 *                            (services/sync_source.h): km_sync_in_message, ...
 *
 * A stream ends with its channel, and another attempt makes a new one: the machine
 * decides when. A frozen peer is found out by PINGs.
 *
 * Threads: new and free are setup; the rest runs on the sync loop, except
 * km_sync_streams_count. Errors: KAMA_ERR_NO_MEMORY. Ownership: loop, clock and allocator
 * are borrowed; all streams must have ended before km_sync_streams_free.
 * Cost: one connection for each member.
 */
#pragma once

#include "base/list.h"
#include "services/sync_source.h"
#include "sync/sync.h"

struct km_sync_streams;

struct km_sync_streams_options {
    const kama_allocator *mem;
    const struct km_clock *clock;
    struct km_loop *loop;
    /* Runs before each event of the network reaches the machine (R15). */
    void (*woke)(void *arg);
    /* Runs behind each message of a stream. */
    void (*moved)(void *arg);
    /* The last stream of this node has ended, after km_sync_streams_stop. */
    void (*stopped)(void *arg);
    void *arg;
};

KAMA_NODISCARD kama_status
km_sync_streams_new(const struct km_sync_streams_options *options,
                    struct km_sync_streams **ret_streams);
/* Passing NULL does nothing. */
void km_sync_streams_free(struct km_sync_streams *streams);

/* Returns the environment that the machine is made with. */
struct km_sync_env km_sync_streams_env(struct km_sync_streams *streams);
/* Names the machine that the streams of other nodes belong to. Setup. */
void km_sync_streams_bind(struct km_sync_streams *streams,
                          struct km_sync *sync);

/* Ends the streams of other nodes, and refuses those that come later. */
void km_sync_streams_refuse(struct km_sync_streams *streams);
/* The machine has hung up all streams: tells `stopped` when the last connection is
 * gone, perhaps at once. */
void km_sync_streams_stop(struct km_sync_streams *streams);

/* The table for the services; its `sync` is a struct km_sync_streams. */
extern const struct km_service_sync_ops km_sync_streams_ops;
