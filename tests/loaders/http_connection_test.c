/* SPDX-License-Identifier: MIT */
/* How long the http plug-in keeps a connection and an address. The test
 * replaces the clock and the name server of this process. */
#include "loaders/http_server.h"

#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>

/* How far the clocks of this process are ahead, in seconds. */
static atomic_int ahead_s;

/* The address that "origin.test" resolves to. */
static const char *_Atomic address = "127.0.0.1";

KAMA_API int clock_gettime(clockid_t id, struct timespec *ret_time)
{
    int result = (int)syscall(SYS_clock_gettime, id, ret_time);
    ret_time->tv_sec += atomic_load(&ahead_s);
    return result;
}

KAMA_API time_t time(time_t *ret_time)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (ret_time != NULL) {
        *ret_time = now.tv_sec;
    }
    return now.tv_sec;
}

KAMA_API int getaddrinfo(const char *node, const char *service,
                         const struct addrinfo *hints,
                         struct addrinfo **ret_list)
{
    int (*real)(const char *, const char *, const struct addrinfo *,
                struct addrinfo **);
    void *symbol = dlsym(RTLD_NEXT, "getaddrinfo");
    memcpy(&real, &symbol, sizeof real);
    if (node != NULL && strcmp(node, "origin.test") == 0) {
        node = atomic_load(&address);
    }
    return real(node, service, hints, ret_list);
}

static void open_name(struct host_plugin *plugin)
{
    char text[64];
    snprintf(text, sizeof text, "http://origin.test:%d/{key}", port);
    atomic_store(&ahead_s, 0);
    atomic_store(&address, "127.0.0.1");
    host_open(plugin, "http", text, NULL);
    assert_int_equal(plugin->status, KAMA_OK);
}

static void expect_address(const struct host_plugin *plugin, const char *text)
{
    host_expect_value(plugin, KAMA_STR("address"), kama_bytes_str(text), 0);
}

/* A connection is given up after 60 s even if it was never idle. */
static void test_connection_is_given_up(void **state)
{
    (void)state;
    struct host_plugin plugin;
    open_name(&plugin);
    int first = ask_number(&plugin, "connections");
    for (int i = 0; i < 2; i++) {
        atomic_fetch_add(&ahead_s, 25);
        assert_int_equal(ask_number(&plugin, "connections"), first);
    }
    atomic_fetch_add(&ahead_s, 25);
    assert_int_equal(ask_number(&plugin, "connections"), first + 1);
    assert_int_equal(ask_number(&plugin, "connections"), first + 1);
    host_close(&plugin);
}

/* When the name resolves to another address, connections go there within 60
 * s. */
static void test_new_address_of_a_kept_connection(void **state)
{
    (void)state;
    struct host_plugin plugin;
    open_name(&plugin);
    expect_address(&plugin, "127.0.0.1");
    atomic_store(&address, "127.0.0.2");
    expect_address(&plugin, "127.0.0.1");
    atomic_fetch_add(&ahead_s, 61);
    expect_address(&plugin, "127.0.0.2");
    host_close(&plugin);
}

/* A new connection resolves the name again. With an old address, it would be
 * wrong for another 60 s. */
static void test_new_address_of_a_new_connection(void **state)
{
    (void)state;
    struct host_plugin plugin;
    open_name(&plugin);
    expect_address(&plugin, "127.0.0.1");
    atomic_store(&address, "127.0.0.2");
    atomic_fetch_add(&ahead_s, 10);
    host_expect_value(&plugin, KAMA_STR("until_close"),
                      KAMA_STR("until the end"), 0);
    expect_address(&plugin, "127.0.0.2");
    host_close(&plugin);
}

struct together {
    const struct host_plugin *plugin;
    struct host_result result;
};

static void *load_together(void *arg)
{
    struct together *load = arg;
    host_load(load->plugin, KAMA_STR("together"), 20000, &load->result);
    return NULL;
}

/* Connections that a burst of loads has left are closed when they were idle for
 * 60 s, although no load needs them. */
static void test_idle_connections_are_closed(void **state)
{
    (void)state;
    struct host_plugin plugin;
    struct together loads[2] = {{.plugin = &plugin}, {.plugin = &plugin}};
    pthread_t other;
    open_name(&plugin);
    int before = host_count_descriptors();
    assert_int_equal(pthread_create(&other, NULL, load_together, &loads[1]), 0);
    load_together(&loads[0]);
    pthread_join(other, NULL);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(loads[i].result.status, KAMA_OK);
        host_result_fini(&loads[i].result);
    }
    int burst = host_count_descriptors() - before;
    expect_address(&plugin, "127.0.0.1");
    assert_int_equal(host_count_descriptors() - before, burst);
    atomic_fetch_add(&ahead_s, 61);
    expect_address(&plugin, "127.0.0.1");
    assert_int_equal(host_count_descriptors() - before, burst / 2);
    host_close(&plugin);
    assert_int_equal(host_count_descriptors(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connection_is_given_up),
        cmocka_unit_test(test_new_address_of_a_kept_connection),
        cmocka_unit_test(test_new_address_of_a_new_connection),
        cmocka_unit_test(test_idle_connections_are_closed),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
