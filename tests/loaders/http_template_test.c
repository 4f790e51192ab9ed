/* SPDX-License-Identifier: MIT */
/* The key in the URL of the http plug-in stays a part of a path or one value of
 * the query, or it is refused. */
#include "loaders/http_server.h"

static void expect_echo(const char *path, kama_bytes key, const char *target)
{
    struct host_plugin plugin;
    open_path(&plugin, path);
    host_expect_value(&plugin, key, kama_bytes_str(target), 0);
    host_close(&plugin);
}

/* The key is percent-encoded in path and query, wherever it occurs, and never
 * adds a segment. */
static void test_key_in_url(void **state)
{
    (void)state;
    expect_echo("/echo/{key}", KAMA_STR("tom"), "/echo/tom");
    expect_echo("/echo/{key}?id={key}&x=%20", KAMA_STR("a b"),
                "/echo/a%20b?id=a%20b&x=%20");
    expect_echo("/echo/{key}", KAMA_STR("aZ09-._~"), "/echo/aZ09-._~");
    expect_echo("/echo/{key}", KAMA_BYTES("\0\xff/?#%&+{key}\r\n", 15),
                "/echo/%00%FF%2F%3F%23%25%26%2B%7Bkey%7D%0D%0A");
    expect_echo("/echo/../{key}", KAMA_STR("b"), "/echo/../b");
}

/* Keys that would lead some server out of the path, and the path that it would
 * read. */
static const struct {
    const char *path;
    const char *key;
    size_t len; /* 0 for the length of the string */
} ESCAPES[] = {
    {"/echo/{key}", ".", 0},
    {"/echo/{key}", "..", 0},
    {"/echo/{key}", "...", 0},
    {"/echo/{key}", "../admin/secret", 0},
    {"/echo/{key}", "tom/../../admin", 0},
    {"/echo/{key}", "tom/..", 0},
    {"/echo/{key}/x", "..", 0},
    {"/echo/{key}", "%2e%2e/admin", 0},
    {"/echo/{key}", ".%2E%2Fadmin", 0},
    {"/echo/{key}", "%252e%252e%252fadmin", 0},
    {"/echo/{key}", "%25252e%2525252e/admin", 0},
    {"/echo/{key}", "..;/admin", 0},
    {"/echo/{key}", "..;jsessionid=1/admin", 0},
    {"/echo/{key}", "..%3b/admin", 0},
    {"/echo/{key}", "..\\admin", 0},
    {"/echo/{key}", "..%5cadmin", 0},
    {"/echo/{key}", "tom\\..\\..\\admin", 0},
    {"/echo/{key}", "..?x", 0},
    {"/echo/{key}", "..#x", 0},
    {"/echo/{key}", "..\0x", 4},
    {"/echo/{key}", ".. /admin", 0},
    {"/echo/{key}", ".\t./admin", 0},
    {"/echo/{key}", "\r\n../admin", 0},
    {"/echo/{key}", "\xc0\xae\xc0\xae/admin", 0},
    {"/echo/{key}", "%c0%ae%c0%ae%c0%afadmin", 0},
    {"/echo/{key}", "\xe0\x80\xae./admin", 0},
    {"/echo/{key}", "\xf0\x80\x80\xae./admin", 0},
    {"/echo/{key}", "%u002e%u002e/admin", 0},
    {"/echo/.{key}", ".", 0},
    {"/echo/{key}{key}", ".", 0},
    {"/echo/%2E{key}", ".", 0},
    {"/echo/%252{key}/", "e", 0},
    {"/echo?file=users/{key}", "../admin", 0},
    {"/echo?a=b&file=users%2F{key}", "..%2fadmin", 0},
};

/* A key that would leave the path which the URL gives it is refused, and the
 * origin is not asked. */
static void test_key_stays_in_its_path(void **state)
{
    (void)state;
    struct host_plugin plugin;
    struct host_plugin count;
    open_path(&count, "/{key}");
    int before = ask_number(&count, "requests");
    for (size_t i = 0; i < sizeof ESCAPES / sizeof ESCAPES[0]; i++) {
        size_t len =
            ESCAPES[i].len != 0 ? ESCAPES[i].len : strlen(ESCAPES[i].key);
        print_message("%zu: %s\n", i, ESCAPES[i].path);
        open_path(&plugin, ESCAPES[i].path);
        host_expect_status(&plugin, KAMA_BYTES(ESCAPES[i].key, len),
                           KAMA_ERR_INVALID, "is refused");
        host_close(&plugin);
    }
    assert_int_equal(ask_number(&count, "requests"), before + 1);
    host_close(&count);
}

/* A key that only resembles one of those is accepted. */
static void test_dots_that_are_names(void **state)
{
    (void)state;
    expect_echo("/echo/{key}", KAMA_STR("..a"), "/echo/..a");
    expect_echo("/echo/{key}", KAMA_STR("a.."), "/echo/a..");
    expect_echo("/echo/{key}", KAMA_STR("a..b/c.d"), "/echo/a..b%2Fc.d");
    expect_echo("/echo/{key}", KAMA_STR("a?..x"), "/echo/a%3F..x");
    expect_echo("/echo/{key}", KAMA_STR("#.."), "/echo/%23..");
    expect_echo("/echo/{key}", KAMA_STR("%2e%2e%zz"), "/echo/%252e%252e%25zz");
    expect_echo("/echo/{key}", KAMA_STR("http://a/b"),
                "/echo/http%3A%2F%2Fa%2Fb");
    expect_echo("/echo/{key}", KAMA_BYTES("\0\0\0.", 4), "/echo/%00%00%00.");
    expect_echo("/echo/x{key}", KAMA_STR(".."), "/echo/x..");
    expect_echo("/echo/{key}.json", KAMA_STR(".a"), "/echo/.a.json");
    expect_echo("/echo?id={key}", KAMA_STR("../x"), "/echo?id=..%2Fx");
    expect_echo("/echo?a=b/c&id={key}", KAMA_STR(".."), "/echo?a=b/c&id=..");
}

/* In the query, a key is one value and neither ends nor begins a parameter. */
static void test_key_stays_in_its_parameter(void **state)
{
    (void)state;
    expect_echo("/echo?id={key}&level=1", KAMA_STR("1&level=9;x=y#z"),
                "/echo?id=1%26level%3D9%3Bx%3Dy%23z&level=1");
    expect_echo("/echo?{key}=1", KAMA_STR("a=b&c"), "/echo?a%3Db%26c=1");
}

/* The longest key is loaded when every byte of it is encoded. */
static void test_longest_key(void **state)
{
    (void)state;
    char key[4096];
    char target[6 + 3 * sizeof key + 1] = "/echo/";
    memset(key, '/', sizeof key);
    for (size_t i = 0; i < sizeof key; i++) {
        memcpy(target + 6 + 3 * i, "%2F", 4);
    }
    expect_echo("/echo/{key}", KAMA_BYTES(key, sizeof key), target);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_in_url),
        cmocka_unit_test(test_key_stays_in_its_path),
        cmocka_unit_test(test_dots_that_are_names),
        cmocka_unit_test(test_key_stays_in_its_parameter),
        cmocka_unit_test(test_longest_key),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
