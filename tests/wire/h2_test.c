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

/* -- bodies, windows, queues --------------------------------------------- */

#define LARGE_BYTES (3u << 20)

static uint8_t large_byte(size_t i)
{
    return (uint8_t)(i * 31 + i / 251);
}

static void send_large(struct km_h2_stream *stream, size_t bytes)
{
    uint8_t *data = malloc(bytes);
    for (size_t i = 0; i < bytes; i++) {
        data[i] = large_byte(i);
    }
    assert_int_equal(km_h2_send(stream, kama_bytes_make(data, bytes), NULL),
                     KAMA_OK);
    free(data);
}

static void assert_large(const struct km_buf *body, size_t bytes)
{
    assert_int_equal(body->len, bytes);
    for (size_t i = 0; i < bytes; i++) {
        if (body->data[i] != large_byte(i)) {
            fail_msg("byte %zu differs", i);
        }
    }
}

/* 3 MiB there and back through windows of 256 KiB and frames of 16 KiB. */
static void test_large_body(void **state)
{
    (void)state;
    struct pair pair;
    start(&pair, SIZE_MAX);
    struct seen *seen = NULL;
    assert_int_equal(pair_request(&pair, false, &seen), KAMA_OK);
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
    assert_int_equal(pair_request(&pair, false, &seen), KAMA_OK);
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

/* What is not given back closes the stream's window; the connection's, given
 * back, lets another stream go on; given back, the first goes on too. */
static void test_windows_apart(void **state)
{
    (void)state;
    struct pair pair;
    start(&pair, 0);
    pair_run(&pair);
    struct seen *slow = NULL;
    assert_int_equal(pair_request(&pair, false, &slow), KAMA_OK);
    send_large(slow->stream, LARGE_BYTES);
    pair.server.hold = true;
    pair_run(&pair);
    const size_t window = KM_H2_STREAM_WINDOW_BYTES;
    struct seen *received = &pair.server.seen[0];
    assert_int_equal(received->body.len, window);
    km_h2_consume_connection(received->stream, pair.server.hold_bytes);
    pair.server.hold = false;

    struct seen *fast = NULL;
    assert_int_equal(pair_request(&pair, false, &fast), KAMA_OK);
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

/* A request and a response without bodies, trailers without a body. */
static void serve_trailers_only(struct pair *pair, struct seen *seen)
{
    (void)pair;
    assert_int_equal(km_h2_respond(seen->stream, ok_headers, 2, true), KAMA_OK);
}

static void serve_empty_with_trailers(struct pair *pair, struct seen *seen)
{
    (void)pair;
    assert_int_equal(km_h2_respond(seen->stream, ok_headers, 2, false),
                     KAMA_OK);
    assert_int_equal(km_h2_end(seen->stream, ok_trailers, 1), KAMA_OK);
}

static void test_no_bodies(void **state)
{
    (void)state;
    struct pair pair;
    start(&pair, 1);
    pair.serve = serve_trailers_only;
    struct seen *first = NULL;
    assert_int_equal(pair_request(&pair, true, &first), KAMA_OK);
    pair_run(&pair);
    assert_true(first->closed && first->ended && !first->trailers_done);
    assert_text(&first->headers, OK_HEADERS_TEXT);
    pair.serve = serve_empty_with_trailers;
    struct seen *second = NULL;
    assert_int_equal(pair_request(&pair, true, &second), KAMA_OK);
    pair_run(&pair);
    assert_echoed(second, "");
    pair_fini(&pair);
}

/* Headers first, nothing to send for a while, then body and end. */
static void test_late_body(void **state)
{
    (void)state;
    struct pair pair;
    start(&pair, 0);
    pair.serve = NULL;
    struct seen *seen = send_request(&pair, "x");
    pair_run(&pair);
    struct km_h2_stream *stream = pair.server.seen[0].stream;
    assert_int_equal(km_h2_respond(stream, ok_headers, 2, false), KAMA_OK);
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
    assert_int_equal(km_h2_respond(stream, ok_headers, 2, false), KAMA_OK);
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

/* -- resets and refusals ------------------------------------------------- */

/* A client that cancels: the server's stream ends, its queue is dropped. */
static void test_cancel(void **state)
{
    (void)state;
    struct pair pair;
    start(&pair, 0);
    pair.serve = NULL;
    struct seen *seen = send_request(&pair, "x");
    pair_run(&pair);
    struct seen *served = &pair.server.seen[0];
    assert_int_equal(km_h2_respond(served->stream, ok_headers, 2, false),
                     KAMA_OK);
    send_large(served->stream, LARGE_BYTES);
    km_h2_reset(seen->stream, KM_H2_CANCEL);
    km_h2_reset(seen->stream, KM_H2_CANCEL);
    pair_run(&pair);
    assert_true(seen->closed);
    assert_true(served->closed);
    assert_int_equal(served->error_code, KM_H2_CANCEL);
    pair_fini(&pair);
}

/* Cancelled before a byte of it was sent: the server never hears of it. */
static void test_cancel_unsent(void **state)
{
    (void)state;
    struct pair pair;
    start(&pair, 0);
    struct seen *seen = send_request(&pair, "x");
    km_h2_reset(seen->stream, KM_H2_CANCEL);
    pair_run(&pair);
    assert_true(seen->closed);
    assert_int_equal(pair.server.opened, 0);
    pair_fini(&pair);
}

/* Reset while a frame waits for the buffer to be taken: its bytes are gone, no
 * one is asked for them. */
static void test_reset_under_way(void **state)
{
    (void)state;
    struct pair pair;
    start(&pair, 0);
    pair.serve = NULL;
    struct seen *seen = send_request(&pair, "x");
    pair_run(&pair);
    struct km_h2_stream *stream = pair.server.seen[0].stream;
    assert_int_equal(km_h2_respond(stream, ok_headers, 2, false), KAMA_OK);
    send_large(stream, LARGE_BYTES);
    assert_true(pair_move(&pair, &pair.server, &pair.client));
    km_h2_reset(stream, KM_H2_CANCEL);
    pair_run(&pair);
    assert_true(seen->closed);
    assert_int_equal(seen->error_code, KM_H2_CANCEL);
    struct seen *again = send_request(&pair, "y");
    pair.serve = serve_echo;
    pair_run(&pair);
    assert_echoed(again, "y");
    pair_fini(&pair);
}

static void test_server_reset(void **state)
{
    (void)state;
    struct pair pair;
    start(&pair, 0);
    pair.serve = NULL;
    struct seen *seen = send_request(&pair, "x");
    pair_run(&pair);
    km_h2_reset(pair.server.seen[0].stream, KM_H2_INTERNAL_ERROR);
    assert_int_equal(
        km_h2_respond(pair.server.seen[0].stream, ok_headers, 2, true),
        KAMA_ERR_CLOSED);
    pair_run(&pair);
    assert_true(seen->closed);
    assert_int_equal(seen->error_code, KM_H2_INTERNAL_ERROR);
    pair_fini(&pair);
}

/* A server that answers before the request is complete: the answer arrives
 * whole, then RST_STREAM(NO_ERROR) stops the rest. */
static void test_early_answer(void **state)
{
    (void)state;
    struct pair pair;
    start(&pair, 0);
    struct seen *seen = NULL;
    assert_int_equal(pair_request(&pair, false, &seen), KAMA_OK);
    assert_int_equal(km_h2_send(seen->stream, KM_LIT("part"), NULL), KAMA_OK);
    pair_run(&pair);
    serve_echo(&pair, &pair.server.seen[0]);
    pair_run(&pair);
    assert_echoed(seen, "part");
    assert_true(pair.server.seen[0].closed);
    assert_int_equal(pair.server.closed, 1);
    pair_fini(&pair);
}

static kama_status admit_none(struct pair *pair)
{
    (void)pair;
    return KAMA_ERR_OVERLOADED;
}

/* A stream that the owner does not take is refused, and may be tried again. */
static void test_refused(void **state)
{
    (void)state;
    struct pair pair;
    start(&pair, 0);
    pair.admit = admit_none;
    struct seen *seen = send_request(&pair, "x");
    pair_run(&pair);
    assert_true(seen->closed);
    assert_int_equal(seen->error_code, KM_H2_REFUSED_STREAM);
    assert_int_equal(km_h2_stream_count(pair.server.h2), 0);
    pair.admit = NULL;
    struct seen *again = send_request(&pair, "y");
    pair_run(&pair);
    assert_echoed(again, "y");
    pair_fini(&pair);
}

/* A request with one field of value_len bytes beside those of pair_request. */
static struct seen *request_with_field(struct pair *pair, size_t value_len)
{
    char *value = malloc(value_len + 1);
    memset(value, 'v', value_len);
    value[value_len] = '\0';
    const struct km_h2_field fields[] = {
        pair_field(":method", "POST"),
        pair_field(":scheme", "http"),
        pair_field(":path", "/a/b"),
        pair_field(":authority", "here"),
        {{"x-large", 7}, {value, value_len}, 0},
    };
    struct side *client = &pair->client;
    struct seen *seen = &client->seen[client->opened++];
    struct km_h2_stream *stream;
    assert_int_equal(km_h2_request(client->h2, fields, 5, true, seen, &stream),
                     KAMA_OK);
    seen_init(client, seen, stream);
    free(value);
    return seen;
}

/* RFC 9113 counts 32 bytes beside name and value of each field. */
#define BASE_FIELDS_BYTES (7 + 4 + 7 + 4 + 5 + 4 + 10 + 4 + 7 + 5 * 32)

/* A header list at its limit, one byte past it, and far past it. */
static void test_header_list(void **state)
{
    (void)state;
    struct pair pair;
    start(&pair, SIZE_MAX);
    const size_t fits = KM_H2_HEADER_LIST_BYTES_MAX - BASE_FIELDS_BYTES;
    struct seen *at = request_with_field(&pair, fits);
    struct seen *past = request_with_field(&pair, fits + 1);
    pair_run(&pair);
    assert_true(at->ended && past->ended);
    assert_false(pair.server.seen[0].too_large);
    assert_true(pair.server.seen[1].too_large);
    struct seen *far = request_with_field(&pair, 60000);
    pair_run(&pair);
    assert_true(far->closed);
    pair_fini(&pair);
}

/* -- the end of a connection --------------------------------------------- */

/* Two GOAWAYs: after the first calls still come through, after the second
 * those that run end in order, and then the connection. */
static void test_goaway_steps(void **state)
{
    (void)state;
    struct pair pair;
    start(&pair, 0);
    struct seen *first = send_request(&pair, "1");
    pair_run(&pair);
    assert_echoed(first, "1");
    struct seen *second = send_request(&pair, "2");
    km_h2_goaway_notice(pair.server.h2);
    pair.serve = NULL;
    pair_run(&pair);
    assert_int_equal(pair.server.opened, 2);
    assert_int_equal(pair.client.goaway_last, 0x7fffffff);
    assert_false(km_h2_accepts(pair.client.h2));
    struct km_session *server = km_h2_session(pair.server.h2);
    assert_true(server->ops->alive(server));
    km_h2_goaway(pair.server.h2);
    pair_run(&pair);
    assert_int_equal(pair.client.goaway_last, 3);
    assert_int_equal(pair.client.goaway_code, KM_H2_NO_ERROR);
    assert_true(server->ops->alive(server));
    serve_echo(&pair, &pair.server.seen[1]);
    pair_run(&pair);
    assert_echoed(second, "2");
    assert_false(server->ops->alive(server));
    struct seen *none = NULL;
    assert_int_equal(pair_request(&pair, true, &none), KAMA_ERR_CLOSED);
    pair_fini(&pair);
    assert_int_equal(pair.server.why, KM_H2_WHY_NONE);
}

/* A request that crosses the real GOAWAY is closed as refused. */
static void test_goaway_crosses(void **state)
{
    (void)state;
    struct pair pair;
    start(&pair, 0);
    pair_run(&pair);
    struct seen *seen = send_request(&pair, "x");
    km_h2_goaway(pair.server.h2);
    pair_move(&pair, &pair.server, &pair.client);
    pair_run(&pair);
    assert_true(seen->closed);
    assert_int_equal(seen->error_code, KM_H2_REFUSED_STREAM);
    assert_int_equal(pair.server.opened, 0);
    pair_fini(&pair);
}

/* A connection that is lost tells each stream so, and gives memory back. */
static void test_lost(void **state)
{
    (void)state;
    struct pair pair;
    start(&pair, 0);
    pair.serve = NULL;
    struct seen *seen = send_request(&pair, "x");
    pair_run(&pair);
    struct seen *served = &pair.server.seen[0];
    assert_int_equal(km_h2_respond(served->stream, ok_headers, 2, false),
                     KAMA_OK);
    send_large(served->stream, LARGE_BYTES);
    pair_fini(&pair);
    assert_true(seen->closed && served->closed);
    assert_int_equal(seen->error_code, KM_H2_LOST);
    assert_int_equal(served->error_code, KM_H2_LOST);
}

/* -- time ---------------------------------------------------------------- */

/* Preface and SETTINGS have ten seconds. */
static void test_preface_deadline(void **state)
{
    (void)state;
    struct pair pair;
    start(&pair, 0);
    struct km_session *server = km_h2_session(pair.server.h2);
    km_ns until = pair.now + KM_H2_PREFACE_MS * KM_NS_PER_MS;
    assert_int_equal(server->ops->deadline(server), until);
    assert_int_equal(server->ops->tick(server, until - 1), KAMA_OK);
    assert_int_equal(server->ops->tick(server, until), KAMA_ERR_TIMEOUT);
    assert_int_equal(km_h2_why(pair.server.h2), KM_H2_WHY_PREFACE);
    pair_fini(&pair);
}

static void test_preface_in_time(void **state)
{
    (void)state;
    struct pair pair;
    start(&pair, 1);
    pair_run(&pair);
    struct km_session *server = km_h2_session(pair.server.h2);
    assert_int_equal(server->ops->deadline(server), KM_NS_NEVER);
    pair_fini(&pair);
}

/* Much output behind windows that do not open: ten seconds. */
static void test_closed_windows(void **state)
{
    (void)state;
    struct pair pair;
    start(&pair, 0);
    pair.serve = NULL;
    (void)send_request(&pair, "x");
    pair.client.hold = true;
    pair_run(&pair);
    struct km_h2_stream *stream = pair.server.seen[0].stream;
    assert_int_equal(km_h2_respond(stream, ok_headers, 2, false), KAMA_OK);
    send_large(stream, LARGE_BYTES);
    pair_run(&pair);
    struct km_session *server = km_h2_session(pair.server.h2);
    assert_true(server->ops->wants_read(server));
    km_ns until = pair.now + KM_H2_WRITE_STALL_MS * KM_NS_PER_MS;
    assert_int_equal(server->ops->deadline(server), until);
    assert_int_equal(server->ops->tick(server, until - 1), KAMA_OK);
    assert_int_equal(server->ops->tick(server, until), KAMA_ERR_TIMEOUT);
    pair_fini(&pair);
}

/* While a write is unfinished and much more waits, reading stops. */
static void test_wants_read(void **state)
{
    (void)state;
    struct pair pair;
    start(&pair, 0);
    pair.serve = NULL;
    (void)send_request(&pair, "x");
    pair_run(&pair);
    struct km_h2_stream *stream = pair.server.seen[0].stream;
    assert_int_equal(km_h2_respond(stream, ok_headers, 2, false), KAMA_OK);
    send_large(stream, LARGE_BYTES);
    struct km_session *server = km_h2_session(pair.server.h2);
    assert_true(server->ops->wants_read(server));
    kama_bytes bytes;
    assert_int_equal(server->ops->take(server, &bytes), KAMA_OK);
    assert_true(bytes.len > 0);
    assert_false(server->ops->wants_read(server));
    pair_fini(&pair);
}

/* -- memory -------------------------------------------------------------- */

/* One call from beginning to end; whatever fails, nothing leaks. */
static kama_status scenario(const kama_allocator *mem, void *arg)
{
    (void)arg;
    static struct pair pair; /* large */
    kama_status status = pair_init(&pair, mem, 0);
    struct seen *seen = NULL;
    pair.serve = serve_echo;
    if (status == KAMA_OK) {
        status = pair_request(&pair, false, &seen);
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
        cmocka_unit_test(test_no_bodies),
        cmocka_unit_test(test_late_body),
        cmocka_unit_test(test_copied_trailers),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_cancel_unsent),
        cmocka_unit_test(test_reset_under_way),
        cmocka_unit_test(test_server_reset),
        cmocka_unit_test(test_early_answer),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_header_list),
        cmocka_unit_test(test_goaway_steps),
        cmocka_unit_test(test_goaway_crosses),
        cmocka_unit_test(test_lost),
        cmocka_unit_test(test_preface_deadline),
        cmocka_unit_test(test_preface_in_time),
        cmocka_unit_test(test_closed_windows),
        cmocka_unit_test(test_wants_read),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
