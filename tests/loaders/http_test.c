/* SPDX-License-Identifier: MIT */
/* The http plug-in with a server that answers correctly and wrongly: which
 * responses are values, how long these live, and that no server holds a load
 * beyond its deadline. */
#include "loaders/http_server.h"

#include "loaders/failing_malloc.h"

#include <pthread.h>

/* Status 200 is a value, 404 and 410 are misses, and all others are errors. */
static void test_statuses(void **state)
{
    (void)state;
    struct host_plugin plugin;
    open_path(&plugin, "/status/{key}");
    host_expect_value(&plugin, KAMA_STR("200"), KAMA_STR("no value"), 0);
    host_expect_status(&plugin, KAMA_STR("404"), KAMA_MISS, NULL);
    host_expect_status(&plugin, KAMA_STR("410"), KAMA_MISS, NULL);
    static const char *const others[] = {"201", "206", "300", "400", "401",
                                         "403", "429", "500", "503"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        char sentence[32];
        snprintf(sentence, sizeof sentence, "HTTP status %s", others[i]);
        host_expect_status(&plugin, kama_bytes_str(others[i]), KAMA_ERR_LOADER,
                           sentence);
    }
    host_close(&plugin);
}

/* A response header and the time to live that it gives; 1 means that the value
 * is not kept. */
static const struct {
    const char *header;
    int64_t ttl_ms;
} FRESHNESS[] = {
    {"X-Other: max-age=5", 0},
    {"Cache-Control: public", 0},
    {"Cache-Control: max-age=5", 5000},
    {"cache-control:MAX-AGE=\"5\" , public", 5000},
    {"Cache-Control: max-age=5, s-maxage=9", 9000},
    {"Cache-Control: s-maxage=2\r\nCache-Control: max-age=5", 2000},
    {"Cache-Control: max-age=7, max-age=6", 6000},
    {"Cache-Control: max-age=60\r\nAge: 20", 40000},
    {"Age: 60\r\nCache-Control: max-age=60", 1},
    {"Age: nonsense\r\nCache-Control: max-age=60", 60000},
    {"Cache-Control: max-age=0", 1},
    {"Cache-Control: max-age=-5", 1},
    {"Cache-Control: max-age", 1},
    {"Cache-Control: no-store", 1},
    {"Cache-Control: no-cache, max-age=5", 1},
    {"Cache-Control: max-age=5, private", 1},
    {"Cache-Control: max-age=99999999999999999999999", 2147483648000},
    {"Cache-Control: ,, =, \"", 0},
    {"Expires: Thu, 01 Jan 1970 00:00:00 GMT", 0},
};

/* Loads a response with this header and compares the options of the sink. */
static void expect_freshness(const struct host_plugin *plugin,
                             const char *header, kama_status status,
                             int64_t ttl_ms)
{
    struct host_result result;
    host_load(plugin, kama_bytes_str(header), 5000, &result);
    assert_int_equal(result.status, status);
    assert_int_equal(result.ttl_ms, ttl_ms);
    assert_int_equal(result.flags, ttl_ms == 1 ? KAMA_NO_STORE : 0);
    host_result_fini(&result);
}

/* Cache-Control gives the time to live of a value or an absence, and Age is
 * subtracted. A response that must not be kept is marked. */
static void test_freshness(void **state)
{
    (void)state;
    struct host_plugin value;
    struct host_plugin absence;
    struct host_plugin gone;
    open_path(&value, "/headers/{key}");
    open_path(&absence, "/headers404/{key}");
    open_path(&gone, "/headers410/{key}");
    for (size_t i = 0; i < sizeof FRESHNESS / sizeof FRESHNESS[0]; i++) {
        const char *header = FRESHNESS[i].header;
        print_message("%s\n", header);
        expect_freshness(&value, header, KAMA_OK, FRESHNESS[i].ttl_ms);
        expect_freshness(&absence, header, KAMA_MISS, FRESHNESS[i].ttl_ms);
        expect_freshness(&gone, header, KAMA_MISS, FRESHNESS[i].ttl_ms);
    }
    host_close(&value);
    host_close(&absence);
    host_close(&gone);
}

/* A body may come in chunks, end with the connection, or follow interim
 * responses. */
static void test_body_forms(void **state)
{
    (void)state;
    struct host_plugin plugin;
    open_path(&plugin, "/{key}");
    host_expect_value(&plugin, KAMA_STR("chunked"), KAMA_STR("one two three"),
                      0);
    host_expect_value(&plugin, KAMA_STR("until_close"),
                      KAMA_STR("until the end"), 0);
    host_expect_value(&plugin, KAMA_STR("continue"), KAMA_STR("after hints"),
                      0);
    host_close(&plugin);
    open_path(&plugin, "/body/{key}");
    host_expect_value(&plugin, KAMA_STR("0"), KAMA_STR(""), 0);
    host_close(&plugin);
}

/* An incomplete response is not a value. */
static void test_broken_responses(void **state)
{
    (void)state;
    struct host_plugin plugin;
    open_path(&plugin, "/{key}");
    host_expect_status(&plugin, KAMA_STR("early_end"), KAMA_ERR_LOADER, NULL);
    host_expect_status(&plugin, KAMA_STR("bad_chunk"), KAMA_ERR_LOADER, NULL);
    host_expect_status(&plugin, KAMA_STR("garbage"), KAMA_ERR_LOADER, NULL);
    host_expect_status(&plugin, KAMA_STR("nothing"), KAMA_ERR_LOADER, NULL);
    host_expect_status(&plugin, KAMA_STR("big_404"), KAMA_MISS, NULL);
    host_expect_value(&plugin, KAMA_STR("ok"), KAMA_STR("/ok"), 0);
    host_close(&plugin);
}

static void expect_timeout(const char *action)
{
    struct host_plugin plugin;
    struct host_result result;
    open_path(&plugin, "/{key}");
    host_load(&plugin, kama_bytes_str(action), 200, &result);
    if (result.status != KAMA_ERR_TIMEOUT) {
        fail_msg("status %d: %s", result.status, result.sentence);
    }
    assert_in_range(result.took_ms, 150, 3000);
    host_result_fini(&result);
    host_expect_value(&plugin, KAMA_STR("ok"), KAMA_STR("/ok"), 0);
    host_close(&plugin);
}

/* The load ends at the deadline if the server hangs or sends a byte at a
 * time. */
static void test_deadline(void **state)
{
    (void)state;
    expect_timeout("hang");
    expect_timeout("drip");
}

/* When nobody listens, the load fails at once, and the sentence does not
 * contain the password of the URL. */
static void test_refused_connection(void **state)
{
    (void)state;
    struct host_plugin plugin;
    struct host_result result;
    host_open(&plugin, "http", "http://me:secret@127.0.0.1:1/{key}", NULL);
    assert_int_equal(plugin.status, KAMA_OK);
    host_load(&plugin, KAMA_STR("k"), 5000, &result);
    assert_int_equal(result.status, KAMA_ERR_LOADER);
    assert_non_null(strstr(result.sentence, "http://127.0.0.1:1: "));
    assert_null(strstr(result.sentence, "secret"));
    host_result_fini(&result);
    host_close(&plugin);
}

static void allow_1000_bytes(kama_loader_config *config)
{
    config->max_value_bytes = 1000;
}

/* A body of the greatest length is a value, one with one more byte is not, and
 * an endless body is cut off. */
static void test_value_limit(void **state)
{
    (void)state;
    static const char zeros[1000];
    struct host_plugin plugin;
    host_open(&plugin, "http", config("/body/{key}"), allow_1000_bytes);
    host_expect_value(&plugin, KAMA_STR("1000"), KAMA_BYTES(zeros, 1000), 0);
    host_expect_status(&plugin, KAMA_STR("1001"), KAMA_ERR_TOO_LARGE, "1000");
    host_close(&plugin);
    open_path(&plugin, "/{key}");
    host_expect_status(&plugin, KAMA_STR("endless"), KAMA_ERR_TOO_LARGE, NULL);
    host_close(&plugin);
}

/* Each kept connection is closed while the next request is on its way, more
 * often than libcurl tries again in the life of a handle. */
static void test_kept_connection_is_closed_by_the_origin(void **state)
{
    (void)state;
    struct host_plugin plugin;
    open_path(&plugin, "/{key}");
    for (int i = 0; i < 30; i++) {
        host_expect_value(&plugin, KAMA_STR("last"), KAMA_STR("last"), 0);
    }
    host_close(&plugin);
}

/* Loads that run one after the other use one connection, and so do misses. */
static void test_keep_alive(void **state)
{
    (void)state;
    struct host_plugin plugin;
    open_path(&plugin, "/{key}");
    int before = ask_number(&plugin, "connections");
    for (int i = 0; i < 5; i++) {
        host_expect_value(&plugin, KAMA_STR("ok"), KAMA_STR("/ok"), 0);
    }
    assert_int_equal(ask_number(&plugin, "connections"), before);
    host_close(&plugin);
}

struct runner {
    const struct host_plugin *plugin;
    int number;
    int good;
    char wrong[300];
};

static void *run_many(void *arg)
{
    struct runner *runner = arg;
    char key[32];
    char value[48];
    for (int i = 0; i < 20; i++) {
        struct host_result result;
        snprintf(key, sizeof key, "k%d-%d", runner->number, i);
        snprintf(value, sizeof value, "/%s", key);
        host_load(runner->plugin, kama_bytes_str(key), 60000, &result);
        if (result.status == KAMA_OK && strcmp(result.value, value) == 0) {
            runner->good++;
        } else {
            snprintf(runner->wrong, sizeof runner->wrong, "%d: %s",
                     result.status, result.sentence);
        }
        host_result_fini(&result);
    }
    return NULL;
}

/* 16 loads at a time get their own answers over at most 16 connections, and
 * close closes every descriptor. */
static void test_many_threads(void **state)
{
    (void)state;
    int descriptors = host_count_descriptors();
    struct host_plugin plugin;
    open_path(&plugin, "/{key}");
    int before = ask_number(&plugin, "connections");
    pthread_t threads[16];
    struct runner runners[16];
    memset(runners, 0, sizeof runners);
    for (int i = 0; i < 16; i++) {
        runners[i].plugin = &plugin;
        runners[i].number = i;
        assert_int_equal(
            pthread_create(&threads[i], NULL, run_many, &runners[i]), 0);
    }
    for (int i = 0; i < 16; i++) {
        pthread_join(threads[i], NULL);
        assert_string_equal(runners[i].wrong, "");
        assert_int_equal(runners[i].good, 20);
    }
    assert_in_range(ask_number(&plugin, "connections") - before, 0, 16);
    host_close(&plugin);
    assert_int_equal(host_count_descriptors(), descriptors);
}

/* When the n-th allocation fails, for every n, there is an error and nothing
 * leaks. */
static void test_allocation_failures(void **state)
{
    (void)state;
    expect_allocation_failures("http", config("/body/{key}"), KAMA_STR("1"));
    expect_allocation_failures("http", config("/to/{key}"),
                               KAMA_STR("/body/7"));
    expect_allocation_failures("http", config("/short/gzip?{key}"),
                               KAMA_STR("1234"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_freshness),
        cmocka_unit_test(test_body_forms),
        cmocka_unit_test(test_broken_responses),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_refused_connection),
        cmocka_unit_test(test_value_limit),
        cmocka_unit_test(test_kept_connection_is_closed_by_the_origin),
        cmocka_unit_test(test_keep_alive),
        cmocka_unit_test(test_many_threads),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
