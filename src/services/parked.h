/* SPDX-License-Identifier: MIT */
/*
 * A call whose answer comes from another thread: from a node of the cluster, or
 * when this node has become settled. The call is data meanwhile, and its loop
 * serves others.
 *
 *     struct state { struct km_service_parked parked; struct op op; };
 *
 *     km_service_parked_init(call, reply);
 *     if (op_start(&state->op) == KAMA_DEFERRED)
 *         km_service_parked_begin(call);          the call is held
 *     ...
 *     op_done, any thread:
 *         km_service_parked_end(&state->parked, status, sentence);
 *     ...
 *     a mail on the loop of the call: reply(call, status, text)
 *
 * The answer may come before km_service_parked_begin is called. That is
 * harmless: it only writes the result and posts a mail, and mails run after the
 * handler has returned to the loop.
 *
 * An operation that was begun is not called off when the client leaves: a change
 * may be under way to its owner. The mail then gives the hold back, and `reply`
 * is not called.
 *
 * Cost: no allocation, except for the sentence of an error.
 * Threads: loop thread; km_service_parked_end: any thread.
 * Errors: none. Ownership: the state of the call holds everything.
 */
#pragma once

#include "rpc/server.h"
#include "services/env.h"

/* Answers the call; text: borrowed; may be NULL. */
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

/* Holds the call until its operation has ended. */
void km_service_parked_begin(struct km_server_call *call);

/* Ends the wait. When this returns, the call may be gone. sentence: borrowed;
 * used with an error only, and then not NULL. */
void km_service_parked_end(struct km_service_parked *parked, kama_status status,
                           const char *sentence);

/* Answers a call whose operation has ended at once, with the sentence that this
 * thread's km_last_error holds if the status is an error. */
void km_service_parked_at_once(struct km_server_call *call, kama_status status);
