/* SPDX-License-Identifier: MIT */
/* Mutations of a synchronized group: they act on the node that is called, reach the
 * others by its stream, and go to the owner only if they have a condition or the node
 * may not begin them. Node b owns all keys. */
#include "fake_sync.h"
#include "helpers/failmalloc.h"

static struct fake_log logs[FAKE_NODES];

#define A (&c->nodes[0])
#define B (&c->nodes[1])
#define C (&c->nodes[2])

/* Returns the etag of the value that is in memory; 0: there is none. */
static uint64_t memory_etag(struct fake_node *node, const char *key)
{
    uint64_t etag = 0;
    kama_value *value = NULL;
    kama_ctx ctx;
    kama_ctx_init(&ctx);
    ctx.flags = KAMA_NO_LOAD | KAMA_LOCAL_ONLY;
    if (kama_get(node->group, kama_bytes_str(key), &ctx, &value) == KAMA_OK) {
        etag = kama_value_etag(value);
        kama_value_unref(value);
    }
    return etag;
}

static void assert_memory(struct fake_node *node, const char *key,
                          const char *text)
{
    kama_ctx ctx;
    kama_ctx_init(&ctx);
    ctx.flags = KAMA_NO_LOAD | KAMA_LOCAL_ONLY;
    kama_status st = get_text(node->group, key, &ctx, text);
    assert_int_equal(st == KAMA_OK, text != NULL);
}

static kama_status set_if(struct fake_node *node, const char *key,
                          const char *value, kama_condition condition,
                          uint64_t if_etag, uint64_t *ret_etag)
{
    kama_set_options options;
    kama_set_options_init(&options);
    options.condition = condition;
    options.if_etag = if_etag;
    options.ret_etag = ret_etag;
    return kama_set(node->group, kama_bytes_str(key), kama_bytes_str(value),
                    &options);
}

static kama_status set(struct fake_node *node, const char *key,
                       const char *value)
{
    return set_if(node, key, value, KAMA_SET_ALWAYS, 0, NULL);
}

static kama_status del(struct fake_node *node, const char *key)
{
    return kama_del(node->group, kama_bytes_str(key), NULL);
}

static void deliver_all(void)
{
    for (unsigned i = 0; i < FAKE_NODES; i++) {
        for (unsigned j = 0; j < FAKE_NODES; j++) {
            if (i != j) {
                (void)fake_deliver(&logs[i], &logs[j]);
            }
        }
    }
}

/* Nobody is between enter and leave, and all counts fit. */
static void close_all(struct fake_cluster *c)
{
    for (unsigned i = 0; i < FAKE_NODES; i++) {
        assert_int_equal(atomic_load(&logs[i].inside), 0);
        assert_int_equal(fake_stats(&c->nodes[i]).sync_originated,
                         logs[i].count);
    }
    fake_close(c);
    for (unsigned i = 0; i < FAKE_NODES; i++) {
        assert_null(logs[i].store); /* the log uses it no longer */
    }
}

static void test_mutations_act_here(void **state)
{
    struct fake_cluster *c = fake_synced_open(logs);
    uint64_t etag = 0;
    (void)state;
    assert_int_equal(set_if(A, "k", "v1", KAMA_SET_ALWAYS, 0, &etag), KAMA_OK);
    assert_memory(A, "k", "v1");
    assert_int_equal(memory_etag(A, "k"), etag);
    assert_memory(B, "k", NULL);
    assert_int_equal(fake_deliver(&logs[0], &logs[1]), 1);
    assert_memory(B, "k", "v1");
    assert_int_equal(memory_etag(B, "k"), etag);
    assert_int_equal(fake_stats(B).sync_applied, 1);
    assert_int_equal(del(B, "k"), KAMA_OK);
    assert_int_equal(del(B, "k"), KAMA_MISS);
    assert_memory(A, "k", "v1");
    assert_int_equal(fake_deliver(&logs[1], &logs[0]), 2);
    assert_memory(A, "k", NULL);
    deliver_all();
    assert_int_equal(atomic_load(&A->mutations), 0);
    assert_int_equal(fake_stats(A).sync_originated, 1);
    assert_int_equal(fake_stats(A).sets, 1);
    assert_int_equal(fake_stats(B).dels, 2);
    assert_int_equal(fake_stats(C).sync_applied, 3);
    close_all(c);
}

/* Two nodes set a key at the same time: all keep the same value. */
static void test_the_larger_version_wins(void **state)
{
    struct fake_cluster *c = fake_synced_open(logs);
    (void)state;
    assert_int_equal(set(A, "k", "of a"), KAMA_OK);
    assert_int_equal(set(C, "k", "of c"), KAMA_OK);
    deliver_all();
    for (unsigned i = 0; i < FAKE_NODES; i++) {
        assert_memory(&c->nodes[i], "k", "of c");
    }
    /* The next set of a knows the version of c. */
    assert_int_equal(set(A, "k", "of a"), KAMA_OK);
    deliver_all();
    assert_memory(C, "k", "of a");
    close_all(c);
}

/* A touch of a set value changes its time everywhere; one of a loaded value is sent
 * with the value, because others may not have it. */
static void test_touches(void **state)
{
    struct fake_cluster *c = fake_synced_open(logs);
    (void)state;
    assert_int_equal(set(A, "set", "v"), KAMA_OK);
    deliver_all();
    assert_int_equal(kama_touch(B->group, KAMA_STR("set"), 60000, NULL),
                     KAMA_OK);
    assert_int_equal(logs[1].records[0].kind, KM_APPLY_EXPIRE);
    deliver_all();
    kama_value *value = NULL;
    assert_int_equal(kama_get(A->group, KAMA_STR("set"), NULL, &value),
                     KAMA_OK);
    assert_in_range(kama_value_ttl_ms(value), 1, 60000);
    kama_value_unref(value);
    assert_int_equal(get_text(B->group, "loaded", NULL, "value of loaded"),
                     KAMA_OK);
    assert_int_equal(kama_touch(B->group, KAMA_STR("loaded"), 60000, NULL),
                     KAMA_OK);
    assert_int_equal(logs[1].records[1].kind, KM_APPLY_SET);
    assert_int_equal(kama_touch(B->group, KAMA_STR("nothing"), 60000, NULL),
                     KAMA_MISS);
    assert_int_equal(logs[1].count, 2);
    deliver_all();
    assert_memory(C, "loaded", "value of loaded");
    close_all(c);
}

static void test_many_keys(void **state)
{
    struct fake_cluster *c = fake_synced_open(logs);
    const kama_set_item items[] = {
        {.key = KAMA_STR("a"), .value = KAMA_STR("1")},
        {.key = KAMA_STR("b"), .value = KAMA_STR("2")}};
    const kama_bytes keys[] = {KAMA_STR("a"), KAMA_STR("c")};
    kama_status statuses[2];
    (void)state;
    assert_int_equal(kama_mset(A->group, items, 2, NULL, statuses), KAMA_OK);
    assert_int_equal(statuses[0], KAMA_OK);
    assert_int_equal(statuses[1], KAMA_OK);
    deliver_all();
    assert_memory(C, "b", "2");
    assert_int_equal(kama_mdel(C->group, keys, 2, NULL, statuses), KAMA_OK);
    assert_int_equal(statuses[0], KAMA_OK);
    assert_int_equal(statuses[1], KAMA_MISS);
    deliver_all();
    assert_memory(A, "a", NULL);
    assert_memory(A, "b", "2");
    assert_int_equal(atomic_load(&A->mutations), 0);
    close_all(c);
}

/* R6: a clear acts here at once, and on the others when they hear of it. What was set
 * before does not come back. */
static void test_clear(void **state)
{
    struct fake_cluster *c = fake_synced_open(logs);
    (void)state;
    assert_int_equal(set(A, "k", "v"), KAMA_OK);
    assert_int_equal(fake_deliver(&logs[0], &logs[1]), 1);
    assert_int_equal(kama_group_clear(B->group), KAMA_OK);
    assert_memory(B, "k", NULL);
    assert_int_equal(fake_deliver(&logs[1], &logs[2]), 1);
    assert_int_equal(fake_deliver(&logs[0], &logs[2]), 1);
    assert_memory(C, "k", NULL);
    deliver_all();
    assert_memory(A, "k", NULL);
    assert_int_equal(atomic_load(&B->clears), 0);
    assert_int_equal(fake_stats(B).clears, 1);
    close_all(c);
}

/* A set with a condition is the owner's. The node that has asked for it does not show
 * what it had before, and waits for the stream of the owner with the new value. */
static void test_conditions_are_the_owners(void **state)
{
    struct fake_cluster *c = fake_synced_open(logs);
    uint64_t etag = 0;
    (void)state;
    assert_int_equal(set(A, "k", "v1"), KAMA_OK);
    deliver_all();
    assert_int_equal(set_if(A, "k", "v2", KAMA_SET_IF_PRESENT, 0, &etag),
                     KAMA_OK);
    assert_int_equal(logs[0].count, 1);
    assert_int_equal(logs[1].count, 1);
    assert_int_equal(fake_stats(B).mutations_served, 1);
    assert_memory(A, "k", NULL);
    assert_int_equal(memory_etag(B, "k"), etag);
    assert_int_not_equal(etag, 0);
    /* A later set of this node is newer than what the owner has done for it. */
    assert_int_equal(set(A, "k", "v3"), KAMA_OK);
    assert_memory(A, "k", "v3");
    deliver_all();
    for (unsigned i = 0; i < FAKE_NODES; i++) {
        assert_memory(&c->nodes[i], "k", "v3");
    }
    assert_int_equal(
        set_if(B, "k", "v4", KAMA_SET_IF_MATCH, memory_etag(A, "k"), NULL),
        KAMA_OK);
    deliver_all();
    assert_memory(C, "k", "v4");
    close_all(c);
}

/* A refusal may know of a value that this node has not heard of: it must not offer the
 * old one to whoever reads the key again. */
static void test_refused_conditions(void **state)
{
    struct fake_cluster *c = fake_synced_open(logs);
    (void)state;
    assert_int_equal(set(A, "k", "v1"), KAMA_OK);
    deliver_all();
    uint64_t old = memory_etag(A, "k");
    assert_int_equal(set(B, "k", "v2"), KAMA_OK);
    assert_int_equal(set_if(A, "k", "v3", KAMA_SET_IF_MATCH, old, NULL),
                     KAMA_ERR_TRY_AGAIN);
    assert_memory(A, "k", NULL);
    assert_int_equal(set_if(A, "k", "v3", KAMA_SET_IF_ABSENT, 0, NULL),
                     KAMA_ERR_EXISTS);
    assert_int_equal(logs[1].count, 1);
    deliver_all();
    assert_memory(A, "k", "v2");
    close_all(c);
}

/* The answer of the owner is lost: the set may have been carried out. */
static void test_a_lost_answer(void **state)
{
    struct fake_cluster *c = fake_synced_open(logs);
    (void)state;
    assert_int_equal(set(A, "k", "v1"), KAMA_OK);
    deliver_all();
    atomic_store(&B->outcome, KM_OWNER_LOST);
    assert_int_equal(set_if(A, "k", "v2", KAMA_SET_IF_PRESENT, 0, NULL),
                     KAMA_ERR_PEER);
    assert_memory(A, "k", NULL);
    atomic_store(&B->outcome, KM_OWNER_ANSWERED);
    close_all(c);
}

static void become(struct fake_node *node, enum km_sync_role role)
{
    atomic_store(&logs[node - node->cluster->nodes].role, role);
}

/* A node that is leaving lets the owner originate, with an acknowledgement as good as
 * its own: what it shows afterwards is not older. */
static void test_a_leaving_node(void **state)
{
    struct fake_cluster *c = fake_synced_open(logs);
    uint64_t etag = 0;
    (void)state;
    assert_int_equal(set(A, "k", "v1"), KAMA_OK);
    deliver_all();
    become(A, KM_SYNC_LEAVING);
    assert_int_equal(set_if(A, "k", "v2", KAMA_SET_ALWAYS, 0, &etag), KAMA_OK);
    assert_int_equal(logs[1].count, 1);
    assert_memory(A, "k", NULL);
    assert_memory(B, "k", "v2");
    assert_int_equal(memory_etag(B, "k"), etag);
    assert_int_equal(kama_touch(A->group, KAMA_STR("k"), 60000, NULL), KAMA_OK);
    assert_int_equal(del(A, "k"), KAMA_OK);
    assert_int_equal(logs[1].count, 3);
    assert_memory(B, "k", NULL);
    assert_int_equal(logs[0].count, 1);
    /* The owner of the key is leaving, too. */
    become(B, KM_SYNC_LEAVING);
    kama_ctx ctx;
    kama_ctx_init(&ctx);
    ctx.deadline_ms = 120;
    assert_int_equal(kama_del(A->group, KAMA_STR("k"), &ctx),
                     KAMA_ERR_TRY_AGAIN);
    assert_int_equal(kama_del(B->group, KAMA_STR("k"), &ctx),
                     KAMA_ERR_NOT_READY);
    close_all(c);
}

/* A clear has no key: the owner of the empty one begins it, and it has a version, so that a
 * set from before it does not land behind it anywhere. */
static void test_a_clear_of_a_leaving_node(void **state)
{
    struct fake_cluster *c = fake_synced_open(logs);
    (void)state;
    assert_int_equal(set(C, "k", "v1"), KAMA_OK);
    assert_int_equal(fake_deliver(&logs[2], &logs[0]), 1);
    assert_memory(A, "k", "v1");
    become(A, KM_SYNC_LEAVING);
    assert_int_equal(kama_group_clear(A->group), KAMA_OK);
    assert_memory(A, "k", NULL);
    assert_int_equal(logs[0].count, 0);
    assert_int_equal(logs[1].count, 1);
    assert_int_equal(logs[1].records[0].kind, FAKE_CLEAR);
    assert_int_equal(atomic_load(&logs[0].told[1]), logs[1].hlc);
    assert_int_equal(fake_deliver(&logs[2], &logs[1]), 1);
    assert_memory(B, "k", NULL);
    deliver_all();
    assert_memory(C, "k", NULL);
    assert_int_equal(atomic_load(&A->clears), 0);
    assert_int_equal(fake_stats(A).clears, 0);
    assert_int_equal(fake_stats(A).mutations_forwarded, 1);
    assert_int_equal(fake_stats(B).clears, 1);
    assert_int_equal(fake_stats(B).mutations_served, 1);
    close_all(c);
}

/* Another owner may still have what the clear has removed: a get behind the clear does not
 * show it (R8). */
static void test_a_get_behind_a_clear(void **state)
{
    struct fake_cluster *c = fake_synced_open(logs);
    (void)state;
    fake_own(C, KM_OWNER_HERE, NULL);
    C->script.value = "old";
    C->script.value_len = 3;
    assert_int_equal(get_text(C->group, "k", NULL, "old"), KAMA_OK);
    become(A, KM_SYNC_LEAVING);
    assert_int_equal(kama_group_clear(A->group), KAMA_OK);
    fake_own(A, KM_OWNER_PEER, C);
    atomic_store(&C->fence_wait_ms, 5);
    assert_int_equal(get_text(A->group, "k", NULL, "value of k"), KAMA_OK);
    close_all(c);
}

/* The answers that a mutation of a key can get. A clear whose answer is lost empties this
 * node; one that was refused has changed nothing. */
static void test_a_clear_that_fails(void **state)
{
    struct fake_cluster *c = fake_synced_open(logs);
    char text[256];
    kama_ctx ctx;
    (void)state;
    kama_ctx_init(&ctx);
    ctx.deadline_ms = 120;
    assert_int_equal(set(A, "k", "v1"), KAMA_OK);
    become(A, KM_SYNC_LEAVING);
    become(B, KM_SYNC_LEAVING);
    assert_int_equal(kama_group_clear_ctx(A->group, &ctx), KAMA_ERR_TRY_AGAIN);
    (void)kama_last_error(text, sizeof text);
    assert_string_equal(
        text, "group test: nothing was changed: the nodes that were asked say "
              "that another one has to begin the clear");
    assert_int_equal(kama_group_clear_ctx(B->group, &ctx), KAMA_ERR_NOT_READY);
    become(B, KM_SYNC_ORIGINATES);
    atomic_store(&B->outcome, KM_OWNER_UNREACHABLE);
    assert_int_equal(kama_group_clear(A->group), KAMA_ERR_PEER);
    assert_memory(A, "k", "v1");
    atomic_store(&B->outcome, KM_OWNER_LOST);
    assert_int_equal(kama_group_clear(A->group), KAMA_ERR_PEER);
    (void)kama_last_error(text, sizeof text);
    assert_non_null(strstr(text, "repeat the clear"));
    assert_memory(A, "k", NULL);
    close_all(c);
}

static void *become_member(void *arg)
{
    struct fake_node *node = arg;
    struct fake_cluster *c = node->cluster;
    AWAIT(atomic_load(&c->waits) > 0);
    become(node, KM_SYNC_ORIGINATES);
    fake_own(node, KM_OWNER_PEER, B);
    return NULL;
}

/* A node that is joining waits until it may begin mutations, as long as its caller
 * waits. */
static void test_a_joining_node(void **state)
{
    struct fake_cluster *c = fake_synced_open(logs);
    pthread_t thread;
    kama_ctx ctx;
    (void)state;
    become(A, KM_SYNC_JOINING);
    fake_own(A, KM_OWNER_NOBODY, NULL);
    (void)pthread_mutex_lock(&A->lock);
    A->answer.refusal = KAMA_ERR_NOT_READY;
    (void)pthread_mutex_unlock(&A->lock);
    kama_ctx_init(&ctx);
    ctx.deadline_ms = 50;
    assert_int_equal(kama_del(A->group, KAMA_STR("k"), &ctx),
                     KAMA_ERR_NOT_READY);
    assert_int_equal(kama_group_clear_ctx(A->group, &ctx), KAMA_ERR_NOT_READY);
    atomic_store(&c->waits, 0);
    assert_int_equal(pthread_create(&thread, NULL, become_member, A), 0);
    ctx.deadline_ms = 20000;
    assert_int_equal(kama_del(A->group, KAMA_STR("k"), &ctx), KAMA_MISS);
    (void)pthread_join(thread, NULL);
    assert_int_equal(logs[0].count, 1);
    close_all(c);
}

static void test_a_clear_of_a_joining_node(void **state)
{
    struct fake_cluster *c = fake_synced_open(logs);
    pthread_t thread;
    (void)state;
    become(A, KM_SYNC_JOINING);
    fake_own(A, KM_OWNER_NOBODY, NULL);
    assert_int_equal(pthread_create(&thread, NULL, become_member, A), 0);
    assert_int_equal(kama_group_clear(A->group), KAMA_OK);
    (void)pthread_join(thread, NULL);
    assert_int_equal(logs[0].count, 1);
    assert_int_equal(logs[0].records[0].kind, FAKE_CLEAR);
    close_all(c);
}

/* A node that is in no cluster refuses at once, because nobody would ever hear of the
 * mutation. */
static void test_a_node_outside(void **state)
{
    struct fake_cluster *c = fake_synced_open(logs);
    (void)state;
    become(A, KM_SYNC_OUT);
    assert_int_equal(set(A, "k", "v"), KAMA_ERR_NOT_READY);
    assert_int_equal(del(A, "k"), KAMA_ERR_NOT_READY);
    assert_int_equal(kama_group_clear(A->group), KAMA_ERR_NOT_READY);
    assert_int_equal(atomic_load(&c->waits), 0);
    assert_memory(A, "k", NULL);
    close_all(c);
}

/* This node cannot know whether its entries are true: they are gone, and what comes late
 * does not bring them back. */
static void test_forget(void **state)
{
    struct fake_cluster *c = fake_synced_open(logs);
    (void)state;
    assert_int_equal(set(A, "k", "v1"), KAMA_OK);
    assert_int_equal(set(B, "b", "v1"), KAMA_OK);
    assert_int_equal(set(B, "b", "v2"), KAMA_OK);
    km_group_forget(B->group);
    assert_memory(B, "b", NULL);
    assert_int_equal(fake_deliver(&logs[0], &logs[1]), 1);
    assert_memory(B, "k", NULL);
    close_all(c);
}

/* -- without memory ---------------------------------------------------------- */

/* Changes a key in all ways. A change that fails has no version. */
static kama_status change_all(kama_group *group, struct fake_log *log)
{
    kama_bytes key = KAMA_STR("k");
    unsigned before = log->count;
    kama_status st = kama_set(group, key, KAMA_STR("v"), NULL);
    assert_int_equal(log->count, before + (st == KAMA_OK ? 1 : 0));
    if (st == KAMA_OK) {
        st = kama_touch(group, key, 60000, NULL);
        assert_int_equal(log->count, before + (st == KAMA_OK ? 2 : 1));
    }
    if (st == KAMA_OK) {
        st = kama_del(group, key, NULL);
        assert_int_equal(st, KAMA_OK);
    }
    return st;
}

/* Applies a set of another node, which does not fail: at worst the value is gone. */
static void apply_set(kama_group *group)
{
    struct km_group_record record = {.kind = KM_APPLY_SET,
                                     .version = {.hlc = 1000, .origin = 2},
                                     .key = KAMA_STR("other"),
                                     .value = KAMA_STR("v"),
                                     .ttl_ms = KAMA_TTL_FOREVER};
    int64_t ttl_ms;
    (void)km_group_apply(group, &record);
    kama_value *value =
        km_group_value_of(group, record.key, record.version, &ttl_ms);
    kama_value_unref(value);
}

static kama_status scenario(const kama_allocator *mem, void *arg)
{
    static struct fake_node node = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct km_pool *pool = arg;
    kama_group *group;
    kama_group_options options;
    const struct km_group_env env = {.pool = pool,
                                     .owner = {.ops = &fake_ops, .arg = &node},
                                     .sync = fake_sync(&logs[0])};
    fake_log_init(&logs[0], 1);
    node.answer.place = KM_OWNER_HERE;
    kama_group_options_init(&options);
    options.name = "test";
    options.sync = "broadcast";
    options.allocator = mem;
    options.max_bytes = 1u << 20;
    kama_status st = km_group_new(&options, &env, &group);
    if (st == KAMA_OK) {
        st = change_all(group, &logs[0]);
        apply_set(group);
        km_group_check(group);
        km_group_free(group);
    }
    return st;
}

static void test_no_memory(void **state)
{
    struct km_pool *pool;
    (void)state;
    assert_int_equal(km_pool_new(NULL, km_clock_system(), "node", 2, &pool),
                     KAMA_OK);
    assert_true(km_test_fail_each(scenario, pool) > 10);
    km_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mutations_act_here),
        cmocka_unit_test(test_the_larger_version_wins),
        cmocka_unit_test(test_touches),
        cmocka_unit_test(test_many_keys),
        cmocka_unit_test(test_clear),
        cmocka_unit_test(test_conditions_are_the_owners),
        cmocka_unit_test(test_refused_conditions),
        cmocka_unit_test(test_a_lost_answer),
        cmocka_unit_test(test_a_leaving_node),
        cmocka_unit_test(test_a_clear_of_a_leaving_node),
        cmocka_unit_test(test_a_get_behind_a_clear),
        cmocka_unit_test(test_a_clear_that_fails),
        cmocka_unit_test(test_a_joining_node),
        cmocka_unit_test(test_a_clear_of_a_joining_node),
        cmocka_unit_test(test_a_node_outside),
        cmocka_unit_test(test_forget),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
