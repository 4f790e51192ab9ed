/* SPDX-License-Identifier: MIT */
/* Another thread moves a state only between JOINED and NOTIFIED, under the
 * lock. The other moves are made by the thread of the call's loop, under it as
 * well. */
#include "services/long_call.h"

#include "base/assert.h"
#include "base/container.h"

/* A call that was notified and has not run its mail yet needs no second one: it
 * reads the phase when the mail runs, and sees the latest. */
static void notify(struct km_long_call *long_call)
{
    struct km_server_call *call = km_server_call_of_state(long_call);
    if (long_call->state == KM_LONG_CALL_JOINED) {
        long_call->state = KM_LONG_CALL_NOTIFIED;
        km_loop_post(km_server_call_loop(call), &long_call->mail);
    }
}

void km_long_calls_notify_locked(struct km_service_env *env)
{
    struct km_list *node;
    struct km_list *tmp;
    KM_ASSERT_HELD(&env->lock);
    KM_LIST_FOREACH(node, tmp, &env->long_calls) {
        notify(KM_CONTAINER_OF(node, struct km_long_call, node));
    }
}

void km_long_calls_notify(struct km_service_env *env,
                          void (*on_change)(struct km_server_call *call))
{
    struct km_list *node;
    struct km_list *tmp;
    km_mutex_lock(&env->lock);
    KM_LIST_FOREACH(node, tmp, &env->long_calls) {
        struct km_long_call *long_call =
            KM_CONTAINER_OF(node, struct km_long_call, node);
        if (long_call->on_change == on_change) {
            notify(long_call);
        }
    }
    km_mutex_unlock(&env->lock);
}

void km_long_call_again(struct km_long_call *long_call)
{
    km_mutex_lock(&long_call->env->lock);
    notify(long_call);
    km_mutex_unlock(&long_call->env->lock);
}

/* The mail has run: NOTIFIED becomes JOINED, and LEAVING becomes OUT. Returns
 * the new state. */
static enum km_long_call_state end_mail(struct km_long_call *long_call)
{
    struct km_service_env *env = long_call->env;
    km_mutex_lock(&env->lock);
    KM_ASSERT(long_call->state == KM_LONG_CALL_NOTIFIED ||
              long_call->state == KM_LONG_CALL_LEAVING);
    enum km_long_call_state state = long_call->state == KM_LONG_CALL_NOTIFIED
                                        ? KM_LONG_CALL_JOINED
                                        : KM_LONG_CALL_OUT;
    long_call->state = state;
    km_mutex_unlock(&env->lock);
    return state;
}

static void on_mail(struct km_mail *mail)
{
    struct km_long_call *long_call =
        KM_CONTAINER_OF(mail, struct km_long_call, mail);
    struct km_server_call *call = km_server_call_of_state(long_call);
    if (end_mail(long_call) == KM_LONG_CALL_OUT) {
        km_server_call_release(call);
        return;
    }
    long_call->on_change(call);
}

/* A call that joins while the phase changes is either in the list by then and
 * gets a mail, or it joins later and its handler reads the new phase itself. */
void km_long_call_join(struct km_server_call *call,
                       void (*on_change)(struct km_server_call *call))
{
    struct km_long_call *long_call = km_server_call_state(call);
    struct km_service_env *env = km_service_env_of(call);
    KM_ASSERT(long_call->state == KM_LONG_CALL_OUT);
    long_call->env = env;
    long_call->on_change = on_change;
    long_call->mail.run = on_mail;
    km_server_call_hold(call);
    km_mutex_lock(&env->lock);
    long_call->state = KM_LONG_CALL_JOINED;
    km_list_push_back(&env->long_calls, &long_call->node);
    km_mutex_unlock(&env->lock);
}

/* Before the first join there is no environment, and no lock to take. */
static enum km_long_call_state state_of(const struct km_long_call *long_call)
{
    if (long_call->env == NULL) {
        return KM_LONG_CALL_OUT;
    }
    km_mutex_lock(&long_call->env->lock);
    enum km_long_call_state state = long_call->state;
    km_mutex_unlock(&long_call->env->lock);
    return state;
}

bool km_long_call_has_joined(const struct km_long_call *long_call)
{
    enum km_long_call_state state = state_of(long_call);
    return state == KM_LONG_CALL_JOINED || state == KM_LONG_CALL_NOTIFIED;
}

/* Removes the call from the long calls and gives back the hold, at once or when
 * the mail that is under way has run. on_change does not run any more. A call
 * that has not joined, or has left before, is not changed. */
static void leave(struct km_server_call *call)
{
    struct km_long_call *long_call = km_server_call_state(call);
    if (!km_long_call_has_joined(long_call)) {
        return;
    }
    km_mutex_lock(&long_call->env->lock);
    km_list_remove(&long_call->node);
    bool mail_runs = long_call->state == KM_LONG_CALL_NOTIFIED;
    long_call->state = mail_runs ? KM_LONG_CALL_LEAVING : KM_LONG_CALL_OUT;
    km_mutex_unlock(&long_call->env->lock);
    if (!mail_runs) {
        km_server_call_release(call);
    }
}

void km_long_call_finish(struct km_server_call *call, kama_status status,
                         const char *text)
{
    km_server_call_finish(call, status, text);
    leave(call);
}

void km_long_call_cancelled(struct km_server_call *call, kama_status why)
{
    (void)why;
    leave(call);
}
