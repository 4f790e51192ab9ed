/* SPDX-License-Identifier: MIT */
/*
 * The methods of a gRPC server: one row per method, and the table that finds
 * the row of a path.
 *
 *     static void on_get(struct km_server_call *call, kama_bytes message)
 *     {
 *         km_server_call_reply(call, answer_of(message), NULL);
 *     }
 *     static const struct km_server_method methods[] = {
 *         {.path = "/x.Store/Get", .kind = KM_RPC_UNARY, .on_message = on_get},
 *     };
 *
 * The callbacks of a row run on the loop of the call's connection and must not
 * block. An answer that takes time is sent later, from a mail to that loop
 * (rpc/server_call.h).
 *
 * The table is open-addressing and is built once, at most a quarter full, so
 * that a lookup costs one hash and, nearly always, one comparison. Its hash is
 * seeded, because paths come from clients.
 *
 *     slots   | - | Get | - | - | Set | Del | - | - |
 *                    ^ hash(path) & mask; a taken slot sends a row to the next
 *
 * Threads: init and fini are setup; find is for any thread in between.
 * Ownership: rows are borrowed, and so must be static.
 * Errors: KAMA_ERR_NO_MEMORY, from init.
 */
#pragma once

#include "base/bytes.h"
#include "base/mem.h"

struct km_server_call;

/* How many messages a call has: one each way, one and then many, or many each
 * way. */
enum km_rpc_kind { KM_RPC_UNARY, KM_RPC_SERVER_STREAM, KM_RPC_BIDI_STREAM };

/* Who calls a method. It decides what becomes of a call while the clients'
 * connections are drained (km_server_drain_clients). */
enum km_server_audience {
    KM_SERVER_FOR_CLIENTS, /* refused on connections that come too late */
    KM_SERVER_FOR_PEERS,   /* served until the second step of the drain; makes
                            * its connection a peer's */
    KM_SERVER_FOR_PROBES   /* served until the second step, and says nothing
                            * about its connection: the check of the health */
};

/* One row. Members that may be NULL say so. */
struct km_server_method {
    const char *path; /* "/kama.v1.KamaCacheService/Get" */
    enum km_rpc_kind kind;
    enum km_server_audience audience;
    /* Names, in lower case, of the metadata that the handler reads beside
     * "authorization" (km_server_call_metadata). The last one is NULL. May be
     * NULL: there are none. */
    const char *const *metadata;
    size_t state_bytes; /* of memory per call: km_server_call_state */
    /* So many of its first bytes are zeroed; 0: all of them. For a state that ends
     * with an operation whose start writes what it needs. */
    size_t zeroed_bytes;
    /* A message, borrowed until this returns. A unary or server-streaming call
     * has exactly one, which is delivered when the client has ended its
     * request; a bidi call has any number, delivered as they arrive. NULL: the
     * method belongs to a later version, and its calls are refused as such. */
    void (*on_message)(struct km_server_call *call, kama_bytes message);
    /* A bidi call's client will send no more messages. May be NULL. */
    void (*on_half_close)(struct km_server_call *call);
    /* There is room for output again, after km_server_call_writable said that
     * there was none. May be NULL. */
    void (*on_writable)(struct km_server_call *call);
    /* The call has ended, and the handler was not the one that ended it. The
     * client cancelled it, its time was over, its connection was lost, or a
     * message of it was refused; `why` says which. May be NULL. */
    void (*on_cancel)(struct km_server_call *call, kama_status why);
};

/* The table of all rows. */
struct km_server_methods {
    const struct km_server_method **slots;
    size_t mask; /* the number of slots, a power of two, less 1 */
    uint64_t seed;
    /* Bit n: some method wants metadata whose name has n bytes. Most headers are
     * passed over by it. */
    uint64_t metadata_lengths;
};

/* Fills the table with `count` rows, whose paths are all different. */
KAMA_NODISCARD kama_status km_server_methods_init(
    struct km_server_methods *table, const kama_allocator *mem,
    const struct km_server_method *methods, size_t count);
/* Frees the slots. Does nothing for a table that was never filled. */
void km_server_methods_fini(struct km_server_methods *table,
                            const kama_allocator *mem);
/* Returns the row of `path`, or NULL if no method has that path. */
const struct km_server_method *km_server_methods_find(
    const struct km_server_methods *table, kama_bytes path);
