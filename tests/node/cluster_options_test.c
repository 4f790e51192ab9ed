/* SPDX-License-Identifier: MIT */
/* The options of a node about its cluster: what is refused and with which
 * sentence, and the copy that the node works with. */
#include "base/limits.h"
#include "base/status.h"
#include "helpers/failmalloc.h"
#include "node/node_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static kama_node_options defaults(void)
{
    kama_node_options options;
    kama_node_options_init(&options);
    return options;
}

static void expect_refused(const kama_node_options *options, kama_status status,
                           const char *sentence)
{
    struct km_node_config config;
    kama_allocator mem;
    assert_int_equal(km_node_config_init(options, &config, &mem), status);
    if (strstr(km_last_error(), sentence) == NULL) {
        fail_msg("\"%s\" is not in: %s", sentence, km_last_error());
    }
}

static struct km_node_config accept_options(const kama_node_options *options)
{
    struct km_node_config config;
    kama_allocator mem;
    if (km_node_config_init(options, &config, &mem) != KAMA_OK) {
        fail_msg("%s", km_last_error());
    }
    return config;
}

static void drop(struct km_node_config *config)
{
    km_node_config_fini(config, km_mem_default());
}

/* Without options a node is alone, in the cluster "default", with the weight 1,
 * and would not start without etcd. */
static void test_defaults(void **state)
{
    (void)state;
    kama_node_options options = defaults();
    struct km_node_config config = accept_options(&options);
    assert_null(config.cluster.etcd);
    assert_null(config.cluster.advertise);
    assert_int_equal(config.cluster.endpoints.count, 0);
    assert_int_equal(config.cluster.labels.count, 0);
    assert_string_equal(config.cluster.name, "default");
    assert_int_equal(config.cluster.weight, 1);
    assert_true(config.cluster.require_discovery);
    drop(&config);
    options.etcd = "";
    options.labels = "";
    options.cluster = NULL;
    config = accept_options(&options);
    assert_null(config.cluster.etcd);
    assert_string_equal(config.cluster.name, "default");
    drop(&config);
}

/* Endpoints are cut at commas, and lose their scheme. */
static void test_endpoints(void **state)
{
    (void)state;
    kama_node_options options = defaults();
    options.etcd = "http://127.0.0.1:2379, [::1]:2380,etcd:1";
    struct km_node_config config = accept_options(&options);
    assert_int_equal(config.cluster.endpoints.count, 3);
    assert_string_equal(config.cluster.endpoints.items[0], "127.0.0.1:2379");
    assert_string_equal(config.cluster.endpoints.items[1], "[::1]:2380");
    assert_string_equal(config.cluster.endpoints.items[2], "etcd:1");
    drop(&config);
    static const struct {
        const char *etcd;
        kama_status status;
        const char *sentence;
    } wrong[] = {
        {"https://e:1", KAMA_ERR_UNSUPPORTED, "etcd: https:// is not in this"},
        {"e:1,https://e:1", KAMA_ERR_UNSUPPORTED, "etcd: https:// is not in"},
        {"e", KAMA_ERR_INVALID, "etcd: "},
        {"e:1,", KAMA_ERR_INVALID, "etcd: "},
        {":2379", KAMA_ERR_INVALID, "no host or no port"},
        {"e:0", KAMA_ERR_INVALID, "no host or no port"},
        {"ftp://e:1", KAMA_ERR_INVALID, "etcd: "},
        {"e:1,e:1,e:1,e:1,e:1,e:1,e:1,e:1,e:1,e:1,e:1,e:1,e:1,e:1,e:1,e:1,e:1",
         KAMA_ERR_TOO_LARGE,
         "etcd: 17 endpoints are more than the limit of 16"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        options.etcd = wrong[i].etcd;
        expect_refused(&options, wrong[i].status, wrong[i].sentence);
    }
}

/* An address to which nobody could connect is refused, also when it is the one
 * that a clustered node listens on. */
static void test_advertise(void **state)
{
    (void)state;
    static const char *const wrong[] = {"0.0.0.0:1", "[::]:1", ":1", "h:0"};
    kama_node_options options = defaults();
    options.advertise = "node-1:8001";
    struct km_node_config config = accept_options(&options);
    assert_string_equal(config.cluster.advertise, "node-1:8001");
    drop(&config);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        options.advertise = wrong[i];
        expect_refused(&options, KAMA_ERR_INVALID,
                       "advertise: nobody can connect to ");
    }
    /* Texts that libc would take, and that no record may have. */
    static const char *const other[] = {"[::ffff:0.0.0.0]:8001",
                                        "[0:0:0:0:0:0:0:0]:8001",
                                        "127.1:8001",
                                        "0x7f000001:8001",
                                        "a..b:8001",
                                        "[fe80::1%lo]:8001"};
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) {
        options.advertise = other[i];
        expect_refused(&options, KAMA_ERR_INVALID, "advertise: ");
    }
    options.advertise = "nonsense";
    expect_refused(&options, KAMA_ERR_INVALID, "advertise: ");
    options = defaults();
    options.listen = "0.0.0.0:0";
    options.insecure = 1;
    config = accept_options(&options); /* a node alone */
    drop(&config);
    options.etcd = "e:1"; /* the address is that of the connection to etcd */
    config = accept_options(&options);
    drop(&config);
}

/* Names, labels and the weight have bounds. */
static void test_names_labels_weight(void **state)
{
    (void)state;
    char name[130];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    kama_node_options options = defaults();
    options.labels = "zone-a, ssd";
    options.cluster = "blue";
    options.weight = 16;
    options.require_discovery = 0;
    struct km_node_config config = accept_options(&options);
    assert_int_equal(config.cluster.labels.count, 2);
    assert_string_equal(config.cluster.labels.items[1], "ssd");
    assert_string_equal(config.cluster.name, "blue");
    assert_int_equal(config.cluster.weight, 16);
    assert_false(config.cluster.require_discovery);
    drop(&config);
    options.weight = 17;
    expect_refused(&options, KAMA_ERR_INVALID, "weight: 17 is outside 1..16");
    options.weight = 0;
    expect_refused(&options, KAMA_ERR_INVALID, "weight: 0 is outside 1..16");
    options = defaults();
    options.cluster = name;
    expect_refused(&options, KAMA_ERR_INVALID,
                   "cluster: a name of 129 bytes; it must have 1 to 128");
    options.cluster = "a\nb";
    expect_refused(&options, KAMA_ERR_INVALID, "cluster: the name has a con");
    options = defaults();
    options.labels = "a,,b";
    expect_refused(&options, KAMA_ERR_INVALID, "labels: a name of 0 bytes");
    options.labels = "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17";
    expect_refused(&options, KAMA_ERR_TOO_LARGE,
                   "labels: 17 labels are more than");
    options = defaults();
    options.service = "a/b";
    config = accept_options(&options); /* the name for health checks */
    drop(&config);
    options.etcd = "e:1";
    expect_refused(&options, KAMA_ERR_INVALID, "service: \"a/b\" has a slash");
    options = defaults();
    options.peers = "h:1";
    expect_refused(&options, KAMA_ERR_UNSUPPORTED, "peers: not in this");
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* The password is the first line of a file, and needs a user and etcd. */
static void test_password_file(void **state)
{
    (void)state;
    char path[] = "/tmp/kama-password-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    kama_node_options options = defaults();
    options.etcd = "e:1";
    options.etcd_user = "kama";
    expect_refused(
        &options, KAMA_ERR_INVALID,
        "etcd_user: a user and a password file are given together, and there "
        "is no password file");
    options.etcd_password_file = path;
    expect_refused(&options, KAMA_ERR_IO, "the first line is empty");
    write_file(path, "secret\r\nand more\n");
    struct km_node_config config = accept_options(&options);
    assert_string_equal(config.cluster.etcd_password, "secret");
    drop(&config);
    options.etcd = NULL;
    expect_refused(&options, KAMA_ERR_INVALID, "etcd_user: there is a user");
    options.etcd_user = NULL;
    expect_refused(
        &options, KAMA_ERR_INVALID,
        "etcd_password_file: a user and a password file are given together, "
        "and there is no user");
    options = defaults();
    options.etcd = "e:1";
    options.etcd_user = "kama";
    options.etcd_password_file = "/nonexistent/password";
    expect_refused(&options, KAMA_ERR_IO,
                   "etcd_password_file: /nonexistent/password: No such file");
    unlink(path);
}

static kama_status make_config(const kama_allocator *mem, void *arg)
{
    struct km_node_config config;
    kama_allocator used;
    kama_node_options options = defaults();
    (void)arg;
    options.allocator = mem;
    options.etcd = "a:1,b:2";
    options.labels = "x,y";
    options.advertise = "h:1";
    kama_status status = km_node_config_init(&options, &config, &used);
    if (status == KAMA_OK) {
        km_node_config_fini(&config, &used);
    }
    return status;
}

/* Each allocation may fail, and nothing is left then. */
static void test_no_memory(void **state)
{
    (void)state;
    assert_true(km_test_fail_each(make_config, NULL) > 5);
}

/* Few descriptors: a node of a cluster keeps those that its peers and etcd need. */
static void test_descriptors_are_kept_for_peers(void **state)
{
    struct rlimit before;
    kama_node_options options = defaults();
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit few = {.rlim_cur = 1000, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    options.threads = 2;
    struct km_node_config alone = accept_options(&options);
    options.etcd = "a:1";
    struct km_node_config member = accept_options(&options);
    options.threads = 64;
    struct km_node_config wide = accept_options(&options);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(alone.max_connections, 1000 - KM_NODE_FD_RESERVE);
    assert_int_equal(member.max_connections,
                     1000 - KM_NODE_FD_RESERVE - KM_RPC_PEER_CONNECTIONS_MAX -
                         4 * KM_NODE_FD_PEERS - KM_NODE_FD_ETCD);
    assert_int_equal(wide.max_connections, 501);
    drop(&alone);
    drop(&member);
    drop(&wide);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_endpoints),
        cmocka_unit_test(test_advertise),
        cmocka_unit_test(test_names_labels_weight),
        cmocka_unit_test(test_password_file),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_descriptors_are_kept_for_peers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
