/* SPDX-License-Identifier: MIT */
/* The ends of streams and connections: resets, refusals, GOAWAY, deadlines. */
#include "wire/h2_echo.h"

#include "base/limits.h"

/* -- resets and refusals ------------------------------------------------- */

/* When a client cancels, the server's stream ends and its queue is dropped. */
static void test_cancel(void **state)
{
    (void)state;
    struct pair pair;
    start(&pair, 0);
    pair.serve = NULL;
    struct seen *seen = send_request(&pair, "x");
    pair_run(&pair);
    struct seen *served = &pair.server.seen[0];
    assert_int_equal(km_h2_respond(served->stream, ok_headers, 2), KAMA_OK);
    send_large(served->stream, LARGE_BYTES);
    km_h2_reset(seen->stream, KM_H2_CANCEL);
    km_h2_reset(seen->stream, KM_H2_CANCEL);
    pair_run(&pair);
    assert_true(seen->closed);
    assert_true(served->closed);
    assert_int_equal(served->error_code, KM_H2_CANCEL);
    pair_fini(&pair);
}

/* The server never sees a request that was cancelled before it was sent. */
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

/* A stream is reset while a frame of it waits for room in the output buffer.
 * Its bytes were dropped, and nothing asks for them again. */
static void test_reset_under_way(void **state)
{
    (void)state;
    struct pair pair;
    start(&pair, 0);
    pair.serve = NULL;
    struct seen *seen = send_request(&pair, "x");
    pair_run(&pair);
    struct km_h2_stream *stream = pair.server.seen[0].stream;
    assert_int_equal(km_h2_respond(stream, ok_headers, 2), KAMA_OK);
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
        km_h2_respond_and_end(pair.server.seen[0].stream, ok_headers, 2),
        KAMA_ERR_CLOSED);
    pair_run(&pair);
    assert_true(seen->closed);
    assert_int_equal(seen->error_code, KM_H2_INTERNAL_ERROR);
    pair_fini(&pair);
}

/* The client has sent a part of its request and has received the whole
 * answer. */
static struct seen *answered_early(struct pair *pair)
{
    struct seen *seen = NULL;
    start(pair, 0);
    assert_int_equal(pair_request(pair, &seen), KAMA_OK);
    assert_int_equal(km_h2_send(seen->stream, KM_LIT("part"), NULL), KAMA_OK);
    pair_run(pair);
    serve_echo(pair, &pair->server.seen[0]);
    pair->serve = NULL;
    pair_run(pair);
    assert_text(&seen->body, "part");
    assert_true(seen->trailers_done && seen->ended);
    assert_false(seen->closed || pair->server.seen[0].closed);
    return seen;
}

/* A client that ends its request after the answer is not reset. */
static void test_early_answer_then_end(void **state)
{
    (void)state;
    struct pair pair;
    struct seen *seen = answered_early(&pair);
    assert_int_equal(km_h2_send(seen->stream, KM_LIT("rest"), NULL), KAMA_OK);
    assert_int_equal(km_h2_end(seen->stream, NULL, 0), KAMA_OK);
    pair_run(&pair);
    assert_echoed(seen, "part");
    assert_true(pair.server.seen[0].closed);
    assert_text(&pair.server.seen[0].body, "part");
    pair_fini(&pair);
}

/* A client that goes on for too long is stopped without an error. */
static void test_early_answer_then_reset(void **state)
{
    (void)state;
    struct pair pair;
    struct seen *seen = answered_early(&pair);
    struct km_session *server = km_h2_session(pair.server.h2);
    km_ns until = server->ops->deadline(server);
    assert_int_equal(until, pair.now + KM_H2_LINGER_MS * KM_NS_PER_MS);
    assert_int_equal(server->ops->tick(server, until - 1), KAMA_OK);
    pair_run(&pair);
    assert_false(seen->closed);
    assert_int_equal(server->ops->tick(server, until), KAMA_OK);
    pair_run(&pair);
    assert_echoed(seen, "part");
    assert_true(pair.server.seen[0].closed);
    assert_int_equal(server->ops->deadline(server), KM_NS_NEVER);
    pair_fini(&pair);
}

/* The rest of a large request is read up to a bound. Then its window stays
 * closed, while other streams go on. */
static void test_early_answer_reads_a_part(void **state)
{
    (void)state;
    struct pair pair;
    struct seen *seen = answered_early(&pair);
    send_large(seen->stream, LARGE_BYTES);
    pair_run(&pair);
    size_t left = km_h2_queued(seen->stream);
    size_t taken = LARGE_BYTES - left;
    assert_in_range(taken, KM_H2_LINGER_BYTES,
                    KM_H2_LINGER_BYTES + KM_H2_STREAM_WINDOW_BYTES);
    pair.serve = serve_echo;
    struct seen *other = send_request(&pair, "other");
    pair_run(&pair);
    assert_echoed(other, "other");
    assert_int_equal(km_h2_queued(seen->stream), left);
    pair_fini(&pair);
}

static kama_status admit_none(struct pair *pair)
{
    (void)pair;
    return KAMA_ERR_OVERLOADED;
}

/* A stream that the owner does not accept is refused and may be tried again. */
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

/* Sends a request with one field of value_len bytes beside those of
 * pair_request. */
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
    assert_int_equal(
        km_h2_request_and_end(client->h2, fields, 5, seen, &stream), KAMA_OK);
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
    assert_int_equal(pair.server.seen[0].list, KM_H2_LIST_WHOLE);
    assert_int_equal(pair.server.seen[1].list, KM_H2_LIST_CUT);
    struct seen *far = request_with_field(&pair, 60000);
    pair_run(&pair);
    assert_true(far->closed);
    pair_fini(&pair);
}

/* -- the end of a connection --------------------------------------------- */

/* After the first of two GOAWAYs calls are still accepted. After the second one
 * the running calls end in order, and then the connection. */
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
    assert_int_equal(pair_request_and_end(&pair, &none), KAMA_ERR_CLOSED);
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

/* When a connection is lost, each stream is closed and its memory given
 * back. */
static void test_lost(void **state)
{
    (void)state;
    struct pair pair;
    start(&pair, 0);
    pair.serve = NULL;
    struct seen *seen = send_request(&pair, "x");
    pair_run(&pair);
    struct seen *served = &pair.server.seen[0];
    assert_int_equal(km_h2_respond(served->stream, ok_headers, 2), KAMA_OK);
    send_large(served->stream, LARGE_BYTES);
    pair_fini(&pair);
    assert_true(seen->closed && served->closed);
    assert_int_equal(seen->error_code, KM_H2_LOST);
    assert_int_equal(served->error_code, KM_H2_LOST);
}

/* -- time ---------------------------------------------------------------- */

/* Preface and SETTINGS must come within ten seconds. */
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

/* Much output may wait for ten seconds behind windows that do not open. */
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
    assert_int_equal(km_h2_respond(stream, ok_headers, 2), KAMA_OK);
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
    assert_int_equal(km_h2_respond(stream, ok_headers, 2), KAMA_OK);
    send_large(stream, LARGE_BYTES);
    struct km_session *server = km_h2_session(pair.server.h2);
    assert_true(server->ops->wants_read(server));
    kama_bytes bytes;
    assert_int_equal(server->ops->take(server, &bytes), KAMA_OK);
    assert_true(bytes.len > 0);
    assert_false(server->ops->wants_read(server));
    pair_fini(&pair);
}

/* A client reads on, or it and its server could wait for each other. */
static void test_a_client_reads_while_its_requests_wait(void **state)
{
    (void)state;
    struct pair pair;
    start(&pair, 0);
    struct seen *seen = NULL;
    assert_int_equal(pair_request(&pair, &seen), KAMA_OK);
    pair_run(&pair);
    send_large(seen->stream, LARGE_BYTES);
    struct km_session *client = km_h2_session(pair.client.h2);
    kama_bytes bytes;
    assert_int_equal(client->ops->take(client, &bytes), KAMA_OK);
    assert_true(bytes.len > 0);
    assert_true(client->ops->wants_read(client));
    pair_fini(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_cancel_unsent),
        cmocka_unit_test(test_reset_under_way),
        cmocka_unit_test(test_server_reset),
        cmocka_unit_test(test_early_answer_then_end),
        cmocka_unit_test(test_early_answer_then_reset),
        cmocka_unit_test(test_early_answer_reads_a_part),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_header_list),
        cmocka_unit_test(test_goaway_steps),
        cmocka_unit_test(test_goaway_crosses),
        cmocka_unit_test(test_lost),
        cmocka_unit_test(test_preface_deadline),
        cmocka_unit_test(test_preface_in_time),
        cmocka_unit_test(test_closed_windows),
        cmocka_unit_test(test_wants_read),
        cmocka_unit_test(test_a_client_reads_while_its_requests_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
