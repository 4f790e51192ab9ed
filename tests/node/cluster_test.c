/* SPDX-License-Identifier: MIT */
/* ctest: timeout=180 */
/* Two nodes in one process over a real etcd, by the public functions alone. */
#include "base/container.h"
#include "base/status.h"
#include "helpers/etcd_server.h"
#include "helpers/failmalloc.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SECONDS 30

static struct etcd_server etcd;
static atomic_int loads;

static kama_status load(void *arg, const kama_load *req, kama_sink *out)
{
    (void)arg;
    atomic_fetch_add(&loads, 1);
    return kama_sink_set(out, req->key, NULL);
}

static kama_node_options options_of(const char *endpoint)
{
    kama_node_options options;
    kama_node_options_init(&options);
    options.listen = "127.0.0.1:0";
    options.threads = 1;
    options.etcd = endpoint;
    options.require_discovery = 1;
    options.start_timeout_ms = 2000;
    return options;
}

static void add_group(kama_node *node)
{
    kama_group_options group;
    kama_group_options_init(&group);
    group.name = "users";
    group.sync = "owner";
    group.loader = load;
    assert_int_equal(kama_node_add_group(node, &group, NULL), KAMA_OK);
}

static kama_node *new_node(const char *endpoint)
{
    kama_node_options options = options_of(endpoint);
    kama_node *node = NULL;
    assert_int_equal(kama_node_new(&options, &node), KAMA_OK);
    add_group(node);
    return node;
}

static void count_active(void *arg, const kama_member *member)
{
    *(unsigned *)arg += member->state == KAMA_MEMBER_ACTIVE;
}

static void read_settled(void *arg, const kama_node_info *info)
{
    *(bool *)arg = info->settled != 0 && info->ready != 0;
}

static bool has_agreed(kama_node *node, unsigned count)
{
    unsigned active = 0;
    bool settled = false;
    assert_int_equal(kama_node_members(node, count_active, &active), KAMA_OK);
    assert_int_equal(kama_node_describe(node, read_settled, &settled), KAMA_OK);
    return settled && active == count;
}

static void wait_agreed(kama_node *node, unsigned count)
{
    for (int i = 0; !has_agreed(node, count); i++) {
        assert_true(i < SECONDS * 100);
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
}

static void read_self(void *arg, const kama_owner *owner)
{
    assert_int_equal(owner->address_count, 2);
    *(bool *)arg = owner->self != 0;
}

static bool owns(kama_node *node, kama_bytes key)
{
    bool self = false;
    assert_int_equal(kama_node_owner(node, "users", key, read_self, &self),
                     KAMA_OK);
    return self;
}

static void expect_text(kama_node *node, kama_bytes key, const char *text)
{
    kama_value *value = NULL;
    assert_int_equal(
        kama_get(kama_node_group(node, "users"), key, NULL, &value), KAMA_OK);
    kama_bytes got = kama_value_bytes(value);
    assert_int_equal(got.len, strlen(text));
    assert_memory_equal(got.data, text, got.len);
    kama_value_unref(value);
}

/* Both nodes answer for each key, each key is loaded once, and a change through
 * one of them is read through the other one. */
static void use(kama_node *one, kama_node *two)
{
    unsigned owned = 0;
    for (unsigned i = 0; i < 32; i++) {
        char text[16];
        (void)snprintf(text, sizeof text, "key-%u", i);
        kama_bytes key = KAMA_STR(text);
        int before = atomic_load(&loads);
        assert_true(owns(one, key) != owns(two, key));
        owned += owns(one, key);
        expect_text(one, key, text);
        expect_text(two, key, text);
        assert_int_equal(atomic_load(&loads) - before, 1);
        assert_int_equal(kama_set(kama_node_group(two, "users"), key,
                                  KAMA_STR("changed"), NULL),
                         KAMA_OK);
        expect_text(one, key, "changed");
        assert_int_equal(kama_del(kama_node_group(one, "users"), key, NULL),
                         KAMA_OK);
        expect_text(two, key, text);
    }
    assert_in_range(owned, 1, 31);
}

/* A node that has stopped knows nobody: its groups load and keep nothing, and
 * refuse mutations. */
static void use_after_stop(kama_node *node)
{
    kama_group *group = kama_node_group(node, "users");
    kama_bytes key = KAMA_STR("after");
    int before = atomic_load(&loads);
    expect_text(node, key, "after");
    expect_text(node, key, "after");
    assert_int_equal(atomic_load(&loads) - before, 2);
    assert_int_equal(kama_set(group, key, KAMA_STR("changed"), NULL),
                     KAMA_ERR_NOT_READY);
    assert_int_equal(kama_del(group, key, NULL), KAMA_ERR_NOT_READY);
}

static void test_two_nodes_are_one_cache(void **state)
{
    (void)state;
    etcd_server_start(&etcd);
    kama_node *one = new_node(etcd.address);
    kama_node *two = new_node(etcd.address);
    assert_int_equal(kama_node_start(one), KAMA_OK);
    assert_int_equal(kama_node_start(two), KAMA_OK);
    wait_agreed(one, 2);
    wait_agreed(two, 2);
    use(one, two);
    assert_int_equal(kama_node_stop(one), KAMA_OK);
    wait_agreed(two, 1);
    expect_text(two, KAMA_STR("key-1"), "key-1");
    kama_node_free(one);
    assert_int_equal(kama_node_stop(two), KAMA_OK);
    use_after_stop(two);
    kama_node_free(two);
    etcd_server_kill(&etcd);
}

static unsigned count_threads(void)
{
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/task");
    assert_non_null(folder);
    while (readdir(folder) != NULL) {
        count++;
    }
    (void)closedir(folder);
    return count;
}

/* Without etcd the start fails and leaves no thread; the same node starts as soon
 * as etcd is there. */
static void test_a_start_without_etcd(void **state)
{
    (void)state;
    kama_node *node = new_node(etcd.address);
    unsigned threads = count_threads();
    assert_int_equal(kama_node_start(node), KAMA_ERR_TIMEOUT);
    assert_non_null(strstr(km_last_error(), etcd.address));
    assert_int_equal(count_threads(), threads);
    etcd_server_start(&etcd);
    assert_int_equal(kama_node_start(node), KAMA_OK);
    wait_agreed(node, 1);
    expect_text(node, KAMA_STR("key"), "key");
    kama_node_free(node);
    etcd_server_kill(&etcd);
}

static unsigned count_descriptors(void)
{
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder) != NULL) {
        count++;
    }
    (void)closedir(folder);
    return count;
}

/* A program that tries to start its node again and again needs no more
 * descriptors for that. */
static void test_failed_starts_keep_few_descriptors(void **state)
{
    (void)state;
    kama_node_options options = options_of(etcd.address);
    kama_node *node = NULL;
    unsigned descriptors = 0;
    options.start_timeout_ms = 20;
    assert_int_equal(kama_node_new(&options, &node), KAMA_OK);
    for (int i = 0; i < 12; i++) {
        assert_int_equal(kama_node_start(node), KAMA_ERR_TIMEOUT);
        descriptors = i == 2 ? count_descriptors() : descriptors;
    }
    assert_int_equal(count_descriptors(), descriptors);
    kama_node_free(node);
}

struct user {
    kama_group *group;
    atomic_bool ends;
    atomic_uint rounds;
};

/* Nothing is kept, and nothing is changed, while there is no cluster. */
static void *use_group(void *arg)
{
    struct user *user = arg;
    while (!atomic_load(&user->ends)) {
        kama_value *value = NULL;
        assert_int_equal(kama_get(user->group, KAMA_STR("key"), NULL, &value),
                         KAMA_OK);
        kama_value_unref(value);
        assert_int_equal(kama_del(user->group, KAMA_STR("key"), NULL),
                         KAMA_ERR_NOT_READY);
        atomic_fetch_add(&user->rounds, 1);
    }
    return NULL;
}

/* A group is used on another thread while its node tries to start. */
static void test_a_group_is_used_while_its_node_starts(void **state)
{
    (void)state;
    kama_node_options options = options_of(etcd.address);
    kama_node *node = NULL;
    pthread_t thread;
    options.start_timeout_ms = 20;
    assert_int_equal(kama_node_new(&options, &node), KAMA_OK);
    add_group(node);
    struct user user = {.group = kama_node_group(node, "users")};
    assert_int_equal(pthread_create(&thread, NULL, use_group, &user), 0);
    for (int i = 0; i < 12; i++) {
        unsigned rounds = atomic_load(&user.rounds);
        assert_int_equal(kama_node_start(node), KAMA_ERR_TIMEOUT);
        while (atomic_load(&user.rounds) == rounds) {
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        }
    }
    atomic_store(&user.ends, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    kama_node_free(node);
}

/* Every allocation of a second start may fail, after a first one that failed. */
static kama_status start_again(const kama_allocator *mem, void *arg)
{
    struct km_mem_probe *probe =
        KM_CONTAINER_OF(mem, struct km_mem_probe, allocator);
    long long fail_at = *(long long *)arg;
    kama_node_options options = options_of(etcd.address);
    kama_node *node = NULL;
    options.start_timeout_ms = 1;
    options.allocator = mem;
    assert_int_equal(kama_node_new(&options, &node), KAMA_OK);
    assert_int_equal(kama_node_start(node), KAMA_ERR_TIMEOUT);
    atomic_store(&probe->fail_at, atomic_load(&probe->allocs) + fail_at);
    kama_status status = kama_node_start(node);
    atomic_store(&probe->fail_at, 0);
    kama_node_free(node);
    return status;
}

static void test_every_allocation_of_a_second_start_may_fail(void **state)
{
    (void)state;
    for (long long n = 1; n < 150; n++) {
        struct km_mem_probe probe;
        km_mem_probe_init(&probe);
        kama_status status = start_again(&probe.allocator, &n);
        assert_true(status == KAMA_ERR_NO_MEMORY || status == KAMA_ERR_TIMEOUT);
        assert_int_equal(atomic_load(&probe.live_blocks), 0);
    }
}

/* A node that has many entries and loses half of them sweeps them on a thread of
 * its pool. It may stop, and be freed, meanwhile. */
static void test_a_stop_during_a_sweep(void **state)
{
    (void)state;
    etcd_server_start(&etcd);
    for (int round = 0; round < 3; round++) {
        kama_node *one = new_node(etcd.address);
        kama_node *two = new_node(etcd.address);
        assert_int_equal(kama_node_start(one), KAMA_OK);
        wait_agreed(one, 1);
        for (unsigned i = 0; i < 100000; i++) {
            char text[16];
            (void)snprintf(text, sizeof text, "key-%u", i);
            assert_int_equal(kama_set(kama_node_group(one, "users"),
                                      KAMA_STR(text), KAMA_STR("v"), NULL),
                             KAMA_OK);
        }
        assert_int_equal(kama_node_start(two), KAMA_OK);
        kama_node_free(one);
        kama_node_free(two);
    }
    etcd_server_kill(&etcd);
}

/* A start, use and stop in a cluster, in which the n-th allocation fails: on the
 * thread of the start, on the control loop or on a loop of the server. */
static void start_short_of_memory(long long n)
{
    struct km_mem_probe probe;
    kama_node_options options = options_of(etcd.address);
    kama_node *node = NULL;
    km_mem_probe_init(&probe);
    options.allocator = &probe.allocator;
    options.start_timeout_ms = 5000;
    assert_int_equal(kama_node_new(&options, &node), KAMA_OK);
    add_group(node);
    atomic_store(&probe.fail_at, atomic_load(&probe.allocs) + n);
    kama_status status = kama_node_start(node);
    if (status == KAMA_OK) {
        kama_value *value = NULL;
        (void)!kama_get(kama_node_group(node, "users"), KAMA_STR("key"), NULL,
                        &value);
        kama_value_unref(value);
    } else {
        assert_true(
            status == KAMA_ERR_NO_MEMORY || status == KAMA_ERR_TIMEOUT ||
            status == KAMA_ERR_UNREACHABLE || status == KAMA_ERR_INVALID);
    }
    kama_node_free(node);
    assert_int_equal(atomic_load(&probe.live_blocks), 0);
}

static void test_allocations_of_a_start_may_fail(void **state)
{
    (void)state;
    etcd_server_start(&etcd);
    for (long long n = 1; n < 420; n += 7) {
        start_short_of_memory(n);
    }
    etcd_server_kill(&etcd);
}

static kama_node *new_blue_node(void)
{
    kama_node_options options = options_of(etcd.address);
    kama_node *node = NULL;
    options.cluster = "blue";
    assert_int_equal(kama_node_new(&options, &node), KAMA_OK);
    add_group(node);
    return node;
}

/* Starts a node when the record of the other cluster has gone: on a busy machine
 * the revocation can take longer than a stop waits for it, and then the record
 * goes with its lease. */
static void start_without_the_other(kama_node *node)
{
    kama_status status = kama_node_start(node);
    for (int i = 0; status == KAMA_ERR_NOT_MEMBER; i++) {
        assert_true(i < SECONDS * 10);
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
        status = kama_node_start(node);
    }
    assert_int_equal(status, KAMA_OK);
}

/* A start that was refused leaves no thread and no record. The node starts when
 * the other cluster has gone. */
static void test_a_start_that_was_refused(void **state)
{
    (void)state;
    etcd_server_start(&etcd);
    kama_node *first = new_node(etcd.address);
    assert_int_equal(kama_node_start(first), KAMA_OK);
    kama_node *node = new_blue_node();
    for (int i = 0; i < 2; i++) {
        unsigned threads = count_threads();
        assert_int_equal(kama_node_start(node), KAMA_ERR_NOT_MEMBER);
        assert_non_null(strstr(km_last_error(), "\"blue\""));
        assert_int_equal(count_threads(), threads);
    }
    kama_node_free(first);
    start_without_the_other(node);
    wait_agreed(node, 1);
    expect_text(node, KAMA_STR("key"), "key");
    kama_node_free(node);
    etcd_server_kill(&etcd);
}

static int setup(void **state)
{
    (void)state;
    if (!etcd_is_installed()) {
        print_message("etcd-server or etcd-client is missing\n");
        return 0;
    }
    etcd_server_init(&etcd);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (etcd_is_installed()) {
        etcd_server_fini(&etcd);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_nodes_are_one_cache),
        cmocka_unit_test(test_a_start_without_etcd),
        cmocka_unit_test(test_failed_starts_keep_few_descriptors),
        cmocka_unit_test(test_a_group_is_used_while_its_node_starts),
        cmocka_unit_test(test_every_allocation_of_a_second_start_may_fail),
        cmocka_unit_test(test_a_stop_during_a_sweep),
        cmocka_unit_test(test_allocations_of_a_start_may_fail),
        cmocka_unit_test(test_a_start_that_was_refused),
    };
    if (!etcd_is_installed()) {
        print_message("etcd-server or etcd-client is missing\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, setup, teardown);
}
