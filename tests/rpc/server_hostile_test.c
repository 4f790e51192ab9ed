/* SPDX-License-Identifier: MIT */
/* Clients that break the rules in the middle of a call, and those beside
 * them. */
#include "rpc/rpc_world.h"

#include "base/limits.h"

static kama_bytes framed(uint8_t *to, uint8_t flag, const char *text)
{
    size_t len = strlen(text);
    km_grpc_prefix_write(to, (uint32_t)len);
    to[0] = flag;
    memcpy(to + KM_GRPC_PREFIX_BYTES, text, len);
    return kama_bytes_make(to, KM_GRPC_PREFIX_BYTES + len);
}

/* A stream whose handler has seen a good message, then this one. */
static struct seen *chat_then(struct wire_client *client, uint8_t flag,
                              const char *text, size_t cut)
{
    uint8_t good[32];
    uint8_t bad[32];
    struct seen *seen =
        wire_begin(client, &(struct wire_request){.path = "/t/Chat"});
    wire_body(seen, framed(good, 0, "good"));
    wire_wait_body(client, seen, KM_GRPC_PREFIX_BYTES + 4);
    kama_bytes bytes = framed(bad, flag, text);
    wire_body(seen, kama_bytes_make(bytes.data, bytes.len - cut));
    wire_end(seen);
    wire_wait(client, seen);
    return seen;
}

/* The handler of a stream hears that it is over, however it ends. */
static void test_handler_is_told(void **state)
{
    (void)state;
    static const struct {
        uint8_t flag;
        size_t cut;
        kama_status status;
    } rows[] = {
        {1, 0, KAMA_ERR_PROTOCOL},
        {7, 0, KAMA_ERR_PROTOCOL},
        {0, 2, KAMA_ERR_PROTOCOL},
    };
    struct world world;
    struct wire_client client;
    world_start(&world);
    wire_client_open(&client, world.address);
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct seen *seen =
            chat_then(&client, rows[i].flag, "bad", rows[i].cut);
        assert_status(seen, rows[i].status);
        world_wait(&world, &world.cancelled, i + 1);
        km_mutex_lock(&world.lock);
        assert_int_equal(world.cancelled_why, rows[i].status);
        km_mutex_unlock(&world.lock);
    }
    assert_int_equal(world_read(&world, &world.half_closed), 0);
    wire_client_close(&client);
    world_fini(&world);
}

/* As told when it does not wait for the end of the body. */
static void test_handler_is_told_early(void **state)
{
    (void)state;
    static uint8_t rest[KM_RPC_REFUSED_BYTES_MAX + 1];
    uint8_t bytes[32];
    struct world world;
    struct wire_client client;
    world_start(&world);
    wire_client_open(&client, world.address);
    struct seen *seen =
        wire_begin(&client, &(struct wire_request){.path = "/t/Chat"});
    wire_body(seen, framed(bytes, 0, "good"));
    wire_wait_body(&client, seen, KM_GRPC_PREFIX_BYTES + 4);
    wire_body(seen, framed(bytes, 1, "bad"));
    wire_body(seen, kama_bytes_make(rest, sizeof rest));
    wire_wait(&client, seen);
    world_wait(&world, &world.cancelled, 1);
    wire_client_close(&client);
    world_fini(&world);
}

#define HOARDS 40
#define HOARD_BYTES (200u << 10)

/* One client fills the memory that a loop may hold with requests that it never
 * ends. The request of another one comes through. */
static void test_hoarder_pays(void **state)
{
    (void)state;
    static uint8_t data[HOARD_BYTES];
    struct world world;
    struct wire_client hoarder;
    struct wire_client other;
    assert_int_equal(
        world_init(&world, &(struct world_options){.held_bytes_max = 4u << 20}),
        KAMA_OK);
    wire_client_open(&hoarder, world.address);
    km_grpc_prefix_write(data, 1u << 20);
    for (int i = 0; i < HOARDS; i++) {
        struct seen *seen =
            wire_begin(&hoarder, &(struct wire_request){.path = "/t/Echo"});
        wire_body(seen, kama_bytes_make(data, sizeof data));
        (void)wire_call(&hoarder, "/t/Echo", KM_LIT("there and back"));
        hoarder.pair.client.opened--;
    }
    assert_true(world_metric(&world, KM_SERVER_M_HELD_BYTES) > (3u << 20));
    wire_client_open(&other, world.address);
    static uint8_t message[1u << 20];
    struct seen *seen =
        wire_call(&other, "/t/Echo", kama_bytes_make(message, sizeof message));
    assert_status(seen, KAMA_OK);
    wire_client_close(&other);
    wire_client_close(&hoarder);
    world_fini(&world);
}

/* A drain cuts off a call whose headers are still arriving; the rest of them
 * comes after that and is dropped with the other input. */
static void test_cut_off_between_headers(void **state)
{
    (void)state;
    struct world world;
    struct km_buf head;
    struct km_buf rest;
    world_start(&world);
    km_buf_init(&head, NULL, SIZE_MAX);
    km_buf_init(&rest, NULL, SIZE_MAX);
    raw_start(&head);
    raw_field(&rest, ":method", "POST");
    raw_frame(&head, RAW_HEADERS, 0, 1, km_buf_bytes(&rest));
    int fd = wire_connect(world.address);
    wire_write(fd, head.data, head.len);
    world_wait_metric(&world, KM_SERVER_M_CALLS_RUNNING, 1);
    km_server_drain(world.server, 0, on_world_drained, &world);
    world_wait_metric(&world, KM_SERVER_M_CALLS_RUNNING, 0);
    km_buf_reset(&head, 0);
    km_buf_reset(&rest, 0);
    raw_field(&rest, ":path", "/t/Echo");
    raw_field(&rest, "grpc-timeout", "1S");
    raw_frame(&head, RAW_CONTINUATION, RAW_END_HEADERS, 1, km_buf_bytes(&rest));
    wire_write(fd, head.data, head.len);
    world_wait_drained(&world);
    assert_int_equal(world.cut, 1);
    close(fd);
    km_buf_fini(&head);
    km_buf_fini(&rest);
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handler_is_told),
        cmocka_unit_test(test_handler_is_told_early),
        cmocka_unit_test(test_hoarder_pays),
        cmocka_unit_test(test_cut_off_between_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
