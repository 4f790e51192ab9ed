/* SPDX-License-Identifier: MIT */
/*
 * A group gets its pool with its first asynchronous call, while callers already
 * run loaders on their own threads. These loads keep their rights: a deferred
 * one that is overdue gives its slot back, and a loader may get other keys.
 */
#include "base/container.h"
#include "group/group_fixture.h"
#include "group/group_internal.h"

#include <dlfcn.h>
#include <sched.h>

static void make_pool(struct fixture *f)
{
    struct km_pool *pool;
    assert_int_equal(km_group_need_pool(f->group, &pool), KAMA_OK);
}

/* Makes a group with one slot, which a deferred load without a caller has. */
static struct fixture *abandoned_new(void)
{
    struct fixture *f = fixture_new();
    kama_ctx ctx;
    f->options.loader_concurrency = 1;
    f->options.loader_timeout_ms = 1000;
    fixture_open(f);
    f->script.defer = true;
    kama_ctx_init(&ctx);
    ctx.deadline_ms = 1;
    do { /* on a slow machine the caller is late before the loader is called */
        assert_int_equal(get_text(f->group, "k", &ctx, ""), KAMA_ERR_TIMEOUT);
    } while (atomic_load(&f->script.deferred) == NULL);
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
    fixture_check(f);
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

/* -- loads that are overdue ------------------------------------------------ */

static _Thread_local bool dawdles;

/* A thread that dawdles gives way to all others whenever it has unlocked a mutex:
 * a timer that it has armed in the past fires before it does anything else. */
int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    static int (*_Atomic unlock)(pthread_mutex_t * mutex);
    if (atomic_load(&unlock) == NULL) {
        atomic_store(&unlock, (int (*)(pthread_mutex_t *))dlsym(
                                  RTLD_NEXT, "pthread_mutex_unlock"));
    }
    int failed = atomic_load(&unlock)(mutex);
    if (dawdles) {
        struct timespec pause = {0, 2000000};
        (void)nanosleep(&pause, NULL);
    }
    return failed;
}

struct dawdler {
    struct fixture *f;
    atomic_bool is_done;
};

static void *make_pool_slowly(void *arg)
{
    struct dawdler *dawdler = arg;
    dawdles = true;
    make_pool(dawdler->f);
    dawdles = false;
    atomic_store(&dawdler->is_done, true);
    return NULL;
}

/* Nobody waits for this load and nobody has ended it; its timer fires as soon as
 * it is armed. */
static void test_a_pool_is_made_when_a_load_is_overdue(void **state)
{
    struct fixture *f = abandoned_new();
    struct dawdler dawdler = {.f = f};
    pthread_t thread;
    int64_t from = now_ms();
    (void)state;
    AWAIT(now_ms() > from + f->options.loader_timeout_ms);
    assert_int_equal(stats(f).loads_running, 1);
    assert_int_equal(pthread_create(&thread, NULL, make_pool_slowly, &dawdler),
                     0);
    AWAIT(atomic_load(&dawdler.is_done));
    assert_int_equal(pthread_join(thread, NULL), 0);
    AWAIT(stats(f).loads_running == 0);
    abandoned_free(f);
}

/* The pool lowers the number of loads that may run at a time, and a load that is
 * timed out at the same moment names that number. TSan finds a race. */
static void time_out_around_the_pool(void)
{
    enum { CALLERS = 8 };
    static const char *const keys[CALLERS] = {"a", "b", "c", "d",
                                              "e", "f", "g", "h"};
    struct fixture *f = fixture_new();
    struct caller callers[CALLERS];
    f->options.loader_concurrency = 2;
    f->options.async_threads = 1;
    f->options.loader_timeout_ms = 5;
    fixture_open(f);
    gate_close(&f->script.gate);
    for (int i = 0; i < CALLERS; i++) {
        caller_start(&callers[i], f->group, keys[i], 0);
    }
    AWAIT(stats(f).misses == CALLERS);
    int64_t from = now_ms();
    while (now_ms() < from + 5) {
    }
    make_pool(f);
    gate_open(&f->script.gate);
    for (int i = 0; i < CALLERS; i++) {
        (void)caller_join(&callers[i]);
    }
    fixture_free(f);
}

static void test_loads_are_timed_out_while_the_pool_is_made(void **state)
{
    (void)state;
    for (int i = 0; i < 40; i++) {
        time_out_around_the_pool();
    }
}

/* -- gets that start again ------------------------------------------------- */

struct parked {
    struct km_get_op op;
    atomic_uint dones;
};

static void parked_done(struct km_get_op *op, kama_status status,
                        kama_value *value, const char *sentence)
{
    struct parked *parked = KM_CONTAINER_OF(op, struct parked, op);
    (void)status;
    (void)sentence;
    kama_value_unref(value);
    atomic_fetch_add(&parked->dones, 1);
}

static bool has_arrived(struct gate *gate)
{
    (void)pthread_mutex_lock(&gate->lock);
    bool arrived = gate->arrived > 0;
    (void)pthread_mutex_unlock(&gate->lock);
    return arrived;
}

/* Returns whether the loader of the caller is at the gate. On a slow machine the
 * caller may be late before its loader is called; it is joined then. */
static bool reaches_gate(struct fixture *f, struct caller *caller)
{
    while (!has_arrived(&f->script.gate)) {
        if (pthread_tryjoin_np(caller->thread, NULL) == 0) {
            return false;
        }
        (void)sched_yield();
    }
    return true;
}

/* A get waits for a load whose caller has less time than its loader takes, and is
 * cancelled when it is about to start again, a little later each round. */
static void cancel_around_a_restart(unsigned round)
{
    struct fixture *f = fixture_new();
    struct caller leader;
    struct parked parked = {.op.done = parked_done};
    kama_value *value;
    fixture_open(f);
    atomic_store(&f->script.status, KAMA_ERR_IO);
    gate_close(&f->script.gate);
    int64_t from = now_ms();
    caller_start(&leader, f->group, "k", 2);
    if (!reaches_gate(f, &leader)) {
        fixture_free(f);
        return;
    }
    make_pool(f);
    assert_int_equal(
        km_get_op_start(f->group, &parked.op, KAMA_STR("k"), NULL, &value),
        KAMA_DEFERRED);
    AWAIT(now_ms() > from + 3);
    gate_open(&f->script.gate);
    for (unsigned i = 0; i < round; i++) {
        (void)sched_yield();
    }
    if (!km_get_op_cancel(&parked.op)) {
        AWAIT(atomic_load(&parked.dones) == 1);
    }
    (void)caller_join(&leader);
    assert_true(atomic_load(&parked.dones) <= 1);
    fixture_free(f);
}

/* TSan watches. */
static void test_a_get_is_cancelled_while_it_starts_again(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 200; round++) {
        cancel_around_a_restart(round);
    }
}

/* -- loaders that get other keys ------------------------------------------ */

enum nested_call { NESTED_GET, NESTED_MGET };

static struct nesting {
    struct fixture *f;
    enum nested_call call;
} nesting;

static kama_status get_inner(void)
{
    static const kama_bytes key = {"i", 1};
    kama_item item;
    if (nesting.call == NESTED_GET) {
        return get_text(nesting.f->group, "i", NULL, "inner");
    }
    kama_status st = kama_mget(nesting.f->group, &key, 1, NULL, &item);
    if (st != KAMA_OK) {
        return st;
    }
    kama_items_unref(&item, 1);
    return item.status;
}

static kama_status load_nested(void *arg, const kama_load *req, kama_sink *out)
{
    (void)arg;
    if (req->key.len == 1) {
        return kama_sink_set(out, KAMA_STR("inner"), NULL);
    }
    make_pool(nesting.f);
    kama_status st = get_inner();
    return st == KAMA_OK ? kama_sink_set(out, KAMA_STR("outer"), NULL) : st;
}

static void test_a_loader_older_than_the_pool_may_get_others(void **state)
{
    (void)state;
    for (int call = NESTED_GET; call <= NESTED_MGET; call++) {
        struct fixture *f = fixture_new();
        nesting = (struct nesting){f, (enum nested_call)call};
        f->options.loader = load_nested;
        f->options.loader_concurrency = 1;
        f->options.loader_timeout_ms = 20000;
        fixture_open(f);
        assert_int_equal(get_text(f->group, "outer", NULL, "outer"), KAMA_OK);
        assert_int_equal(stats(f).loads, 2);
        fixture_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_deferred_load_older_than_the_pool_is_timed_out),
        cmocka_unit_test(
            test_the_queue_goes_on_behind_a_load_older_than_the_pool),
        cmocka_unit_test(test_a_pool_is_made_when_a_load_is_overdue),
        cmocka_unit_test(test_loads_are_timed_out_while_the_pool_is_made),
        cmocka_unit_test(test_a_get_is_cancelled_while_it_starts_again),
        cmocka_unit_test(test_a_loader_older_than_the_pool_may_get_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
