/* SPDX-License-Identifier: MIT */
/*
 * One get for one call, as the Get methods of kama.v1 and kama.v2 make it.
 *
 * The handler of such a method finds the group and names a function that writes
 * the answer; everything between is done here:
 *
 *     km_service_get_start(call, group, request.key, flags, reply_get);
 *
 * A hit is answered at once. On a miss the get is parked in the state of the
 * call: a pool thread runs the loader and posts a mail to the loop of the call,
 * and there `reply` writes the answer. The call is held until that mail has
 * run, or until the get was called off.
 *
 * A client that reads nothing would hold one value for each of its streams, in
 * the memory that the group has for its entries. So a get begins only when the
 * connection has room for an answer; until then the call keeps a copy of the
 * key.
 *
 *             start, no room
 *     IDLE -----------------------> WAITS_FOR_ROOM
 *      | ^                            |        |
 *      | +-- cancelled, or a hit -----+        | writable, a miss
 *      | |                                     v
 *      | +-- the mail runs, or called off -- PARKED
 *      |                                       ^
 *      +------------ start, a miss ------------+
 *
 * IDLE is a get that has not begun, and one that has ended.
 *
 * Cost: a hit allocates nothing; a get that waits for room copies its key.
 * Threads: loop thread.
 * Errors: those of kama_get, and KAMA_ERR_NO_MEMORY if a key cannot be copied.
 * Ownership: the state of the call holds everything.
 */
#pragma once

#include "group/group.h"
#include "rpc/server.h"
#include "services/env.h"
#include "services/source.h"
#include "services/traceparent.h"

/* How a get has ended. */
struct km_get_result {
    kama_status status;
    kama_value *value; /* not NULL exactly if the status is KAMA_OK */
    const char *text;  /* a sentence about an error; may be NULL */
    enum km_source source;
};

/* Writes the answer and finishes the call; borrows the result. */
typedef void (*km_service_reply_fn)(struct km_server_call *call,
                                    const struct km_get_result *result);

enum km_service_get_state {
    KM_SERVICE_GET_IDLE,
    KM_SERVICE_GET_WAITS_FOR_ROOM, /* key is a copy */
    KM_SERVICE_GET_PARKED          /* the call is held, and a mail will come */
};

/* The state of a call that gets one key. */
struct km_service_get {
    struct km_get_op op;
    struct km_mail mail;
    struct km_service_env *env;
    km_service_reply_fn reply;
    kama_group *group;
    enum km_service_get_state state;
    uint32_t flags;
    bool wants_etag; /* for the reply; the handler sets it before the start */
    char *key;       /* owned; NULL unless the get waits for room */
    size_t key_bytes;
    char traceparent[KM_TRACEPARENT_BYTES]; /* of the client; "": none */

    /* Written by the pool thread that ends a parked get, before its mail. */
    kama_status status;
    kama_value *value; /* owned */
    char *text;        /* owned; may be NULL */
};

/* Gets `key` of the group and answers with `reply`, now or later; an error is
 * answered without it when the get ends at once. key: borrowed until return.
 * flags: those of kama_ctx. */
void km_service_get_start(struct km_server_call *call, kama_group *group,
                          kama_bytes key, uint32_t flags,
                          km_service_reply_fn reply);

/* on_writable: begins a get that has waited for room. */
void km_service_get_writable(struct km_server_call *call);

/* on_cancel: leaves the get. A load that it has started goes on, for the other
 * callers and for the store. */
void km_service_get_cancelled(struct km_server_call *call, kama_status why);
