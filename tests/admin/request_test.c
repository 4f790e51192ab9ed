/* SPDX-License-Identifier: MIT */
/* One request, from bytes: what is complete, what is refused and with which code,
 * and that nothing depends on how the bytes arrive. */
#include "admin/request.h"

#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define HOST "Host: localhost\r\n"

/* Feeds `piece` bytes at a time until there is a verdict. */
static enum km_admin_verdict feed(struct km_admin_request *r, kama_bytes bytes,
                                  size_t piece, size_t *ret_used)
{
    enum km_admin_verdict verdict = KM_ADMIN_MORE;
    *ret_used = 0;
    km_admin_request_begin(r);
    while (bytes.len > 0 && verdict == KM_ADMIN_MORE) {
        size_t used;
        size_t n = piece < bytes.len ? piece : bytes.len;
        verdict = km_admin_request_feed(r, bytes.data, n, &used);
        *ret_used += used;
        bytes = km_bytes_skip(bytes, n);
    }
    return verdict;
}

/* Returns the code of the refusal, 0 if more is wanted and 1 if the request is
 * complete; the same at once and byte by byte. */
static int judge(kama_bytes bytes)
{
    static const size_t pieces[] = {SIZE_MAX, 1, 3};
    int codes[3];
    for (size_t i = 0; i < 3; i++) {
        static struct km_admin_request r;
        size_t used;
        enum km_admin_verdict verdict = feed(&r, bytes, pieces[i], &used);
        codes[i] = verdict == KM_ADMIN_REFUSED ? r.code : (int)verdict;
        assert_true((r.code != 0) == (verdict == KM_ADMIN_REFUSED));
        assert_true(r.code == 0 || r.sentence != NULL);
    }
    assert_int_equal(codes[0], codes[1]);
    assert_int_equal(codes[0], codes[2]);
    return codes[0];
}

static int judge_text(const char *text)
{
    return judge(KAMA_STR(text));
}

#define DONE ((int)KM_ADMIN_COMPLETE)
#define WAITS ((int)KM_ADMIN_MORE)

static void test_complete(void **state)
{
    static struct km_admin_request r;
    const char *text = "GET /api/v1/key?group=g&key=a%20b HTTP/1.1\r\n"
                       "host: 127.0.0.1:9001\r\nX-Other: 1\r\n"
                       "Accept: text/plain\r\n\r\nGET /next";
    size_t used;
    (void)state;
    assert_int_equal(feed(&r, KAMA_STR(text), SIZE_MAX, &used),
                     KM_ADMIN_COMPLETE);
    assert_int_equal(used, strlen(text) - strlen("GET /next"));
    assert_true(km_bytes_eq(km_admin_request_path(&r), KM_LIT("/api/v1/key")));
    assert_true(
        km_bytes_eq(km_admin_request_query(&r), KM_LIT("group=g&key=a%20b")));
    assert_int_equal(r.host_len, strlen("127.0.0.1:9001"));
    assert_memory_equal(r.host, "127.0.0.1:9001", r.host_len);
    assert_memory_equal(r.accept, "text/plain", r.accept_len);
    assert_true(r.keeps_alive && !r.is_head);
}

static void test_what_is_complete(void **state)
{
    (void)state;
    assert_int_equal(judge_text("HEAD / HTTP/1.1\r\n" HOST "\r\n"), DONE);
    assert_int_equal(judge_text("GET / HTTP/1.0\r\n\r\n"), DONE);
    assert_int_equal(judge_text("GET /? HTTP/1.1\r\n" HOST "\r\n"), DONE);
    assert_int_equal(judge_text("\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n"),
                     DONE);
    assert_int_equal(
        judge_text("GET / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n"),
        DONE);
    assert_int_equal(judge_text("GET / HTTP/1.1\r\n" HOST
                                "Connection: Upgrade, HTTP2-Settings\r\n"
                                "Upgrade: h2c\r\n\r\n"),
                     DONE);
    assert_int_equal(judge_text("GET / HTTP/1.1\r\n" HOST), WAITS);
    assert_int_equal(judge_text("GE"), WAITS);
}

/* Whether the client wants to go on, by version and header. */
static void test_keep_alive(void **state)
{
    static const struct {
        const char *text;
        bool keeps;
    } cases[] = {
        {"GET / HTTP/1.1\r\n" HOST "\r\n", true},
        {"GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", false},
        {"GET / HTTP/1.0\r\n\r\n", false},
        {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        static struct km_admin_request r;
        size_t used;
        (void)feed(&r, KAMA_STR(cases[i].text), 7, &used);
        assert_int_equal(r.verdict, KM_ADMIN_COMPLETE);
        assert_int_equal(r.keeps_alive, cases[i].keeps);
    }
}

static void test_methods(void **state)
{
    static const char *const methods[] = {"POST",    "PUT",   "DELETE", "PATCH",
                                          "OPTIONS", "TRACE", "PURGE",  "LOCK"};
    char text[64];
    (void)state;
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        (void)snprintf(text, sizeof text, "%s / HTTP/1.1\r\n" HOST "\r\n",
                       methods[i]);
        assert_int_equal(judge_text(text), 405);
    }
    assert_int_equal(judge_text("CONNECT a:1 HTTP/1.1\r\n" HOST "\r\n"), 405);
    assert_int_equal(judge_text("OPTIONS * HTTP/1.1\r\n" HOST "\r\n"), 405);
    assert_int_equal(
        judge_text("POST / HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\n"),
        405);
    assert_int_equal(judge_text("FETCH / HTTP/1.1\r\n"), 400);
    assert_int_equal(judge_text("get / HTTP/1.1\r\n"), 400);
}

static void test_other_protocols(void **state)
{
    (void)state;
    assert_int_equal(judge_text("GET /\r\n"), 505);
    assert_int_equal(judge_text("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505);
    assert_int_equal(judge_text("GET / HTTP/2.0\r\n" HOST "\r\n"), 505);
    assert_int_equal(judge_text("GET / HTTP/1.2\r\n" HOST "\r\n"), 505);
    assert_int_equal(judge_text("GET / HTTP/0.9\r\n" HOST "\r\n"), 505);
    assert_int_equal(judge_text("GET / HTTQ/1.1\r\n" HOST "\r\n"), 400);
    assert_int_equal(judge(KM_LIT("\x16\x03\x01\x02\x00\x01")), 400);
    assert_int_equal(judge(KM_LIT("\0\0\0\0")), 400);
    assert_int_equal(judge_text("*1\r\n$4\r\nPING\r\n"), 400);
}

static void test_bodies(void **state)
{
    (void)state;
    assert_int_equal(
        judge_text("GET / HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\nx"),
        413);
    assert_int_equal(judge_text("GET / HTTP/1.1\r\n" HOST
                                "Content-Length: 99999999999999999999\r\n\r\n"),
                     400);
    assert_int_equal(
        judge_text("GET / HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\n"),
        400);
    assert_int_equal(judge_text("GET / HTTP/1.1\r\n" HOST
                                "Content-Length: 0\r\n"
                                "Content-Length: 5\r\n\r\n"),
                     400);
    assert_int_equal(judge_text("GET / HTTP/1.1\r\n" HOST
                                "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
                     400);
    assert_int_equal(judge_text("GET / HTTP/1.1\r\n" HOST
                                "Content-Length: 5\r\n"
                                "Transfer-Encoding: chunked\r\n\r\n"),
                     400);
    assert_int_equal(judge_text("GET / HTTP/1.1\r\n" HOST
                                "transfer-encoding: identity\r\n\r\n"),
                     400);
}

/* A name with a blank is none: it would be read as a kept header by some and as
 * another one by others. */
static void test_blanks_in_names(void **state)
{
    (void)state;
    assert_int_equal(judge_text("GET / HTTP/1.1\r\n" HOST
                                "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
                     400);
    assert_int_equal(judge_text("GET / HTTP/1.1\r\n" HOST "Host : b\r\n\r\n"),
                     400);
    assert_int_equal(judge_text("GET / HTTP/1.1\r\n X: 1\r\n" HOST "\r\n"),
                     400);
    assert_int_equal(judge_text("GET / HTTP/1.1\r\n" HOST "A b: 1\r\n\r\n"),
                     400);
}

static void test_hosts(void **state)
{
    (void)state;
    assert_int_equal(judge_text("GET / HTTP/1.1\r\n\r\n"), 400);
    assert_int_equal(judge_text("GET / HTTP/1.1\r\n" HOST HOST "\r\n"), 400);
    assert_int_equal(judge_text("GET / HTTP/1.1\r\nHost : a\r\n\r\n"), 400);
}

static void test_targets(void **state)
{
    static const char *const targets[] = {
        "http://localhost/",
        "https://evil/healthz",
        "/%00",
        "/api/v1/../v1/node",
        "/%2e%2e/etc/passwd",
        "/..",
        "/api/v1/node%2f",
        "/a\\b",
        "/a;b",
        "/healthz#x",
        "*",
        "localhost:80",
    };
    char text[128];
    (void)state;
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        (void)snprintf(text, sizeof text, "GET %s HTTP/1.1\r\n" HOST "\r\n",
                       targets[i]);
        assert_int_equal(judge_text(text), 400);
    }
    assert_int_equal(judge_text("GET //healthz HTTP/1.1\r\n" HOST "\r\n"),
                     DONE); /* a path like others, which nothing has */
    assert_int_equal(judge(KM_LIT("GET /a\0b HTTP/1.1\r\n" HOST "\r\n")), 400);
}

/* A request of exactly `bytes`, which a header fills up. */
static kama_bytes sized(char *text, size_t bytes)
{
    int n = snprintf(text, bytes + 1, "GET / HTTP/1.1\r\n" HOST "X: ");
    memset(text + n, 'x', bytes - (size_t)n);
    memcpy(text + bytes - 4, "\r\n\r\n", 4);
    return kama_bytes_make(text, bytes);
}

static void test_sizes(void **state)
{
    static char text[2 * KM_ADMIN_HEAD_BYTES_MAX];
    (void)state;
    assert_int_equal(judge(sized(text, KM_ADMIN_HEAD_BYTES_MAX)), DONE);
    assert_int_equal(judge(sized(text, KM_ADMIN_HEAD_BYTES_MAX + 1)), 431);
    memset(text, 'x', sizeof text);
    memcpy(text, "GET /", 5);
    assert_int_equal(judge(kama_bytes_make(text, sizeof text)), 414);
    memset(text, '\n', sizeof text);
    assert_int_equal(judge(kama_bytes_make(text, sizeof text)), 414);
}

static int judge_headers(unsigned count)
{
    static char text[8 * (KM_ADMIN_HEADERS_MAX + 8)];
    size_t n = (size_t)snprintf(text, sizeof text, "GET / HTTP/1.1\r\n" HOST);
    for (unsigned i = 1; i < count; i++) {
        n += (size_t)snprintf(text + n, sizeof text - n, "a: b\r\n");
    }
    (void)snprintf(text + n, sizeof text - n, "\r\n");
    return judge_text(text);
}

static void test_many_headers(void **state)
{
    (void)state;
    assert_int_equal(judge_headers(KM_ADMIN_HEADERS_MAX), DONE);
    assert_int_equal(judge_headers(KM_ADMIN_HEADERS_MAX + 1), 431);
}

/* A host that is too long is refused; a long Accept is as none. */
static void test_long_values(void **state)
{
    static char text[1024];
    static struct km_admin_request r;
    size_t used;
    (void)state;
    (void)snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: %0*d\r\n\r\n",
                   KM_ADMIN_HOST_BYTES_MAX, 0);
    assert_int_equal(judge_text(text), DONE);
    (void)snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: %0*d\r\n\r\n",
                   KM_ADMIN_HOST_BYTES_MAX + 1, 0);
    assert_int_equal(judge_text(text), 400);
    (void)snprintf(text, sizeof text,
                   "GET / HTTP/1.1\r\n" HOST "Accept: %0300d\r\n\r\n", 0);
    assert_int_equal(feed(&r, KAMA_STR(text), SIZE_MAX, &used),
                     KM_ADMIN_COMPLETE);
    assert_int_equal(r.accept_len, 0);
}

/* A request object is used again: nothing of the request before is left. */
static void test_again(void **state)
{
    static struct km_admin_request r;
    size_t used;
    (void)state;
    (void)feed(&r, KM_LIT("POST /x HTTP/1.1\r\nHost: a\r\nAccept: b\r\n\r\n"),
               SIZE_MAX, &used);
    assert_int_equal(r.code, 405);
    assert_int_equal(
        feed(&r, KM_LIT("GET / HTTP/1.1\r\n" HOST "\r\n"), SIZE_MAX, &used),
        KM_ADMIN_COMPLETE);
    assert_int_equal(r.code, 0);
    assert_int_equal(r.hosts, 1);
    assert_int_equal(r.accept_len, 0);
    assert_true(km_bytes_eq(km_admin_request_path(&r), KM_LIT("/")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_complete),
        cmocka_unit_test(test_what_is_complete),
        cmocka_unit_test(test_keep_alive),
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_other_protocols),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_blanks_in_names),
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_many_headers),
        cmocka_unit_test(test_long_values),
        cmocka_unit_test(test_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
