/* SPDX-License-Identifier: MIT */
/* The records of other nodes in a group, and the values of its own: a value that cannot
 * be kept removes the old one, times come along, and groups that are not synchronized
 * are left alone. */
#include "group/sync_apply.h"

#include "fake_sync.h"

static struct fake_log logs[FAKE_NODES];

static struct km_group_record record_of(enum km_operation_kind kind,
                                        const char *key, uint64_t hlc)
{
    return (struct km_group_record){.kind = kind,
                                    .version = {.hlc = hlc, .origin = 2},
                                    .key = kama_bytes_str(key),
                                    .ttl_ms = KAMA_TTL_FOREVER};
}

static bool set(kama_group *group, const char *key, uint64_t hlc,
                const char *value)
{
    struct km_group_record record = record_of(KM_APPLY_SET, key, hlc);
    record.value = kama_bytes_str(value);
    return km_group_apply(group, &record);
}

/* Asserts the text that is in memory; NULL: there is no value. */
static void assert_memory(kama_group *group, const char *key, const char *text)
{
    kama_ctx ctx;
    kama_ctx_init(&ctx);
    ctx.flags = KAMA_NO_LOAD | KAMA_LOCAL_ONLY;
    kama_status st = get_text(group, key, &ctx, text);
    if (text != NULL) {
        assert_int_equal(st, KAMA_OK);
    } else {
        assert_int_not_equal(st, KAMA_OK);
    }
}

/* Returns what is left of the value of a version, or 0 if there is none. */
static int64_t left_of(kama_group *group, const char *key, uint64_t hlc)
{
    int64_t ttl_ms = 0;
    const struct km_version version = {.hlc = hlc, .origin = 2};
    kama_value *value =
        km_group_value_of(group, kama_bytes_str(key), version, &ttl_ms);
    kama_value_unref(value);
    return value != NULL ? ttl_ms : 0;
}

static void test_records_act(void **state)
{
    struct fake_cluster *c = fake_synced_open(logs);
    kama_group *group = c->nodes[0].group;
    (void)state;
    assert_true(km_group_is_synced(group));
    assert_true(set(group, "k", 10, "v10"));
    assert_memory(group, "k", "v10");
    assert_false(set(group, "k", 9, "v9"));
    assert_false(set(group, "k", 10, "v10"));
    assert_memory(group, "k", "v10");
    struct km_group_record record = record_of(KM_APPLY_DELETE, "k", 11);
    assert_true(km_group_apply(group, &record));
    assert_false(km_group_apply(group, &record));
    assert_memory(group, "k", NULL);
    assert_false(set(group, "k", 11, "late"));
    assert_true(set(group, "k", 12, "v12"));
    record = record_of(KM_APPLY_DROP, "k", 13);
    assert_true(km_group_apply(group, &record));
    assert_memory(group, "k", NULL);
    fake_close(c);
}

/* A time comes along with a set, and with an expiry of the version that it names. */
static void test_times(void **state)
{
    struct fake_cluster *c = fake_synced_open(logs);
    kama_group *group = c->nodes[0].group;
    struct km_group_record record = record_of(KM_APPLY_SET, "k", 10);
    (void)state;
    record.value = KAMA_STR("v");
    record.ttl_ms = 60000;
    assert_true(km_group_apply(group, &record));
    assert_in_range(left_of(group, "k", 10), 50000, 60000);
    record = record_of(KM_APPLY_EXPIRE, "k", 11);
    record.base = (struct km_version){.hlc = 10, .origin = 2};
    assert_true(km_group_apply(group, &record));
    assert_int_equal(left_of(group, "k", 11), KAMA_TTL_FOREVER);
    assert_int_equal(left_of(group, "k", 10), 0);
    record.version.hlc = 12;
    record.base.hlc = 11;
    record.ttl_ms = 1;
    assert_true(km_group_apply(group, &record));
    AWAIT(left_of(group, "k", 12) == 0);
    assert_memory(group, "k", NULL);
    fake_close(c);
}

/* A value that is too long for this node, or for which it has no memory, removes the
 * old one. */
static void test_what_cannot_be_kept_is_dropped(void **state)
{
    struct fake_cluster *c = fake_new();
    kama_group_options options;
    char long_value[1025];
    (void)state;
    memset(long_value, 'x', 1024);
    long_value[1024] = '\0';
    fake_options(c, &options);
    options.max_value_bytes = 1023;
    fake_synced_open_with(c, logs, options);
    kama_group *group = c->nodes[0].group;
    assert_true(set(group, "k", 10, "old"));
    assert_true(set(group, "k", 11, long_value));
    assert_memory(group, "k", NULL);
    assert_false(set(group, "k", 11, "not newer than the drop"));
    assert_true(set(group, "k", 12, &long_value[1]));
    assert_memory(group, "k", &long_value[1]);
    atomic_store(&c->probe.fail_at, atomic_load(&c->probe.allocs) + 1);
    assert_true(set(group, "k", 13, "no memory"));
    atomic_store(&c->probe.fail_at, 0);
    assert_memory(group, "k", NULL);
    fake_close(c);
}

/* A record overtakes the load of its key, so that the load's value is not kept. */
static void test_loads_are_overtaken(void **state)
{
    struct fake_cluster *c = fake_synced_open(logs);
    struct fake_node *node = &c->nodes[1];
    struct caller caller;
    (void)state;
    gate_close(&node->script.gate);
    caller_start(&caller, node->group, "k", 0);
    gate_await(&node->script.gate, 1);
    struct km_group_record record = record_of(KM_APPLY_DELETE, "k", 10);
    assert_false(km_group_apply(node->group, &record));
    gate_open(&node->script.gate);
    assert_int_equal(caller_join(&caller), KAMA_OK);
    assert_memory(node->group, "k", NULL);
    fake_close(c);
}

/* A group of a strategy of its own does not hear of the others' records, and a key that
 * no group accepts changes nothing. */
static void test_what_is_no_record(void **state)
{
    struct fake_cluster *c = fake_open();
    kama_group *group = c->nodes[1].group;
    (void)state;
    assert_false(km_group_is_synced(group));
    assert_false(set(group, "k", 10, "v"));
    assert_memory(group, "k", NULL);
    fake_close(c);
    c = fake_synced_open(logs);
    assert_false(set(c->nodes[0].group, "", 10, "v"));
    fake_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_act),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_what_cannot_be_kept_is_dropped),
        cmocka_unit_test(test_loads_are_overtaken),
        cmocka_unit_test(test_what_is_no_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
