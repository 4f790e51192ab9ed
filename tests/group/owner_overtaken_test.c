/* SPDX-License-Identifier: MIT */
/*
 * Answers of the owner that a mutation has overtaken before they arrive: they are
 * for the gets that began before the mutation, and the others ask again, once for
 * all that wait. Every way to get a key keeps to that.
 */
#include "fake_owner.h"

#define A (&c->nodes[0])
#define B (&c->nodes[1])
#define C (&c->nodes[2])

/* Says how often it was called. The first call waits at the gate, and then ends with
 * the script's status. */
static kama_status numbered(void *arg, const kama_load *req, kama_sink *out)
{
    struct script *s = arg;
    char value[32];
    unsigned number = atomic_fetch_add(&s->calls, 1) + 1;
    (void)req;
    if (number == 1) {
        gate_pass(&s->gate);
        if (atomic_load(&s->status) != KAMA_OK) {
            return (kama_status)atomic_load(&s->status);
        }
    }
    int n = snprintf(value, sizeof value, "loaded %u", number);
    return kama_sink_set(out, kama_bytes_make(value, (size_t)n), NULL);
}

static struct fake_cluster *open_numbered(void)
{
    struct fake_cluster *c = fake_new();
    kama_group_options options;
    fake_options(c, &options);
    options.loader = numbered;
    fake_open_with(c, &options);
    return c;
}

/* -- all ways to get a key --------------------------------------------------- */

static void *run_copy(void *arg)
{
    struct caller *caller = arg;
    size_t len = 0;
    caller->status = kama_get_copy(caller->group, kama_bytes_str(caller->key),
                                   NULL, caller->text, 63, &len);
    return NULL;
}

static void keep_item(struct caller *caller, kama_item *item)
{
    caller->status = item->status;
    if (item->value != NULL) {
        kama_bytes b = kama_value_bytes(item->value);
        memcpy(caller->text, b.data, b.len < 63 ? b.len : 63);
    }
}

static void *run_mget(void *arg)
{
    struct caller *caller = arg;
    kama_bytes key = kama_bytes_str(caller->key);
    kama_item item = {0};
    kama_status st = kama_mget(caller->group, &key, 1, NULL, &item);
    keep_item(caller, &item);
    caller->status = st != KAMA_OK ? st : caller->status;
    kama_items_unref(&item, 1);
    return NULL;
}

struct async_get {
    struct caller *caller;
    struct gate answered;
};

static void on_async(void *arg, kama_status status, kama_value *value)
{
    struct async_get *get = arg;
    kama_item item = {.status = status, .value = value};
    keep_item(get->caller, &item);
    kama_value_unref(value);
    gate_pass(&get->answered);
}

static void *run_async(void *arg)
{
    struct async_get get = {.caller = arg};
    gate_init(&get.answered);
    kama_status st =
        kama_get_async(get.caller->group, kama_bytes_str(get.caller->key), NULL,
                       on_async, &get);
    if (st == KAMA_OK) {
        gate_await(&get.answered, 1);
        AWAIT(pthread_mutex_trylock(&get.answered.lock) == 0);
        (void)pthread_mutex_unlock(&get.answered.lock);
    } else {
        get.caller->status = st;
    }
    return NULL;
}

#define WAYS 4

/* Starts a caller for each way to get a key of A. */
static void start_all_ways(struct fake_cluster *c, struct caller callers[WAYS])
{
    static void *(*const ways[WAYS])(void *) = {caller_run, run_copy, run_mget,
                                                run_async};
    for (unsigned i = 0; i < WAYS; i++) {
        callers[i] = (struct caller){.group = A->group, .key = "k"};
        assert_int_equal(
            pthread_create(&callers[i].thread, NULL, ways[i], &callers[i]), 0);
    }
}

static void expect(struct caller *callers, unsigned count, const char *text)
{
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(caller_join(&callers[i]), KAMA_OK);
        assert_string_equal(callers[i].text, text);
    }
}

/* -- tests ------------------------------------------------------------------- */

/* A delete through C is acknowledged while the fill of A is in B's loader. Whoever
 * gets the key on A afterwards receives what is loaded after the delete. */
static void test_overtaken_load_is_for_earlier_gets(void **state)
{
    struct fake_cluster *c = open_numbered();
    struct caller old, late[WAYS];
    (void)state;
    gate_close(&B->script.gate);
    caller_start(&old, A->group, "k", 0);
    gate_await(&B->script.gate, 1);
    assert_int_equal(kama_del(C->group, KAMA_STR("k"), NULL), KAMA_MISS);
    start_all_ways(c, late);
    AWAIT(fake_stats(A).loads_coalesced == WAYS);
    gate_open(&B->script.gate);
    expect(&old, 1, "loaded 1");
    expect(late, WAYS, "loaded 2");
    kama_group_stats s = fake_stats(A);
    assert_int_equal(atomic_load(&B->script.calls), 2);
    assert_int_equal(s.misses, 1 + WAYS);
    assert_int_equal(s.loads_coalesced, WAYS);
    assert_int_equal(s.peer_gets, 1 + WAYS);
    assert_int_equal(s.peer_hits, 1 + WAYS);
    fake_close(c);
}

/* The same is true for a load that ends without a value. */
static void expect_first_end(kama_status status)
{
    struct fake_cluster *c = open_numbered();
    struct caller old, late;
    atomic_store(&B->script.status, (int)status);
    gate_close(&B->script.gate);
    caller_start(&old, A->group, "k", 0);
    gate_await(&B->script.gate, 1);
    assert_int_equal(kama_del(C->group, KAMA_STR("k"), NULL), KAMA_MISS);
    caller_start(&late, A->group, "k", 0);
    AWAIT(fake_stats(A).loads_coalesced == 1);
    gate_open(&B->script.gate);
    assert_int_equal(caller_join(&old), status);
    expect(&late, 1, "loaded 2");
    fake_close(c);
}

static void test_overtaken_miss_and_error(void **state)
{
    (void)state;
    expect_first_end(KAMA_MISS);
    expect_first_end(KAMA_ERR_OVERLOADED);
}

/* The owner has answered, from its memory or with what it has loaded, and the answer
 * is still on its way when a set is acknowledged. */
static void test_answer_on_its_way_is_for_earlier_gets(void **state)
{
    struct fake_cluster *c = open_numbered();
    struct caller old, late[WAYS];
    (void)state;
    for (unsigned round = 1; round <= 2; round++) {
        unsigned came = B->way_back.arrived;
        gate_close(&B->way_back);
        caller_start(&old, A->group, "k", 0);
        gate_await(&B->way_back, came + 1);
        assert_int_equal(
            kama_set(C->group, KAMA_STR("k"),
                     round == 1 ? KAMA_STR("set 1") : KAMA_STR("set 2"), NULL),
            KAMA_OK);
        start_all_ways(c, late);
        AWAIT(fake_stats(A).loads_coalesced == round * WAYS);
        gate_open(&B->way_back);
        expect(&old, 1, round == 1 ? "loaded 1" : "set 1");
        expect(late, WAYS, round == 1 ? "set 1" : "set 2");
        AWAIT(atomic_load(&c->calls) == 0);
    }
    fake_close(c);
}

/* A get that asks again keeps its deadline. */
static void test_deadline_is_kept(void **state)
{
    struct fake_cluster *c = open_numbered();
    struct caller old, late;
    (void)state;
    gate_close(&B->script.gate);
    caller_start(&old, A->group, "k", 0);
    gate_await(&B->script.gate, 1);
    assert_int_equal(kama_del(C->group, KAMA_STR("k"), NULL), KAMA_MISS);
    caller_start(&late, A->group, "k", 1000);
    AWAIT(fake_stats(A).loads_coalesced == 1);
    gate_close(&B->wire);
    gate_open(&B->script.gate);
    expect(&old, 1, "loaded 1");
    assert_int_equal(caller_join(&late), KAMA_ERR_TIMEOUT);
    assert_true(late.took_ms >= 1000);
    gate_open(&B->wire);
    fake_close(c);
}

/* If the owner is gone when a get asks it again, this node loads once. */
static void test_owner_is_gone_at_the_second_time(void **state)
{
    struct fake_cluster *c = open_numbered();
    struct caller old, late;
    (void)state;
    gate_close(&B->script.gate);
    caller_start(&old, A->group, "k", 0);
    gate_await(&B->script.gate, 1);
    assert_int_equal(kama_del(C->group, KAMA_STR("k"), NULL), KAMA_MISS);
    caller_start(&late, A->group, "k", 0);
    AWAIT(fake_stats(A).loads_coalesced == 1);
    atomic_store(&B->outcome, KM_OWNER_UNREACHABLE);
    gate_open(&B->script.gate);
    expect(&old, 1, "loaded 1");
    expect(&late, 1, "loaded 1"); /* the first one of A's loader */
    assert_int_equal(atomic_load(&A->script.calls), 1);
    assert_int_equal(fake_stats(A).peer_gets, 2);
    assert_int_equal(fake_stats(A).peer_hits, 1);
    assert_int_equal(fake_stats(A).peer_errors, 1);
    fake_close(c);
}

/* What the owner serves without being settled may be overtaken by a mutation that it
 * does not hear of: it is for earlier gets. */
static void test_unsettled_owner(void **state)
{
    struct fake_cluster *c = open_numbered();
    struct caller old, late;
    (void)state;
    fake_own(B, KM_OWNER_HERE_UNSETTLED, NULL);
    gate_close(&B->script.gate);
    caller_start(&old, A->group, "k", 0);
    gate_await(&B->script.gate, 1);
    caller_start(&late, A->group, "k", 0);
    AWAIT(fake_stats(A).loads_coalesced == 1);
    gate_open(&B->script.gate);
    expect(&old, 1, "loaded 1");
    expect(&late, 1, "loaded 2");
    fake_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_overtaken_load_is_for_earlier_gets),
        cmocka_unit_test(test_overtaken_miss_and_error),
        cmocka_unit_test(test_answer_on_its_way_is_for_earlier_gets),
        cmocka_unit_test(test_deadline_is_kept),
        cmocka_unit_test(test_owner_is_gone_at_the_second_time),
        cmocka_unit_test(test_unsettled_owner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
