/* SPDX-License-Identifier: MIT */
/* Streams whose reading is paused, on both sides, and what a client knows about
 * the requests that were taken. */
#include "wire/h2_pair.h"

#include "base/limits.h"

#define CHUNK_BYTES 4096

/* Queues `bytes` of a body. */
static void send_bytes(struct km_h2_stream *stream, size_t bytes)
{
    static const char chunk[CHUNK_BYTES];
    for (size_t i = 0; i < bytes / CHUNK_BYTES; i++) {
        assert_int_equal(
            km_h2_send(stream, kama_bytes_make(chunk, CHUNK_BYTES), NULL),
            KAMA_OK);
    }
}

static void respond(struct seen *seen)
{
    const struct km_h2_field status = pair_field(":status", "200");
    assert_int_equal(km_h2_respond(seen->stream, &status, 1), KAMA_OK);
}

/* The sender of a paused stream stops at its window; another stream's bytes
 * arrive; after resume the rest does, too. */
static void check_pause(struct pair *pair, struct seen *paused_from,
                        struct seen *paused_to, struct seen *other_from,
                        struct seen *other_to)
{
    const size_t large = 3 * KM_H2_STREAM_WINDOW_BYTES;
    km_h2_pause(paused_to->stream);
    km_h2_pause(paused_to->stream);
    send_bytes(paused_from->stream, large);
    pair_run(pair);
    assert_int_equal(paused_to->body.len, KM_H2_STREAM_WINDOW_BYTES);
    send_bytes(other_from->stream, 2 * large);
    pair_run(pair);
    assert_int_equal(other_to->body.len, 2 * large);
    assert_int_equal(paused_to->body.len, KM_H2_STREAM_WINDOW_BYTES);
    km_h2_resume(paused_to->stream);
    km_h2_resume(paused_to->stream);
    pair_run(pair);
    assert_int_equal(paused_to->body.len, large);
}

static void begin(struct pair *pair, struct seen *seen[2])
{
    assert_int_equal(pair_init(pair, NULL, 0), KAMA_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pair_request(pair, &seen[i]), KAMA_OK);
    }
    pair_run(pair);
}

/* A client's paused stream stops the server's answer, and only that one. */
static void test_a_paused_client_stops_one_answer(void **state)
{
    (void)state;
    struct pair pair;
    struct seen *seen[2];
    begin(&pair, seen);
    respond(&pair.server.seen[0]);
    respond(&pair.server.seen[1]);
    check_pause(&pair, &pair.server.seen[0], seen[0], &pair.server.seen[1],
                seen[1]);
    pair_fini(&pair);
}

/* A server's paused stream stops the client's request, and only that one. */
static void test_a_paused_server_stops_one_request(void **state)
{
    (void)state;
    struct pair pair;
    struct seen *seen[2];
    begin(&pair, seen);
    check_pause(&pair, seen[0], &pair.server.seen[0], seen[1],
                &pair.server.seen[1]);
    pair_fini(&pair);
}

/* A stream may be paused while it ends. */
static void test_a_paused_stream_ends(void **state)
{
    (void)state;
    struct pair pair;
    struct seen *seen[2];
    begin(&pair, seen);
    km_h2_pause(pair.server.seen[0].stream);
    send_bytes(seen[0]->stream, CHUNK_BYTES);
    assert_int_equal(km_h2_end(seen[0]->stream, NULL, 0), KAMA_OK);
    pair_run(&pair);
    assert_true(pair.server.seen[0].ended);
    km_h2_resume(pair.server.seen[0].stream);
    respond(&pair.server.seen[0]);
    assert_int_equal(km_h2_end(pair.server.seen[0].stream, NULL, 0), KAMA_OK);
    pair_run(&pair);
    assert_true(seen[0]->closed);
    pair_fini(&pair);
}

/* A request counts as taken from the moment at which its headers were. */
static void test_a_request_is_taken_with_its_headers(void **state)
{
    (void)state;
    struct pair pair;
    struct seen *seen[2];
    begin(&pair, seen);
    struct seen *late;
    assert_int_equal(pair_request(&pair, &late), KAMA_OK);
    assert_true(km_h2_request_taken(seen[1]->stream));
    assert_false(km_h2_request_taken(late->stream));
    pair_run(&pair);
    assert_true(km_h2_request_taken(late->stream));
    pair_fini(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_paused_client_stops_one_answer),
        cmocka_unit_test(test_a_paused_server_stops_one_request),
        cmocka_unit_test(test_a_paused_stream_ends),
        cmocka_unit_test(test_a_request_is_taken_with_its_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
