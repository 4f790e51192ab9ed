/* SPDX-License-Identifier: MIT */
/* The server with each of its allocations failing in turn, nghttp2's among
 * them: an error, a closed connection or success; no crash, no leak. */
#include "rpc/rpc_world.h"

#include "helpers/failmalloc.h"

/* One connection with a call of each kind; either may fail at any point. */
static void use_server(struct world *world)
{
    static const char *const paths[] = {"/t/Echo", "/t/Count", "/t/Chat",
                                        "/t/None", "/t/Fail"};
    struct wire_client client;
    wire_client_open(&client, world->address);
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct seen *seen = NULL;
        if (client.eof || !km_h2_accepts(client.pair.client.h2)) {
            break;
        }
        seen = wire_begin(&client, &(struct wire_request){.path = paths[i]});
        assert_int_equal(km_grpc_send(seen->stream, KM_LIT("20"), NULL),
                         KAMA_OK);
        wire_end(seen);
        wire_wait(&client, seen);
    }
    wire_client_close(&client);
}

static kama_status scenario(const kama_allocator *mem, void *arg)
{
    (void)arg;
    struct world world;
    kama_status status =
        world_init(&world, &(struct world_options){.mem = mem});
    if (status == KAMA_OK) {
        use_server(&world);
    }
    if (world.server != NULL && status != KAMA_OK) {
        world.drained = false;
    }
    world_fini(&world);
    return status;
}

/* Pauses and resumes within each message, and sends the metadata back. */
static void on_blink(struct km_server_call *call, kama_bytes message)
{
    (void)message;
    km_server_call_pause_reading(call);
    km_server_call_resume_reading(call);
    (void)!km_server_call_send(
        call, km_server_call_metadata(call, "authorization"), NULL);
}

static const struct km_server_method blink_methods[] = {
    {.path = "/t/Blink",
     .kind = KM_RPC_BIDI_STREAM,
     .audience = KM_SERVER_FOR_PEERS,
     .on_message = on_blink,
     .on_half_close = on_chat_half_close},
};

static void blink(struct world *world)
{
    struct wire_client client;
    wire_client_open(&client, world->address);
    if (km_h2_accepts(client.pair.client.h2)) {
        struct seen *seen =
            wire_begin(&client, &(struct wire_request){.path = "/t/Blink",
                                                       .name = "authorization",
                                                       .value = "Bearer abc"});
        for (int i = 0; i < 3; i++) {
            assert_int_equal(km_grpc_send(seen->stream, KM_LIT("20"), NULL),
                             KAMA_OK);
        }
        wire_end(seen);
        wire_wait(&client, seen);
    }
    wire_client_close(&client);
}

static kama_status blink_scenario(const kama_allocator *mem, void *arg)
{
    (void)arg;
    struct world world;
    const struct world_options options = {.mem = mem,
                                          .methods = blink_methods,
                                          .method_count = 1,
                                          .company = KM_SERVER_AMONG_PEERS,
                                          .conn_state_bytes = 100};
    kama_status status = world_init(&world, &options);
    if (status == KAMA_OK) {
        blink(&world);
    }
    world_fini(&world);
    return status;
}

static void test_each_allocation(void **state)
{
    (void)state;
    assert_true(km_test_fail_each(scenario, NULL) > 30);
}

/* The same for metadata, and for a call that pauses. */
static void test_each_allocation_of_a_pausing_call(void **state)
{
    (void)state;
    assert_true(km_test_fail_each(blink_scenario, NULL) > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_allocation),
        cmocka_unit_test(test_each_allocation_of_a_pausing_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
