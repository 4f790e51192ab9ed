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

static void test_each_allocation(void **state)
{
    (void)state;
    assert_true(km_test_fail_each(scenario, NULL) > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
