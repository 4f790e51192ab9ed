/* SPDX-License-Identifier: MIT */
/* HTTP/2 connections in memory: a client and a server joined by bytes. */
#include "wire/h2_pair.h"

#include "base/limits.h"
#include "helpers/failmalloc.h"

static const struct km_h2_field ok_headers[] = {
    {{":status", 7}, {"200", 3}, KM_H2_FIELD_STATIC},
    {{"content-type", 12}, {"application/grpc", 16}, KM_H2_FIELD_STATIC},
};
static const struct km_h2_field ok_trailers[] = {
    {{"grpc-status", 11}, {"0", 1}, KM_H2_FIELD_STATIC},
};

#define OK_HEADERS_TEXT ":status: 200\ncontent-type: application/grpc\n"
#define OK_TRAILERS_TEXT "grpc-status: 0\n"

/* Gives the request's body back, with trailers. */
static void serve_echo(struct pair *pair, struct seen *seen)
{
    (void)pair;
    struct km_h2_stream *stream = seen->stream;
    kama_status status = km_h2_respond(stream, ok_headers, 2, false);
    if (status == KAMA_OK) {
        status = km_h2_send(stream, km_buf_bytes(&seen->body), NULL);
    }
    if (status == KAMA_OK) {
        status = km_h2_end(stream, ok_trailers, 1);
    }
    if (status != KAMA_OK) {
        side_fail(&pair->server, status);
    }
}

static void start(struct pair *pair, size_t slice)
{
    assert_int_equal(pair_init(pair, NULL, 64 << 10), KAMA_OK);
    pair->slice = slice;
    pair->serve = serve_echo;
}

static struct seen *send_request(struct pair *pair, const char *body)
{
    struct seen *seen = NULL;
    assert_int_equal(pair_request(pair, false, &seen), KAMA_OK);
    assert_int_equal(km_h2_send(seen->stream, kama_bytes_str(body), NULL),
                     KAMA_OK);
    assert_int_equal(km_h2_end(seen->stream, NULL, 0), KAMA_OK);
    return seen;
}

static void assert_echoed(const struct seen *seen, const char *body)
{
    assert_true(seen->headers_done);
    assert_text(&seen->headers, OK_HEADERS_TEXT);
    assert_text(&seen->body, body);
    assert_text(&seen->trailers, OK_TRAILERS_TEXT);
    assert_true(seen->ended);
    assert_true(seen->closed);
    assert_int_equal(seen->error_code, KM_H2_NO_ERROR);
}

static void run_echo(size_t slice)
{
    struct pair pair;
    start(&pair, slice);
    struct seen *first = send_request(&pair, "hello");
    struct seen *second = send_request(&pair, "world");
    pair_run(&pair);
    assert_echoed(first, "hello");
    assert_echoed(second, "world");
    assert_true(pair.client.settings);
    assert_true(pair.server.settings);
    assert_int_equal(pair.server.opened, 2);
    assert_int_equal(pair.server.closed, 2);
    assert_int_equal(km_h2_stream_count(pair.server.h2), 0);
    assert_int_equal(pair.client.status, KAMA_OK);
    assert_int_equal(pair.server.status, KAMA_OK);
    pair_fini(&pair);
    assert_int_equal(pair.client.why, KM_H2_WHY_NONE);
}

/* A request and its answer with trailers, both ways, whole. */
static void test_echo_whole(void **state)
{
    (void)state;
    run_echo(0);
}

/* The same, a byte at a time. */
static void test_echo_bytewise(void **state)
{
    (void)state;
    run_echo(1);
}

/* The same, in pieces of random lengths. */
static void test_echo_random(void **state)
{
    (void)state;
    run_echo(SIZE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo_whole),
        cmocka_unit_test(test_echo_bytewise),
        cmocka_unit_test(test_echo_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
