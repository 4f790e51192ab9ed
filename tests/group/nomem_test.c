/* SPDX-License-Identifier: MIT */
/* Every public function runs with its n-th allocation failing, for every n. It
 * returns an error, does not crash, leaks nothing, and loses no callback. */
#include "flight/engine.h"
#include "group/group_fixture.h"
#include "helpers/failmalloc.h"

#include <kamacache/flight.h>

/* Makes a group on mem whose loader follows the script. */
static kama_status open_group(const kama_allocator *mem, struct script *script,
                              kama_group **ret_group)
{
    kama_group_options options;
    kama_group_options_init(&options);
    options.allocator = mem;
    options.loader = script_load;
    options.loader_arg = script;
    options.max_bytes = 1u << 20;
    options.negative_ttl_ms = 60000;
    return kama_group_new(&options, ret_group);
}

static void script_init(struct script *script)
{
    memset(script, 0, sizeof *script);
    gate_init(&script->gate);
}

static kama_status scenario_new(const kama_allocator *mem, void *arg)
{
    struct script script;
    kama_group *group;
    (void)arg;
    script_init(&script);
    kama_status st = open_group(mem, &script, &group);
    if (st == KAMA_OK) {
        kama_group_free(group);
    }
    return st;
}

static int count_entry(void *arg, const kama_entry *entry)
{
    (void)entry;
    (*(unsigned *)arg)++;
    return 0;
}

static kama_status run_sync(kama_group *group)
{
    char buf[64];
    size_t len;
    kama_value *value;
    uint64_t cursor = 0;
    unsigned seen = 0;
    kama_status st = kama_set(group, KAMA_STR("set"), KAMA_STR("v"), NULL);
    if (st == KAMA_OK) {
        st = kama_get(group, KAMA_STR("load"), NULL, &value);
    }
    if (st == KAMA_OK) {
        kama_value_unref(value);
        st =
            kama_get_copy(group, KAMA_STR("copy"), NULL, buf, sizeof buf, &len);
    }
    if (st == KAMA_OK) {
        st = kama_del(group, KAMA_STR("copy"), NULL);
        st = st == KAMA_MISS ? KAMA_OK
                             : st; /* there was no memory to keep the value */
    }
    if (st == KAMA_OK) {
        st = kama_scan(group, &cursor, KAMA_STR("*"), count_entry, &seen);
    }
    return st;
}

static kama_status scenario_sync(const kama_allocator *mem, void *arg)
{
    struct script script;
    kama_group *group;
    (void)arg;
    script_init(&script);
    kama_status st = open_group(mem, &script, &group);
    if (st != KAMA_OK) {
        return st;
    }
    st = run_sync(group);
    kama_group_free(group);
    return st;
}

/* Calls the other public functions: options by name, looks into memory, sets with
 * a ttl, clear, stats, and a get whose loader fails with a sentence. */
static kama_status run_rest(kama_group *group, struct script *script)
{
    kama_value *value;
    kama_group_stats stats;
    kama_set_options set;
    kama_set_options_init(&set);
    set.ttl_ms = 60000;
    kama_status st = kama_set(group, KAMA_STR("k"), KAMA_STR("v"), &set);
    if (st != KAMA_OK) {
        return st;
    }
    st = kama_try_get(group, KAMA_STR("k"), &value);
    if (st != KAMA_OK) {
        return st;
    }
    kama_value_unref(kama_value_ref(value));
    assert_int_equal(kama_group_clear(group), KAMA_OK);
    assert_int_equal(kama_value_bytes(value).len, 1);
    kama_value_unref(value);
    kama_group_stats_get(group, &stats);
    assert_int_equal(stats.clears, 1);
    atomic_store(&script->status, KAMA_ERR_LOADER);
    script->sentence = "the origin is down";
    st = kama_get(group, KAMA_STR("fails"), NULL, &value);
    return st == KAMA_ERR_LOADER ? KAMA_OK : st;
}

static kama_status scenario_rest(const kama_allocator *mem, void *arg)
{
    struct script script;
    kama_group *group = NULL;
    kama_group_options options;
    (void)arg;
    script_init(&script);
    kama_group_options_init(&options);
    options.allocator = mem;
    options.loader = script_load;
    options.loader_arg = &script;
    kama_status st = kama_group_options_set(&options, "max_bytes", "1m");
    if (st == KAMA_OK) {
        st = kama_group_new(&options, &group);
    }
    if (st == KAMA_OK) {
        st = run_rest(group, &script);
        kama_group_free(group);
    }
    return st;
}

/* A miss that cannot be remembered for want of memory is still a miss. */
static kama_status scenario_miss(const kama_allocator *mem, void *arg)
{
    struct script script;
    kama_group *group;
    kama_value *value;
    (void)arg;
    script_init(&script);
    atomic_store(&script.status, KAMA_MISS);
    kama_status st = open_group(mem, &script, &group);
    if (st != KAMA_OK) {
        return st;
    }
    st = kama_get(group, KAMA_STR("k"), NULL, &value);
    kama_group_free(group);
    return st == KAMA_MISS ? KAMA_OK : st;
}

static kama_status scenario_mget(const kama_allocator *mem, void *arg)
{
    const kama_bytes keys[3] = {KAMA_STR("a"), KAMA_STR("b"), KAMA_STR("a")};
    struct script script;
    kama_group *group;
    kama_item items[3];
    (void)arg;
    script_init(&script);
    kama_status st = open_group(mem, &script, &group);
    if (st != KAMA_OK) {
        return st;
    }
    st = kama_mget(group, keys, 3, NULL, items);
    for (int i = 0; st == KAMA_OK && i < 3; i++) {
        st = items[i].status;
        if (st != KAMA_OK) {
            kama_items_unref(items, 3);
        }
    }
    if (st == KAMA_OK) {
        kama_items_unref(items, 3);
    }
    kama_group_free(group);
    return st;
}

/* Many sets allocate the lines of the index, the ghosts and the queues. */
static kama_status scenario_flood(const kama_allocator *mem, void *arg)
{
    struct script script;
    kama_group *group;
    char key[32];
    static char value[3000];
    kama_status worst = KAMA_OK;
    (void)arg;
    script_init(&script);
    kama_status st = open_group(mem, &script, &group);
    if (st != KAMA_OK) {
        return st;
    }
    for (unsigned i = 0; i < 600; i++) {
        (void)snprintf(key, sizeof key, "key-%u", i);
        st = kama_set(group, kama_bytes_str(key),
                      KAMA_BYTES(value, sizeof value), NULL);
        worst = st != KAMA_OK ? st : worst;
    }
    kama_group_free(group);
    return worst;
}

/* -- asynchronous: every accepted call is answered -- */

struct inbox {
    atomic_uint answers;
    _Atomic int status;
};

static void take(void *arg, kama_status status, kama_value *value)
{
    struct inbox *box = arg;
    kama_value_unref(value);
    atomic_store(&box->status, (int)status);
    atomic_fetch_add(&box->answers, 1);
}

static void take_many(void *arg, kama_status status, const kama_item *items,
                      size_t n)
{
    struct inbox *box = arg;
    for (size_t i = 0; i < n; i++) {
        if (items[i].status != KAMA_OK) {
            status = items[i].status;
        }
        kama_value_unref(items[i].value);
    }
    atomic_store(&box->status, (int)status);
    atomic_fetch_add(&box->answers, 1);
}

static kama_status scenario_async(const kama_allocator *mem, void *arg)
{
    const kama_bytes keys[3] = {KAMA_STR("a"), KAMA_STR("b"), KAMA_STR("a")};
    struct script script;
    struct inbox box = {0};
    kama_group *group;
    bool many = arg != NULL;
    script_init(&script);
    kama_status st = open_group(mem, &script, &group);
    if (st != KAMA_OK) {
        return st;
    }
    st = many ? kama_mget_async(group, keys, 3, NULL, take_many, &box)
              : kama_get_async(group, keys[0], NULL, take, &box);
    if (st == KAMA_OK) {
        AWAIT(atomic_load(&box.answers) == 1);
        st = (kama_status)atomic_load(&box.status);
    }
    kama_group_free(group);
    assert_true(atomic_load(&box.answers) <= 1);
    return st;
}

static kama_status scenario_deferred(const kama_allocator *mem, void *arg)
{
    struct script script;
    struct inbox box = {0};
    kama_group *group;
    (void)arg;
    script_init(&script);
    script.defer = true;
    kama_status st = open_group(mem, &script, &group);
    if (st != KAMA_OK) {
        return st;
    }
    st = kama_get_async(group, KAMA_STR("k"), NULL, take, &box);
    if (st == KAMA_OK) {
        AWAIT(atomic_load(&script.deferred) != NULL ||
              atomic_load(&box.answers) == 1);
        if (atomic_load(&script.deferred) != NULL) {
            kama_load_finish(atomic_load(&script.deferred), KAMA_OK,
                             KAMA_STR("later"), NULL);
        }
        AWAIT(atomic_load(&box.answers) == 1);
        st = (kama_status)atomic_load(&box.status);
    }
    kama_group_free(group);
    return st;
}

static void test_new(void **state)
{
    (void)state;
    assert_true(km_test_fail_each(scenario_new, NULL) >= 4);
}

static void test_sync(void **state)
{
    (void)state;
    assert_true(km_test_fail_each(scenario_sync, NULL) >= 8);
}

static void test_rest(void **state)
{
    (void)state;
    assert_true(km_test_fail_each(scenario_rest, NULL) >= 8);
}

static void test_miss(void **state)
{
    (void)state;
    assert_true(km_test_fail_each(scenario_miss, NULL) >= 6);
}

static void test_mget(void **state)
{
    (void)state;
    assert_true(km_test_fail_each(scenario_mget, NULL) >= 8);
}

static void test_flood(void **state)
{
    (void)state;
    assert_true(km_test_fail_each(scenario_flood, NULL) >= 600);
}

static void test_async(void **state)
{
    static int many = 1;
    (void)state;
    assert_true(km_test_fail_each(scenario_async, NULL) >= 8);
    assert_true(km_test_fail_each(scenario_async, &many) >= 8);
}

static void test_deferred(void **state)
{
    (void)state;
    assert_true(km_test_fail_each(scenario_deferred, NULL) >= 8);
}

/* -- flight.h on its own -- */

static uint64_t number_hash(int number)
{
    return (uint64_t)number;
}

static int number_equal(int a, int b)
{
    return a == b;
}

KAMA_FLIGHT_DEFINE(number_flight, int, int, number_hash, number_equal)

static kama_status twice(void *arg, int number, int *ret_result)
{
    (void)arg;
    *ret_result = 2 * number;
    return KAMA_OK;
}

static kama_status scenario_flight(const kama_allocator *mem, void *arg)
{
    static const kama_flight_type type = {
        .struct_size = sizeof type,
        .key_size = sizeof(int),
        .result_size = sizeof(int),
        .equal = number_flight_equal_,
        .assign = number_flight_assign_,
    };
    struct number_flight flight;
    int result = 0;
    (void)arg;
    kama_status st = km_flight_engine_new(&type, mem, &flight.engine);
    if (st == KAMA_OK) {
        st = number_flight_do(&flight, 21, twice, NULL, 0, &result, NULL);
        assert_true(st != KAMA_OK || result == 42);
        number_flight_fini(&flight);
    }
    return st;
}

static void test_flight(void **state)
{
    (void)state;
    assert_int_equal(km_test_fail_each(scenario_flight, NULL), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new),    cmocka_unit_test(test_sync),
        cmocka_unit_test(test_rest),   cmocka_unit_test(test_miss),
        cmocka_unit_test(test_mget),   cmocka_unit_test(test_flood),
        cmocka_unit_test(test_async),  cmocka_unit_test(test_deferred),
        cmocka_unit_test(test_flight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
