/* SPDX-License-Identifier: MIT */
/* The http plug-in against a server that answers well and badly: what is a
 * value, how long it lives, and that no server holds a load past its time. */
#include "helpers/plugin_host.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "loaders/failing_malloc.h"

static pid_t server;
static int server_input;
static int port;
static char config_text[256];

static int read_port(int fd)
{
    char line[16] = "";
    size_t len = 0;
    while (len < sizeof line - 1 && read(fd, line + len, 1) == 1 &&
           line[len] != '\n') {
        len++;
    }
    return atoi(line);
}

/* Starts http_origin.py; it ends when its input does. */
static int start_server(void **state)
{
    (void)state;
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    const char *tree = getenv("KAMA_SOURCE_DIR");
    char file[4096];
    snprintf(file, sizeof file, "%s/tests/loaders/http_origin.py",
             tree != NULL ? tree : ".");
    char *arguments[] = {"/usr/bin/python3", file, NULL};
    int in[2];
    int out[2];
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    assert_int_equal(
        posix_spawn(&server, arguments[0], &actions, NULL, arguments, environ),
        0);
    posix_spawn_file_actions_destroy(&actions);
    close(in[0]);
    close(out[1]);
    server_input = in[1];
    port = read_port(out[0]);
    close(out[0]);
    assert_true(port > 0);
    return 0;
}

static int stop_server(void **state)
{
    (void)state;
    close(server_input);
    int status = -1;
    assert_int_equal(waitpid(server, &status, 0), server);
    assert_int_equal(status, 0);
    return 0;
}

static const char *config(const char *path)
{
    snprintf(config_text, sizeof config_text, "http://127.0.0.1:%d%s", port,
             path);
    return config_text;
}

static void open_path(struct host_plugin *plugin, const char *path)
{
    host_open(plugin, "http", config(path), NULL);
    if (plugin->status != KAMA_OK) {
        fail_msg("%s", plugin->error);
    }
}

static void expect_echo(const char *path, kama_bytes key, const char *target)
{
    struct host_plugin plugin;
    open_path(&plugin, path);
    host_expect_value(&plugin, key, kama_bytes_str(target), 0);
    host_close(&plugin);
}

/* The key is percent-encoded, in path and query, as often as it occurs, and
 * is never a path of its own. */
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

static int ask_number(struct host_plugin *plugin, const char *key)
{
    struct host_result result;
    host_load(plugin, kama_bytes_str(key), 20000, &result);
    assert_int_equal(result.status, KAMA_OK);
    int number = atoi(result.value);
    host_result_fini(&result);
    return number;
}

/* Keys that would lead some server out of the path, and what their URL would
 * be to it. */
static const struct {
    const char *path;
    const char *key;
    size_t len; /* 0: of the string */
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

/* A key never leaves the path that the URL gives it: it is refused, and the
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

/* What only looks like one of those is a key as any other. */
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

/* In the query a key is one value: it ends no parameter and begins none. */
static void test_key_stays_in_its_parameter(void **state)
{
    (void)state;
    expect_echo("/echo?id={key}&level=1", KAMA_STR("1&level=9;x=y#z"),
                "/echo?id=1%26level%3D9%3Bx%3Dy%23z&level=1");
    expect_echo("/echo?{key}=1", KAMA_STR("a=b&c"), "/echo?a%3Db%26c=1");
}

/* The longest key, every byte of it encoded. */
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

/* The option reads loader="http://...": the plug-in gets what follows its
 * own name. */
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

/* What can be known at the start is an error there. */
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

/* 200 is a value, 404 and 410 are a miss, all others are errors. */
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

/* A response header and the time to live that it gives; 1: none. */
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

/* Loads a response with that header and compares what was said with it. */
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

/* Cache-Control gives the time to live, Age is taken off: of a value and of an
 * absence. What is not to be kept is marked so. */
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

/* Chunks, a body until the connection ends, responses before the response. */
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

/* Three redirects are followed, a fourth is not, and never to a file. The
 * headers of a redirect say nothing about the value. */
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

/* Codings of a body, and what the error says; NULL: it is decoded. */
static const struct {
    const char *name;
    const char *text;
} CODINGS[] = {
    {"gzip", NULL},
    {"x-gzip", NULL},
    {"members", NULL},
    {"deflate", NULL},
    {"raw", NULL},
    {"identity", NULL},
    {"with-identity", NULL},
    {"cut", "\"gzip\": its data end too early"},
    {"no-checksum", "\"gzip\": its data end too early"},
    {"wrong-checksum", "\"gzip\": incorrect data check"},
    {"garbage", "\"gzip\": incorrect header check"},
    {"behind", "\"gzip\": incorrect header check"},
    {"deflate-cut", "\"deflate\": its data end too early"},
    {"deflate-behind", "\"deflate\": bytes follow"},
    {"br", "\"br\": only gzip and deflate are decoded"},
    {"zstd", "\"zstd\": only gzip and deflate are decoded"},
    {"nonsense", "\"\"\\x09\\xff\"\": only gzip and deflate"},
    {"twice", "\"gzip, gzip\": more than one"},
    {"two-headers", "\"gzip, deflate\": more than one"},
    {"transfer", "\"gzip\": as a Transfer-Encoding only chunked"},
};

/* A coded body is decoded, whole and with its checksum, or an error names the
 * coding: what is stored is never the coded bytes, nor half of the plain. */
static void test_content_encoding(void **state)
{
    (void)state;
    enum { PLAIN_BYTES = 120000 };
    char *plain = malloc(PLAIN_BYTES);
    assert_non_null(plain);
    for (size_t i = 0; i < PLAIN_BYTES; i++) {
        plain[i] = "plain "[i % 6];
    }
    struct host_plugin plugin;
    open_path(&plugin, "/coded/{key}");
    for (size_t i = 0; i < sizeof CODINGS / sizeof CODINGS[0]; i++) {
        kama_bytes key = kama_bytes_str(CODINGS[i].name);
        print_message("%s\n", CODINGS[i].name);
        if (CODINGS[i].text == NULL) {
            host_expect_value(&plugin, key, KAMA_BYTES(plain, PLAIN_BYTES), 0);
        } else {
            host_expect_status(&plugin, key, KAMA_ERR_LOADER, CODINGS[i].text);
        }
    }
    host_expect_value(&plugin, KAMA_STR("empty"), KAMA_STR(""), 0);
    host_expect_status(&plugin, KAMA_STR("absent-br"), KAMA_MISS, NULL);
    host_close(&plugin);
    free(plain);
}

/* 64 KiB that decode to 64 MiB are refused by name once they pass the largest
 * value, and are not read at all where there is no value. */
static void test_decompression_bomb(void **state)
{
    (void)state;
    struct host_plugin plugin;
    open_path(&plugin, "/coded/{key}");
    host_expect_status(&plugin, KAMA_STR("bomb"), KAMA_ERR_TOO_LARGE,
                       "decoded from gzip, is larger than max_value_bytes, "
                       "1048576");
    host_expect_status(&plugin, KAMA_STR("absent-bomb"), KAMA_MISS, NULL);
    host_expect_status(&plugin, KAMA_STR("bomb"), KAMA_ERR_TOO_LARGE, "gzip");
    host_close(&plugin);
}

/* An origin is asked for plain bytes. */
static void test_asks_for_identity(void **state)
{
    (void)state;
    struct host_plugin plugin;
    open_path(&plugin, "/{key}");
    host_expect_value(&plugin, KAMA_STR("accept"), KAMA_STR("identity"), 0);
    host_close(&plugin);
}

/* Opens /to/{key}, with options behind it: the origin redirects to the key. */
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

/* Redirects to prefix, the origin's port and path. value NULL: it is not
 * followed. */
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

/* Redirects stay with the scheme, the host and the port of the URL. */
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

/* redirects=any follows to other origins, but to no file; name and password
 * are for the configured origin alone. */
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

/* Half a response is no value. */
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

/* A server that hangs, or goes on in drops, is left at the deadline. */
static void test_deadline(void **state)
{
    (void)state;
    expect_timeout("hang");
    expect_timeout("drip");
}

/* Nobody listens: said at once, without what is secret in the URL. */
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

/* What is wrong is said without the password that the URL may have. */
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

static void allow_1000_bytes(kama_loader_config *config)
{
    config->max_value_bytes = 1000;
}

/* The limit is a value, one more byte is not, and an endless body is cut. */
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

static int ask_connections(const struct host_plugin *plugin)
{
    struct host_result result;
    host_load(plugin, KAMA_STR("connections"), 5000, &result);
    assert_int_equal(result.status, KAMA_OK);
    int count = atoi(result.value);
    host_result_fini(&result);
    return count;
}

/* Loads one after the other use one connection, misses too. */
static void test_keep_alive(void **state)
{
    (void)state;
    struct host_plugin plugin;
    open_path(&plugin, "/{key}");
    int before = ask_connections(&plugin);
    for (int i = 0; i < 5; i++) {
        host_expect_value(&plugin, KAMA_STR("ok"), KAMA_STR("/ok"), 0);
    }
    assert_int_equal(ask_connections(&plugin), before);
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

/* 16 loads at a time each get their own answer over at most 16 connections,
 * and close gives every descriptor back. */
static void test_many_threads(void **state)
{
    (void)state;
    int descriptors = host_count_descriptors();
    struct host_plugin plugin;
    open_path(&plugin, "/{key}");
    int before = ask_connections(&plugin);
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
    assert_in_range(ask_connections(&plugin) - before, 0, 16);
    host_close(&plugin);
    assert_int_equal(host_count_descriptors(), descriptors);
}

/* The n-th allocation fails, for every n: an error, and nothing leaks. */
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
        cmocka_unit_test(test_key_in_url),
        cmocka_unit_test(test_key_stays_in_its_path),
        cmocka_unit_test(test_dots_that_are_names),
        cmocka_unit_test(test_key_stays_in_its_parameter),
        cmocka_unit_test(test_longest_key),
        cmocka_unit_test(test_short_form),
        cmocka_unit_test(test_refused_at_the_start),
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_freshness),
        cmocka_unit_test(test_body_forms),
        cmocka_unit_test(test_content_encoding),
        cmocka_unit_test(test_decompression_bomb),
        cmocka_unit_test(test_asks_for_identity),
        cmocka_unit_test(test_redirects),
        cmocka_unit_test(test_redirects_stay_with_the_origin),
        cmocka_unit_test(test_redirects_any),
        cmocka_unit_test(test_broken_responses),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_refused_connection),
        cmocka_unit_test(test_no_password_in_sentences),
        cmocka_unit_test(test_value_limit),
        cmocka_unit_test(test_keep_alive),
        cmocka_unit_test(test_many_threads),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
