/* SPDX-License-Identifier: MIT */
/*
 * A group gets its pool with its first asynchronous call, while callers already
 * run loaders on their own threads. A deferred load among these that is overdue
 * gives its slot back.
 */
#include "group/group_fixture.h"
#include "group/group_internal.h"

static void make_pool(struct fixture *f)
{
    struct km_pool *pool;
    assert_int_equal(km_group_need_pool(f->group, &pool), KAMA_OK);
}

/* A group with one slot, which a deferred load without callers has. */
static struct fixture *abandoned_new(void)
{
    struct fixture *f = fixture_new();
    kama_ctx ctx;
    f->options.loader_concurrency = 1;
    f->options.loader_timeout_ms = 300;
    fixture_open(f);
    f->script.defer = true;
    kama_ctx_init(&ctx);
    ctx.deadline_ms = 1;
    assert_int_equal(get_text(f->group, "k", &ctx, ""), KAMA_ERR_TIMEOUT);
    assert_non_null(atomic_load(&f->script.deferred));
    assert_int_equal(stats(f).loads_running, 1);
    f->script.defer = false;
    return f;
}

static void abandoned_free(struct fixture *f)
{
    kama_load_finish(atomic_load(&f->script.deferred), KAMA_OK, KAMA_STR("v"),
                     NULL);
    fixture_free(f);
}

static void test_a_deferred_load_older_than_the_pool_is_timed_out(void **state)
{
    struct fixture *f = abandoned_new();
    (void)state;
    make_pool(f);
    AWAIT(stats(f).loads_running == 0);
    assert_int_equal(get_text(f->group, "l", NULL, "value of l"), KAMA_OK);
    abandoned_free(f);
}

/* A get that waits for the slot when the pool is made gets it in time. */
static void test_the_queue_goes_on_behind_a_load_older_than_the_pool(
    void **state)
{
    struct fixture *f = abandoned_new();
    (void)state;
    make_pool(f);
    AWAIT(get_text(f->group, "l", NULL, "value of l") == KAMA_OK);
    abandoned_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_deferred_load_older_than_the_pool_is_timed_out),
        cmocka_unit_test(
            test_the_queue_goes_on_behind_a_load_older_than_the_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
