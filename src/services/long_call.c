/* SPDX-License-Identifier: MIT */
#include "services/long_call.h"

#include "base/container.h"

/* Mail to each of the calls, on its own loop. */
void km_long_calls_notify_locked(struct km_service_env *env)
{
    struct km_list *node;
    struct km_list *tmp;
    KM_LIST_FOREACH(node, tmp, &env->long_calls) {
        struct km_long_call *long_call =
            KM_CONTAINER_OF(node, struct km_long_call, node);
        if (!long_call->posted) {
            long_call->posted = true;
            km_loop_post(
                km_server_call_loop(km_server_call_of_state(long_call)),
                &long_call->mail);
        }
    }
}

static void on_notify(struct km_mail *mail)
{
    struct km_long_call *long_call =
        KM_CONTAINER_OF(mail, struct km_long_call, mail);
    struct km_server_call *call = km_server_call_of_state(long_call);
    km_mutex_lock(&long_call->env->lock);
    long_call->posted = false;
    km_mutex_unlock(&long_call->env->lock);
    if (!long_call->joined) {
        km_server_call_release(call);
        return;
    }
    long_call->notify(call);
}

void km_long_call_join(struct km_server_call *call,
                       void (*notify)(struct km_server_call *call))
{
    struct km_long_call *long_call = km_server_call_state(call);
    long_call->env = km_service_env_of(call);
    long_call->notify = notify;
    long_call->mail.run = on_notify;
    long_call->joined = true;
    km_server_call_hold(call);
    km_mutex_lock(&long_call->env->lock);
    km_list_push_back(&long_call->env->long_calls, &long_call->node);
    km_mutex_unlock(&long_call->env->lock);
}

void km_long_call_leave(struct km_server_call *call)
{
    struct km_long_call *long_call = km_server_call_state(call);
    if (!long_call->joined) {
        return;
    }
    long_call->joined = false;
    km_mutex_lock(&long_call->env->lock);
    km_list_remove(&long_call->node);
    bool posted = long_call->posted;
    km_mutex_unlock(&long_call->env->lock);
    if (!posted) {
        km_server_call_release(call);
    }
}

void km_long_call_cancelled(struct km_server_call *call, kama_status why)
{
    (void)why;
    km_long_call_leave(call);
}
