/* SPDX-License-Identifier: MIT */
/* The table of methods, and what the services know of the node. */
#include "services/services.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/status.h"
#include "services/service.h"

#define V1 "/kama.v1.KamaCacheService/"
#define V2 "/kama.v2.Cache/"
#define HEALTH "/grpc.health.v1.Health/"
#define REFLECT "/grpc.reflection.v1.ServerReflection/"
#define REFLECT_ALPHA "/grpc.reflection.v1alpha.ServerReflection/"

#define UNARY(method, handler)                                                 \
    {                                                                          \
        .path = method, .kind = KM_RPC_UNARY, .on_message = handler            \
    }
#define GET(method, handler)                                                   \
    {                                                                          \
        .path = method, .kind = KM_RPC_UNARY,                                  \
        .state_bytes = sizeof(struct km_service_get), .on_message = handler,   \
        .on_writable = km_service_get_writable,                                \
        .on_cancel = km_service_get_cancelled                                  \
    }
#define LARGE(method, handler, writable)                                       \
    {                                                                          \
        .path = method, .kind = KM_RPC_UNARY,                                  \
        .state_bytes = sizeof(struct km_service_stats), .on_message = handler, \
        .on_writable = writable                                                \
    }
#define MANY(method, handler)                                                  \
    {                                                                          \
        .path = method, .kind = KM_RPC_UNARY,                                  \
        .state_bytes = sizeof(struct km_service_many_state),                   \
        .on_message = handler, .on_writable = km_service_many_writable,        \
        .on_cancel = km_service_many_cancelled                                 \
    }
#define REFLECTION(method)                                                     \
    {                                                                          \
        .path = method, .kind = KM_RPC_BIDI_STREAM,                            \
        .state_bytes = sizeof(struct km_service_reflect),                      \
        .on_message = km_service_reflect,                                      \
        .on_half_close = km_service_reflect_half_closed,                       \
        .on_cancel = km_long_call_cancelled                                    \
    }

/* Declared in the proto, and part of a later version. */
#define LATER(method)                                                          \
    {                                                                          \
        .path = method                                                         \
    }

const struct km_server_method km_services[] = {
    GET(V1 "Get", km_service_v1_get),
    UNARY(V1 "Set", km_service_v1_set),
    UNARY(V1 "Delete", km_service_v1_delete),
    GET(V2 "Get", km_service_v2_get),
    UNARY(V2 "Set", km_service_v2_set),
    UNARY(V2 "Delete", km_service_v2_delete),
    UNARY(V2 "Ttl", km_service_v2_ttl),
    UNARY(V2 "Touch", km_service_v2_touch),
    MANY(V2 "Exists", km_service_v2_exists),
    MANY(V2 "MSet", km_service_v2_mset),
    MANY(V2 "MDelete", km_service_v2_mdelete),
    UNARY(V2 "Clear", km_service_v2_clear),
    UNARY(V2 "Ping", km_service_v2_ping),
    LARGE(V2 "Stats", km_service_v2_stats, km_service_stats_writable),
    LARGE(V2 "Groups", km_service_v2_groups, km_service_groups_writable),
    {.path = V2 "MGet",
     .kind = KM_RPC_UNARY,
     .state_bytes = sizeof(struct km_service_mget_state),
     .on_message = km_service_v2_mget,
     .on_writable = km_service_mget_writable,
     .on_cancel = km_service_mget_cancelled},
    {.path = V2 "Scan",
     .kind = KM_RPC_SERVER_STREAM,
     .state_bytes = sizeof(struct km_service_scan_state),
     .on_message = km_service_v2_scan,
     .on_writable = km_service_scan_writable,
     .on_cancel = km_service_scan_cancelled},
    LATER(V2 "MGetStream"),
    LATER(V2 "Members"),
    LATER(V2 "WatchMembers"),
    LATER(V2 "Owner"),
    LATER(V2 "Explain"),
    LATER(V2 "HotKeys"),
    LATER(V2 "Doctor"),
    LATER(V2 "Monitor"),
    LATER(V2 "Watch"),
    UNARY(HEALTH "Check", km_service_health_check),
    {.path = HEALTH "Watch",
     .kind = KM_RPC_SERVER_STREAM,
     .state_bytes = sizeof(struct km_service_watch),
     .on_message = km_service_health_watch,
     .on_writable = km_service_watch_writable,
     .on_cancel = km_long_call_cancelled},
    REFLECTION(REFLECT "ServerReflectionInfo"),
    REFLECTION(REFLECT_ALPHA "ServerReflectionInfo"),
};
const size_t km_service_count = sizeof km_services / sizeof km_services[0];

/* -- life ---------------------------------------------------------------- */

kama_status km_service_env_init(struct km_service_env *env,
                                const kama_allocator *mem,
                                const struct km_clock *clock,
                                const struct km_registry *registry,
                                const char *service)
{
    *env = (struct km_service_env){
        .mem = mem, .clock = clock, .registry = registry, .service = service};
    km_list_init(&env->long_calls);
    if (!km_mutex_init(&env->lock, KM_RANK_NODE)) {
        return km_fail(KAMA_ERR_THREADS, "no resources for a lock");
    }
    if (!km_cond_init(&env->settled)) {
        km_mutex_fini(&env->lock);
        return km_fail(KAMA_ERR_THREADS, "no resources for a lock");
    }
    return KAMA_OK;
}

void km_service_env_fini(struct km_service_env *env)
{
    KM_ASSERT(env->parked == 0 && km_list_empty(&env->long_calls));
    km_cond_fini(&env->settled);
    km_mutex_fini(&env->lock);
    memset(env, 0, sizeof *env);
}

void km_service_env_open(struct km_service_env *env, struct km_server *server)
{
    env->server = server;
}

/* -- states of the node -------------------------------------------------- */

/* Mail to each of the calls, on its own loop. */
static void notify_locked(struct km_service_env *env)
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

void km_service_env_ready(struct km_service_env *env)
{
    km_ns now = km_clock_mono(env->clock);
    km_mutex_lock(&env->lock);
    env->serving = true;
    env->serving_since = now;
    notify_locked(env);
    km_mutex_unlock(&env->lock);
}

void km_service_env_close(struct km_service_env *env)
{
    km_mutex_lock(&env->lock);
    env->serving = false;
    env->closing = true;
    notify_locked(env);
    km_mutex_unlock(&env->lock);
}

bool km_service_env_is_serving(struct km_service_env *env)
{
    km_mutex_lock(&env->lock);
    bool serving = env->serving;
    km_mutex_unlock(&env->lock);
    return serving;
}

bool km_service_env_is_closing(struct km_service_env *env)
{
    km_mutex_lock(&env->lock);
    bool closing = env->closing;
    km_mutex_unlock(&env->lock);
    return closing;
}

/* -- parked gets --------------------------------------------------------- */

/* A get whose call was cut off may still be about to be answered: its mail
 * must find a loop. Counted only on the way through a pool thread. */
void km_service_env_park(struct km_service_env *env)
{
    km_mutex_lock(&env->lock);
    env->parked++;
    km_mutex_unlock(&env->lock);
}

void km_service_env_unpark(struct km_service_env *env)
{
    km_mutex_lock(&env->lock);
    env->parked--;
    if (env->parked == 0 && env->closing) {
        km_cond_broadcast(&env->settled);
    }
    km_mutex_unlock(&env->lock);
}

void km_service_env_settle(struct km_service_env *env)
{
    km_mutex_lock(&env->lock);
    while (env->parked != 0) {
        km_cond_wait(&env->settled, &env->lock);
    }
    km_mutex_unlock(&env->lock);
}

/* -- calls that last ----------------------------------------------------- */

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
