/* SPDX-License-Identifier: MIT */
/*
 * Gets in a group of a cluster: who answers, what is kept, what is counted, and
 * what happens when the owner cannot answer or the view turns over meanwhile.
 */
#include "fake_owner.h"

#define A (&c->nodes[0])
#define B (&c->nodes[1])
#define C (&c->nodes[2])

static bool is_kept(struct fake_node *node, const char *key)
{
    kama_value *value = NULL;
    kama_status st = kama_try_get(node->group, kama_bytes_str(key), &value);
    kama_value_unref(value);
    return st == KAMA_OK;
}

/* The owner loads once for all nodes and keeps the value; the others keep
 * nothing. */
static void test_owner_loads_and_keeps(void **state)
{
    struct fake_cluster *c = fake_open();
    (void)state;
    assert_int_equal(get_text(A->group, "k", NULL, "value of k"), KAMA_OK);
    assert_int_equal(get_text(C->group, "k", NULL, "value of k"), KAMA_OK);
    assert_int_equal(get_text(B->group, "k", NULL, "value of k"), KAMA_OK);
    assert_int_equal(atomic_load(&B->script.calls), 1);
    assert_int_equal(atomic_load(&A->script.calls), 0);
    assert_false(is_kept(A, "k"));
    assert_true(is_kept(B, "k"));
    kama_group_stats s = fake_stats(A);
    assert_int_equal(s.peer_gets, 1);
    assert_int_equal(s.peer_hits, 1);
    assert_int_equal(s.loads, 0);
    assert_int_equal(s.hits, 0);
    assert_int_equal(fake_stats(B).fills_served, 2);
    fake_close(c);
}

/* Callers that begin during the owner's load wait for one request, and they are peer
 * hits, too. The owner's load goes on for as long again as they took to come. */
static void test_waiters_count_as_peer_hits(void **state)
{
    struct fake_cluster *c = fake_open();
    struct caller callers[4];
    int64_t from = now_ms();
    (void)state;
    gate_close(&B->script.gate);
    for (unsigned i = 0; i < 4; i++) {
        caller_start(&callers[i], A->group, "k", 0);
    }
    AWAIT(fake_stats(A).loads_coalesced == 3);
    gate_await(&B->script.gate, 1);
    km_group_check(A->group);
    int64_t until = 2 * now_ms() - from + 2;
    AWAIT(now_ms() > until);
    gate_open(&B->script.gate);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(caller_join(&callers[i]), KAMA_OK);
        assert_string_equal(callers[i].text, "value of k");
    }
    assert_int_equal(atomic_load(&A->fills), 1);
    assert_int_equal(fake_stats(A).peer_gets, 4);
    assert_int_equal(fake_stats(A).peer_hits, 4);
    fake_close(c);
}

/* A miss of the owner is a miss; an error of its loader arrives with its status
 * and its sentence. */
static void test_answers_of_the_owner(void **state)
{
    struct fake_cluster *c = fake_open();
    char sentence[256];
    (void)state;
    atomic_store(&B->script.status, KAMA_MISS);
    assert_int_equal(get_text(A->group, "k", NULL, ""), KAMA_MISS);
    assert_int_equal(fake_stats(A).peer_hits, 1);
    atomic_store(&B->script.status, KAMA_ERR_OVERLOADED);
    B->script.sentence = "the database is closed on Sundays";
    assert_int_equal(get_text(A->group, "k", NULL, ""), KAMA_ERR_OVERLOADED);
    kama_last_error(sentence, sizeof sentence);
    assert_string_equal(sentence, "the database is closed on Sundays");
    assert_int_equal(fake_stats(A).peer_hits, 2);
    assert_int_equal(fake_stats(A).peer_errors, 0);
    assert_int_equal(atomic_load(&A->script.calls), 0);
    fake_close(c);
}

/* If the owner cannot answer, this node loads the key once, and keeps nothing. */
static void test_one_local_load_instead(void **state)
{
    static const int outcomes[] = {KM_OWNER_NOT_OWNER, KM_OWNER_BEHIND,
                                   KM_OWNER_UNREACHABLE, KM_OWNER_LOST};
    struct fake_cluster *c = fake_open();
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        atomic_store(&B->outcome, outcomes[i]);
        assert_int_equal(get_text(A->group, "k", NULL, "value of k"), KAMA_OK);
        assert_int_equal(atomic_load(&A->script.calls), i + 1);
        assert_false(is_kept(A, "k"));
    }
    assert_int_equal(fake_stats(A).peer_errors, 4);
    assert_int_equal(fake_stats(A).loads, 4);
    fake_close(c);
}

/* Without a loader, an owner that cannot answer is an error and never a miss. */
static void test_without_a_loader(void **state)
{
    struct fake_cluster *c = fake_new();
    kama_group_options options;
    kama_ctx ctx;
    char sentence[256];
    (void)state;
    fake_options(c, &options);
    options.loader = NULL;
    options.loader_free = NULL;
    fake_open_with(c, &options);
    assert_int_equal(get_text(A->group, "k", NULL, ""), KAMA_MISS);
    assert_int_equal(get_text(B->group, "k", NULL, ""), KAMA_MISS);
    atomic_store(&B->outcome, KM_OWNER_UNREACHABLE);
    assert_int_equal(get_text(A->group, "k", NULL, ""), KAMA_ERR_PEER);
    kama_last_error(sentence, sizeof sentence);
    assert_non_null(strstr(sentence, "node b: cannot connect"));
    kama_ctx_init(&ctx);
    ctx.flags = KAMA_LOCAL_ONLY;
    assert_int_equal(get_text(A->group, "k", &ctx, ""), KAMA_WOULD_LOAD);
    ctx.flags = KAMA_NO_LOAD;
    assert_int_equal(get_text(A->group, "k", &ctx, ""), KAMA_WOULD_LOAD);
    assert_int_equal(get_text(B->group, "k", &ctx, ""), KAMA_WOULD_LOAD);
    ctx.flags = 0;
    ctx.origin = KAMA_ORIGIN_PEER;
    assert_int_equal(get_text(A->group, "k", &ctx, ""), KAMA_ERR_PEER);
    fake_own(A, KM_OWNER_NOBODY, NULL);
    assert_int_equal(get_text(A->group, "k", NULL, ""), KAMA_ERR_PEER);
    kama_last_error(sentence, sizeof sentence);
    assert_non_null(strstr(sentence, "this node is behind"));
    fake_own(A, KM_OWNER_HERE_UNSETTLED, NULL);
    assert_int_equal(get_text(A->group, "k", NULL, ""), KAMA_MISS);
    fake_close(c);
}

/* What this node loads without being the settled owner is served and not kept. */
static void test_served_and_not_kept(void **state)
{
    struct fake_cluster *c = fake_open();
    kama_ctx ctx;
    (void)state;
    fake_own(A, KM_OWNER_HERE_UNSETTLED, NULL);
    assert_int_equal(get_text(A->group, "k", NULL, "value of k"), KAMA_OK);
    fake_own(A, KM_OWNER_NOBODY, NULL);
    assert_int_equal(get_text(A->group, "k", NULL, "value of k"), KAMA_OK);
    fake_own(A, KM_OWNER_PEER, B);
    kama_ctx_init(&ctx);
    ctx.flags = KAMA_LOCAL_ONLY;
    assert_int_equal(get_text(A->group, "k", &ctx, "value of k"), KAMA_OK);
    ctx.flags = 0;
    ctx.origin = KAMA_ORIGIN_PEER;
    assert_int_equal(get_text(A->group, "k", &ctx, "value of k"), KAMA_OK);
    assert_int_equal(atomic_load(&A->script.calls), 4);
    assert_int_equal(atomic_load(&A->fills), 0);
    assert_false(is_kept(A, "k"));
    assert_int_equal(fake_stats(A).loads_overtaken, 0);
    fake_close(c);
}

/* A load that the settled owner has begun is kept, unless the node loses the slot
 * before its end. */
static void test_view_turns_during_a_load(void **state)
{
    struct fake_cluster *c = fake_open();
    struct caller first, second;
    (void)state;
    gate_close(&B->script.gate);
    caller_start(&first, B->group, "kept", 0);
    gate_await(&B->script.gate, 1);
    fake_adopt(B, KM_OWNER_HERE, NULL, FAKE_LOSES_NOTHING);
    gate_open(&B->script.gate);
    assert_int_equal(caller_join(&first), KAMA_OK);
    assert_true(is_kept(B, "kept"));
    gate_close(&B->script.gate);
    caller_start(&first, B->group, "lost", 0);
    gate_await(&B->script.gate, 2);
    fake_adopt(B, KM_OWNER_PEER, C, FAKE_LOSES_ALL);
    fake_adopt(B, KM_OWNER_HERE, NULL, FAKE_LOSES_NOTHING);
    caller_start(&second, B->group, "lost", 0);
    gate_await(&B->script.gate, 3); /* it does not join the load of before */
    gate_open(&B->script.gate);
    assert_int_equal(caller_join(&first), KAMA_OK);
    assert_int_equal(caller_join(&second), KAMA_OK);
    assert_int_equal(fake_stats(B).loads_overtaken, 1);
    assert_false(is_kept(B, "kept"));
    fake_close(c);
}

/* A get of the settled owner does not join a load that has begun before the node
 * was settled: the owner of before may have acknowledged a delete meanwhile. */
static void test_settled_owner_loads_anew(void **state)
{
    struct fake_cluster *c = fake_open();
    struct caller old, second;
    (void)state;
    fake_own(A, KM_OWNER_HERE_UNSETTLED, NULL);
    gate_close(&A->script.gate);
    caller_start(&old, A->group, "k", 0);
    gate_await(&A->script.gate, 1);
    fake_own(A, KM_OWNER_HERE, NULL);
    caller_start(&second, A->group, "k", 0);
    gate_await(&A->script.gate, 2);
    km_group_check(A->group);
    gate_open(&A->script.gate);
    assert_int_equal(caller_join(&old), KAMA_OK);
    assert_int_equal(caller_join(&second), KAMA_OK);
    assert_true(is_kept(A, "k"));
    fake_close(c);
}

/* A get that begins after an adoption does not join a request that was sent to
 * the owner of before. */
static void test_new_view_asks_the_new_owner(void **state)
{
    struct fake_cluster *c = fake_open();
    struct caller old;
    (void)state;
    gate_close(&B->wire);
    caller_start(&old, A->group, "k", 0);
    gate_await(&B->wire, 1);
    fake_own(C, KM_OWNER_HERE, NULL);
    fake_adopt(A, KM_OWNER_PEER, C, FAKE_LOSES_NOTHING);
    assert_int_equal(get_text(A->group, "k", NULL, "value of k"), KAMA_OK);
    assert_int_equal(atomic_load(&C->script.calls), 1);
    gate_open(&B->wire);
    assert_int_equal(caller_join(&old), KAMA_OK);
    fake_close(c);
}

/* Two nodes that take each other for the owner do not wait for each other: a
 * request of a peer leaves the load alone that asks that peer, and loads here. */
static void test_peers_do_not_wait_for_each_other(void **state)
{
    struct fake_cluster *c = fake_open();
    struct caller a;
    kama_ctx ctx;
    (void)state;
    fake_own(B, KM_OWNER_PEER, A);
    gate_close(&B->wire);
    caller_start(&a, A->group, "k", 0);
    gate_await(&B->wire, 1);
    kama_ctx_init(&ctx);
    ctx.origin = KAMA_ORIGIN_PEER;
    assert_int_equal(get_text(A->group, "k", &ctx, "value of k"), KAMA_OK);
    assert_int_equal(get_text(B->group, "k", NULL, "value of k"), KAMA_OK);
    assert_int_equal(atomic_load(&A->script.calls), 2);
    gate_open(&B->wire);
    assert_int_equal(caller_join(&a), KAMA_OK);
    assert_int_equal(atomic_load(&B->script.calls), 1);
    assert_false(is_kept(A, "k"));
    fake_close(c);
}

/* A caller leaves at its own deadline, while the request to the owner goes on. */
static void test_callers_leave_by_their_deadline(void **state)
{
    struct fake_cluster *c = fake_open();
    struct caller a;
    (void)state;
    gate_close(&B->wire);
    caller_start(&a, A->group, "k", 30);
    assert_int_equal(caller_join(&a), KAMA_ERR_TIMEOUT);
    km_group_check(A->group);
    gate_open(&B->wire);
    fake_close(c);
}

/* The keys of one mget that others own are handed over as one list, and a slow key
 * holds up no other. */
static void test_mget_asks_at_once(void **state)
{
    struct fake_cluster *c = fake_open();
    kama_bytes keys[] = {KAMA_STR("x"), KAMA_STR("y"), KAMA_STR("x"),
                         KAMA_STR("z")};
    kama_item items[4];
    (void)state;
    assert_int_equal(kama_mget(A->group, keys, 4, NULL, items), KAMA_OK);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(items[i].status, KAMA_OK);
    }
    kama_items_unref(items, 4);
    assert_int_equal(atomic_load(&A->fill_lists), 1);
    assert_int_equal(atomic_load(&A->fills), 3);
    fake_close(c);
}

/* A thousand keys are one list as well. */
static void test_mget_of_many_keys_asks_at_once(void **state)
{
    enum { KEYS = 1000 };
    static char texts[KEYS][16];
    static kama_bytes keys[KEYS];
    static kama_item items[KEYS];
    struct fake_cluster *c = fake_open();
    (void)state;
    for (unsigned i = 0; i < KEYS; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "key-%u", i);
        keys[i] = KAMA_STR(texts[i]);
    }
    assert_int_equal(kama_mget(A->group, keys, KEYS, NULL, items), KAMA_OK);
    for (unsigned i = 0; i < KEYS; i++) {
        assert_int_equal(items[i].status, KAMA_OK);
    }
    kama_items_unref(items, KEYS);
    assert_int_equal(atomic_load(&A->fill_lists), 1);
    assert_int_equal(atomic_load(&A->fills), KEYS);
    fake_close(c);
}

/* What came with a request reaches the loader of the owner. */
struct heard {
    uint32_t origin;
    char traceparent[64];
    void *user;
};

static kama_status listen(void *arg, const kama_load *req, kama_sink *out)
{
    struct script *s = arg;
    struct heard *heard = (struct heard *)(uintptr_t)s->value;
    heard->origin = req->origin;
    heard->user = req->user;
    (void)snprintf(heard->traceparent, sizeof heard->traceparent, "%s",
                   req->traceparent != NULL ? req->traceparent : "none");
    return kama_sink_set(out, KAMA_STR("v"), NULL);
}

static void test_loader_hears_of_the_caller(void **state)
{
    static const char trace[] =
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    struct fake_cluster *c = fake_new();
    struct heard heard = {.origin = 7};
    kama_group_options options;
    kama_ctx ctx;
    (void)state;
    fake_options(c, &options);
    options.loader = listen;
    fake_open_with(c, &options);
    B->script.value = (const char *)&heard;
    kama_ctx_init(&ctx);
    ctx.traceparent = trace;
    ctx.user = c;
    assert_int_equal(get_text(A->group, "k", &ctx, "v"), KAMA_OK);
    assert_int_equal(heard.origin, KAMA_ORIGIN_PEER);
    assert_string_equal(heard.traceparent, trace);
    assert_null(heard.user);
    assert_int_equal(get_text(B->group, "own", &ctx, "v"), KAMA_OK);
    assert_int_equal(heard.origin, KAMA_ORIGIN_CLIENT);
    assert_ptr_equal(heard.user, c);
    ctx.traceparent =
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x";
    assert_int_equal(get_text(B->group, "own", &ctx, "v"), KAMA_ERR_INVALID);
    fake_close(c);
}

/* A group with sync=local does not know its owner, and owns every key. */
static void test_local_owns_every_key(void **state)
{
    struct fake_cluster *c = fake_new();
    kama_group_options options;
    (void)state;
    fake_options(c, &options);
    options.sync = "local";
    options.max_bytes = 1u << 30;
    options.max_value_bytes = KM_VALUE_BYTES_LOCAL_MAX;
    fake_open_with(c, &options);
    assert_int_equal(get_text(A->group, "k", NULL, "value of k"), KAMA_OK);
    assert_true(is_kept(A, "k"));
    assert_int_equal(atomic_load(&A->fills), 0);
    fake_close(c);
}

/* The views that its node adopts have nothing to do with it: it keeps what it
 * has, and goes on to load and to be changed. */
static void test_local_ignores_adoptions(void **state)
{
    struct fake_cluster *c = fake_new();
    kama_group_options options;
    (void)state;
    fake_options(c, &options);
    options.sync = "local";
    fake_open_with(c, &options);
    assert_int_equal(get_text(A->group, "before", NULL, "value of before"),
                     KAMA_OK);
    fake_adopt(A, KM_OWNER_PEER, B, FAKE_LOSES_ALL);
    assert_true(is_kept(A, "before"));
    assert_int_equal(get_text(A->group, "k", NULL, "value of k"), KAMA_OK);
    assert_true(is_kept(A, "k"));
    assert_int_equal(kama_set(A->group, KM_LIT("k"), KM_LIT("set"), NULL),
                     KAMA_OK);
    assert_int_equal(get_text(A->group, "k", NULL, "set"), KAMA_OK);
    assert_int_equal(atomic_load(&A->fills), 0);
    fake_close(c);
}

/* Values that travel have at most 16 MiB. */
static void test_travelling_values_are_bounded(void **state)
{
    struct fake_cluster *c = fake_open();
    kama_group_options options;
    kama_group *group;
    const struct km_group_env env = {.pool = A->pool, .owner = A->owner};
    (void)state;
    fake_options(c, &options);
    options.max_bytes = 1u << 30;
    options.max_value_bytes = KM_VALUE_BYTES_CLUSTER_MAX + 1;
    assert_int_equal(km_group_new(&options, &env, &group), KAMA_ERR_TOO_LARGE);
    options.max_value_bytes = KM_VALUE_BYTES_CLUSTER_MAX;
    options.loader_arg = &A->script;
    assert_int_equal(km_group_new(&options, &env, &group), KAMA_OK);
    km_group_free(group);
    fake_close(c);
}

/* -- threads that get and set while views turn over --------------------------- */

struct storm {
    struct fake_cluster *c;
    unsigned number;
    atomic_bool *stop;
};

static void *storm_run(void *arg)
{
    struct storm *s = arg;
    kama_group *group = s->c->nodes[s->number % FAKE_NODES].group;
    kama_ctx ctx;
    kama_set_options options;
    char key[16];
    kama_ctx_init(&ctx);
    ctx.deadline_ms = 20;
    kama_set_options_init(&options);
    options.ctx = &ctx;
    for (unsigned i = s->number; !atomic_load(s->stop); i++) {
        kama_bytes k = kama_bytes_make(key, (size_t)sprintf(key, "%u", i % 50));
        kama_value *value = NULL;
        if (i % 7 == 0) {
            (void)!kama_set(group, k, k, &options);
        } else if (i % 11 == 0) {
            (void)!kama_del(group, k, &ctx);
        } else if (kama_get(group, k, &ctx, &value) == KAMA_OK) {
            kama_value_unref(value);
        }
    }
    return NULL;
}

/* The owner moves on, again and again, while threads use all nodes. */
static void test_storm_of_views(void **state)
{
    struct fake_cluster *c = fake_open();
    struct storm storms[6];
    pthread_t threads[6];
    atomic_bool stop = false;
    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        storms[i] = (struct storm){.c = c, .number = i, .stop = &stop};
        assert_int_equal(
            pthread_create(&threads[i], NULL, storm_run, &storms[i]), 0);
    }
    for (unsigned turn = 0; turn < 60; turn++) {
        struct fake_node *owner = &c->nodes[turn % FAKE_NODES];
        for (unsigned i = 0; i < FAKE_NODES; i++) {
            struct fake_node *node = &c->nodes[(turn + i) % FAKE_NODES];
            enum km_owner_place place =
                node == owner ? KM_OWNER_HERE_UNSETTLED : KM_OWNER_PEER;
            fake_adopt(node, place, node == owner ? NULL : owner,
                       node == owner ? FAKE_LOSES_NOTHING : FAKE_LOSES_ALL);
        }
        fake_own(owner, KM_OWNER_HERE, NULL);
        struct timespec pause = {0, 2000000};
        (void)nanosleep(&pause, NULL);
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i < 6; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    fake_close(c);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_owner_loads_and_keeps),
        cmocka_unit_test(test_waiters_count_as_peer_hits),
        cmocka_unit_test(test_answers_of_the_owner),
        cmocka_unit_test(test_one_local_load_instead),
        cmocka_unit_test(test_without_a_loader),
        cmocka_unit_test(test_served_and_not_kept),
        cmocka_unit_test(test_view_turns_during_a_load),
        cmocka_unit_test(test_settled_owner_loads_anew),
        cmocka_unit_test(test_new_view_asks_the_new_owner),
        cmocka_unit_test(test_peers_do_not_wait_for_each_other),
        cmocka_unit_test(test_callers_leave_by_their_deadline),
        cmocka_unit_test(test_mget_asks_at_once),
        cmocka_unit_test(test_mget_of_many_keys_asks_at_once),
        cmocka_unit_test(test_loader_hears_of_the_caller),
        cmocka_unit_test(test_local_owns_every_key),
        cmocka_unit_test(test_local_ignores_adoptions),
        cmocka_unit_test(test_travelling_values_are_bounded),
        cmocka_unit_test(test_storm_of_views),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
