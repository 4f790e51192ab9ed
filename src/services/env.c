/* SPDX-License-Identifier: MIT */
#include "services/env.h"

#include "base/assert.h"
#include "base/status.h"
#include "services/long_call.h"

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

struct km_service_env *km_service_env_of(struct km_server_call *call)
{
    return km_server_call_arg(call);
}

/* -- states of the node -------------------------------------------------- */

void km_service_env_ready(struct km_service_env *env)
{
    km_ns now = km_clock_mono(env->clock);
    km_mutex_lock(&env->lock);
    env->serving = !env->closing;
    env->serving_since = now;
    km_long_calls_notify_locked(env);
    km_mutex_unlock(&env->lock);
}

void km_service_env_close(struct km_service_env *env)
{
    km_mutex_lock(&env->lock);
    env->serving = false;
    env->closing = true;
    km_long_calls_notify_locked(env);
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

uint64_t km_service_env_uptime_ms(struct km_service_env *env)
{
    km_ns now = km_clock_mono(env->clock);
    km_mutex_lock(&env->lock);
    km_ns since = env->serving_since;
    km_mutex_unlock(&env->lock);
    return since == 0 || now < since ? 0 : (now - since) / KM_NS_PER_MS;
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
