/* SPDX-License-Identifier: MIT */
/* The redirects that the http plug-in follows. */
#include "loaders/http_server.h"

/* Three redirects are followed, and neither a fourth one nor one to a file. The
 * headers of a redirect do not count for the value. */
static void test_redirects(void **state)
{
    (void)state;
    struct host_plugin plugin;
    open_path(&plugin, "/redirect/{key}");
    host_expect_value(&plugin, KAMA_STR("3"), KAMA_STR("/redirect/0"), 0);
    host_expect_status(&plugin, KAMA_STR("4"), KAMA_ERR_LOADER, "redirects");
    host_close(&plugin);
    open_path(&plugin, "/{key}");
    host_expect_status(&plugin, KAMA_STR("away"), KAMA_ERR_LOADER, "file");
    host_close(&plugin);
}

/* Opens /to/{key} with options behind it. The origin redirects to the URL that
 * the key is. */
static void open_redirects(struct host_plugin *plugin, const char *login,
                           const char *options)
{
    char text[128];
    snprintf(text, sizeof text, "http://%s127.0.0.1:%d/to/{key} %s", login,
             port, options);
    host_open(plugin, "http", text, NULL);
    if (plugin->status != KAMA_OK) {
        fail_msg("%s", plugin->error);
    }
}

/* Loads a redirect to prefix, the port of the origin, and path. If value is
 * NULL, it must not be followed. */
static void expect_redirect(const struct host_plugin *plugin,
                            const char *prefix, const char *path,
                            const char *value)
{
    char target[128];
    snprintf(target, sizeof target, "%s:%d%s", prefix, port, path);
    kama_bytes key = kama_bytes_str(prefix[0] != '\0' ? target : path);
    print_message("%s\n", (const char *)key.data);
    if (value != NULL) {
        host_expect_value(plugin, key, kama_bytes_str(value), 0);
    } else {
        host_expect_status(plugin, key, KAMA_ERR_LOADER, "redirects=any");
    }
}

/* Redirects are followed only to the scheme, the host and the port of the
 * URL. */
static void test_redirects_stay_with_the_origin(void **state)
{
    (void)state;
    struct host_plugin plugin;
    open_redirects(&plugin, "", "");
    expect_redirect(&plugin, "", "/echo/a", "/echo/a");
    expect_redirect(&plugin, "", "/echo/a b", "/echo/a%20b");
    expect_redirect(&plugin, "http://127.0.0.1", "/echo/a", "/echo/a");
    expect_redirect(&plugin, "HTTP://127.0.0.1", "/echo/a", "/echo/a");
    expect_redirect(&plugin, "//127.0.0.1", "/echo/a", "/echo/a");
    expect_redirect(&plugin, "//localhost", "/echo/a", NULL);
    expect_redirect(&plugin, "http://localhost", "/echo/a", NULL);
    expect_redirect(&plugin, "http://127.0.0.2", "/echo/a", NULL);
    expect_redirect(&plugin, "https://127.0.0.1", "/echo/a", NULL);
    expect_redirect(&plugin, "http://127.0.0.1", "@localhost/echo/a", NULL);
    expect_redirect(&plugin, "gopher://127.0.0.1", "/", NULL);
    expect_redirect(&plugin, "", "http://127.0.0.1:1/", NULL);
    expect_redirect(&plugin, "", "http://127.0.0.1/", NULL);
    expect_redirect(&plugin, "", "file:///etc/passwd", NULL);
    host_expect_status(&plugin, KAMA_STR("http://["), KAMA_ERR_LOADER,
                       "a URL that cannot be read");
    host_close(&plugin);
}

/* With redirects=any, redirects are followed to other origins but not to a
 * file. User name and password are sent to the configured origin alone. */
static void test_redirects_any(void **state)
{
    (void)state;
    static const char SECRET[] = "Basic bWU6c2VjcmV0";
    struct host_plugin plugin;
    open_redirects(&plugin, "me:secret@", "redirects=any");
    expect_redirect(&plugin, "", "/login", SECRET);
    expect_redirect(&plugin, "http://127.0.0.1", "/login", SECRET);
    expect_redirect(&plugin, "http://localhost", "/login", "none");
    expect_redirect(&plugin, "", "file:///etc/passwd", NULL);
    host_close(&plugin);
    open_redirects(&plugin, "me%40home:sec%2Fret@", " redirects=same ");
    expect_redirect(&plugin, "", "/login", "Basic bWVAaG9tZTpzZWMvcmV0");
    host_close(&plugin);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_redirects),
        cmocka_unit_test(test_redirects_stay_with_the_origin),
        cmocka_unit_test(test_redirects_any),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
