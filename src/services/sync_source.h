/* SPDX-License-Identifier: MIT */
/*
 * Where the streams of mutations that other nodes have begun arrive. node/ fills the
 * table in; a node that is in no cluster has none.
 *
 *     loop of the call        mail         the loop of all streams
 *     peer_sync.c        --------------->  begin, message, message, .., end
 *     the call           <---------------  km_peer_stream_reply, _refuse
 *
 * Threads: `loop` any thread; everything else runs on the loop that it returns.
 * Ownership: a stream is valid from `begin` until `end` has returned. Errors: as each
 * function says. Cost: one copy of each message.
 */
#pragma once

#include <kamacache/kamacache.h>

struct km_loop;
struct km_peer_stream;

struct km_service_sync_ops {
    /* Returns the loop on which the other functions run. It runs until every stream
     * has ended. */
    struct km_loop *(*loop)(void *sync);
    /* A stream has begun, whose sender was admitted. Returns what the node remembers
     * of it, or NULL without memory. */
    void *(*begin)(void *sync, struct km_peer_stream *stream);
    /* A message of it, borrowed until return; the first one has the SyncHello. None
     * comes after km_peer_stream_refuse. */
    void (*message)(void *sync, void *in, kama_bytes message);
    /* It has ended. It follows every `begin` that did not return NULL. */
    void (*end)(void *sync, void *in);
};

struct km_service_sync {
    const struct km_service_sync_ops *ops; /* NULL: in no cluster */
    void *arg;
};

/* Sends one message back. Without memory the stream is refused. */
void km_peer_stream_reply(struct km_peer_stream *stream, kama_bytes message);
/* Ends the stream with a status and a sentence, both of which the sender gets. Only the
 * first refusal counts. `end` follows. */
void km_peer_stream_refuse(struct km_peer_stream *stream, kama_status status,
                           const char *text);
