/* SPDX-License-Identifier: MIT */
/* The life of a node, without a client: options that it refuses, its start and
 * stop, and groups and nodes that do not get in each other's way. */
#include "base/limits.h"
#include "base/status.h"
#include "helpers/asleep.h"
#include "helpers/failmalloc.h"
#include "node/node.h"
#include "node/node_event.h"
#include "rpc/client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void loopback(kama_node_options *options)
{
    kama_node_options_init(options);
    options->listen = "127.0.0.1:0";
    options->threads = 2;
}

static kama_node *new_node(void)
{
    kama_node_options options;
    kama_node *node = NULL;
    loopback(&options);
    assert_int_equal(kama_node_new(&options, &node), KAMA_OK);
    return node;
}

static kama_group *new_group(kama_node *node, const char *name)
{
    kama_group_options options;
    kama_group *group = NULL;
    kama_group_options_init(&options);
    options.name = name;
    assert_int_equal(kama_node_add_group(node, &options, &group), KAMA_OK);
    return group;
}

static void expect_refused(const kama_node_options *options, kama_status status,
                           const char *text)
{
    kama_node *node = NULL;
    assert_int_equal(kama_node_new(options, &node), status);
    assert_null(node);
    if (strstr(km_last_error(), text) == NULL) {
        fail_msg("\"%s\" is not in: %s", text, km_last_error());
    }
}

/* Options that a node cannot serve are refused before anything is opened. */
static void test_refuses(void **state)
{
    (void)state;
    kama_node_options options;
    loopback(&options);
    options.etcd = "https://127.0.0.1:2379";
    expect_refused(&options, KAMA_ERR_UNSUPPORTED, "etcd");
    loopback(&options);
    options.peers = "127.0.0.1:8002";
    expect_refused(&options, KAMA_ERR_UNSUPPORTED, "peers");
    loopback(&options);
    options.listen = "nonsense";
    expect_refused(&options, KAMA_ERR_INVALID, "nonsense");
    options.listen = NULL;
    expect_refused(&options, KAMA_ERR_INVALID, "listen");
    options.listen = "0.0.0.0:0";
    expect_refused(&options, KAMA_ERR_PERMISSION, "0.0.0.0:0");
    loopback(&options);
    options.threads = KM_NODE_THREADS_MAX + 1;
    expect_refused(&options, KAMA_ERR_TOO_LARGE, "64");
    loopback(&options);
    options.drain_timeout_ms = -1;
    expect_refused(&options, KAMA_ERR_INVALID, "drain_timeout_ms");
    loopback(&options);
    options.start_timeout_ms = 0;
    expect_refused(&options, KAMA_ERR_INVALID, "start_timeout_ms");
    loopback(&options);
    options.event_level = 4;
    expect_refused(&options, KAMA_ERR_INVALID, "event_level: 4");
    loopback(&options);
    options.struct_size = 0;
    expect_refused(&options, KAMA_ERR_INVALID, "kama_node_options");
    expect_refused(NULL, KAMA_ERR_INVALID, "kama_node_options");
}

/* A node may listen for other machines if it is insecure, and may have as many
 * threads as the limit. */
static void test_accepts(void **state)
{
    (void)state;
    kama_node_options options;
    kama_node *node = NULL;
    loopback(&options);
    options.listen = "0.0.0.0:0";
    options.insecure = 1;
    options.threads = KM_NODE_THREADS_MAX;
    assert_int_equal(kama_node_new(&options, &node), KAMA_OK);
    kama_node_free(node);
    kama_node_free(NULL);
}

/* A program that was built when the structure was shorter gets the defaults of
 * the options that it does not know, and nothing behind its structure is
 * written. */
static void test_older_struct(void **state)
{
    (void)state;
    kama_node_options options;
    kama_node *node = NULL;
    memset(&options, 0x5a, sizeof options);
    kama_node_options_init_sized(&options, offsetof(kama_node_options, etcd));
    assert_int_equal(
        ((unsigned char *)&options)[offsetof(kama_node_options, etcd)], 0x5a);
    options.listen = "127.0.0.1:0";
    assert_int_equal(kama_node_new(&options, &node), KAMA_OK);
    assert_int_equal(kama_node_start(node), KAMA_OK);
    kama_node_free(node);
}

/* A clock on which an hour passes between two readings. */
static km_ns hurried(void *arg)
{
    atomic_ullong *hours = arg;
    return (atomic_fetch_add(hours, 1) + 1) * 3600 * KM_NS_PER_S +
           km_clock_mono(km_clock_system());
}

/* A start that takes longer than start_timeout_ms fails, and leaves nothing
 * running. */
static void test_late_start(void **state)
{
    (void)state;
    atomic_ullong hours = 0;
    struct km_clock clock = *km_clock_system();
    kama_node *node = new_node();
    clock.mono = hurried;
    clock.arg = &hours;
    node->clock = &clock;
    assert_int_equal(kama_node_start(node), KAMA_ERR_TIMEOUT);
    assert_non_null(strstr(km_last_error(), "start_timeout_ms"));
    assert_int_equal(kama_node_stop(node), KAMA_ERR_STATE);
    assert_null(kama_node_address(node));
    node->clock = km_clock_system();
    assert_int_equal(kama_node_start(node), KAMA_OK);
    assert_int_equal(kama_node_stop(node), KAMA_OK);
    kama_node_free(node);
}

/* A node is made, started, stopped and freed, each once and in this order. */
static void test_life(void **state)
{
    (void)state;
    kama_node *node = new_node();
    kama_group *group = new_group(node, "users");
    kama_value *value = NULL;
    assert_null(kama_node_address(node));
    assert_int_equal(kama_node_stop(node), KAMA_ERR_STATE);
    assert_int_equal(kama_node_start(node), KAMA_OK);
    assert_int_equal(strncmp(kama_node_address(node), "127.0.0.1:", 10), 0);
    assert_int_not_equal(atoi(kama_node_address(node) + 10), 0);
    assert_int_equal(kama_node_start(node), KAMA_ERR_STATE);
    assert_int_equal(kama_node_stop(node), KAMA_OK);
    assert_int_equal(kama_node_stop(node), KAMA_ERR_STATE);
    assert_int_equal(kama_node_start(node), KAMA_ERR_STATE);
    /* its groups still serve this process */
    assert_int_equal(kama_set(group, KAMA_STR("k"), KAMA_STR("v"), NULL),
                     KAMA_OK);
    assert_int_equal(kama_get(group, KAMA_STR("k"), NULL, &value), KAMA_OK);
    kama_node_free(node);
    assert_int_equal(kama_value_bytes(value).len, 1);
    kama_value_unref(value);
}

static void test_groups(void **state)
{
    (void)state;
    kama_group_options options;
    kama_group *other = NULL;
    kama_node *node = new_node();
    kama_group *users = new_group(node, "users");
    kama_group_options_init(&options);
    options.name = "users";
    assert_int_equal(kama_node_add_group(node, &options, &other),
                     KAMA_ERR_EXISTS);
    assert_null(other);
    assert_int_equal(kama_node_start(node), KAMA_OK);
    kama_group *late = new_group(node, "late");
    assert_ptr_equal(kama_node_group(node, "users"), users);
    assert_ptr_equal(kama_node_group(node, "late"), late);
    assert_null(kama_node_group(node, "unknown"));
    options.name = "";
    assert_int_equal(kama_node_add_group(node, &options, &other),
                     KAMA_ERR_INVALID);
    assert_int_equal(kama_node_add_group(node, NULL, &other), KAMA_ERR_INVALID);
    assert_null(kama_node_group(node, NULL));
    assert_int_equal(kama_node_stop(node), KAMA_OK);
    options.name = "too late";
    assert_int_equal(kama_node_add_group(node, &options, &other),
                     KAMA_ERR_CLOSED);
    kama_node_free(node);
}

/* A node takes 1024 groups, and refuses one more. */
static void test_group_limit(void **state)
{
    (void)state;
    kama_group_options options;
    kama_group *group = NULL;
    char name[16];
    kama_node *node = new_node();
    kama_group_options_init(&options);
    options.max_bytes = KM_GROUP_BYTES_MIN;
    options.name = name;
    for (unsigned i = 0; i < KM_GROUPS_MAX; i++) {
        snprintf(name, sizeof name, "g%u", i);
        assert_int_equal(kama_node_add_group(node, &options, &group), KAMA_OK);
    }
    options.name = "one more";
    assert_int_equal(kama_node_add_group(node, &options, &group),
                     KAMA_ERR_TOO_LARGE);
    assert_non_null(strstr(km_last_error(), "1024"));
    kama_node_free(node);
}

/* The port is taken: the error names it, nothing is left running, and the same
 * node may try again. */
static void test_taken_port(void **state)
{
    (void)state;
    kama_node_options options;
    kama_node *second = NULL;
    kama_node *first = new_node();
    assert_int_equal(kama_node_start(first), KAMA_OK);
    loopback(&options);
    options.listen = kama_node_address(first);
    assert_int_equal(kama_node_new(&options, &second), KAMA_OK);
    assert_int_equal(kama_node_start(second), KAMA_ERR_ADDR_IN_USE);
    assert_non_null(strstr(km_last_error(), kama_node_address(first)));
    assert_null(kama_node_address(second));
    assert_int_equal(kama_node_stop(first), KAMA_OK);
    assert_int_equal(kama_node_start(second), KAMA_OK);
    assert_string_equal(kama_node_address(second), kama_node_address(first));
    kama_node_free(second);
    kama_node_free(first);
}

/* Two nodes may each have a group of the same name. */
static void test_two_nodes(void **state)
{
    (void)state;
    kama_value *value = NULL;
    kama_node *a = new_node();
    kama_node *b = new_node();
    kama_group *group_a = new_group(a, "users");
    kama_group *group_b = new_group(b, "users");
    assert_int_equal(kama_node_start(a), KAMA_OK);
    assert_int_equal(kama_node_start(b), KAMA_OK);
    assert_string_not_equal(kama_node_address(a), kama_node_address(b));
    assert_int_equal(kama_set(group_a, KAMA_STR("k"), KAMA_STR("v"), NULL),
                     KAMA_OK);
    assert_int_equal(kama_get(group_b, KAMA_STR("k"), NULL, &value), KAMA_MISS);
    kama_node_free(a);
    assert_int_equal(kama_set(group_b, KAMA_STR("k"), KAMA_STR("v"), NULL),
                     KAMA_OK);
    kama_node_free(b);
}

/* A group that is added while the node serves raises the limit of messages: one
 * that is larger than the 4 MiB of every node arrives. */
static void test_late_large_values(void **state)
{
    (void)state;
    enum { VALUE_BYTES = 5 << 20 };
    static char message[16 + VALUE_BYTES] =
        "\x0a\4late\x12\1k\x1a\x80\x80\xc0\2";
    struct km_client *client = NULL;
    struct km_buf reply;
    kama_group_options options;
    kama_group *group = NULL;
    kama_node *node = new_node();
    assert_int_equal(kama_node_start(node), KAMA_OK);
    struct km_channel_options channel = {
        .clock = km_clock_system(),
        .mem = km_mem_default(),
        .address = kama_node_address(node),
    };
    struct km_client_request request = {
        .path = "/kama.v1.KamaCacheService/Set",
        .message = kama_bytes_make(message, 14 + VALUE_BYTES),
        .timeout_ms = 30000,
    };
    assert_int_equal(km_client_new(&channel, &client), KAMA_OK);
    km_buf_init(&reply, km_mem_default(), SIZE_MAX);
    assert_int_equal(km_client_unary(client, &request, &reply),
                     KAMA_ERR_TOO_LARGE);
    kama_group_options_init(&options);
    options.name = "late";
    options.max_value_bytes = VALUE_BYTES;
    assert_int_equal(kama_node_add_group(node, &options, &group), KAMA_OK);
    assert_int_equal(km_client_unary(client, &request, &reply), KAMA_OK);
    km_buf_fini(&reply);
    km_client_free(client);
    kama_node_free(node);
}

struct events {
    char names[128];
};

static void on_event(void *arg, const kama_node_event *event)
{
    struct events *events = arg;
    size_t len = strlen(events->names);
    assert_true(event->message[0] != '\0');
    snprintf(events->names + len, sizeof events->names - len, "%s ",
             event->name);
}

static void test_events(void **state)
{
    (void)state;
    struct events events = {""};
    kama_node_options options;
    kama_node *node = NULL;
    loopback(&options);
    options.event = on_event;
    options.event_arg = &events;
    assert_int_equal(kama_node_new(&options, &node), KAMA_OK);
    (void)new_group(node, "users");
    assert_int_equal(kama_node_start(node), KAMA_OK);
    kama_node_free(node);
    assert_string_equal(events.names, "group listen ready drain stopped ");
}

/* When many loads fail, a few warnings are told at once, and the others are
 * counted. */
struct failures {
    atomic_uint warnings;
    atomic_uint suppressed;
    atomic_uint traces;
};

static void on_failure(void *arg, const kama_node_event *event)
{
    struct failures *f = arg;
    if (event->group == NULL) {
        return;
    }
    assert_string_equal(event->group, "users");
    assert_int_equal(event->key.len, 1);
    if (event->level == KM_NODE_DEBUG) {
        atomic_fetch_add(&f->traces, 1);
        return;
    }
    assert_int_equal(event->level, KM_NODE_WARN);
    assert_string_equal(event->name, "load_failed");
    assert_int_equal(event->status, KAMA_ERR_LOADER);
    assert_non_null(strstr(event->message, "group users: the loader returned "
                                           "KAMA_ERR_IO and gave no reason "
                                           "(key \"k\")"));
    atomic_fetch_add(&f->warnings, 1);
    atomic_fetch_add(&f->suppressed, (unsigned)event->suppressed);
}

static kama_status load_nothing(void *arg, const kama_load *req, kama_sink *out)
{
    (void)arg;
    (void)req;
    (void)out;
    return KAMA_ERR_IO;
}

static kama_node *failing_node(struct failures *f, uint32_t level,
                               kama_group **ret_group)
{
    kama_node_options options;
    kama_group_options group;
    kama_node *node;
    memset(f, 0, sizeof *f);
    loopback(&options);
    options.event = on_failure;
    options.event_arg = f;
    options.event_level = level;
    kama_group_options_init(&group);
    group.name = "users";
    group.loader = load_nothing;
    assert_int_equal(kama_node_new(&options, &node), KAMA_OK);
    assert_int_equal(kama_node_add_group(node, &group, ret_group), KAMA_OK);
    return node;
}

static void fail_load(kama_group *group)
{
    kama_value *value;
    assert_int_equal(kama_get(group, KAMA_STR("k"), NULL, &value),
                     KAMA_ERR_LOADER);
}

static void test_load_failures_are_told_and_limited(void **state)
{
    enum { LOADS = 50 };
    struct failures f;
    kama_group *group;
    (void)state;
    kama_node *node = failing_node(&f, KM_NODE_INFO, &group);
    for (unsigned i = 0; i < LOADS; i++) {
        fail_load(group);
    }
    unsigned loads = LOADS;
    while (atomic_load(&f.suppressed) == 0) {
        assert_true(++loads < 10000000);
        fail_load(group);
    }
    assert_true(atomic_load(&f.warnings) < LOADS);
    kama_node_free(node);
    assert_true(atomic_load(&f.warnings) + atomic_load(&f.suppressed) <= loads);
    assert_int_equal(atomic_load(&f.traces), 0);
    node = failing_node(&f, KM_NODE_DEBUG, &group);
    fail_load(group);
    kama_node_free(node);
    assert_int_equal(atomic_load(&f.traces), 4);
    node = failing_node(&f, KM_NODE_ERROR, &group);
    fail_load(group);
    kama_node_free(node);
    assert_int_equal(atomic_load(&f.warnings) + atomic_load(&f.traces), 0);
}

static kama_status stop_from_loader(void *arg, const kama_load *req,
                                    kama_sink *out)
{
    (void)req;
    kama_status status = kama_node_stop(*(kama_node **)arg);
    return kama_sink_set(out, KAMA_STR(kama_status_name(status)), NULL);
}

/* A node cannot be stopped from a thread of its own, which would wait for
 * itself. */
static void test_stop_from_inside(void **state)
{
    (void)state;
    kama_group_options options;
    kama_group *group = NULL;
    kama_value *value = NULL;
    kama_node *node = new_node();
    kama_group_options_init(&options);
    options.loader = stop_from_loader;
    options.loader_arg = &node;
    assert_int_equal(kama_node_add_group(node, &options, &group), KAMA_OK);
    assert_int_equal(kama_node_start(node), KAMA_OK);
    assert_int_equal(kama_get(group, KAMA_STR("k"), NULL, &value), KAMA_OK);
    kama_bytes bytes = kama_value_bytes(value);
    assert_memory_equal(bytes.data, "KAMA_ERR_WOULD_DEADLOCK", bytes.len);
    kama_value_unref(value);
    kama_node_free(node);
}

static int connect_to(const char *address)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    to.sin_port = htons((uint16_t)atoi(strchr(address, ':') + 1));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

/* Reads until the other side closes, which must happen within 10 s. */
static void expect_closed(int fd)
{
    char buf[512];
    ssize_t n;
    do {
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&readable, 1, 10000), 1);
        n = read(fd, buf, sizeof buf);
    } while (n > 0);
    close(fd);
}

/* Stopping closes idle connections, with and without a preface. */
/* In a forked child a node belongs to the parent: its functions say so, and
 * freeing it does nothing. A child that hangs is killed by its alarm. */
static void use_in_child(kama_node *node)
{
    kama_group_options options;
    kama_group *group;
    (void)alarm(20);
    kama_group_options_init(&options);
    options.name = "of the child";
    int failed =
        kama_node_stop(node) != KAMA_ERR_STATE ||
        kama_node_start(node) != KAMA_ERR_STATE ||
        kama_node_add_group(node, &options, &group) != KAMA_ERR_STATE ||
        strstr(km_last_error(), "parent process") == NULL;
    kama_group_free(kama_node_group(node, "users"));
    kama_node_free(node);
    _exit(failed);
}

static void test_a_forked_child_has_no_node(void **state)
{
    int status = 0;
    (void)state;
    kama_node *node = new_node();
    kama_group *users = new_group(node, "users");
    assert_int_equal(kama_node_start(node), KAMA_OK);
    assert_true(other_threads_await_sleep());
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        use_in_child(node);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(kama_set(users, KAMA_STR("k"), KAMA_STR("v"), NULL),
                     KAMA_OK);
    assert_int_equal(kama_node_stop(node), KAMA_OK);
    kama_node_free(node);
}

static void test_stop_closes(void **state)
{
    (void)state;
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                                  "\0\0\0\4\0\0\0\0\0";
    char settings[9];
    kama_node *node = new_node();
    assert_int_equal(kama_node_start(node), KAMA_OK);
    int silent = connect_to(kama_node_address(node));
    int idle = connect_to(kama_node_address(node));
    assert_int_equal(write(idle, preface, sizeof preface - 1),
                     (ssize_t)sizeof preface - 1);
    assert_int_equal(recv(idle, settings, 9, MSG_WAITALL), 9);
    assert_int_equal(kama_node_stop(node), KAMA_OK);
    expect_closed(silent);
    expect_closed(idle);
    kama_node_free(node);
}

static kama_status run_node(kama_node *node, const kama_allocator *mem)
{
    kama_group_options options;
    kama_group *group;
    kama_group_options_init(&options);
    options.allocator = mem;
    kama_status status = kama_node_add_group(node, &options, &group);
    if (status == KAMA_OK) {
        status = kama_node_start(node);
    }
    if (status == KAMA_OK) {
        options.name = "late";
        status = kama_node_add_group(node, &options, &group);
    }
    return status;
}

static void ignore_event(void *arg, const kama_node_event *event)
{
    (void)arg;
    (void)event;
}

static kama_status scenario(const kama_allocator *mem, void *arg)
{
    (void)arg;
    kama_node_options options;
    kama_node *node;
    loopback(&options);
    options.allocator = mem;
    options.event = ignore_event;
    kama_status status = kama_node_new(&options, &node);
    if (status == KAMA_OK) {
        status = run_node(node, mem);
        kama_node_free(node);
    }
    return status;
}

/* Each allocation fails in turn: kama_node_new or kama_node_start returns an
 * error, and nothing is left behind. */
static void test_no_memory(void **state)
{
    (void)state;
    assert_true(km_test_fail_each(scenario, NULL) > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_accepts),
        cmocka_unit_test(test_older_struct),
        cmocka_unit_test(test_late_start),
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_group_limit),
        cmocka_unit_test(test_taken_port),
        cmocka_unit_test(test_two_nodes),
        cmocka_unit_test(test_late_large_values),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_load_failures_are_told_and_limited),
        cmocka_unit_test(test_stop_from_inside),
        cmocka_unit_test(test_a_forked_child_has_no_node),
        cmocka_unit_test(test_stop_closes),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
