/* SPDX-License-Identifier: MIT */
/* The room on a connection: the queue of one stream leaves no room for others,
 * which are told when it is gone, however it went. */
#include "base/limits.h"
#include "wire/h2_pair.h"

/* Opens two requests of one client, the first of which fills the connection. */
struct crowd {
    struct pair pair;
    struct seen *full;
    struct seen *other;
};

static void queue(struct km_h2_stream *stream, size_t bytes)
{
    static uint8_t chunk[16384];
    for (; bytes > 0; bytes -= sizeof chunk) {
        assert_int_equal(
            km_h2_send(stream, kama_bytes_make(chunk, sizeof chunk), NULL),
            KAMA_OK);
    }
}

static void crowd_init(struct crowd *crowd)
{
    assert_int_equal(pair_init(&crowd->pair, NULL, 0), KAMA_OK);
    crowd->full = NULL;
    crowd->other = NULL;
    assert_int_equal(pair_request(&crowd->pair, &crowd->full), KAMA_OK);
    assert_int_equal(pair_request(&crowd->pair, &crowd->other), KAMA_OK);
    pair_run(&crowd->pair);
    assert_true(km_h2_has_room(crowd->full->stream));
    queue(crowd->full->stream, KM_H2_OUTBOUND_BYTES_MAX - 16384);
    assert_false(km_h2_has_room(crowd->full->stream));
    assert_true(km_h2_has_room(crowd->other->stream));
    queue(crowd->full->stream, 16384);
}

/* When the queue is taken, both streams are told once. */
static void test_taken(void **state)
{
    (void)state;
    struct crowd crowd;
    crowd_init(&crowd);
    assert_false(km_h2_has_room(crowd.other->stream));
    assert_false(km_h2_has_room(crowd.other->stream));
    pair_run(&crowd.pair);
    assert_int_equal(crowd.pair.client.writable, 2);
    assert_true(km_h2_has_room(crowd.other->stream));
    pair_run(&crowd.pair);
    assert_int_equal(crowd.pair.client.writable, 2);
    pair_fini(&crowd.pair);
}

/* The full stream is reset. Nothing of it is ever written, and the other stream
 * is still told of the room. */
static void test_dropped(void **state)
{
    (void)state;
    struct crowd crowd;
    crowd_init(&crowd);
    assert_false(km_h2_has_room(crowd.other->stream));
    km_h2_reset(crowd.full->stream, KM_H2_CANCEL);
    pair_run(&crowd.pair);
    assert_int_equal(crowd.pair.client.writable, 1);
    assert_true(km_h2_has_room(crowd.other->stream));
    pair_fini(&crowd.pair);
}

/* A stream that did not ask for room is not told. */
static void test_not_asked(void **state)
{
    (void)state;
    struct crowd crowd;
    crowd_init(&crowd);
    pair_run(&crowd.pair);
    assert_int_equal(crowd.pair.client.writable, 1);
    pair_fini(&crowd.pair);
}

/* A stream that ends while it waits for room is not told and leaves nothing
 * behind. */
static void test_waiting_stream_goes(void **state)
{
    (void)state;
    struct crowd crowd;
    crowd_init(&crowd);
    assert_false(km_h2_has_room(crowd.other->stream));
    km_h2_reset(crowd.other->stream, KM_H2_CANCEL);
    pair_run(&crowd.pair);
    assert_int_equal(crowd.pair.client.writable, 1);
    assert_true(crowd.other->closed);
    pair_fini(&crowd.pair);
}

/* The connection ends while a stream waits for room. */
static void test_connection_goes(void **state)
{
    (void)state;
    struct crowd crowd;
    crowd_init(&crowd);
    assert_false(km_h2_has_room(crowd.other->stream));
    pair_fini(&crowd.pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken),
        cmocka_unit_test(test_dropped),
        cmocka_unit_test(test_not_asked),
        cmocka_unit_test(test_waiting_stream_goes),
        cmocka_unit_test(test_connection_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
