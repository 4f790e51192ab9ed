/* SPDX-License-Identifier: MIT */
/* The answers of all paths but those of health, from a node that the test makes
 * up and a real group. */
#include "admin/admin_kit.h"

static const char *text_of(json_t *json, const char *name)
{
    return json_string_value(json_object_get(json, name));
}

static json_int_t number_of(json_t *json, const char *name)
{
    assert_true(json_is_integer(json_object_get(json, name)));
    return json_integer_value(json_object_get(json, name));
}

static void test_node(void **state)
{
    struct kit kit;
    (void)state;
    kit_begin(&kit);
    kit_ask(&kit, "/api/v1/node", "");
    json_t *json = kit_json(&kit);
    assert_string_equal(text_of(json, "listen"), "127.0.0.1:8001");
    assert_string_equal(text_of(json, "advertise"), "10.0.0.1:8001");
    assert_string_equal(text_of(json, "id"),
                        "ab010000000000000000000000000000");
    assert_string_equal(text_of(json, "lease_id"), "1234abcd");
    assert_string_equal(text_of(json, "view_id"), "fedcba9876543210");
    assert_string_equal(text_of(json, "version"), kama_version());
    assert_int_equal(number_of(json, "uptime_ms"), 1234);
    assert_string_equal(text_of(json, "admin"), "127.0.0.1:9001");
    assert_int_equal(number_of(json, "group_count"), 1);
    assert_int_equal(number_of(json, "start_ms"), 5);
    assert_int_equal(json_object_size(json), 20);
    json_decref(json);
    kit_end(&kit);
}

/* A setting may have bytes that are no text; the answer is JSON nevertheless. */
static void test_settings_of_any_bytes(void **state)
{
    struct kit kit;
    (void)state;
    kit_begin(&kit);
    kit.service = "a\xff\"<b>\xe2\x82";
    kit_ask(&kit, "/api/v1/node", "");
    assert_int_equal(kit.reply.code, 200);
    json_t *json = kit_json(&kit);
    assert_string_equal(text_of(json, "service"), "a\\xff\"<b>\\xe2\\x82");
    json_decref(json);
    kit_end(&kit);
}

static void test_members(void **state)
{
    struct kit kit;
    (void)state;
    kit_begin(&kit);
    kit_ask(&kit, "/api/v1/cluster", "");
    json_t *json = kit_json(&kit);
    json_t *members = json_object_get(json, "members");
    assert_string_equal(text_of(json, "cluster"), "blue");
    assert_int_equal(json_array_size(members), 2);
    json_t *first = json_array_get(members, 0);
    json_t *second = json_array_get(members, 1);
    assert_string_equal(text_of(first, "admin_address"), "10.0.0.1:9001");
    assert_int_equal(json_array_size(json_object_get(first, "labels")), 2);
    assert_int_equal(json_array_size(json_object_get(second, "labels")), 0);
    assert_string_equal(text_of(first, "state"), "active");
    assert_string_equal(text_of(second, "state"), "joining");
    assert_int_equal(number_of(second, "fills"), INT64_MAX);
    assert_true(json_is_null(json_object_get(first, "stream")));
    assert_int_equal(
        number_of(json_object_get(second, "stream"), "lag_entries"), 2);
    json_decref(json);
    kit_end(&kit);
}

/* The log, and the streams of each member that has some. */
static void test_sync(void **state)
{
    struct kit kit;
    (void)state;
    kit_begin(&kit);
    kit.log = (struct km_admin_log){.exists = true,
                                    .seq = 9,
                                    .entries = 4,
                                    .bytes = 300,
                                    .oldest_ns = 1200};
    kit_ask(&kit, "/api/v1/sync", "");
    json_t *json = kit_json(&kit);
    json_t *log = json_object_get(json, "log");
    json_t *members = json_object_get(json, "members");
    assert_int_equal(number_of(log, "seq"), 9);
    assert_int_equal(number_of(log, "entries"), 4);
    assert_int_equal(number_of(log, "bytes"), 300);
    assert_int_equal(number_of(log, "age_ns"), 1200);
    assert_int_equal(json_array_size(members), 1);
    json_t *stream = json_object_get(json_array_get(members, 0), "stream");
    assert_string_equal(text_of(json_array_get(members, 0), "address"),
                        "10.0.0.2:8001");
    assert_string_equal(text_of(stream, "state"), "in_sync");
    assert_true(json_is_true(json_object_get(stream, "up")));
    assert_true(json_is_false(json_object_get(stream, "unsynced")));
    assert_int_equal(number_of(stream, "lag_ns"), 1500);
    assert_int_equal(number_of(stream, "gaps"), 4);
    json_decref(json);
    kit.log.exists = false;
    kit_ask(&kit, "/api/v1/sync", "");
    json = kit_json(&kit);
    assert_true(json_is_null(json_object_get(json, "log")));
    json_decref(json);
    kit_end(&kit);
}

static void test_ring(void **state)
{
    struct kit kit;
    (void)state;
    kit_begin(&kit);
    kit_ask(&kit, "/api/v1/ring", "group=users");
    json_t *json = kit_json(&kit);
    json_t *first = json_array_get(json_object_get(json, "members"), 0);
    assert_int_equal(number_of(first, "weight"), 3);
    assert_int_equal(number_of(first, "share_ppm"), 600000);
    assert_string_equal(text_of(json, "view_id"), "fedcba9876543210");
    json_decref(json);
    kit_ask(&kit, "/api/v1/ring", "group=pages");
    kit_expect_error(&kit, 404, "KAMA_ERR_NO_GROUP", "\"pages\"");
    kit_end(&kit);
}

/* Each row of the table of counters is there, with its value. */
static void test_groups(void **state)
{
    struct kit kit;
    (void)state;
    kit_begin(&kit);
    kit_set(&kit, KM_LIT("a"), "1");
    kit_ask(&kit, "/api/v1/groups", "");
    json_t *json = kit_json(&kit);
    json_t *group = json_array_get(json_object_get(json, "groups"), 0);
    json_t *stats = json_object_get(group, "stats");
    assert_string_equal(text_of(group, "name"), "users");
    assert_int_equal(number_of(group, "ttl_ms"), 60000);
    assert_string_equal(
        text_of(json_object_get(group, "options"), "ttl_jitter"), "10");
    assert_int_equal(number_of(stats, "sets"), 1);
    assert_int_equal(number_of(stats, "entries"), 1);
    assert_int_equal(
        number_of(json_object_get(stats, "load_latency_ns"), "count"), 0);
    json_decref(json);
    kit_end(&kit);
}

/* -- keys -------------------------------------------------------------------- */

/* Reads a whole list, page by page. Returns how many keys there were. */
static size_t count_keys(struct kit *kit, const char *query)
{
    char more[256];
    size_t count = 0;
    (void)snprintf(more, sizeof more, "group=users&%s", query);
    for (;;) {
        kit_ask(kit, "/api/v1/keys", more);
        assert_int_equal(kit->reply.code, 200);
        json_t *json = kit_json(kit);
        count += json_array_size(json_object_get(json, "keys"));
        (void)snprintf(more, sizeof more, "group=users&%s&cursor=%s", query,
                       text_of(json, "cursor"));
        bool is_last = text_of(json, "cursor")[0] == '\0';
        json_decref(json);
        if (is_last) {
            return count;
        }
    }
}

static void test_keys(void **state)
{
    struct kit kit;
    char key[32];
    (void)state;
    kit_begin(&kit);
    for (unsigned i = 0; i < 3000; i++) {
        (void)snprintf(key, sizeof key, i % 3 == 0 ? "u*:%u" : "p:%u", i);
        kit_set(&kit, KAMA_STR(key), "value");
    }
    assert_int_equal(count_keys(&kit, "limit=7&glob=u*"), 1000);
    assert_int_equal(count_keys(&kit, "limit=1000"), 3000);
    assert_int_equal(count_keys(&kit, "prefix=u*:"), 1000);
    assert_int_equal(count_keys(&kit, "prefix=u*:2999"), 0);
    assert_int_equal(count_keys(&kit, "prefix=?:"), 0);
    assert_int_equal(count_keys(&kit, "glob=%3F:2999"), 1);
    kit_end(&kit);
}

/* A glob that is compared with every place of long keys ends the page early, and
 * the cursor goes on from there. Each key is a call of kama_scan of its own. */
static void test_a_costly_glob(void **state)
{
    static char key[KM_KEY_BYTES_MAX];
    static char query[KM_GLOB_BYTES_MAX + 32];
    struct kit kit;
    (void)state;
    kit_begin(&kit);
    memset(key, 'a', sizeof key);
    for (int i = 1; i < KM_ADMIN_SCANS_MAX; i++) {
        key[0] = (char)i;
        kit_set(&kit, kama_bytes_make(key, sizeof key), "value");
    }
    int n = snprintf(query, sizeof query, "group=users&glob=*");
    memset(query + n, 'a', KM_GLOB_BYTES_MAX - 2);
    query[n + KM_GLOB_BYTES_MAX - 2] = 'b';
    kit_ask(&kit, "/api/v1/keys", query);
    json_t *json = kit_json(&kit);
    assert_int_equal(kit.reply.code, 200);
    assert_string_not_equal(text_of(json, "cursor"), "");
    json_decref(json);
    assert_int_equal(count_keys(&kit, "glob=*a"), KM_ADMIN_SCANS_MAX - 1);
    kit_end(&kit);
}

/* Keys of any bytes are shown, and base64 is exact. */
static void test_keys_of_any_bytes(void **state)
{
    struct kit kit;
    (void)state;
    kit_begin(&kit);
    kit_set(&kit, KM_LIT("\0\xff<script>"), "value");
    kit_ask(&kit, "/api/v1/keys", "group=users");
    json_t *json = kit_json(&kit);
    json_t *key = json_array_get(json_object_get(json, "keys"), 0);
    assert_string_equal(text_of(key, "key"), "\\x00\\xff<script>");
    assert_string_equal(text_of(key, "key_base64"), "AP88c2NyaXB0Pg==");
    assert_int_equal(number_of(key, "value_bytes"), 5);
    assert_in_range(number_of(key, "ttl_ms"), 1, 66000);
    json_decref(json);
    kit_end(&kit);
}

/* Keys that end within a character are shown whole, so that they differ from
 * each other. */
static void test_keys_that_end_in_half_a_character(void **state)
{
    static const struct {
        const char *query;
        const char *shown;
    } cases[] = {
        {"group=users&key=a%C3", "a\\xc3"},
        {"group=users&key=%E2%82", "\\xe2\\x82"},
        {"group=users&key=a%E2%82%AC%F0%9F%98", "a\xe2\x82\xac\\xf0\\x9f\\x98"},
    };
    struct kit kit;
    (void)state;
    kit_begin(&kit);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        kit_ask(&kit, "/api/v1/key", cases[i].query);
        json_t *json = kit_json(&kit);
        assert_string_equal(text_of(json, "key"), cases[i].shown);
        json_decref(json);
    }
    kit_end(&kit);
}

static void test_bad_lists(void **state)
{
    static const struct {
        const char *query;
        int code;
        const char *error;
        const char *says;
    } cases[] = {
        {"", 400, "KAMA_ERR_INVALID", "group: the parameter is missing"},
        {"group=x", 404, "KAMA_ERR_NO_GROUP", "\"x\""},
        {"group=%00", 404, "KAMA_ERR_NO_GROUP", "\\x00"},
        {"group=users&limit=0", 400, "KAMA_ERR_INVALID", "limit: "},
        {"group=users&limit=1001", 400, "KAMA_ERR_INVALID", "limit: "},
        {"group=users&limit=10%001", 400, "KAMA_ERR_INVALID", "limit: "},
        {"group=users&limit=ten", 400, "KAMA_ERR_INVALID", "limit: "},
        {"group=users&glob=a&prefix=b", 400, "KAMA_ERR_INVALID", "one of"},
        {"group=users&cursor=1", 400, "KAMA_ERR_INVALID", "cursor: "},
        {"group=users&cursor=00000000000000000000000000000000", 400,
         "KAMA_ERR_INVALID", "scan again"},
        {"group=users&cursor=zz000000000000000000000000000000", 400,
         "KAMA_ERR_INVALID", "cursor: "},
        {"group=users&key=a", 400, "KAMA_ERR_INVALID", "key: "},
        {"group=users&group=users", 400, "KAMA_ERR_INVALID", "twice"},
    };
    struct kit kit;
    (void)state;
    kit_begin(&kit);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        kit_ask(&kit, "/api/v1/keys", cases[i].query);
        kit_expect_error(&kit, cases[i].code, cases[i].error, cases[i].says);
    }
    kit_end(&kit);
}

/* A glob of the largest size is taken, and one byte more is not. */
static void test_long_globs(void **state)
{
    static char query[KM_GLOB_BYTES_MAX + 32];
    struct kit kit;
    (void)state;
    kit_begin(&kit);
    (void)snprintf(query, sizeof query, "group=users&glob=%0*d",
                   KM_GLOB_BYTES_MAX, 0);
    kit_ask(&kit, "/api/v1/keys", query);
    assert_int_equal(kit.reply.code, 200);
    (void)strcat(query, "0");
    kit_ask(&kit, "/api/v1/keys", query);
    kit_expect_error(&kit, 413, "KAMA_ERR_TOO_LARGE", "glob: ");
    (void)snprintf(query, sizeof query, "group=users&prefix=%0*d",
                   KM_GLOB_BYTES_MAX, 0);
    kit_ask(&kit, "/api/v1/keys", query);
    kit_expect_error(&kit, 413, "KAMA_ERR_TOO_LARGE", "prefix: ");
    kit_end(&kit);
}

static void test_key(void **state)
{
    struct kit kit;
    (void)state;
    kit_begin(&kit);
    kit_set(&kit, KM_LIT("a\0b"), "value");
    kit_ask(&kit, "/api/v1/key", "group=users&key=a%00b");
    json_t *json = kit_json(&kit);
    json_t *owner = json_object_get(json, "owner");
    assert_true(json_is_true(json_object_get(json, "found")));
    assert_int_equal(number_of(json, "value_bytes"), 5);
    assert_int_equal(number_of(owner, "slot"), 77);
    json_decref(json);
    kit_ask(&kit, "/api/v1/key", "group=users&key=b");
    json = kit_json(&kit);
    assert_true(json_is_false(json_object_get(json, "found")));
    assert_null(json_object_get(json, "ttl_ms"));
    json_decref(json);
    kama_group_stats stats;
    kama_group_stats_get(kit.group, &stats);
    assert_int_equal(stats.gets, 0);
    kit_ask(&kit, "/api/v1/key", "group=users");
    kit_expect_error(&kit, 400, "KAMA_ERR_INVALID", "key: ");
    kit_ask(&kit, "/api/v1/key", "group=users&key=");
    kit_expect_error(&kit, 400, "KAMA_ERR_INVALID", "key");
    kit_end(&kit);
}

/* -- the others -------------------------------------------------------------- */

static void test_metrics(void **state)
{
    struct kit kit;
    (void)state;
    kit_begin(&kit);
    kit_ask(&kit, "/metrics", "");
    kit_expect(&kit, 200, "text\n");
    assert_string_equal(kit.reply.type,
                        "text/plain; version=0.0.4; charset=utf-8");
    kit_ask_as(&kit, "/metrics", "",
               "application/openmetrics-text;version=1.0.0,*/*;q=0.1");
    kit_expect(&kit, 200, "open\n");
    assert_string_equal(
        kit.reply.type,
        "application/openmetrics-text; version=1.0.0; charset=utf-8");
    kit_end(&kit);
}

/* An answer that is too large becomes an error, and not half an answer. */
static void test_an_answer_too_large(void **state)
{
    struct kit kit;
    (void)state;
    kit_begin(&kit);
    kit.metrics_bytes = KM_ADMIN_ANSWER_BYTES_MAX;
    kit_ask(&kit, "/metrics", "");
    kit_expect_error(&kit, 413, "KAMA_ERR_TOO_LARGE", "");
    kit_end(&kit);
}

static void test_page(void **state)
{
    struct kit kit;
    (void)state;
    kit_begin(&kit);
    kit_ask(&kit, "/", "");
    assert_int_equal(kit.reply.code, 200);
    assert_int_equal(km_buf_append(&kit.reply.body, "", 1), KAMA_OK);
    const char *html = (const char *)kit.reply.body.data;
    assert_non_null(strstr(html, "href=\"/readyz\""));
    assert_non_null(strstr(html, "href=\"/api/v1/groups\""));
    assert_null(strstr(html, "<script"));
    kit_end(&kit);
}

static void test_no_such_path(void **state)
{
    static const char *const paths[] = {
        "", "/x", "/healthz/", "/api", "/api/v1/", "/API/v1/node", "//"};
    struct kit kit;
    (void)state;
    kit_begin(&kit);
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        kit_ask(&kit, paths[i], "");
        kit_expect_error(&kit, 404, "KAMA_ERR_UNSUPPORTED", "/ lists");
    }
    kit_ask(&kit, "/healthz", "verbose=1");
    kit_expect_error(&kit, 400, "KAMA_ERR_INVALID", "known: none");
    kit_end(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_node),
        cmocka_unit_test(test_settings_of_any_bytes),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_sync),
        cmocka_unit_test(test_ring),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_a_costly_glob),
        cmocka_unit_test(test_keys_of_any_bytes),
        cmocka_unit_test(test_keys_that_end_in_half_a_character),
        cmocka_unit_test(test_bad_lists),
        cmocka_unit_test(test_long_globs),
        cmocka_unit_test(test_key),
        cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_an_answer_too_large),
        cmocka_unit_test(test_page),
        cmocka_unit_test(test_no_such_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
