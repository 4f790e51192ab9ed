/* SPDX-License-Identifier: MIT */
/*
 * Asynchronous calls have exactly one callback, on a thread of the pool, and never
 * inside the call. The file also tests parked gets, deadlines, the threads of the
 * pool, and the end of the group.
 */
#include "group/group_fixture.h"

#include "base/container.h"

/* The results that the callbacks have left. */
struct inbox {
    atomic_uint ok;
    atomic_uint failed;
    _Atomic int last_status;
    atomic_bool on_caller;
    pthread_t caller;
};

static void inbox_init(struct inbox *box)
{
    memset(box, 0, sizeof *box);
    box->caller = pthread_self();
}

static void take(void *arg, kama_status status, kama_value *value)
{
    struct inbox *box = arg;
    if (pthread_equal(pthread_self(), box->caller)) {
        atomic_store(&box->on_caller, true);
    }
    atomic_store(&box->last_status, (int)status);
    atomic_fetch_add(status == KAMA_OK ? &box->ok : &box->failed, 1);
    kama_value_unref(value);
}

static unsigned answers(struct inbox *box)
{
    return atomic_load(&box->ok) + atomic_load(&box->failed);
}

static void get_async(struct fixture *f, const char *key, int64_t deadline_ms,
                      struct inbox *box)
{
    kama_ctx ctx;
    kama_ctx_init(&ctx);
    ctx.deadline_ms = deadline_ms;
    assert_int_equal(
        kama_get_async(f->group, kama_bytes_str(key), &ctx, take, box),
        KAMA_OK);
}

/* Loads, coalesced gets and hits are each answered once, on another thread. */
static void test_every_call_is_answered_once(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    struct inbox box;
    (void)state;
    inbox_init(&box);
    gate_close(&f->script.gate);
    for (int i = 0; i < 100; i++) {
        get_async(f, "k", 0, &box);
    }
    gate_await(&f->script.gate, 1);
    assert_int_equal(answers(&box), 0);
    gate_open(&f->script.gate);
    AWAIT(answers(&box) == 100);
    for (int i = 0; i < 100; i++) {
        get_async(f, "k", 0, &box);
    }
    AWAIT(answers(&box) == 200);
    assert_int_equal(atomic_load(&box.ok), 200);
    assert_int_equal(atomic_load(&f->script.calls), 1);
    assert_false(atomic_load(&box.on_caller));
    fixture_free(f);
    assert_int_equal(answers(&box), 200);
}

/* Misses and errors reach the callback, and a refused call has none. */
static void test_statuses(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    struct inbox box;
    static char large[KM_KEY_BYTES_MAX + 1];
    (void)state;
    inbox_init(&box);
    atomic_store(&f->script.status, KAMA_MISS);
    get_async(f, "a", 0, &box);
    AWAIT(answers(&box) == 1);
    assert_int_equal(atomic_load(&box.last_status), KAMA_MISS);
    atomic_store(&f->script.status, KAMA_ERR_IO);
    get_async(f, "b", 0, &box);
    AWAIT(answers(&box) == 2);
    assert_int_equal(atomic_load(&box.last_status), KAMA_ERR_LOADER);
    assert_int_equal(kama_get_async(f->group, KAMA_BYTES(large, sizeof large),
                                    NULL, take, &box),
                     KAMA_ERR_TOO_LARGE);
    fixture_free(f);
    assert_int_equal(answers(&box), 2);
}

/* Every caller is answered in time, although every thread that loads hangs, and a
 * waiter with less time leaves earlier. */
static void test_hanging_loaders(void **state)
{
    struct fixture *f = fixture_new();
    struct inbox hasty, box;
    (void)state;
    inbox_init(&box);
    inbox_init(&hasty);
    f->options.loader_timeout_ms = 1500;
    f->options.async_threads = 1;
    fixture_open(f);
    gate_close(&f->script.gate);
    get_async(f, "k", 0, &box);
    gate_await(&f->script.gate, 1);
    get_async(f, "k", 30, &hasty);
    get_async(f, "queued", 0, &box);
    AWAIT(answers(&hasty) == 1);
    assert_int_equal(atomic_load(&hasty.last_status), KAMA_ERR_TIMEOUT);
    assert_int_equal(answers(&box), 0);
    AWAIT(answers(&box) == 2);
    assert_int_equal(atomic_load(&box.last_status), KAMA_ERR_TIMEOUT);
    assert_int_equal(atomic_load(&f->script.calls), 1);
    gate_open(&f->script.gate);
    AWAIT(stats(f).loads_running == 0);
    assert_int_equal(stats(f).entries, 0);
    fixture_free(f);
}

/* With a pool, a synchronous caller may leave its own load too. */
static void test_sync_caller_leaves_pool_load(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    struct caller hasty, patient;
    struct inbox box;
    (void)state;
    inbox_init(&box);
    get_async(f, "first", 0, &box);
    AWAIT(answers(&box) == 1);
    gate_close(&f->script.gate);
    caller_start(&hasty, f->group, "k", 500);
    gate_await(&f->script.gate, 2);
    caller_start(&patient, f->group, "k", 60000);
    assert_int_equal(caller_join(&hasty), KAMA_ERR_TIMEOUT);
    gate_open(&f->script.gate);
    assert_int_equal(caller_join(&patient), KAMA_OK);
    assert_string_equal(patient.text, "value of k");
    assert_int_equal(atomic_load(&f->script.calls), 2);
    fixture_free(f);
}

/* A get on a thread of the pool is answered if it is a hit, is refused if it would
 * have to wait, and gets a typed error if it asks for the key of its own load. */
struct inside {
    kama_group *group;
    kama_status hit, other, own, many;
};

static kama_status load_inside(void *arg, const kama_load *req, kama_sink *out)
{
    struct inside *in = arg;
    kama_value *value;
    kama_item item;
    kama_bytes other = KAMA_STR("other");
    if (req->key.len != 1) {
        return kama_sink_set(out, req->key, NULL);
    }
    in->hit = kama_get(in->group, KAMA_STR("hit"), NULL, &value);
    if (in->hit == KAMA_OK) {
        kama_value_unref(value);
    }
    in->other = kama_get(in->group, other, NULL, &value);
    in->own = kama_get(in->group, req->key, NULL, &value);
    in->many = kama_mget(in->group, &other, 1, NULL, &item);
    if (in->many == KAMA_OK) {
        in->many = item.status;
    }
    return kama_sink_set(out, req->key, NULL);
}

static void test_sync_from_inside(void **state)
{
    struct fixture *f = fixture_new();
    struct inside in = {0};
    struct inbox box;
    (void)state;
    inbox_init(&box);
    f->options.loader = load_inside;
    f->options.loader_arg = &in;
    f->options.loader_free = NULL;
    fixture_open(f);
    in.group = f->group;
    assert_int_equal(kama_set(f->group, KAMA_STR("hit"), KAMA_STR("v"), NULL),
                     KAMA_OK);
    get_async(f, "k", 0, &box);
    AWAIT(answers(&box) == 1);
    assert_int_equal(atomic_load(&box.ok), 1);
    assert_int_equal(in.hit, KAMA_OK);
    assert_int_equal(in.other, KAMA_ERR_WOULD_DEADLOCK);
    assert_int_equal(in.own, KAMA_ERR_REENTRANT);
    assert_int_equal(in.many, KAMA_ERR_WOULD_DEADLOCK);
    atomic_store(&f->script.frees, 1);
    fixture_free(f);
}

/* An asynchronous mget has one callback with all items, in order. */
struct many {
    atomic_uint calls;
    kama_item items[5];
    size_t n;
};

static void take_many(void *arg, kama_status status, const kama_item *items,
                      size_t n)
{
    struct many *many = arg;
    assert_int_equal(status, KAMA_OK);
    if (n > 0) {
        memcpy(many->items, items, n * sizeof *items);
    }
    many->n = n;
    atomic_fetch_add(&many->calls, 1);
}

static void test_mget_async(void **state)
{
    struct fixture *f = fixture_open(fixture_new());
    const kama_bytes keys[5] = {KAMA_STR("a"), KAMA_STR("b"), KAMA_STR("a"),
                                KAMA_BYTES("", 0), KAMA_STR("c")};
    struct many many = {0};
    kama_item items[5];
    (void)state;
    assert_int_equal(kama_set(f->group, KAMA_STR("b"), KAMA_STR("here"), NULL),
                     KAMA_OK);
    assert_int_equal(kama_mget_async(f->group, keys, 5, NULL, take_many, &many),
                     KAMA_OK);
    AWAIT(atomic_load(&many.calls) == 1);
    assert_int_equal(many.n, 5);
    assert_int_equal(many.items[3].status, KAMA_ERR_INVALID);
    assert_int_equal(kama_value_bytes(many.items[1].value).len, 4);
    assert_int_equal(kama_value_bytes(many.items[4].value).len, 10);
    kama_items_unref(many.items, 5);
    assert_int_equal(kama_mget_async(f->group, NULL, 0, NULL, take_many, &many),
                     KAMA_OK);
    AWAIT(atomic_load(&many.calls) == 2);
    /* A synchronous mget on the pool returns the same items. */
    assert_int_equal(kama_group_clear(f->group), KAMA_OK);
    assert_int_equal(kama_mget(f->group, keys, 5, NULL, items), KAMA_OK);
    assert_int_equal(items[0].status, KAMA_OK);
    assert_int_equal(items[2].status, KAMA_OK);
    assert_int_equal(items[3].status, KAMA_ERR_INVALID);
    kama_items_unref(items, 5);
    fixture_free(f);
}

/* Deferred loads hold no thread of the pool: more of them can run than there are
 * threads. */
static void test_deferred_on_pool(void **state)
{
    struct fixture *f = fixture_new();
    struct inbox box;
    (void)state;
    inbox_init(&box);
    f->options.async_threads = 1;
    fixture_open(f);
    f->script.defer = true;
    get_async(f, "a", 0, &box);
    AWAIT(atomic_load(&f->script.deferred) != NULL);
    kama_load_finish(atomic_load(&f->script.deferred), KAMA_OK, KAMA_STR("x"),
                     NULL);
    AWAIT(answers(&box) == 1);
    assert_int_equal(atomic_load(&box.ok), 1);
    fixture_free(f);
}

/* When the group is freed, every get that is parked or queued is cancelled once. */
static void *free_group(void *arg)
{
    km_group_free(arg);
    return NULL;
}

static void test_free_answers_all(void **state)
{
    struct fixture *f = fixture_new();
    struct inbox box;
    pthread_t freer;
    (void)state;
    inbox_init(&box);
    f->options.async_threads = 1;
    fixture_open(f);
    gate_close(&f->script.gate);
    for (int i = 0; i < 60; i++) {
        get_async(f, i % 3 == 0 ? "a" : i % 3 == 1 ? "b" : "c", i, &box);
    }
    gate_await(&f->script.gate, 1);
    assert_int_equal(pthread_create(&freer, NULL, free_group, f->group), 0);
    AWAIT(answers(&box) == 60);
    gate_open(&f->script.gate);
    (void)pthread_join(freer, NULL);
    assert_int_equal(atomic_load(&box.ok), 0);
    fixture_done(f);
}

/* -- parked ops, as a node uses them -- */

struct parked {
    struct km_get_op op;
    atomic_uint dones;
    _Atomic int status;
};

static void on_parked(struct km_get_op *op, kama_status status,
                      kama_value *value, const char *sentence)
{
    struct parked *p = KM_CONTAINER_OF(op, struct parked, op);
    assert_non_null(sentence);
    atomic_store(&p->status, (int)status);
    kama_value_unref(value);
    atomic_fetch_add(&p->dones, 1);
}

/* A group that uses the pool of a test. */
struct pooled {
    struct fixture *f;
    struct km_pool *pool;
};

static struct pooled pooled_new(void)
{
    struct pooled p = {.f = fixture_new()};
    assert_int_equal(km_pool_new(NULL, km_clock_system(), "test", 2, &p.pool),
                     KAMA_OK);
    return p;
}

static void pooled_open(struct pooled *p)
{
    const struct km_group_env env = {.pool = p->pool};
    assert_int_equal(km_group_new(&p->f->options, &env, &p->f->group), KAMA_OK);
}

static void pooled_free(struct pooled *p)
{
    km_group_free(p->f->group);
    km_pool_free(p->pool);
    fixture_done(p->f);
}

static kama_status park(struct pooled *p, struct parked *parked,
                        const char *key, int64_t deadline_ms,
                        kama_value **ret_value)
{
    kama_ctx ctx;
    kama_ctx_init(&ctx);
    ctx.deadline_ms = deadline_ms;
    memset(parked, 0, sizeof *parked);
    parked->op.done = on_parked;
    return km_get_op_start(p->f->group, &parked->op, kama_bytes_str(key), &ctx,
                           ret_value);
}

/* A hit and an error are returned at once, and a miss is parked. */
static void test_op_answers(void **state)
{
    struct pooled p = pooled_new();
    struct parked parked;
    kama_value *value;
    (void)state;
    pooled_open(&p);
    assert_int_equal(park(&p, &parked, "k", 0, &value), KAMA_DEFERRED);
    AWAIT(atomic_load(&parked.dones) == 1);
    assert_int_equal(atomic_load(&parked.status), KAMA_OK);
    assert_false(km_get_op_cancel(&parked.op));
    assert_int_equal(park(&p, &parked, "k", 0, &value), KAMA_OK);
    kama_value_unref(value);
    assert_int_equal(park(&p, &parked, "", 0, &value), KAMA_ERR_INVALID);
    assert_int_equal(atomic_load(&parked.dones), 0);
    struct km_histogram times;
    km_group_load_times(p.f->group, &times);
    assert_int_equal(km_histogram_count(&times), 1);
    pooled_free(&p);
}

/* The callback of a cancelled get never runs, and the load goes on for the other
 * get. */
static void test_op_cancel(void **state)
{
    struct pooled p = pooled_new();
    struct parked leader, follower, hasty;
    kama_value *value;
    (void)state;
    pooled_open(&p);
    gate_close(&p.f->script.gate);
    assert_int_equal(park(&p, &leader, "k", 0, &value), KAMA_DEFERRED);
    assert_int_equal(park(&p, &follower, "k", 60000, &value), KAMA_DEFERRED);
    assert_int_equal(park(&p, &hasty, "k", 20, &value), KAMA_DEFERRED);
    assert_true(km_get_op_cancel(&leader.op));
    assert_false(km_get_op_cancel(&leader.op));
    AWAIT(atomic_load(&hasty.dones) == 1);
    assert_int_equal(atomic_load(&hasty.status), KAMA_ERR_TIMEOUT);
    gate_open(&p.f->script.gate);
    AWAIT(atomic_load(&follower.dones) == 1);
    assert_int_equal(atomic_load(&follower.status), KAMA_OK);
    assert_int_equal(atomic_load(&leader.dones), 0);
    pooled_free(&p);
}

/* Cancels, deadlines and results race, and each get ends exactly once. */
static void test_op_races(void **state)
{
    enum { OPS = 64, ROUNDS = 40 };
    struct pooled p = pooled_new();
    static struct parked ops[OPS];
    kama_value *value;
    (void)state;
    pooled_open(&p);
    for (int round = 0; round < ROUNDS; round++) {
        bool waits[OPS];
        for (int i = 0; i < OPS; i++) {
            kama_status st = park(&p, &ops[i], i % 2 == 0 ? "a" : "b",
                                  i % 3 == 0 ? 1 : 0, &value);
            if (st == KAMA_OK) {
                kama_value_unref(value);
            }
            waits[i] = st == KAMA_DEFERRED;
        }
        for (int i = 0; i < OPS; i += 2) {
            if (waits[i] && km_get_op_cancel(&ops[i].op)) {
                waits[i] = false;
                assert_int_equal(atomic_load(&ops[i].dones), 0);
            }
        }
        for (int i = 0; i < OPS; i++) {
            AWAIT(!waits[i] || atomic_load(&ops[i].dones) == 1);
        }
        assert_int_equal(kama_group_clear(p.f->group), KAMA_OK);
    }
    pooled_free(&p);
}

/* Many groups may share a pool, and a closed pool refuses jobs. */
static void test_op_overtaken(void **state)
{
    struct pooled p = pooled_new();
    struct parked before, after;
    kama_value *value;
    (void)state;
    pooled_open(&p);
    gate_close(&p.f->script.gate);
    assert_int_equal(park(&p, &before, "k", 0, &value), KAMA_DEFERRED);
    gate_await(&p.f->script.gate, 1);
    assert_int_equal(kama_del(p.f->group, KAMA_STR("k"), NULL), KAMA_MISS);
    assert_int_equal(park(&p, &after, "k", 0, &value), KAMA_DEFERRED);
    gate_await(&p.f->script.gate, 2);
    gate_open(&p.f->script.gate);
    AWAIT(atomic_load(&before.dones) == 1 && atomic_load(&after.dones) == 1);
    assert_int_equal(stats(p.f).loads_overtaken, 1);
    assert_int_equal(stats(p.f).entries, 1);
    pooled_free(&p);
}

/* As many loads wait for a slot as the limit says, and one more is refused. When
 * the group is freed, all of them are answered. */
static void test_queue_max(void **state)
{
    enum { COUNT = KM_LOADER_QUEUE_MAX + 2 };
    struct pooled p = pooled_new();
    struct parked *ops = test_calloc(COUNT, sizeof *ops);
    kama_value *value;
    char key[32];
    char sentence[KM_ERROR_BYTES_MAX];
    (void)state;
    p.f->options.loader_concurrency = 1;
    p.f->options.loader_timeout_ms = 600000;
    pooled_open(&p);
    gate_close(&p.f->script.gate);
    for (unsigned i = 0; i < COUNT; i++) {
        (void)snprintf(key, sizeof key, "k%u", i);
        assert_int_equal(park(&p, &ops[i], key, 0, &value),
                         i < COUNT - 1 ? KAMA_DEFERRED : KAMA_ERR_OVERLOADED);
    }
    kama_last_error(sentence, sizeof sentence);
    assert_non_null(strstr(
        sentence, KM_TEXT_OF(KM_LOADER_QUEUE_MAX) " loads already wait"));
    assert_int_equal(km_get_op_cancel(&ops[COUNT - 2].op), true);
    gate_await(&p.f->script.gate, 1);
    pthread_t freer;
    assert_int_equal(pthread_create(&freer, NULL, free_group, p.f->group), 0);
    for (unsigned i = 0; i < COUNT - 2; i++) {
        AWAIT(atomic_load(&ops[i].dones) == 1);
        assert_int_equal(atomic_load(&ops[i].status), KAMA_ERR_CANCELLED);
    }
    gate_open(&p.f->script.gate);
    (void)pthread_join(freer, NULL);
    km_pool_free(p.pool);
    assert_int_equal(atomic_load(&ops[COUNT - 2].dones), 0);
    test_free(ops);
    fixture_done(p.f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_call_is_answered_once),
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_hanging_loaders),
        cmocka_unit_test(test_sync_caller_leaves_pool_load),
        cmocka_unit_test(test_sync_from_inside),
        cmocka_unit_test(test_mget_async),
        cmocka_unit_test(test_deferred_on_pool),
        cmocka_unit_test(test_free_answers_all),
        cmocka_unit_test(test_op_answers),
        cmocka_unit_test(test_op_cancel),
        cmocka_unit_test(test_op_races),
        cmocka_unit_test(test_op_overtaken),
        cmocka_unit_test(test_queue_max),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
