/* SPDX-License-Identifier: MIT */
/* Calls, bodies and windows, between a client and a server in memory. */
#include "wire/h2_raw.h"

#include "wire/h2_echo.h"

#include "base/limits.h"
#include "helpers/failmalloc.h"

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

/* A request and its answer with trailers arrive whole ... */
static void test_echo_whole(void **state)
{
    (void)state;
    run_echo(0);
}

/* ... byte by byte ... */
static void test_echo_bytewise(void **state)
{
    (void)state;
    run_echo(1);
}

/* ... or in pieces of random lengths. */
static void test_echo_random(void **state)
{
    (void)state;
    run_echo(SIZE_MAX);
}

/* -- bodies, windows, queues --------------------------------------------- */

static void assert_large(const struct km_buf *body, size_t bytes)
{
    assert_int_equal(body->len, bytes);
    for (size_t i = 0; i < bytes; i++) {
        if (body->data[i] != large_byte(i)) {
            fail_msg("byte %zu differs", i);
        }
    }
}

/* 3 MiB go there and back through windows of 256 KiB and frames of 16 KiB. */
static void test_large_body(void **state)
{
    (void)state;
    struct pair pair;
    start(&pair, SIZE_MAX);
    struct seen *seen = NULL;
    assert_int_equal(pair_request(&pair, &seen), KAMA_OK);
    send_large(seen->stream, LARGE_BYTES);
    assert_int_equal(km_h2_end(seen->stream, NULL, 0), KAMA_OK);
    pair_run(&pair);
    assert_true(seen->closed);
    assert_large(&seen->body, LARGE_BYTES);
    assert_text(&seen->trailers, OK_TRAILERS_TEXT);
    pair_fini(&pair);
}

/* A queue that falls below the low-water mark is announced once. */
static void test_writable(void **state)
{
    (void)state;
    struct pair pair;
    start(&pair, 0);
    struct seen *seen = NULL;
    assert_int_equal(pair_request(&pair, &seen), KAMA_OK);
    send_large(seen->stream, KM_H2_LOW_WATER_BYTES - 1);
    pair_run(&pair);
    assert_int_equal(pair.client.writable, 0);
    send_large(seen->stream, KM_H2_LOW_WATER_BYTES);
    assert_int_equal(km_h2_queued(seen->stream), KM_H2_LOW_WATER_BYTES);
    pair_run(&pair);
    assert_int_equal(pair.client.writable, 1);
    assert_int_equal(km_h2_queued(seen->stream), 0);
    pair_fini(&pair);
}

/* Bytes that are given back to the connection only leave the stream's window
 * closed, while another stream goes on. Once they are given back to the stream,
 * it goes on, too. */
static void test_windows_apart(void **state)
{
    (void)state;
    struct pair pair;
    start(&pair, 0);
    pair_run(&pair);
    struct seen *slow = NULL;
    assert_int_equal(pair_request(&pair, &slow), KAMA_OK);
    send_large(slow->stream, LARGE_BYTES);
    pair.server.hold = true;
    pair_run(&pair);
    const size_t window = KM_H2_STREAM_WINDOW_BYTES;
    struct seen *received = &pair.server.seen[0];
    assert_int_equal(received->body.len, window);
    km_h2_consume_connection(received->stream, pair.server.hold_bytes);
    pair.server.hold = false;

    struct seen *fast = NULL;
    assert_int_equal(pair_request(&pair, &fast), KAMA_OK);
    send_large(fast->stream, LARGE_BYTES);
    assert_int_equal(km_h2_end(fast->stream, NULL, 0), KAMA_OK);
    pair_run(&pair);
    assert_true(fast->closed);
    assert_int_equal(received->body.len, window);

    km_h2_consume_stream(received->stream, window);
    pair_run(&pair);
    assert_large(&received->body, LARGE_BYTES);
    pair_fini(&pair);
}

/* Counts the WINDOW_UPDATE frames for a stream in bytes. */
static unsigned window_updates(kama_bytes bytes, uint32_t stream)
{
    unsigned count = 0;
    struct raw_seen frame;
    while (raw_next(&bytes, &frame)) {
        count += frame.type == RAW_WINDOW_UPDATE && frame.stream == stream;
    }
    return count;
}

/* A request has ended with a DATA frame without a byte. Bytes that are given
 * back after that open the connection's window, but no longer the stream's. */
static void test_window_after_end(void **state)
{
    (void)state;
    struct pair pair;
    start(&pair, 0);
    pair.serve = NULL;
    pair.server.hold = true;
    struct seen *seen;
    assert_int_equal(pair_request(&pair, &seen), KAMA_OK);
    send_large(seen->stream, KM_H2_STREAM_WINDOW_BYTES - 1);
    pair_run(&pair);
    assert_int_equal(km_h2_end(seen->stream, NULL, 0), KAMA_OK);
    pair_run(&pair);
    struct seen *received = &pair.server.seen[0];
    assert_true(received->ended);
    km_h2_consume(received->stream, KM_H2_STREAM_WINDOW_BYTES - 1);
    struct km_session *server = km_h2_session(pair.server.h2);
    kama_bytes bytes;
    assert_int_equal(server->ops->take(server, &bytes), KAMA_OK);
    assert_int_equal(window_updates(bytes, 1), 0);
    pair_fini(&pair);
}

/* Answers both requests and moves as much as leaves the server in one write. */
static void answer_both(struct pair *pair, size_t first, size_t second)
{
    struct seen *served = pair->server.seen;
    for (int i = 0; i < 2; i++) {
        struct km_h2_stream *stream = served[i].stream;
        assert_int_equal(km_h2_respond(stream, ok_headers, 2), KAMA_OK);
        send_large(stream, i == 0 ? first : second);
        assert_int_equal(km_h2_end(stream, ok_trailers, 1), KAMA_OK);
    }
    assert_true(pair_move(pair, &pair->server, &pair->client));
}

/* A small answer does not wait for a large one that was queued before it. */
static void test_small_passes_large(void **state)
{
    (void)state;
    struct pair pair;
    start(&pair, 0);
    pair.serve = NULL;
    struct seen *large = send_request(&pair, "x");
    struct seen *small = send_request(&pair, "y");
    pair_run(&pair);
    answer_both(&pair, KM_H2_STREAM_WINDOW_BYTES, 100);
    assert_true(small->closed);
    assert_true(large->body.len > 0);
    assert_false(large->closed);
    pair_run(&pair);
    assert_large(&large->body, KM_H2_STREAM_WINDOW_BYTES);
    pair_fini(&pair);
}

/* Neither does a small request. */
static void test_small_request_passes(void **state)
{
    (void)state;
    struct pair pair;
    start(&pair, 0);
    pair_run(&pair);
    struct seen *large = NULL;
    assert_int_equal(pair_request(&pair, &large), KAMA_OK);
    send_large(large->stream, KM_H2_STREAM_WINDOW_BYTES);
    assert_int_equal(km_h2_end(large->stream, NULL, 0), KAMA_OK);
    (void)send_request(&pair, "small");
    assert_true(pair_move(&pair, &pair.client, &pair.server));
    assert_true(pair.server.seen[1].ended);
    assert_false(pair.server.seen[0].ended);
    pair_run(&pair);
    assert_true(large->closed);
    pair_fini(&pair);
}

/* Makes a value to which nothing else refers. */
static kama_value *make_value(size_t bytes)
{
    kama_group_options options;
    kama_group_options_init(&options);
    options.name = "values";
    kama_group *group;
    assert_int_equal(kama_group_new(&options, &group), KAMA_OK);
    uint8_t *data = malloc(bytes > 0 ? bytes : 1);
    for (size_t i = 0; i < bytes; i++) {
        data[i] = large_byte(i);
    }
    kama_value *value;
    assert_int_equal(
        kama_set(group, KAMA_STR("k"), kama_bytes_make(data, bytes), NULL),
        KAMA_OK);
    assert_int_equal(kama_get(group, KAMA_STR("k"), NULL, &value), KAMA_OK);
    free(data);
    kama_group_free(group);
    return value;
}

/* Answers a request with a head and a value, and drops the value. */
static struct seen *answer_with_value(struct pair *pair, size_t bytes)
{
    start(pair, 0);
    pair->serve = NULL;
    struct seen *seen = send_request(pair, "x");
    pair_run(pair);
    struct km_h2_stream *stream = pair->server.seen[0].stream;
    kama_value *value = make_value(bytes);
    assert_int_equal(km_h2_respond(stream, ok_headers, 2), KAMA_OK);
    assert_int_equal(
        km_h2_send_parts(stream, KM_LIT("pre"), KM_LIT("head"), value),
        KAMA_OK);
    kama_value_unref(value);
    assert_int_equal(km_h2_queued(stream), 7 + bytes);
    assert_int_equal(km_h2_end(stream, ok_trailers, 1), KAMA_OK);
    return seen;
}

/* A value follows the head, as a copy or as a reference, and lives until it was
 * sent ... */
static void check_value_sent(size_t bytes)
{
    struct pair pair;
    struct seen *seen = answer_with_value(&pair, bytes);
    pair_run(&pair);
    assert_memory_equal(seen->body.data, "prehead", 7);
    km_buf_consume(&seen->body, 7);
    assert_large(&seen->body, bytes);
    pair_fini(&pair);
}

/* ... or until its stream is lost. */
static void check_value_lost(size_t bytes)
{
    struct pair pair;
    (void)answer_with_value(&pair, bytes);
    pair_fini(&pair);
}

static void test_value_body(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 1024, 1025, 100000, 1 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        check_value_sent(sizes[i]);
        check_value_lost(sizes[i]);
    }
}

/* A request and a response without bodies, trailers without a body. */
static void serve_trailers_only(struct pair *pair, struct seen *seen)
{
    (void)pair;
    assert_int_equal(km_h2_respond_and_end(seen->stream, ok_headers, 2),
                     KAMA_OK);
}

static void serve_empty_with_trailers(struct pair *pair, struct seen *seen)
{
    (void)pair;
    assert_int_equal(km_h2_respond(seen->stream, ok_headers, 2), KAMA_OK);
    assert_int_equal(km_h2_end(seen->stream, ok_trailers, 1), KAMA_OK);
}

static void test_no_bodies(void **state)
{
    (void)state;
    struct pair pair;
    start(&pair, 1);
    pair.serve = serve_trailers_only;
    struct seen *first = NULL;
    assert_int_equal(pair_request_and_end(&pair, &first), KAMA_OK);
    pair_run(&pair);
    assert_true(first->closed && first->ended && !first->trailers_done);
    assert_text(&first->headers, OK_HEADERS_TEXT);
    pair.serve = serve_empty_with_trailers;
    struct seen *second = NULL;
    assert_int_equal(pair_request_and_end(&pair, &second), KAMA_OK);
    pair_run(&pair);
    assert_echoed(second, "");
    pair_fini(&pair);
}

/* nghttp2 finds no DATA after the headers, and is resumed by the body and by
 * the end. */
static void test_late_body(void **state)
{
    (void)state;
    struct pair pair;
    start(&pair, 0);
    pair.serve = NULL;
    struct seen *seen = send_request(&pair, "x");
    pair_run(&pair);
    struct km_h2_stream *stream = pair.server.seen[0].stream;
    assert_int_equal(km_h2_respond(stream, ok_headers, 2), KAMA_OK);
    pair_run(&pair);
    assert_true(seen->headers_done);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(km_h2_send(stream, KM_LIT("ab"), NULL), KAMA_OK);
        pair_run(&pair);
    }
    assert_text(&seen->body, "ababab");
    assert_int_equal(km_h2_end(stream, ok_trailers, 1), KAMA_OK);
    pair_run(&pair);
    assert_echoed(seen, "ababab");
    pair_fini(&pair);
}

/* Trailers that are not static are copied and wait behind the queue. */
static void test_copied_trailers(void **state)
{
    (void)state;
    struct pair pair;
    start(&pair, 0);
    pair.serve = NULL;
    struct seen *seen = send_request(&pair, "x");
    pair_run(&pair);
    struct km_h2_stream *stream = pair.server.seen[0].stream;
    assert_int_equal(km_h2_respond(stream, ok_headers, 2), KAMA_OK);
    assert_int_equal(km_h2_send(stream, KM_LIT("y"), NULL), KAMA_OK);
    char name[] = "kama-status";
    char value[] = "KAMA_ERR_LOADER";
    const struct km_h2_field fields[] = {
        ok_trailers[0],
        {kama_bytes_str(name), kama_bytes_str(value), KM_H2_FIELD_NO_INDEX}};
    assert_int_equal(km_h2_end(stream, fields, 2), KAMA_OK);
    memset(name, '!', sizeof name);
    memset(value, '!', sizeof value);
    pair_run(&pair);
    assert_text(&seen->trailers,
                OK_TRAILERS_TEXT "kama-status: KAMA_ERR_LOADER\n");
    pair_fini(&pair);
}

/* -- memory -------------------------------------------------------------- */

/* Whichever allocation of a call fails, nothing leaks. */
static kama_status scenario(const kama_allocator *mem, void *arg)
{
    (void)arg;
    static struct pair pair; /* large */
    kama_status status = pair_init(&pair, mem, 0);
    struct seen *seen = NULL;
    pair.serve = serve_echo;
    if (status == KAMA_OK) {
        status = pair_request(&pair, &seen);
    }
    if (status == KAMA_OK) {
        status = km_h2_send(seen->stream, KM_LIT("hello"), NULL);
    }
    if (status == KAMA_OK) {
        status = km_h2_end(seen->stream, NULL, 0);
    }
    if (status == KAMA_OK) {
        pair_run(&pair);
        status = pair.client.status != KAMA_OK ? pair.client.status
                                               : pair.server.status;
    }
    if (status == KAMA_OK && seen->error_code == KM_H2_NO_ERROR &&
        seen->closed) {
        assert_echoed(seen, "hello");
    }
    pair_fini(&pair);
    return status;
}

static void test_no_memory(void **state)
{
    (void)state;
    assert_true(km_test_fail_each(scenario, NULL) > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo_whole),
        cmocka_unit_test(test_echo_bytewise),
        cmocka_unit_test(test_echo_random),
        cmocka_unit_test(test_large_body),
        cmocka_unit_test(test_writable),
        cmocka_unit_test(test_windows_apart),
        cmocka_unit_test(test_window_after_end),
        cmocka_unit_test(test_small_passes_large),
        cmocka_unit_test(test_small_request_passes),
        cmocka_unit_test(test_value_body),
        cmocka_unit_test(test_no_bodies),
        cmocka_unit_test(test_late_body),
        cmocka_unit_test(test_copied_trailers),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
