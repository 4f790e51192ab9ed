/* SPDX-License-Identifier: MIT */
/* One lock guards the phase, the long calls and the count of parked operations.
 * It is held for a few instructions only, and mails may be posted under it. */
#include "services/env.h"

#include "base/assert.h"
#include "base/status.h"
#include "services/long_call.h"
#include "services/process.h"

/* -- life ---------------------------------------------------------------- */

kama_status km_service_env_init(struct km_service_env *env,
                                const kama_allocator *mem,
                                const struct km_clock *clock,
                                const struct km_registry *registry,
                                const char *service)
{
    *env = (struct km_service_env){
        .mem = mem, .clock = clock, .registry = registry, .service = service};
    env->process_started_ns = km_process_started_ns();
    km_list_init(&env->long_calls);
    km_alone_init(&env->alone);
    if (!km_mutex_init(&env->lock, KM_RANK_NODE)) {
        goto fail_lock;
    }
    if (!km_cond_init(&env->settled)) {
        goto fail_settled;
    }
    if (!km_cond_init(&env->changed)) {
        goto fail_changed;
    }
    return KAMA_OK;

fail_changed:
    km_cond_fini(&env->settled);
fail_settled:
    km_mutex_fini(&env->lock);
fail_lock:
    return km_fail(KAMA_ERR_THREADS, "no resources for a lock");
}

void km_service_env_fini(struct km_service_env *env)
{
    KM_ASSERT(env->parked == 0 && km_list_empty(&env->long_calls));
    km_cond_fini(&env->changed);
    km_cond_fini(&env->settled);
    km_mutex_fini(&env->lock);
    memset(env, 0, sizeof *env);
}

void km_service_env_open(struct km_service_env *env, struct km_server *server)
{
    KM_ASSERT(env->server == NULL || server == NULL);
    env->server = server;
    km_mutex_lock(&env->lock);
    env->opened_at = km_clock_mono(env->clock);
    km_mutex_unlock(&env->lock);
}

void km_service_env_set_cluster(struct km_service_env *env,
                                struct km_cluster_source source)
{
    KM_ASSERT(env->server == NULL);
    km_mutex_lock(&env->lock);
    env->cluster = source;
    km_mutex_unlock(&env->lock);
}

struct km_cluster_source km_service_env_cluster(struct km_service_env *env)
{
    km_mutex_lock(&env->lock);
    struct km_cluster_source source = env->cluster;
    km_mutex_unlock(&env->lock);
    return source;
}

struct km_service_env *km_service_env_of(struct km_server_call *call)
{
    return km_server_call_arg(call);
}

/* -- phases -------------------------------------------------------------- */

void km_service_env_changed_locked(struct km_service_env *env)
{
    KM_ASSERT_HELD(&env->lock);
    env->changes++;
    km_cond_broadcast(&env->changed);
    km_long_calls_notify_locked(env);
}

void km_service_env_ready(struct km_service_env *env)
{
    km_ns now = km_clock_mono(env->clock);
    km_mutex_lock(&env->lock);
    KM_ASSERT(env->phase != KM_SERVICE_SERVING && env->serving_since == 0);
    if (env->phase == KM_SERVICE_STARTING) {
        env->phase = KM_SERVICE_SERVING;
    }
    env->serving_since = now;
    km_service_env_changed_locked(env);
    km_mutex_unlock(&env->lock);
}

void km_service_env_close(struct km_service_env *env)
{
    km_mutex_lock(&env->lock);
    KM_ASSERT(env->phase != KM_SERVICE_CLOSING);
    env->phase = KM_SERVICE_CLOSING;
    km_service_env_changed_locked(env);
    km_mutex_unlock(&env->lock);
}

void km_service_env_reopen(struct km_service_env *env)
{
    km_mutex_lock(&env->lock);
    KM_ASSERT(env->phase == KM_SERVICE_CLOSING && env->serving_since == 0);
    KM_ASSERT(km_list_empty(&env->long_calls) && env->parked == 0);
    env->phase = KM_SERVICE_STARTING;
    env->server = NULL;
    km_mutex_unlock(&env->lock);
}

enum km_service_phase km_service_env_phase(struct km_service_env *env)
{
    km_mutex_lock(&env->lock);
    enum km_service_phase phase = env->phase;
    km_mutex_unlock(&env->lock);
    return phase;
}

bool km_service_env_is_serving(struct km_service_env *env)
{
    return km_service_env_phase(env) == KM_SERVICE_SERVING;
}

bool km_service_env_is_closing(struct km_service_env *env)
{
    return km_service_env_phase(env) == KM_SERVICE_CLOSING;
}

uint64_t km_service_env_uptime_ms(struct km_service_env *env)
{
    km_ns now = km_clock_mono(env->clock);
    km_mutex_lock(&env->lock);
    km_ns since = env->serving_since;
    km_mutex_unlock(&env->lock);
    return since == 0 || now < since ? 0 : (now - since) / KM_NS_PER_MS;
}

uint64_t km_service_env_start_ms(struct km_service_env *env)
{
    km_mutex_lock(&env->lock);
    km_ns since = env->serving_since;
    km_ns from = env->opened_at;
    km_mutex_unlock(&env->lock);
    return since < from ? 0 : (since - from) / KM_NS_PER_MS;
}

/* -- parked operations --------------------------------------------------- */

/*
 * Why parked operations are counted, and why the count may be -1.
 *
 *     loop thread                    pool thread, for example of a get
 *     km_group_get_start: DEFERRED
 *                                    the load ends: posts the mail, unpark
 *     park                           (the count was -1 in between)
 *     the call is cut off, drained
 *                                    (another load) is about to post its mail
 *     settle: waits for it
 *     the loops stop
 *
 * Without settle the last mail would be posted to a loop that has been freed.
 */
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
    if (env->parked == 0 && env->phase == KM_SERVICE_CLOSING) {
        km_cond_broadcast(&env->settled);
    }
    km_mutex_unlock(&env->lock);
}

void km_service_env_settle(struct km_service_env *env)
{
    km_mutex_lock(&env->lock);
    KM_ASSERT(env->phase == KM_SERVICE_CLOSING);
    while (env->parked != 0) {
        km_cond_wait(&env->settled, &env->lock);
    }
    km_mutex_unlock(&env->lock);
}
