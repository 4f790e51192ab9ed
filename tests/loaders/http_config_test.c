/* SPDX-License-Identifier: MIT */
/* The configuration of the http plug-in: URLs that are accepted, and URLs that
 * are refused when the loader is opened. */
#include "loaders/http_server.h"

/* In loader="http://...", the plug-in gets the text behind its own name and the
 * colon. */
static void test_short_form(void **state)
{
    (void)state;
    char text[64];
    snprintf(text, sizeof text, "//127.0.0.1:%d/echo/{key}", port);
    struct host_plugin plugin;
    host_open(&plugin, "http", text, NULL);
    assert_int_equal(plugin.status, KAMA_OK);
    host_expect_value(&plugin, KAMA_STR("k"), KAMA_STR("/echo/k"), 0);
    host_close(&plugin);
}

/* Mistakes that can be noticed when the loader is opened are errors there. */
static void test_refused_at_the_start(void **state)
{
    (void)state;
    host_expect_refused("http", "", "not a URL");
    host_expect_refused("http", "host/{key}", "not a URL");
    host_expect_refused("http", "file:///etc/{key}", "not a URL");
    host_expect_refused("http", "ftp://host/{key}", "not a URL");
    host_expect_refused("http", "http:///{key}", "no host");
    host_expect_refused("http", "http://host/", "no {key}");
    host_expect_refused("http", "http://{key}/", "no {key}");
    host_expect_refused("http", "http://{key}.x/{key}", "choose the host");
    host_expect_refused("http", "http://host/{key}#x", "#");
    host_expect_refused("http", "http://host/{key} x", "blank");
    host_expect_refused("http", "http://host/{key} redirect=any", "option");
    host_expect_refused("http", "http://host/{key} redirects=all", "\"all\"");
    host_expect_refused("http", "http://host:99999/{key}", "in 1..65535");
    host_expect_refused("http", "http://host:0/{key}", "in 1..65535");
    host_expect_refused("http", "http://host:-1/{key}", "in 1..65535");
    host_expect_refused("http", "http://host:80x/{key}", "in 1..65535");
    host_expect_refused("http", "http://:80/{key}", "cannot be read");
    host_expect_refused("http", "http://me:secret@/{key}", "cannot be read");
    host_expect_refused("http", "http://[::1/{key}", "cannot be read");
    host_expect_refused("http", "http://a@b@c/{key}", "cannot be read");
    host_expect_refused("http", "http://ho st/{key}", "no {key}");
    host_expect_refused("http", "http://host/%{key}", "hexadecimal");
    host_expect_refused("http", "http://host/%2{key}", "hexadecimal");
    host_expect_refused("http", "http://host/{key}%zz", "hexadecimal");
}

/* The sentence about a fault does not contain the password of the URL. */
static void test_no_password_in_sentences(void **state)
{
    (void)state;
    static const char *const tails[] = {
        "", "/", "/{key} x", "/%{key}", ":x/{key}", "/{key}#", "@/{key}"};
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
        struct host_plugin plugin;
        char text[64];
        snprintf(text, sizeof text, "http://me:secret@host%s", tails[i]);
        host_open(&plugin, "http", text, NULL);
        assert_true(plugin.status < 0);
        assert_true(plugin.error[0] != '\0');
        assert_null(strstr(plugin.error, "secret"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_short_form),
        cmocka_unit_test(test_refused_at_the_start),
        cmocka_unit_test(test_no_password_in_sentences),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
