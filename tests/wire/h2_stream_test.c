/* SPDX-License-Identifier: MIT */
/* The states of a stream, as stream_impl.h draws them. */
#include "wire/h2_echo.h"

#include "base/limits.h"
#include "wire/h2/stream_impl.h"

/* A server's stream whose client has sent headers and not ended its request. */
struct scene {
    struct pair pair;
    struct seen *seen; /* on the client */
    struct km_h2_stream *stream;
    const struct km_h2_stream_impl *impl;
};

static void scene_init(struct scene *scene)
{
    start(&scene->pair, 0);
    scene->pair.serve = NULL;
    assert_int_equal(pair_request(&scene->pair, &scene->seen), KAMA_OK);
    pair_run(&scene->pair);
    scene->stream = scene->pair.server.seen[0].stream;
    scene->impl = km_h2_stream_impl_of(scene->stream);
}

static void to_open(struct scene *scene)
{
    assert_int_equal(km_h2_respond(scene->stream, ok_headers, 2), KAMA_OK);
}

static void to_starved(struct scene *scene)
{
    to_open(scene);
    pair_run(&scene->pair);
}

static void to_ended(struct scene *scene)
{
    to_open(scene);
    assert_int_equal(km_h2_end(scene->stream, ok_trailers, 1), KAMA_OK);
}

static void to_lingering(struct scene *scene)
{
    to_ended(scene);
    pair_run(&scene->pair);
}

/* Our half goes from one state to the next, once around the drawing. */
static void test_sending_half(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene);
    assert_int_equal(scene.impl->sending, KM_H2_SENDING_IDLE);
    to_open(&scene);
    assert_int_equal(scene.impl->sending, KM_H2_SENDING_OPEN);
    pair_run(&scene.pair);
    assert_int_equal(scene.impl->sending, KM_H2_SENDING_STARVED);
    assert_int_equal(km_h2_send(scene.stream, KM_LIT("body"), NULL), KAMA_OK);
    assert_int_equal(scene.impl->sending, KM_H2_SENDING_OPEN);
    pair_run(&scene.pair);
    assert_int_equal(scene.impl->sending, KM_H2_SENDING_STARVED);
    assert_int_equal(km_h2_end(scene.stream, ok_trailers, 1), KAMA_OK);
    assert_int_equal(scene.impl->sending, KM_H2_SENDING_ENDED);
    pair_run(&scene.pair);
    assert_int_equal(scene.impl->sending, KM_H2_SENDING_LINGERING);
    struct km_session *server = km_h2_session(scene.pair.server.h2);
    km_ns until = scene.pair.now + KM_H2_LINGER_MS * KM_NS_PER_MS;
    assert_int_equal(server->ops->tick(server, until), KAMA_OK);
    assert_int_equal(scene.impl->sending, KM_H2_SENDING_RESET);
    pair_run(&scene.pair);
    assert_true(scene.seen->closed);
    pair_fini(&scene.pair);
}

/* Headers that end a stream skip the states in which a body may be queued. */
static void test_headers_end_a_half(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene);
    assert_int_equal(km_h2_respond_and_end(scene.stream, ok_headers, 2),
                     KAMA_OK);
    assert_int_equal(scene.impl->sending, KM_H2_SENDING_ENDED);
    pair_fini(&scene.pair);
}

/* The request's half: headers, body, end. */
static void test_receiving_half(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene);
    assert_int_equal(scene.impl->receiving, KM_H2_RECEIVING_BODY);
    const struct km_h2_stream_impl *ours =
        km_h2_stream_impl_of(scene.seen->stream);
    assert_int_equal(ours->receiving, KM_H2_RECEIVING_HEADERS);
    assert_int_equal(km_h2_send(scene.seen->stream, KM_LIT("body"), NULL),
                     KAMA_OK);
    pair_run(&scene.pair);
    assert_int_equal(scene.impl->receiving, KM_H2_RECEIVING_BODY);
    assert_int_equal(km_h2_end(scene.seen->stream, NULL, 0), KAMA_OK);
    pair_run(&scene.pair);
    assert_int_equal(scene.impl->receiving, KM_H2_RECEIVING_ENDED);
    assert_true(km_h2_remote_ended(scene.stream));
    pair_fini(&scene.pair);
}

/* A stream can be reset in each state, and accepts nothing more after that. */
static void test_reset_in_each_state(void **state)
{
    (void)state;
    static void (*const go[])(struct scene *) = {
        [KM_H2_SENDING_OPEN] = to_open,
        [KM_H2_SENDING_STARVED] = to_starved,
        [KM_H2_SENDING_ENDED] = to_ended,
        [KM_H2_SENDING_LINGERING] = to_lingering,
    };
    for (size_t i = 0; i < sizeof go / sizeof go[0]; i++) {
        struct scene scene;
        scene_init(&scene);
        if (go[i] != NULL) {
            go[i](&scene);
        }
        assert_int_equal(scene.impl->sending, i);
        km_h2_reset(scene.stream, KM_H2_CANCEL);
        assert_int_equal(scene.impl->sending, KM_H2_SENDING_RESET);
        km_h2_check(scene.pair.server.h2);
        assert_int_equal(km_h2_respond(scene.stream, ok_headers, 2),
                         KAMA_ERR_CLOSED);
        assert_int_equal(km_h2_send(scene.stream, KM_LIT("x"), NULL),
                         KAMA_ERR_CLOSED);
        assert_int_equal(km_h2_end(scene.stream, NULL, 0), KAMA_ERR_CLOSED);
        pair_run(&scene.pair);
        assert_true(scene.seen->closed);
        pair_fini(&scene.pair);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sending_half),
        cmocka_unit_test(test_headers_end_a_half),
        cmocka_unit_test(test_receiving_half),
        cmocka_unit_test(test_reset_in_each_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
