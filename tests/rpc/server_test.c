/* SPDX-License-Identifier: MIT */
/* The gRPC server on real sockets: calls of each kind, from hello to drain. */
#include "rpc/rpc_world.h"

#include "base/limits.h"

/* -- unary --------------------------------------------------------------- */

static uint8_t *filled(size_t bytes)
{
    uint8_t *data = malloc(bytes > 0 ? bytes : 1);
    for (size_t i = 0; i < bytes; i++) {
        data[i] = (uint8_t)(i * 31 + i / 251);
    }
    return data;
}

static void check_echo(struct wire_client *client, size_t bytes)
{
    uint8_t *data = filled(bytes);
    struct seen *seen =
        wire_call(client, "/t/Echo", kama_bytes_make(data, bytes));
    assert_status(seen, KAMA_OK);
    assert_message(seen, kama_bytes_make(data, bytes));
    free(data);
}

/* Messages of every size up to the cap come back. */
static void test_echo(void **state)
{
    (void)state;
    struct world world;
    world_start(&world);
    struct wire_client client;
    wire_client_open(&client, world.address);
    static const size_t sizes[] = {0, 1, 100, 1024, 1025, 70000, 1 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        check_echo(&client, sizes[i]);
    }
    wire_client_close(&client);
    world_fini(&world);
}

static struct seen *call_sized(struct wire_client *client, size_t bytes)
{
    uint8_t *data = filled(bytes);
    struct seen *seen =
        wire_call(client, "/t/Echo", kama_bytes_make(data, bytes));
    free(data);
    return seen;
}

/* The cap for messages, one byte past it, and a cap that was raised. */
static void test_message_cap(void **state)
{
    (void)state;
    struct world world;
    world_start(&world);
    struct wire_client client;
    wire_client_open(&client, world.address);
    assert_status(call_sized(&client, KM_RPC_MESSAGE_BYTES_MIN), KAMA_OK);
    assert_status(call_sized(&client, KM_RPC_MESSAGE_BYTES_MIN + 1),
                  KAMA_ERR_TOO_LARGE);
    km_server_allow_message(world.server, KM_RPC_MESSAGE_BYTES_MIN + 1);
    assert_status(call_sized(&client, KM_RPC_MESSAGE_BYTES_MIN + 1), KAMA_OK);
    wire_client_close(&client);
    world_fini(&world);
}

/* An error carries its code, its name and its sentence, escaped. */
static void test_error(void **state)
{
    (void)state;
    struct world world;
    world_start(&world);
    struct wire_client client;
    wire_client_open(&client, world.address);
    struct seen *seen = wire_call(&client, "/t/Fail", KM_LIT("-10"));
    assert_status(seen, KAMA_ERR_LOADER);
    assert_true(wire_has(&seen->headers, "grpc-message: 100%25 %E7%BC%93%0A"));
    assert_false(seen->trailers_done);
    seen = wire_call(&client, "/t/Fail", KM_LIT("1"));
    assert_status(seen, KAMA_MISS);
    assert_int_equal(world_metric(&world, KM_SERVER_M_CALLS_FAILED), 2);
    assert_int_equal(world_metric(&world, KM_SERVER_M_CALLS), 2);
    wire_client_close(&client);
    world_fini(&world);
}

/* -- later answers, deadlines, cancels ----------------------------------- */

static struct seen *park(struct world *world, struct wire_client *client,
                         const char *timeout)
{
    struct seen *seen = wire_begin(
        client,
        &(struct wire_request){.path = "/t/Park",
                               .name = timeout != NULL ? "grpc-timeout" : NULL,
                               .value = timeout});
    assert_int_equal(km_grpc_send(seen->stream, KM_LIT("x"), NULL), KAMA_OK);
    wire_end(seen);
    wire_flush(client);
    world_wait(world, &world->parked_count, 1);
    return seen;
}

/* A handler that answers from another thread, by mail. */
static void test_late_reply(void **state)
{
    (void)state;
    struct world world;
    world_start(&world);
    struct wire_client client;
    wire_client_open(&client, world.address);
    struct seen *seen = park(&world, &client, "10S");
    world_release(&world);
    wire_wait(&client, seen);
    assert_status(seen, KAMA_OK);
    assert_message(seen, KM_LIT("late"));
    assert_int_equal(world_read(&world, &world.cancelled), 0);
    wire_client_close(&client);
    world_fini(&world);
}

/* The deadline ends the call; the late answer finds it ended. */
static void test_deadline(void **state)
{
    (void)state;
    struct world world;
    world_start(&world);
    struct wire_client client;
    wire_client_open(&client, world.address);
    struct seen *seen = park(&world, &client, "50m");
    wire_wait(&client, seen);
    assert_status(seen, KAMA_ERR_TIMEOUT);
    world_wait(&world, &world.cancelled, 1);
    assert_int_equal(world.cancelled_why, KAMA_ERR_TIMEOUT);
    world_release(&world);
    check_echo(&client, 10);
    assert_int_equal(world_read(&world, &world.cancelled), 1);
    wire_client_close(&client);
    world_fini(&world);
}

/* A deadline counts although the message never comes. */
static void test_deadline_without_message(void **state)
{
    (void)state;
    struct world world;
    world_start(&world);
    struct wire_client client;
    wire_client_open(&client, world.address);
    struct seen *seen =
        wire_begin(&client, &(struct wire_request){.path = "/t/Echo",
                                                   .name = "grpc-timeout",
                                                   .value = "30m"});
    wire_wait(&client, seen);
    assert_status(seen, KAMA_ERR_TIMEOUT);
    wire_client_close(&client);
    world_fini(&world);
}

/* A client that cancels, and one that vanishes: told apart, told once. */
static void test_cancel(void **state)
{
    (void)state;
    struct world world;
    world_start(&world);
    struct wire_client client;
    wire_client_open(&client, world.address);
    struct seen *seen = park(&world, &client, NULL);
    km_h2_reset(seen->stream, KM_H2_CANCEL);
    wire_flush(&client);
    world_wait(&world, &world.cancelled, 1);
    assert_int_equal(world.cancelled_why, KAMA_ERR_CANCELLED);
    world_release(&world);
    (void)park(&world, &client, NULL);
    wire_client_close(&client);
    world_wait(&world, &world.cancelled, 2);
    assert_int_equal(world.cancelled_why, KAMA_ERR_DISCONNECTED);
    world_release(&world);
    world_wait_metric(&world, KM_SERVER_M_CANCELLED, 2);
    world_fini(&world);
}

/* -- streams ------------------------------------------------------------- */

/* A thousand messages through the windows, in order. */
static void test_server_stream(void **state)
{
    (void)state;
    struct world world;
    world_start(&world);
    struct wire_client client;
    wire_client_open(&client, world.address);
    struct seen *seen = wire_call(&client, "/t/Count", KM_LIT("1000"));
    assert_status(seen, KAMA_OK);
    const size_t each = KM_GRPC_PREFIX_BYTES + COUNT_BYTES;
    assert_int_equal(seen->body.len, 1000 * each);
    for (size_t i = 0; i < 1000; i++) {
        assert_int_equal(seen->body.data[i * each + each - 1], i & 255);
    }
    seen = wire_call(&client, "/t/Count", KM_LIT("0"));
    assert_status(seen, KAMA_OK);
    assert_int_equal(seen->body.len, 0);
    wire_client_close(&client);
    world_fini(&world);
}

/* A reader that stops: the handler is not asked for more than fits. */
static void test_slow_reader(void **state)
{
    (void)state;
    struct world world;
    world_start(&world);
    struct wire_client client;
    wire_client_open(&client, world.address);
    client.pair.client.hold = true;
    struct seen *seen =
        wire_begin(&client, &(struct wire_request){.path = "/t/Count"});
    assert_int_equal(km_grpc_send(seen->stream, KM_LIT("1000"), NULL), KAMA_OK);
    wire_end(seen);
    wire_wait_body(&client, seen, KM_H2_STREAM_WINDOW_BYTES);
    check_echo(&client, 100);
    assert_int_equal(seen->body.len, KM_H2_STREAM_WINDOW_BYTES);
    km_h2_reset(seen->stream, KM_H2_CANCEL);
    wire_flush(&client);
    world_wait(&world, &world.cancelled, 1);
    wire_client_close(&client);
    world_fini(&world);
}

static void send_chat(struct seen *seen, const char *text)
{
    assert_int_equal(km_grpc_send(seen->stream, kama_bytes_str(text), NULL),
                     KAMA_OK);
}

/* Messages both ways as they come; the client's half-close ends it. */
static void test_bidi(void **state)
{
    (void)state;
    struct world world;
    world_start(&world);
    struct wire_client client;
    wire_client_open(&client, world.address);
    struct seen *seen =
        wire_begin(&client, &(struct wire_request){.path = "/t/Chat"});
    send_chat(seen, "one");
    wire_wait_body(&client, seen, 8);
    send_chat(seen, "two");
    send_chat(seen, "");
    wire_wait_body(&client, seen, 21);
    wire_end(seen);
    wire_wait(&client, seen);
    assert_status(seen, KAMA_OK);
    assert_int_equal(seen->body.len, 21);
    assert_memory_equal(seen->body.data, "\0\0\0\0\3one\0\0\0\0\3two\0\0\0\0\0",
                        21);
    world_wait(&world, &world.half_closed, 1);
    wire_client_close(&client);
    world_fini(&world);
}

/* The server ends first: trailers, then RST_STREAM(NO_ERROR). */
static void test_bidi_early_end(void **state)
{
    (void)state;
    struct world world;
    world_start(&world);
    struct wire_client client;
    wire_client_open(&client, world.address);
    struct seen *seen =
        wire_begin(&client, &(struct wire_request){.path = "/t/Chat"});
    send_chat(seen, "bye");
    send_chat(seen, "unheard");
    wire_wait(&client, seen);
    assert_status(seen, KAMA_OK);
    assert_message(seen, KM_LIT("bye"));
    assert_int_equal(seen->error_code, KM_H2_NO_ERROR);
    assert_int_equal(world_read(&world, &world.half_closed), 0);
    assert_int_equal(world_read(&world, &world.cancelled), 0);
    wire_client_close(&client);
    world_fini(&world);
}

/* -- connections --------------------------------------------------------- */

static int where(struct wire_client *client)
{
    struct seen *seen = wire_call(client, "/t/Where", KM_LIT(""));
    assert_status(seen, KAMA_OK);
    return seen->body.data[KM_GRPC_PREFIX_BYTES];
}

/* Connections are dealt out evenly over the loops. */
static void test_spread(void **state)
{
    (void)state;
    struct world world;
    assert_int_equal(world_init(&world, &(struct world_options){.loops = 3}),
                     KAMA_OK);
    struct wire_client clients[6];
    unsigned per_loop[3] = {0};
    for (int i = 0; i < 6; i++) {
        wire_client_open(&clients[i], world.address);
        per_loop[where(&clients[i])]++;
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(per_loop[i], 2);
    }
    for (int i = 0; i < 6; i++) {
        wire_client_close(&clients[i]);
    }
    world_fini(&world);
}

/* The highest number of connections, and one more: closed at once. */
static void test_max_connections(void **state)
{
    (void)state;
    struct world world;
    assert_int_equal(
        world_init(&world, &(struct world_options){.max_connections = 2}),
        KAMA_OK);
    struct wire_client clients[2];
    for (int i = 0; i < 2; i++) {
        wire_client_open(&clients[i], world.address);
        check_echo(&clients[i], 1);
    }
    int fd = wire_connect(world.address);
    char byte;
    assert_int_equal(wire_read(fd, &byte, 1), 0);
    close(fd);
    world_wait_metric(&world, KM_SERVER_M_REFUSED_CONNECTIONS, 1);
    check_echo(&clients[0], 1);
    for (int i = 0; i < 2; i++) {
        wire_client_close(&clients[i]);
    }
    world_fini(&world);
}

/* -- drain --------------------------------------------------------------- */

/* Idle connections end by GOAWAY, in order. */
static void test_drain_idle(void **state)
{
    (void)state;
    struct world world;
    assert_int_equal(world_init(&world, &(struct world_options){.loops = 2}),
                     KAMA_OK);
    struct wire_client clients[3];
    for (int i = 0; i < 3; i++) {
        wire_client_open(&clients[i], world.address);
        check_echo(&clients[i], 1);
    }
    km_server_drain(world.server, 5000, on_world_drained, &world);
    for (int i = 0; i < 3; i++) {
        while (wire_step(&clients[i])) {
        }
        assert_true(clients[i].pair.client.goaway);
        assert_int_equal(clients[i].pair.client.goaway_code, KM_H2_NO_ERROR);
        wire_client_close(&clients[i]);
    }
    world_wait_drained(&world);
    assert_int_equal(world.cut, 0);
    world_fini(&world);
}

/* A running call is waited for, and its answer arrives. */
static void test_drain_waits(void **state)
{
    (void)state;
    struct world world;
    world_start(&world);
    struct wire_client client;
    wire_client_open(&client, world.address);
    struct seen *seen = park(&world, &client, NULL);
    km_server_drain(world.server, 10000, on_world_drained, &world);
    while (!client.pair.client.goaway && wire_step(&client)) {
    }
    assert_false(world.drained);
    world_release(&world);
    wire_wait(&client, seen);
    assert_status(seen, KAMA_OK);
    wire_client_close(&client);
    world_wait_drained(&world);
    assert_int_equal(world.cut, 0);
    world_fini(&world);
}

/* One that does not end is cut off at the deadline, with an answer. */
static void test_drain_cuts(void **state)
{
    (void)state;
    struct world world;
    world_start(&world);
    struct wire_client client;
    wire_client_open(&client, world.address);
    struct seen *seen = park(&world, &client, NULL);
    km_server_drain(world.server, 100, on_world_drained, &world);
    wire_wait(&client, seen);
    assert_status(seen, KAMA_ERR_CLOSED);
    while (wire_step(&client)) {
    }
    wire_client_close(&client);
    world_wait_drained(&world);
    assert_int_equal(world.cut, 1);
    assert_int_equal(world_read(&world, &world.cancelled), 1);
    assert_int_equal(world.cancelled_why, KAMA_ERR_CLOSED);
    world_release(&world);
    world_fini(&world);
}

/* A connection that never said a word does not hold the drain up. */
static void test_drain_silent(void **state)
{
    (void)state;
    struct world world;
    world_start(&world);
    int fd = wire_connect(world.address);
    struct wire_client client;
    wire_client_open(&client, world.address);
    check_echo(&client, 1);
    wire_client_close(&client);
    km_server_drain(world.server, 60000, on_world_drained, &world);
    world_wait_drained(&world);
    assert_int_equal(world.cut, 0);
    close(fd);
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo),
        cmocka_unit_test(test_message_cap),
        cmocka_unit_test(test_error),
        cmocka_unit_test(test_late_reply),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_deadline_without_message),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_server_stream),
        cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_bidi),
        cmocka_unit_test(test_bidi_early_end),
        cmocka_unit_test(test_spread),
        cmocka_unit_test(test_max_connections),
        cmocka_unit_test(test_drain_idle),
        cmocka_unit_test(test_drain_waits),
        cmocka_unit_test(test_drain_cuts),
        cmocka_unit_test(test_drain_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
