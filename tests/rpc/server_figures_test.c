/* SPDX-License-Identifier: MIT */
/* The ends of calls by method and code, and their times. The end of each world
 * (rpc_world.h) asserts besides that every call was counted once. */
#include "rpc/rpc_world.h"

static struct km_server_figures_sum figures;

/* Waits until calls of the path have ended with the code so often, because an answer
 * reaches the client before its call is counted. path: NULL for no method. */
static void expect(const struct world *world, const char *path, int code,
                   uint64_t count)
{
    size_t rows = km_server_figures_rows(world->server);
    km_ns until = world_patience();
    do {
        for (size_t row = 0; row < rows; row++) {
            if (km_server_figures_read(world->server, row, &figures) &&
                (path == NULL) == (figures.method == NULL) &&
                (path == NULL || strcmp(figures.method->path, path) == 0) &&
                figures.codes[code] == count) {
                return;
            }
        }
        sched_yield();
    } while (km_clock_mono(km_clock_system()) < until);
    fail_msg("no %llu calls of %s have ended with code %d",
             (unsigned long long)count, path != NULL ? path : "no method",
             code);
}

/* Before the first call there is nothing, also of a method that exists. */
static void test_nothing(void **state)
{
    (void)state;
    struct world world;
    world_start(&world);
    assert_int_equal(world_ended(&world), 0);
    assert_false(km_server_figures_read(world.server, 0, &figures));
    world_fini(&world);
}

/* Codes are counted by method, and paths without a method together. */
static void test_codes(void **state)
{
    (void)state;
    struct world world;
    world_start(&world);
    struct wire_client client;
    wire_client_open(&client, world.address);
    assert_status(wire_call(&client, "/t/Echo", KM_LIT("x")), KAMA_OK);
    assert_status(wire_call(&client, "/t/Echo", KM_LIT("x")), KAMA_OK);
    assert_status(wire_call(&client, "/t/Fail", KM_LIT("-10")),
                  KAMA_ERR_LOADER);
    assert_status(wire_call(&client, "/t/None", KM_LIT("x")),
                  KAMA_ERR_UNSUPPORTED);
    assert_status(wire_call(&client, "/u/None", KM_LIT("x")),
                  KAMA_ERR_UNSUPPORTED);
    expect(&world, "/t/Echo", 0, 2);
    expect(&world, "/t/Fail", 13, 1);
    expect(&world, NULL, 12, 2);
    wire_client_close(&client);
    world_fini(&world);
}

/* A call that waits takes the time of its wait. */
static void test_times(void **state)
{
    (void)state;
    struct world world;
    world_start(&world);
    struct wire_client client;
    wire_client_open(&client, world.address);
    struct seen *seen =
        wire_begin(&client, &(struct wire_request){.path = "/t/Park",
                                                   .name = "grpc-timeout",
                                                   .value = "50m"});
    assert_int_equal(km_grpc_send(seen->stream, KM_LIT("x"), NULL), KAMA_OK);
    wire_end(seen);
    wire_flush(&client);
    world_wait(&world, &world.parked_count, 1);
    wire_wait(&client, seen);
    assert_status(seen, KAMA_ERR_TIMEOUT);
    expect(&world, "/t/Park", 4, 1);
    uint64_t ns = km_histogram_sum_ns(&figures.times);
    assert_true(ns >= 40 * KM_NS_PER_MS && ns < 60000 * KM_NS_PER_MS);
    world_release(&world);
    wire_client_close(&client);
    world_fini(&world);
}

/* A client that goes away ends its call as cancelled or lost. */
static void test_lost(void **state)
{
    (void)state;
    struct world world;
    world_start(&world);
    struct wire_client client;
    wire_client_open(&client, world.address);
    struct seen *seen =
        wire_begin(&client, &(struct wire_request){.path = "/t/Park"});
    assert_int_equal(km_grpc_send(seen->stream, KM_LIT("x"), NULL), KAMA_OK);
    wire_end(seen);
    wire_flush(&client);
    world_wait(&world, &world.parked_count, 1);
    wire_client_close(&client);
    expect(&world, "/t/Park", 14, 1);
    world_release(&world);
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_codes),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
