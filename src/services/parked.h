/* SPDX-License-Identifier: MIT */
/*
 * A call whose answer comes from another thread: from a node of the cluster, or
 * when this node has become settled. The call is data meanwhile, and its loop
 * serves others.
 *
 *     struct state { struct km_service_parked parked; struct op op; };
 *
 *     km_service_parked_init(call, reply);
 *     km_last_error_clear();
 *     km_service_parked_go_on(call, op_start(&state->op));    replies, or holds
 *     ...
 *     op_done, any thread:
 *         km_service_parked_end(&state->parked, status, sentence);
 *     ...
 *     a mail on the loop of the call: reply(call, status, text)
 *
 * The answer may come before km_service_parked_go_on is called. That is
 * harmless: it only writes the result and posts a mail, and mails run after the
 * handler has returned to the loop.
 *
 * An operation that was begun is not called off when the client leaves: a change
 * may be under way to its owner. `reply` runs nevertheless, so that it can free
 * what the state has, and its answer is dropped.
 *
 * Cost: no allocation, except for the sentence of an error.
 * Threads: loop thread; km_service_parked_end: any thread.
 * Errors: none. Ownership: the state of the call holds everything.
 */
#pragma once

#include "rpc/server.h"
#include "services/env.h"

/* Answers the call, which may have ended. text: borrowed; may be NULL. */
typedef void (*km_service_answer_fn)(struct km_server_call *call,
                                     kama_status status, const char *text);

/* The first member of the state of a call. */
struct km_service_parked {
    struct km_mail mail;
    struct km_service_env *env;
    km_service_answer_fn reply;
    kama_status status;
    char *text; /* owned; may be NULL */
};

/* Prepares the call, before its operation is started. */
void km_service_parked_init(struct km_server_call *call,
                            km_service_answer_fn reply);

/* Goes on with what the start of the operation has returned: holds the call for
 * KAMA_DEFERRED, and otherwise replies, to an error with the sentence that this
 * thread's km_last_error holds. The caller has cleared that sentence before. */
void km_service_parked_go_on(struct km_server_call *call, kama_status status);

/* Ends the wait. When this returns, the call may be gone. sentence: borrowed;
 * used with an error only, and then not NULL. */
void km_service_parked_end(struct km_service_parked *parked, kama_status status,
                           const char *sentence);
