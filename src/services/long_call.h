/* SPDX-License-Identifier: MIT */
/*
 * Calls that would go on until the client leaves: a health watch, and a stream
 * of reflection. They must hear that the node changes its phase, and they must
 * end when the node stops, or the drain would wait for them in vain.
 *
 * A handler that makes its call a long one embeds a km_long_call as the first
 * member of the call's state, joins, and ends the call with
 * km_long_call_finish:
 *
 *     km_long_call_join(call, on_change);
 *
 *     static void on_change(struct km_server_call *call)
 *         if (km_service_env_is_closing(env))
 *             km_long_call_finish(call, KAMA_ERR_CLOSED, "...");
 *
 * The node changes its phase on any thread, and a call belongs to the thread of
 * its loop. So each change posts one mail to each long call, and the mail runs
 * `on_change` on the call's loop. While that mail is under way the call must
 * not be freed: a long call holds its call in every state but OUT.
 *
 *          join          the phase changes
 *     OUT ------> JOINED -----------------> NOTIFIED
 *      ^           |  ^                      |   |
 *      +-- leave --+  +--- the mail runs ----+   | leave
 *      |                                         v
 *      +------------- the mail runs ---------- LEAVING
 *
 * Cost: join and leave are O(1); a change is O(long calls).
 * Threads: loop thread, except km_long_calls_notify and _locked: any thread.
 * Errors: none.
 * Ownership: everything lies in the state of the call.
 */
#pragma once

#include "services/env.h"

enum km_long_call_state {
    KM_LONG_CALL_OUT,
    KM_LONG_CALL_JOINED,
    KM_LONG_CALL_NOTIFIED,
    KM_LONG_CALL_LEAVING
};

struct km_long_call {
    struct km_list node; /* in env->long_calls, when JOINED or NOTIFIED */
    struct km_mail mail; /* under way, when NOTIFIED or LEAVING */
    struct km_service_env *env; /* NULL before the first join */
    void (*on_change)(struct km_server_call *call);
    enum km_long_call_state state; /* under env->lock */
};

/* Holds the call and adds it to the long calls of the node. From now on
 * on_change runs on the call's loop after each change of the node's phase. */
void km_long_call_join(struct km_server_call *call,
                       void (*on_change)(struct km_server_call *call));

/* Returns whether the call has joined and has not left. */
bool km_long_call_has_joined(const struct km_long_call *long_call);

/* Finishes the call, as km_server_call_finish does, and leaves. */
void km_long_call_finish(struct km_server_call *call, kama_status status,
                         const char *text);

/* on_cancel of a long call: leaves. */
void km_long_call_cancelled(struct km_server_call *call, kama_status why);

/* Lets on_change run once more, behind what else waits for the loop. */
void km_long_call_again(struct km_long_call *long_call);

/* Posts a mail to each long call with this on_change that has none under way. The caller
 * holds no lock. */
void km_long_calls_notify(struct km_service_env *env,
                          void (*on_change)(struct km_server_call *call));

/* Posts a mail to each long call that has none under way. The caller holds
 * env->lock, under which it has changed the phase. */
void km_long_calls_notify_locked(struct km_service_env *env);
