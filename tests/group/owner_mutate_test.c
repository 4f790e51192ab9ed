/* SPDX-License-Identifier: MIT */
/*
 * Mutations, looks and clears in a group of a cluster: the owner carries them out,
 * and the caller learns what has happened.
 */
#include "fake_owner.h"

#define A (&c->nodes[0])
#define B (&c->nodes[1])
#define C (&c->nodes[2])
#define K KAMA_STR("k")

static void expect_sentence(const char *part)
{
    char sentence[256];
    kama_last_error(sentence, sizeof sentence);
    if (strstr(sentence, part) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", part, sentence);
    }
}

/* Options of a set whose caller can wait 60 ms. */
struct hurry {
    kama_ctx ctx;
    kama_set_options options;
};

static struct hurry *hurry(struct hurry *h, int64_t deadline_ms)
{
    kama_ctx_init(&h->ctx);
    h->ctx.deadline_ms = deadline_ms;
    kama_set_options_init(&h->options);
    h->options.ctx = &h->ctx;
    return h;
}

/* What one node writes is read on all others at once, and has the time to live
 * that was asked for. */
static void test_writes_go_to_the_owner(void **state)
{
    struct fake_cluster *c = fake_open();
    int64_t ttl_ms = 0;
    (void)state;
    assert_int_equal(kama_set(A->group, K, KAMA_STR("v"), NULL), KAMA_OK);
    assert_int_equal(get_text(A->group, "k", NULL, "v"), KAMA_OK);
    assert_int_equal(get_text(B->group, "k", NULL, "v"), KAMA_OK);
    assert_int_equal(get_text(C->group, "k", NULL, "v"), KAMA_OK);
    assert_int_equal(kama_ttl(A->group, K, NULL, &ttl_ms), KAMA_OK);
    assert_int_equal(ttl_ms, KAMA_TTL_FOREVER);
    assert_int_equal(kama_touch(C->group, K, 50000, NULL), KAMA_OK);
    assert_int_equal(kama_ttl(A->group, K, NULL, &ttl_ms), KAMA_OK);
    assert_true(ttl_ms > 0 && ttl_ms <= 50000);
    assert_int_equal(kama_exists(C->group, K, NULL), KAMA_OK);
    assert_int_equal(kama_del(C->group, K, NULL), KAMA_OK);
    assert_int_equal(kama_del(A->group, K, NULL), KAMA_MISS);
    assert_int_equal(kama_exists(A->group, K, NULL), KAMA_MISS);
    assert_int_equal(kama_touch(A->group, K, 50000, NULL), KAMA_MISS);
    assert_int_equal(fake_stats(A).mutations_forwarded, 3);
    assert_int_equal(fake_stats(A).sets, 1);
    assert_int_equal(fake_stats(B).mutations_served, 5);
    assert_int_equal(fake_stats(B).sets, 0);
    fake_close(c);
}

/* A mutation whose answer the test waits for. */
struct awaited {
    struct km_mutate_op op;
    _Atomic int status;
    atomic_bool answered;
};

static void on_awaited(struct km_mutate_op *op, kama_status status,
                       const char *sentence)
{
    struct awaited *awaited = KM_CONTAINER_OF(op, struct awaited, op);
    (void)sentence;
    atomic_store(&awaited->status, status);
    atomic_store(&awaited->answered, true);
}

/* A mutation that had to wait before it travels is sent alone: its caller has sent
 * the list of the others long before. */
static void test_a_mutation_that_waited_leaves_the_list(void **state)
{
    struct fake_cluster *c = fake_open();
    struct awaited awaited = {.op = {.done = on_awaited}};
    struct km_list sends;
    const struct km_mutate_order order = {.kind = KM_MUTATION_SET,
                                          .patience = KM_MUTATE_PARKS,
                                          .key = K,
                                          .value = KAMA_STR("v"),
                                          .sends = &sends};
    (void)state;
    km_list_init(&sends);
    fake_own(A, KM_OWNER_HERE_UNSETTLED, NULL);
    assert_int_equal(km_mutate_op_start(A->group, &awaited.op, &order),
                     KAMA_DEFERRED);
    km_mutate_send(A->group, &sends);
    fake_own(A, KM_OWNER_PEER, B);
    AWAIT(atomic_load(&awaited.answered));
    assert_int_equal(atomic_load(&awaited.status), KAMA_OK);
    assert_true(km_list_empty(&sends));
    assert_int_equal(get_text(B->group, "k", NULL, "v"), KAMA_OK);
    fake_close(c);
}

/* A get that begins after a set of the same node does not join a load that has
 * begun before it. */
static void test_set_wins_against_a_load_at_the_owner(void **state)
{
    struct fake_cluster *c = fake_open();
    struct caller old;
    (void)state;
    gate_close(&B->script.gate);
    caller_start(&old, A->group, "k", 0);
    gate_await(&B->script.gate, 1);
    assert_int_equal(kama_set(A->group, K, KAMA_STR("new"), NULL), KAMA_OK);
    assert_int_equal(get_text(A->group, "k", NULL, "new"), KAMA_OK);
    gate_open(&B->script.gate);
    assert_int_equal(caller_join(&old), KAMA_OK);
    assert_int_equal(get_text(C->group, "k", NULL, "new"), KAMA_OK);
    fake_close(c);
}

/* An owner that was not reached is named. A request whose answer was lost may have
 * been applied, and is never sent again. */
static void test_owner_that_does_not_answer(void **state)
{
    struct fake_cluster *c = fake_open();
    (void)state;
    atomic_store(&B->outcome, KM_OWNER_UNREACHABLE);
    assert_int_equal(kama_set(A->group, K, KAMA_STR("v"), NULL), KAMA_ERR_PEER);
    expect_sentence("nothing was changed: node b: cannot connect; try again");
    atomic_store(&B->outcome, KM_OWNER_LOST);
    assert_int_equal(kama_del(A->group, K, NULL), KAMA_ERR_PEER);
    expect_sentence("may have been applied");
    expect_sentence("read the key, or repeat the change");
    assert_int_equal(kama_exists(A->group, K, NULL), KAMA_ERR_PEER);
    assert_int_equal(atomic_load(&A->mutations), 2);
    fake_close(c);
}

/* A thread that sets a key. */
struct setter {
    pthread_t thread;
    kama_group *group;
    int64_t deadline_ms;
    kama_status status;
    char sentence[256];
};

static void *setter_run(void *arg)
{
    struct setter *s = arg;
    struct hurry h;
    s->status = kama_set(s->group, K, KAMA_STR("v"),
                         &hurry(&h, s->deadline_ms)->options);
    kama_last_error(s->sentence, sizeof s->sentence);
    return NULL;
}

static void setter_start(struct setter *s, kama_group *group,
                         int64_t deadline_ms)
{
    *s = (struct setter){.group = group, .deadline_ms = deadline_ms};
    assert_int_equal(pthread_create(&s->thread, NULL, setter_run, s), 0);
}

static kama_status setter_join(struct setter *s)
{
    (void)pthread_join(s->thread, NULL);
    return s->status;
}

/* NOT_OWNER: the mutation goes to the owner of a newer view as soon as it is
 * there. */
static void test_again_by_a_newer_view(void **state)
{
    struct fake_cluster *c = fake_open();
    struct setter setter;
    (void)state;
    fake_own(B, KM_OWNER_PEER, C);
    fake_own(C, KM_OWNER_HERE, NULL);
    setter_start(&setter, A->group, 20000);
    AWAIT(atomic_load(&c->waits) >= 1);
    km_group_check(A->group);
    fake_adopt(A, KM_OWNER_PEER, C, FAKE_LOSES_NOTHING);
    assert_int_equal(setter_join(&setter), KAMA_OK);
    assert_in_range(atomic_load(&A->mutations), 2, 10);
    assert_int_equal(get_text(C->group, "k", NULL, "v"), KAMA_OK);
    fake_close(c);
}

/* The node that says NOT_OWNER may be several views ahead: it is asked again by
 * the views before the one that it means. */
static void test_view_by_view_to_the_owner(void **state)
{
    struct fake_cluster *c = fake_open();
    struct setter setter;
    (void)state;
    fake_own(B, KM_OWNER_PEER, C);
    fake_own(C, KM_OWNER_HERE, NULL);
    setter_start(&setter, A->group, 20000);
    AWAIT(atomic_load(&c->waits) >= 1);
    fake_adopt(A, KM_OWNER_PEER, B, FAKE_LOSES_NOTHING);
    AWAIT(atomic_load(&c->waits) >= 2);
    fake_adopt(A, KM_OWNER_PEER, C, FAKE_LOSES_NOTHING);
    assert_int_equal(setter_join(&setter), KAMA_OK);
    assert_int_equal(get_text(C->group, "k", NULL, "v"), KAMA_OK);
    fake_close(c);
}

/* A node that has just become the owner may be the last one to know. It is asked
 * again, although this node has no newer view to adopt. */
static void test_the_owner_learns_late(void **state)
{
    struct fake_cluster *c = fake_open();
    struct setter setter;
    (void)state;
    fake_own(B, KM_OWNER_PEER, C);
    setter_start(&setter, A->group, 20000);
    AWAIT(atomic_load(&A->mutations) >= 2);
    fake_own(B, KM_OWNER_NOBODY, NULL);
    unsigned refused = atomic_load(&A->mutations);
    AWAIT(atomic_load(&A->mutations) > refused + 1);
    fake_own(B, KM_OWNER_HERE, NULL);
    assert_int_equal(setter_join(&setter), KAMA_OK);
    assert_int_equal(get_text(B->group, "k", NULL, "v"), KAMA_OK);
    fake_close(c);
}

/* The pauses between the questions grow, and the mutation ends at its deadline. */
static void test_try_again(void **state)
{
    struct fake_cluster *c = fake_open();
    struct hurry h;
    (void)state;
    fake_own(B, KM_OWNER_NOBODY, NULL);
    assert_int_equal(
        kama_set(A->group, K, KAMA_STR("v"), &hurry(&h, 30)->options),
        KAMA_ERR_TRY_AGAIN);
    expect_sentence("nothing was changed: the nodes that were asked");
    assert_int_equal(atomic_load(&A->mutations), 1);
    fake_own(B, KM_OWNER_PEER, C);
    assert_int_equal(
        kama_set(A->group, K, KAMA_STR("v"), &hurry(&h, 400)->options),
        KAMA_ERR_TRY_AGAIN);
    assert_in_range(atomic_load(&A->mutations), 3, 1 + 4);
    fake_close(c);
}

/* A slot that is new to this node: the mutation waits until the node is settled,
 * or until its time is over. */
static void test_unsettled_mutation_waits(void **state)
{
    struct fake_cluster *c = fake_open();
    struct setter setter;
    struct hurry h;
    (void)state;
    fake_own(A, KM_OWNER_HERE_UNSETTLED, NULL);
    assert_int_equal(kama_del(A->group, K, &hurry(&h, 30)->ctx),
                     KAMA_ERR_TRY_AGAIN);
    expect_sentence("have not adopted the new view");
    setter_start(&setter, A->group, 20000);
    AWAIT(atomic_load(&c->calls) == 1);
    fake_own(A, KM_OWNER_HERE, NULL);
    assert_int_equal(setter_join(&setter), KAMA_OK);
    assert_int_equal(get_text(A->group, "k", NULL, "v"), KAMA_OK);
    fake_close(c);
}

/* A refusal that does not say "try again" is final; the other one waits. */
static void test_nobody_owns_it(void **state)
{
    struct fake_cluster *c = fake_open();
    struct setter setter;
    int64_t ttl_ms;
    (void)state;
    fake_own(A, KM_OWNER_NOBODY, NULL);
    setter_start(&setter, A->group, 20000);
    AWAIT(atomic_load(&c->calls) == 1);
    fake_own(A, KM_OWNER_PEER, B);
    assert_int_equal(setter_join(&setter), KAMA_OK);
    (void)pthread_mutex_lock(&A->lock);
    A->answer.refusal = KAMA_ERR_NOT_READY;
    A->answer.hope = KM_OWNER_HOPELESS;
    (void)pthread_mutex_unlock(&A->lock);
    fake_own(A, KM_OWNER_NOBODY, NULL);
    assert_int_equal(kama_del(A->group, K, NULL), KAMA_ERR_NOT_READY);
    expect_sentence("this node is behind");
    assert_int_equal(kama_ttl(A->group, K, NULL, &ttl_ms), KAMA_ERR_PEER);
    fake_close(c);
}

/* While the node joins, a mutation waits until somebody owns the key, and is
 * KAMA_ERR_NOT_READY when its time is over. A thread that must not wait gets the
 * error at once. */
static void test_mutation_waits_while_the_node_joins(void **state)
{
    struct fake_cluster *c = fake_open();
    struct km_mutate_op op = {.done = fake_on_mutate};
    struct km_mutate_order order = {
        .kind = KM_MUTATION_DELETE, .patience = KM_MUTATE_REFUSES, .key = K};
    struct setter setter;
    struct hurry h;
    (void)state;
    (void)pthread_mutex_lock(&A->lock);
    A->answer.refusal = KAMA_ERR_NOT_READY;
    (void)pthread_mutex_unlock(&A->lock);
    fake_own(A, KM_OWNER_NOBODY, NULL);
    assert_int_equal(km_mutate_op_start(A->group, &op, &order),
                     KAMA_ERR_NOT_READY);
    assert_int_equal(atomic_load(&c->waits), 0);
    assert_int_equal(kama_del(A->group, K, &hurry(&h, 30)->ctx),
                     KAMA_ERR_NOT_READY);
    expect_sentence("nothing was changed: this node is behind");
    assert_int_equal(atomic_load(&c->waits), 1);
    setter_start(&setter, A->group, 20000);
    AWAIT(atomic_load(&c->waits) == 2);
    fake_own(A, KM_OWNER_HERE, NULL);
    assert_int_equal(setter_join(&setter), KAMA_OK);
    assert_int_equal(get_text(A->group, "k", NULL, "v"), KAMA_OK);
    fake_close(c);
}

/* A mutation of a peer is never passed on. */
static void test_peers_mutation_is_not_passed_on(void **state)
{
    struct fake_cluster *c = fake_open();
    struct km_mutate_op op = {.done = fake_on_mutate};
    struct km_mutate_order order = {
        .kind = KM_MUTATION_DELETE, .from = KM_MUTATE_FOR_PEER, .key = K};
    kama_ctx ctx;
    struct hurry h;
    (void)state;
    assert_int_equal(km_mutate_op_start(A->group, &op, &order),
                     KAMA_ERR_TRY_AGAIN);
    assert_int_equal(op.outcome, KM_OWNER_NOT_OWNER);
    fake_own(A, KM_OWNER_NOBODY, NULL);
    assert_int_equal(km_mutate_op_start(A->group, &op, &order),
                     KAMA_ERR_TRY_AGAIN);
    assert_int_equal(op.outcome, KM_OWNER_BEHIND);
    assert_int_equal(atomic_load(&A->mutations), 0);
    kama_ctx_init(&ctx);
    ctx.origin = KAMA_ORIGIN_PEER;
    assert_int_equal(kama_del(A->group, K, &ctx), KAMA_ERR_INVALID);
    assert_int_equal(kama_touch(A->group, K, 0, &ctx), KAMA_ERR_INVALID);
    assert_int_equal(kama_group_clear_ctx(A->group, &ctx), KAMA_ERR_INVALID);
    hurry(&h, 0)->ctx.origin = KAMA_ORIGIN_PEER;
    assert_int_equal(kama_set(A->group, K, K, &h.options), KAMA_ERR_INVALID);
    fake_close(c);
}

/* All mutations of one call that go to other nodes are handed over as one list. */
static void test_many_at_once(void **state)
{
    struct fake_cluster *c = fake_open();
    kama_set_item items[3] = {{.key = KAMA_STR("x"), .value = KAMA_STR("1")},
                              {.key = KAMA_STR("y"), .value = KAMA_STR("2")},
                              {.key = KAMA_STR("z"), .value = KAMA_STR("3")}};
    kama_bytes keys[] = {KAMA_STR("x"), KAMA_STR("none")};
    kama_status statuses[3];
    (void)state;
    assert_int_equal(kama_mset(A->group, items, 3, NULL, statuses), KAMA_OK);
    assert_int_equal(statuses[0] | statuses[1] | statuses[2], KAMA_OK);
    assert_int_equal(atomic_load(&A->mutation_lists), 1);
    assert_int_equal(get_text(B->group, "y", NULL, "2"), KAMA_OK);
    assert_int_equal(kama_mdel(A->group, keys, 2, NULL, statuses), KAMA_OK);
    assert_int_equal(statuses[0], KAMA_OK);
    assert_int_equal(statuses[1], KAMA_MISS);
    assert_int_equal(atomic_load(&A->mutation_lists), 2);
    assert_int_equal(kama_mdel(A->group, keys, 2, NULL, NULL), KAMA_OK);
    fake_close(c);
}

/* The values that wait for other nodes are bounded: those for which there is no
 * room are refused, and the room is there again when the others have ended. */
static void test_waiting_values_are_bounded(void **state)
{
    enum { ITEMS = 300, ROOM = KM_MUTATE_PARKED_BYTES_MAX >> 20 };
    static char value[(1 << 20) - 4096]; /* so that keys have room, too */
    struct fake_cluster *c = fake_open();
    kama_set_item items[ITEMS];
    kama_status statuses[ITEMS];
    char names[ITEMS][8];
    (void)state;
    for (unsigned i = 0; i < ITEMS; i++) {
        (void)snprintf(names[i], sizeof names[i], "k%u", i);
        items[i] =
            (kama_set_item){.key = KAMA_STR(names[i]),
                            .value = kama_bytes_make(value, sizeof value)};
    }
    for (unsigned round = 0; round < 2; round++) {
        unsigned refused = 0;
        (void)!kama_mset(A->group, items, ITEMS, NULL, statuses);
        for (unsigned i = 0; i < ITEMS; i++) {
            refused += statuses[i] == KAMA_ERR_OVERLOADED;
            assert_true(statuses[i] == KAMA_OK ||
                        statuses[i] == KAMA_ERR_OVERLOADED);
        }
        assert_in_range(refused, ITEMS - ROOM - 1, ITEMS - ROOM);
    }
    fake_close(c);
}

/* -- threads that must not wait ---------------------------------------------- */

static kama_status set_inside(void *arg, const kama_load *req, kama_sink *out)
{
    struct script *s = arg;
    kama_group *group = (kama_group *)(uintptr_t)s->value;
    kama_ctx ctx;
    (void)req;
    kama_ctx_init(&ctx);
    assert_int_equal(kama_set(group, KAMA_STR("other"), K, NULL),
                     KAMA_ERR_WOULD_DEADLOCK);
    assert_int_equal(kama_exists(group, KAMA_STR("other"), NULL),
                     KAMA_ERR_WOULD_DEADLOCK);
    assert_int_equal(kama_group_clear(group), KAMA_ERR_WOULD_DEADLOCK);
    return kama_sink_set(out, KAMA_STR("v"), NULL);
}

/* A mutation that would wait on a thread of the node is refused before it acts. */
static void test_pool_threads_do_not_wait(void **state)
{
    struct fake_cluster *c = fake_new();
    kama_group_options options;
    kama_ctx ctx;
    (void)state;
    fake_options(c, &options);
    options.loader = set_inside;
    fake_open_with(c, &options);
    A->script.value = (const char *)A->group;
    kama_ctx_init(&ctx);
    ctx.flags = KAMA_LOCAL_ONLY;
    assert_int_equal(get_text(A->group, "k", &ctx, "v"), KAMA_OK);
    assert_int_equal(atomic_load(&A->mutations), 0);
    assert_int_equal(atomic_load(&A->clears), 0);
    assert_int_equal(fake_stats(A).clears, 0);
    fake_close(c);
}

struct answer {
    atomic_uint count;
    kama_status status;
    char sentence[256];
};

static void on_answer(void *arg, kama_status status)
{
    struct answer *answer = arg;
    answer->status = status;
    kama_last_error(answer->sentence, sizeof answer->sentence);
    atomic_fetch_add(&answer->count, 1);
}

/* The asynchronous calls answer by their callback, at this node, at the owner, and
 * with an error. */
static void test_async(void **state)
{
    struct fake_cluster *c = fake_open();
    struct answer answer = {0};
    (void)state;
    assert_int_equal(
        kama_set_async(A->group, K, KAMA_STR("v"), NULL, on_answer, &answer),
        KAMA_OK);
    AWAIT(atomic_load(&answer.count) == 1);
    assert_int_equal(answer.status, KAMA_OK);
    assert_int_equal(get_text(B->group, "k", NULL, "v"), KAMA_OK);
    assert_int_equal(kama_del_async(B->group, K, NULL, on_answer, &answer),
                     KAMA_OK);
    AWAIT(atomic_load(&answer.count) == 2);
    assert_int_equal(answer.status, KAMA_OK);
    assert_int_equal(kama_del_async(A->group, K, NULL, on_answer, &answer),
                     KAMA_OK);
    AWAIT(atomic_load(&answer.count) == 3);
    assert_int_equal(answer.status, KAMA_MISS);
    atomic_store(&B->outcome, KM_OWNER_UNREACHABLE);
    assert_int_equal(kama_del_async(A->group, K, NULL, on_answer, &answer),
                     KAMA_OK);
    AWAIT(atomic_load(&answer.count) == 4);
    assert_int_equal(answer.status, KAMA_ERR_PEER);
    assert_non_null(strstr(answer.sentence, "node b: cannot connect"));
    assert_int_equal(
        kama_del_async(A->group, KAMA_BYTES("", 0), NULL, on_answer, &answer),
        KAMA_ERR_INVALID);
    fake_close(c);
}

/* -- clear --------------------------------------------------------------------- */

/* A clear empties the group everywhere, and lists the members that it did not
 * reach, as many as the caller has room for. */
static void test_clear_everywhere(void **state)
{
    struct fake_cluster *c = fake_open();
    char addresses[1][KAMA_ADDRESS_BYTES];
    kama_unsynced unsynced;
    kama_ctx ctx;
    (void)state;
    assert_int_equal(kama_set(B->group, K, KAMA_STR("v"), NULL), KAMA_OK);
    assert_int_equal(kama_group_clear(A->group), KAMA_OK);
    assert_int_equal(kama_exists(B->group, K, NULL), KAMA_MISS);
    assert_int_equal(fake_stats(C).clears, 1);
    kama_ctx_init(&ctx);
    kama_unsynced_init(&unsynced);
    ctx.ret_unsynced = &unsynced;
    atomic_store(&B->outcome, KM_OWNER_UNREACHABLE);
    atomic_store(&C->outcome, KM_OWNER_LOST);
    assert_int_equal(kama_group_clear_ctx(A->group, &ctx), KAMA_UNSYNCED);
    assert_int_equal(unsynced.count, 2);
    unsynced.capacity = 1;
    assert_int_equal(kama_group_clear_ctx(A->group, &ctx), KAMA_ERR_INVALID);
    unsynced.addresses = addresses;
    assert_int_equal(kama_group_clear_ctx(A->group, &ctx), KAMA_UNSYNCED);
    assert_string_equal(addresses[0], "b:1");
    atomic_store(&B->outcome, KM_OWNER_ANSWERED);
    atomic_store(&C->outcome, KM_OWNER_ANSWERED);
    assert_int_equal(kama_group_clear_ctx(A->group, &ctx), KAMA_OK);
    assert_int_equal(unsynced.count, 0);
    unsynced.struct_size = 4;
    assert_int_equal(kama_group_clear_ctx(A->group, &ctx), KAMA_ERR_INVALID);
    fake_close(c);
}

/* -- memory ---------------------------------------------------------------------- */

/* Each allocation of a forwarded mutation, of a get and of a look fails once: the
 * call says so, and nothing leaks. */
static void test_every_allocation_may_fail(void **state)
{
    struct fake_cluster *c = fake_open();
    kama_bytes keys[] = {KAMA_STR("x"), KAMA_STR("y")};
    kama_status statuses[2];
    (void)state;
    assert_int_equal(kama_set(A->group, K, KAMA_STR("v"), NULL), KAMA_OK);
    for (long long n = 1; n < 12; n++) {
        atomic_store(&c->probe.fail_at, atomic_load(&c->probe.allocs) + n);
        kama_status st = kama_set(A->group, K, KAMA_STR("v"), NULL);
        st = st == KAMA_OK ? kama_del(A->group, K, NULL) : st;
        st = st == KAMA_OK ? kama_exists(A->group, K, NULL) : st;
        st = (int)st >= 0 ? kama_mdel(A->group, keys, 2, NULL, statuses) : st;
        assert_true((int)st >= 0 || st == KAMA_ERR_NO_MEMORY);
        kama_value *value = NULL;
        (void)!kama_get(A->group, K, NULL, &value);
        kama_value_unref(value);
        atomic_store(&c->probe.fail_at, 0);
        AWAIT(atomic_load(&c->calls) == 0);
        km_group_check(A->group);
        (void)!kama_del(B->group, K, NULL);
    }
    fake_close(c);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writes_go_to_the_owner),
        cmocka_unit_test(test_a_mutation_that_waited_leaves_the_list),
        cmocka_unit_test(test_set_wins_against_a_load_at_the_owner),
        cmocka_unit_test(test_owner_that_does_not_answer),
        cmocka_unit_test(test_again_by_a_newer_view),
        cmocka_unit_test(test_view_by_view_to_the_owner),
        cmocka_unit_test(test_the_owner_learns_late),
        cmocka_unit_test(test_try_again),
        cmocka_unit_test(test_unsettled_mutation_waits),
        cmocka_unit_test(test_nobody_owns_it),
        cmocka_unit_test(test_mutation_waits_while_the_node_joins),
        cmocka_unit_test(test_peers_mutation_is_not_passed_on),
        cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_waiting_values_are_bounded),
        cmocka_unit_test(test_pool_threads_do_not_wait),
        cmocka_unit_test(test_async),
        cmocka_unit_test(test_clear_everywhere),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
