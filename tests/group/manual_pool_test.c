/* SPDX-License-Identifier: MIT */
/* A group in one thread: its loads and its timers run when the test says so. */
#include "group_fixture.h"

#include "base/container.h"
#include "base/pool.h"
#include "store/fake_clock.h"

struct one_get {
    struct km_get_op op;
    unsigned answers;
    kama_status status;
    kama_value *value;
};

static void on_done(struct km_get_op *op, kama_status status, kama_value *value,
                    const char *sentence)
{
    struct one_get *get = KM_CONTAINER_OF(op, struct one_get, op);
    (void)sentence;
    get->answers++;
    get->status = status;
    get->value = value;
}

struct world {
    struct fixture *f;
    struct fake_clock clock;
    struct km_pool *pool;
};

static void world_open(struct world *w)
{
    w->f = fixture_new();
    fake_clock_init(&w->clock);
    w->f->options.loader_timeout_ms = 1000;
    w->f->options.loader_concurrency = 1;
    assert_int_equal(
        km_pool_new_manual(&w->f->probe.allocator, &w->clock.clock, &w->pool),
        KAMA_OK);
    const struct km_group_env env = {
        .clock = &w->clock.clock, .pool = w->pool, .seed = 7};
    assert_int_equal(km_group_new(&w->f->options, &env, &w->f->group), KAMA_OK);
}

static void world_close(struct world *w)
{
    km_group_check(w->f->group);
    km_group_free(w->f->group);
    km_pool_free(w->pool);
    fixture_done(w->f);
}

static void start(struct world *w, struct one_get *get, const char *key,
                  int64_t deadline_ms)
{
    kama_ctx ctx;
    kama_value *value;
    kama_ctx_init(&ctx);
    ctx.deadline_ms = deadline_ms;
    *get = (struct one_get){.op.done = on_done};
    assert_int_equal(km_get_op_start(w->f->group, &get->op, kama_bytes_str(key),
                                     &ctx, &value),
                     KAMA_DEFERRED);
}

/* Nothing happens before a step, and everything that is due happens in it. */
static void test_loads_run_in_a_step(void **state)
{
    struct world w;
    struct one_get first, second;
    (void)state;
    world_open(&w);
    assert_int_equal(km_pool_threads(w.pool), 0);
    start(&w, &first, "a", 0);
    start(&w, &second, "b", 0); /* waits for the slot */
    assert_int_equal(first.answers + second.answers, 0);
    assert_int_equal(km_pool_next(w.pool), 0);
    km_group_check(w.f->group);
    assert_int_equal(km_pool_step(w.pool, km_clock_mono(&w.clock.clock)), 2);
    assert_int_equal(first.status | second.status, KAMA_OK);
    assert_int_equal(first.answers + second.answers, 2);
    kama_value_unref(first.value);
    kama_value_unref(second.value);
    assert_int_equal(km_pool_next(w.pool), KM_NS_NEVER);
    assert_int_equal(km_pool_threads(w.pool), 0);
    world_close(&w);
}

/* A deadline fires in the first step at or after its time, and not before. */
static void test_deadlines_fire_in_a_step(void **state)
{
    struct world w;
    struct one_get get;
    (void)state;
    world_open(&w);
    w.f->script.defer = true;
    start(&w, &get, "a", 50);
    km_ns begin = km_clock_mono(&w.clock.clock);
    (void)km_pool_step(w.pool, begin);
    assert_int_equal(km_pool_next(w.pool), km_ns_after_ms(begin, 50));
    assert_int_equal(km_pool_step(w.pool, km_ns_after_ms(begin, 49)), 0);
    assert_int_equal(km_pool_step(w.pool, km_ns_after_ms(begin, 50)), 1);
    assert_int_equal(get.answers, 1);
    assert_int_equal(get.status, KAMA_ERR_TIMEOUT);
    kama_load_finish(atomic_load(&w.f->script.deferred), KAMA_OK, KAMA_STR("v"),
                     NULL);
    assert_int_equal(get_text(w.f->group, "a", NULL, "v"), KAMA_OK);
    world_close(&w);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loads_run_in_a_step),
        cmocka_unit_test(test_deadlines_fire_in_a_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
