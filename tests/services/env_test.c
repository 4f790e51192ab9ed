/* SPDX-License-Identifier: MIT */
/* The phases of a node as its services see them, and the gets that a node waits
 * for before its loops end. */
#include "base/clock.h"
#include "helpers/failmalloc.h"
#include "services/env.h"

#include <pthread.h>

static void env_open(struct km_service_env *env)
{
    assert_int_equal(km_service_env_init(env, km_mem_default(),
                                         km_clock_system(), NULL, "cache"),
                     KAMA_OK);
}

/* A node serves from ready to close, and its uptime begins with ready, where the
 * time of its start ends. */
static void test_serves_from_ready_to_close(void **state)
{
    (void)state;
    struct km_service_env env;
    env_open(&env);
    assert_false(km_service_env_is_serving(&env));
    assert_false(km_service_env_is_closing(&env));
    assert_int_equal(km_service_env_uptime_ms(&env), 0);
    km_service_env_open(&env, NULL);
    assert_true(env.opened_at > 0);
    assert_int_equal(km_service_env_start_ms(&env), 0);
    km_service_env_ready(&env);
    env.opened_at = env.serving_since - 5 * KM_NS_PER_MS;
    assert_int_equal(km_service_env_start_ms(&env), 5);
    assert_true(km_service_env_is_serving(&env));
    assert_true(env.serving_since > 0);
    km_service_env_close(&env);
    assert_false(km_service_env_is_serving(&env));
    assert_true(km_service_env_is_closing(&env));
    km_service_env_settle(&env);
    km_service_env_fini(&env);
}

/* A node may be stopped by another thread before its start has returned: close
 * runs first then, and the ready that follows it does not make the node serve. */
static void test_ready_after_close_does_not_serve(void **state)
{
    (void)state;
    struct km_service_env env;
    env_open(&env);
    km_service_env_close(&env);
    km_service_env_ready(&env);
    assert_false(km_service_env_is_serving(&env));
    assert_true(km_service_env_is_closing(&env));
    km_service_env_fini(&env);
}

static void *unpark_both(void *arg)
{
    km_service_env_unpark(arg);
    km_service_env_unpark(arg);
    return NULL;
}

/* A pool thread may answer a get before the loop has counted it as parked, so
 * the count passes through -1; settle waits until it is 0. */
static void test_settle_waits_for_parked_gets(void **state)
{
    (void)state;
    pthread_t pool;
    struct km_service_env env;
    env_open(&env);
    km_service_env_ready(&env);
    km_service_env_park(&env);
    assert_int_equal(pthread_create(&pool, NULL, unpark_both, &env), 0);
    km_service_env_park(&env);
    km_service_env_close(&env);
    km_service_env_settle(&env);
    assert_int_equal(pthread_join(pool, NULL), 0);
    assert_int_equal(env.parked, 0);
    km_service_env_fini(&env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_serves_from_ready_to_close),
        cmocka_unit_test(test_ready_after_close_does_not_serve),
        cmocka_unit_test(test_settle_waits_for_parked_gets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
