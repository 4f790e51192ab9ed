/* SPDX-License-Identifier: MIT */
/*
 * Mutations that wait for acknowledgements (sync_ack). Node b owns all keys; the nodes a
 * and b are told by the test who has acknowledged.
 *
 *     async, alone     nobody is asked, and nothing waits
 *     acknowledged     the answer is the one of a mutation that does not wait
 *     late nodes       KAMA_UNSYNCED in place of KAMA_OK only, and the list in any case
 *     many keys        a status for each, and a list of all
 *     times            sync_timeout, or the deadline of the caller; less for those on the wire
 *     parked           the change is seen before it is acknowledged, by others as well
 *     refusals         on threads that must not wait, and for lack of room: nothing is done
 *     at the owner     the node that begins a mutation waits, and its answer has the list
 */
#include "fake_sync.h"

#include "base/limits.h"
#include "group/group_internal.h"

static struct fake_log logs[FAKE_NODES];

#define A (&c->nodes[0])
#define B (&c->nodes[1])
#define C (&c->nodes[2])
#define K KAMA_STR("k")

/* A context with room for one address. */
struct told {
    kama_ctx ctx;
    kama_unsynced list;
    char addresses[1][KAMA_ADDRESS_BYTES];
};

static void told_init(struct told *told)
{
    kama_ctx_init(&told->ctx);
    kama_unsynced_init(&told->list);
    told->list.addresses = told->addresses;
    told->list.capacity = 1;
    told->list.count = 77;
    told->ctx.ret_unsynced = &told->list;
}

/* The call has said that this node, and no other one, is late; "": none. */
static void expect_late(struct told *told, const char *late)
{
    assert_int_equal(told->list.count, late[0] != '\0');
    if (late[0] != '\0') {
        assert_string_equal(told->addresses[0], late);
    }
    told->list.count = 77;
}

static struct fake_cluster *open_with(kama_group_options options)
{
    struct fake_cluster *c = fake_new();
    kama_group_options own;
    fake_options(c, &own);
    own.sync_ack = options.sync_ack;
    own.loader_timeout_ms = options.loader_timeout_ms;
    own.sync_timeout_ms = options.sync_timeout_ms;
    fake_synced_open_with(c, logs, own);
    for (unsigned i = 0; i < FAKE_NODES; i++) {
        atomic_store(&logs[i].has_witnesses, true);
    }
    return c;
}

static struct fake_cluster *open(const char *sync_ack, const char *verdict)
{
    kama_group_options options;
    kama_group_options_init(&options);
    options.sync_ack = sync_ack;
    struct fake_cluster *c = open_with(options);
    logs[0].verdict = verdict;
    logs[1].verdict = verdict;
    return c;
}

static kama_status set(struct fake_node *node, const char *value,
                       const kama_ctx *ctx)
{
    kama_set_options options;
    kama_set_options_init(&options);
    options.ctx = ctx;
    return kama_set(node->group, K, kama_bytes_str(value), &options);
}

static kama_status touch(struct fake_node *node, const char *key,
                         const kama_ctx *ctx)
{
    return kama_touch(node->group, kama_bytes_str(key), 60000, ctx);
}

static uint64_t parked(struct fake_node *node)
{
    return atomic_load(&node->group->parked_bytes);
}

/* -- answers ------------------------------------------------------------------ */

/* A wait would never end. */
static void test_async(void **state)
{
    struct fake_cluster *c = open("async", NULL);
    struct told told;
    (void)state;
    told_init(&told);
    assert_int_equal(set(A, "v", &told.ctx), KAMA_OK);
    expect_late(&told, "");
    assert_int_equal(kama_del(A->group, K, &told.ctx), KAMA_OK);
    expect_late(&told, "");
    fake_close(c);
}

static void test_alone(void **state)
{
    struct fake_cluster *c = open("all", NULL);
    struct told told;
    (void)state;
    told_init(&told);
    atomic_store(&logs[0].has_witnesses, false);
    assert_int_equal(set(A, "v", &told.ctx), KAMA_OK);
    expect_late(&told, "");
    fake_close(c);
}

static void test_acknowledged(void **state)
{
    static const char *const acks[] = {"one", "all"};
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct fake_cluster *c = open(acks[i], "");
        struct told told;
        told_init(&told);
        assert_int_equal(set(A, "v", &told.ctx), KAMA_OK);
        expect_late(&told, "");
        assert_int_equal(logs[0].last.ack,
                         i == 0 ? KM_SYNC_ACK_ONE : KM_SYNC_ACK_ALL);
        assert_int_equal(logs[0].last.seq, 1);
        assert_int_equal(logs[0].last.version.hlc,
                         logs[0].records[0].version.hlc);
        assert_int_equal(touch(A, "k", &told.ctx), KAMA_OK);
        expect_late(&told, "");
        assert_int_equal(kama_del(A->group, K, &told.ctx), KAMA_OK);
        assert_int_equal(kama_del(A->group, K, &told.ctx), KAMA_MISS);
        expect_late(&told, "");
        assert_int_equal(logs[0].last.seq, 4);
        assert_int_equal(fake_stats(A).sets, 1);
        assert_int_equal(fake_stats(A).dels, 2);
        assert_int_equal(parked(A), 0);
        fake_close(c);
    }
}

/* A touch of a key that is not there is no mutation. */
static void test_late_nodes(void **state)
{
    struct fake_cluster *c = open("all", "c:1");
    struct told told;
    (void)state;
    told_init(&told);
    assert_int_equal(set(A, "v", &told.ctx), KAMA_UNSYNCED);
    expect_late(&told, "c:1");
    assert_int_equal(set(A, "v", NULL), KAMA_UNSYNCED);
    assert_int_equal(touch(A, "k", &told.ctx), KAMA_UNSYNCED);
    expect_late(&told, "c:1");
    assert_int_equal(kama_del(A->group, K, &told.ctx), KAMA_UNSYNCED);
    expect_late(&told, "c:1");
    assert_int_equal(kama_del(A->group, K, &told.ctx), KAMA_MISS);
    expect_late(&told, "c:1");
    assert_int_equal(touch(A, "k", &told.ctx), KAMA_MISS);
    expect_late(&told, "");
    assert_int_equal(fake_stats(A).sets, 2);
    fake_close(c);
}

/* The list of the caller is checked before anything is done. */
static void test_a_bad_list(void **state)
{
    struct fake_cluster *c = open("all", "c:1");
    struct told told;
    (void)state;
    told_init(&told);
    told.list.addresses = NULL;
    assert_int_equal(set(A, "v", &told.ctx), KAMA_ERR_INVALID);
    assert_int_equal(logs[0].count, 0);
    fake_close(c);
}

static void test_many_keys(void **state)
{
    struct fake_cluster *c = open("one", "c:1");
    const kama_set_item items[] = {{K, KAMA_STR("1"), 0},
                                   {KAMA_STR("l"), KAMA_STR("2"), 0}};
    const kama_bytes keys[] = {K, KAMA_STR("none")};
    kama_status statuses[2];
    struct told told;
    (void)state;
    told_init(&told);
    assert_int_equal(kama_mset(A->group, items, 2, &told.ctx, statuses),
                     KAMA_OK);
    assert_int_equal(statuses[0], KAMA_UNSYNCED);
    assert_int_equal(statuses[1], KAMA_UNSYNCED);
    expect_late(&told, "c:1");
    assert_int_equal(kama_mdel(A->group, keys, 2, &told.ctx, statuses),
                     KAMA_OK);
    assert_int_equal(statuses[0], KAMA_UNSYNCED);
    assert_int_equal(statuses[1], KAMA_MISS);
    expect_late(&told, "c:1");
    logs[0].verdict = "";
    assert_int_equal(kama_mdel(A->group, keys, 2, &told.ctx, NULL), KAMA_OK);
    expect_late(&told, "");
    assert_int_equal(parked(A), 0);
    fake_close(c);
}

/* -- times --------------------------------------------------------------------- */

/* The end of the last wait of a node was so many ms after something that has happened
 * between `from` and now. */
static void expect_until(const struct fake_log *log, km_ns from, int64_t ms)
{
    km_ns now = km_clock_mono(km_clock_system());
    assert_true(log->last.until >= km_ns_after_ms(from, ms));
    assert_true(log->last.until <= km_ns_after_ms(now, ms));
}

static void test_times(void **state)
{
    struct fake_cluster *c = open("all", "");
    kama_ctx ctx;
    (void)state;
    kama_ctx_init(&ctx);
    km_ns from = km_clock_mono(km_clock_system());
    assert_int_equal(set(A, "v", NULL), KAMA_OK);
    expect_until(&logs[0], from, 2000);
    ctx.deadline_ms = 1500;
    from = km_clock_mono(km_clock_system());
    assert_int_equal(set(A, "v", &ctx), KAMA_OK);
    expect_until(&logs[0], from, 1500);
    ctx.deadline_ms = 60000;
    from = km_clock_mono(km_clock_system());
    assert_int_equal(set(A, "v", &ctx), KAMA_OK);
    expect_until(&logs[0], from, 2000);
    fake_close(c);
}

/* -- waiting ------------------------------------------------------------------- */

struct answer {
    atomic_uint count;
    kama_status status;
    uint32_t late; /* that the list has inside the callback */
    struct told told;
};

static void on_answer(void *arg, kama_status status)
{
    struct answer *answer = arg;
    answer->status = status;
    answer->late = answer->told.list.count;
    atomic_fetch_add(&answer->count, 1);
}

/* A set that waits holds little, and is seen here, and by nodes that hear of it. */
static void test_parked(void **state)
{
    static char large[100000];
    struct fake_cluster *c = open("all", NULL);
    struct answer answer = {.count = 0};
    kama_set_options options;
    uint64_t etag = 0;
    (void)state;
    told_init(&answer.told);
    kama_set_options_init(&options);
    options.ctx = &answer.told.ctx;
    options.ret_etag = &etag;
    assert_int_equal(kama_set_async(A->group, K,
                                    kama_bytes_make(large, sizeof large),
                                    &options, on_answer, &answer),
                     KAMA_OK);
    AWAIT(atomic_load(&logs[0].waiting) == 1);
    assert_int_equal(parked(A), sizeof(struct km_mutate_op));
    assert_int_equal(kama_exists(A->group, K, NULL), KAMA_OK);
    assert_int_equal(fake_deliver(&logs[0], &logs[2]), 1);
    assert_int_equal(kama_exists(C->group, K, NULL), KAMA_OK);
    assert_int_equal(atomic_load(&answer.count), 0);
    fake_end_waits(&logs[0], "b:1");
    AWAIT(atomic_load(&answer.count) == 1);
    assert_int_equal(answer.status, KAMA_UNSYNCED);
    assert_int_equal(answer.late, 1);
    expect_late(&answer.told, "b:1");
    assert_int_not_equal(etag, 0);
    assert_int_equal(parked(A), 0);
    fake_close(c);
}

/* -- refusals ------------------------------------------------------------------ */

static void set_inside(void *arg, kama_status status)
{
    struct answer *answer = arg;
    kama_group *group = (kama_group *)(void *)answer->told.ctx.user;
    (void)status;
    answer->status = kama_set(group, KAMA_STR("other"), K, NULL);
    atomic_fetch_add(&answer->count, 1);
}

/* A thread of the node must not wait for other nodes, if there are any. */
static void test_pool_threads_do_not_wait(void **state)
{
    struct fake_cluster *c = open("one", "");
    struct answer answer = {.count = 0};
    (void)state;
    answer.told.ctx.user = A->group;
    assert_int_equal(kama_del_async(A->group, K, NULL, set_inside, &answer),
                     KAMA_OK);
    AWAIT(atomic_load(&answer.count) == 1);
    assert_int_equal(answer.status, KAMA_ERR_WOULD_DEADLOCK);
    assert_int_equal(logs[0].count, 1);
    assert_int_equal(fake_stats(A).sets, 0);
    atomic_store(&logs[0].has_witnesses, false);
    assert_int_equal(kama_del_async(A->group, K, NULL, set_inside, &answer),
                     KAMA_OK);
    AWAIT(atomic_load(&answer.count) == 2);
    assert_int_equal(answer.status, KAMA_OK);
    fake_close(c);
}

/* What waits is bounded. */
static void test_no_room(void **state)
{
    struct fake_cluster *c = open("one", "");
    (void)state;
    atomic_fetch_add(&A->group->parked_bytes, KM_MUTATE_PARKED_BYTES_MAX);
    assert_int_equal(set(A, "v", NULL), KAMA_ERR_OVERLOADED);
    assert_int_equal(kama_del(A->group, K, NULL), KAMA_ERR_OVERLOADED);
    assert_int_equal(logs[0].count, 0);
    assert_int_equal(kama_exists(A->group, K, NULL), KAMA_MISS);
    atomic_fetch_sub(&A->group->parked_bytes, KM_MUTATE_PARKED_BYTES_MAX);
    assert_int_equal(set(A, "v", NULL), KAMA_OK);
    fake_close(c);
}

/* -- at the owner -------------------------------------------------------------- */

static kama_status set_if_absent(struct fake_node *node, struct told *told,
                                 uint64_t *ret_etag)
{
    kama_set_options options;
    kama_set_options_init(&options);
    options.condition = KAMA_SET_IF_ABSENT;
    options.ctx = &told->ctx;
    options.ret_etag = ret_etag;
    return kama_set(node->group, K, KAMA_STR("v"), &options);
}

/* The owner waits, and a refusal does not. */
static void test_conditions(void **state)
{
    struct fake_cluster *c = open("all", "c:1");
    struct told told;
    uint64_t etag = 0;
    (void)state;
    told_init(&told);
    assert_int_equal(set_if_absent(A, &told, &etag), KAMA_UNSYNCED);
    expect_late(&told, "c:1");
    assert_int_not_equal(etag, 0);
    assert_int_equal(logs[0].count, 0);
    assert_int_equal(logs[0].last.seq, 0);
    assert_int_equal(logs[1].last.seq, 1);
    assert_int_equal(fake_stats(A).sets, 1);
    assert_int_equal(fake_stats(B).mutations_served, 1);
    assert_int_equal(set_if_absent(A, &told, &etag), KAMA_ERR_EXISTS);
    expect_late(&told, "");
    assert_int_equal(set_if_absent(B, &told, &etag), KAMA_ERR_EXISTS);
    expect_late(&told, "");
    assert_int_equal(logs[1].count, 1);
    assert_int_equal(parked(A) + parked(B), 0);
    fake_close(c);
}

/* A node that may begin nothing hears from the owner who is late. The owner answers before
 * the time of the caller is over. */
static void test_a_leaving_node(void **state)
{
    struct fake_cluster *c = open("all", "c:1");
    struct told told;
    (void)state;
    told_init(&told);
    atomic_store(&logs[0].role, KM_SYNC_LEAVING);
    assert_int_equal(kama_del(A->group, K, &told.ctx), KAMA_MISS);
    expect_late(&told, "c:1");
    assert_int_equal(logs[0].last.seq, 0);
    assert_int_equal(logs[1].last.seq, 1);
    assert_int_equal(atomic_load(&A->mutations), 1);
    assert_int_equal(parked(A) + parked(B), 0);
    fake_close(c);
}

/* A clear waits as any other mutation, also one that another node begins. */
static void test_clear(void **state)
{
    struct fake_cluster *c = open("all", "c:1");
    struct told told;
    (void)state;
    told_init(&told);
    assert_int_equal(set(A, "v", NULL), KAMA_UNSYNCED);
    assert_int_equal(kama_group_clear_ctx(A->group, &told.ctx), KAMA_UNSYNCED);
    expect_late(&told, "c:1");
    assert_int_equal(kama_exists(A->group, K, NULL), KAMA_MISS);
    assert_int_equal(logs[0].last.seq, 2);
    atomic_store(&logs[0].role, KM_SYNC_LEAVING);
    assert_int_equal(kama_group_clear_ctx(A->group, &told.ctx), KAMA_UNSYNCED);
    expect_late(&told, "c:1");
    assert_int_equal(logs[1].count, 1);
    assert_int_equal(logs[1].last.seq, logs[1].records[0].version.hlc);
    atomic_store(&logs[0].role, KM_SYNC_ORIGINATES);
    logs[0].verdict = "";
    assert_int_equal(kama_group_clear_ctx(A->group, &told.ctx), KAMA_OK);
    expect_late(&told, "");
    assert_int_equal(parked(A) + parked(B), 0);
    fake_close(c);
}

/* A request to the owner has the time of a load, and that of a wait besides. */
static void test_time_of_a_request(void **state)
{
    kama_group_options options;
    struct told told;
    (void)state;
    kama_group_options_init(&options);
    options.sync_ack = "one";
    options.loader_timeout_ms = 1000;
    struct fake_cluster *c = open_with(options);
    logs[1].verdict = "";
    told_init(&told);
    km_ns from = km_clock_mono(km_clock_system());
    assert_int_equal(set_if_absent(A, &told, NULL), KAMA_OK);
    km_ns now = km_clock_mono(km_clock_system());
    assert_true(A->last_deadline >= km_ns_after_ms(from, 3000));
    assert_true(A->last_deadline <= km_ns_after_ms(now, 3000));
    fake_close(c);
}

/* An owner answers when seven eighths of the time of the call are over. */
static void test_time_of_an_owner(void **state)
{
    kama_group_options options;
    kama_ctx ctx;
    (void)state;
    kama_group_options_init(&options);
    options.sync_ack = "one";
    options.sync_timeout_ms = 60000;
    struct fake_cluster *c = open_with(options);
    logs[1].verdict = "";
    kama_ctx_init(&ctx);
    ctx.deadline_ms = 20000;
    atomic_store(&logs[0].role, KM_SYNC_LEAVING);
    km_ns from = km_clock_mono(km_clock_system());
    assert_int_equal(kama_del(A->group, K, &ctx), KAMA_MISS);
    km_ns now = km_clock_mono(km_clock_system());
    assert_true(A->last_deadline >= km_ns_after_ms(from, 20000));
    assert_true(A->last_deadline <= km_ns_after_ms(now, 20000));
    assert_true(logs[1].last.until >= km_ns_after_ms(from, 17000));
    assert_true(km_ns_after_ms(logs[1].last.until, 1000) < A->last_deadline);
    fake_close(c);
}

static void on_mutated(struct km_mutate_op *op, kama_status status,
                       const char *sentence)
{
    (void)op;
    (void)status;
    (void)sentence;
}

/* Deletes the key for a caller that waits for 20 s. Returns when the wait for other nodes
 * would have ended. */
static km_ns end_of_a_wait(struct fake_node *node,
                           enum km_mutate_answer answers)
{
    struct km_mutate_op op = {.done = on_mutated};
    kama_ctx ctx;
    kama_ctx_init(&ctx);
    ctx.deadline_ms = 20000;
    const struct km_mutate_order order = {.kind = KM_MUTATION_DELETE,
                                          .from = KM_MUTATE_FOR_CALLER,
                                          .patience = KM_MUTATE_PARKS,
                                          .answers = answers,
                                          .key = K,
                                          .ctx = &ctx};
    assert_int_equal(km_mutate_op_start(node->group, &op, &order),
                     KAMA_DEFERRED);
    AWAIT(atomic_load(&logs[0].waiting) == 1);
    km_ns until = logs[0].last.until;
    fake_end_waits(&logs[0], "");
    return until;
}

/* A client on the wire has the answer before its deadline; a caller in this process has it at the deadline. */
static void test_time_of_a_client(void **state)
{
    kama_group_options options;
    (void)state;
    kama_group_options_init(&options);
    options.sync_ack = "all";
    options.sync_timeout_ms = 60000;
    struct fake_cluster *c = open_with(options);
    km_ns from = km_clock_mono(km_clock_system());
    assert_true(end_of_a_wait(A, KM_MUTATE_ANSWERS_HERE) >=
                km_ns_after_ms(from, 20000));
    km_ns until = end_of_a_wait(A, KM_MUTATE_ANSWERS_CLIENT);
    km_ns now = km_clock_mono(km_clock_system());
    assert_true(until >= km_ns_after_ms(from, 17500));
    assert_true(until <= km_ns_after_ms(now, 17500));
    fake_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_async),
        cmocka_unit_test(test_alone),
        cmocka_unit_test(test_acknowledged),
        cmocka_unit_test(test_late_nodes),
        cmocka_unit_test(test_a_bad_list),
        cmocka_unit_test(test_many_keys),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_parked),
        cmocka_unit_test(test_pool_threads_do_not_wait),
        cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_conditions),
        cmocka_unit_test(test_a_leaving_node),
        cmocka_unit_test(test_clear),
        cmocka_unit_test(test_time_of_a_request),
        cmocka_unit_test(test_time_of_an_owner),
        cmocka_unit_test(test_time_of_a_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
