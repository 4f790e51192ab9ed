/* SPDX-License-Identifier: MIT */
/* What a handler can ask of its call and of the call's connection: metadata,
 * the other side's address, a state that calls share. */
#include "rpc/rpc_world.h"

#include "base/limits.h"

#define ROW_NAME "traceparent"

static const char *const row_names[] = {ROW_NAME, "x-many-bin", NULL};

/* -- handlers ------------------------------------------------------------ */

static void reply_metadata(struct km_server_call *call, const char *name)
{
    km_server_call_reply(call, km_server_call_metadata(call, name), NULL);
}

static void on_who(struct km_server_call *call, kama_bytes message)
{
    (void)message;
    reply_metadata(call, "authorization");
}

static void on_trace(struct km_server_call *call, kama_bytes message)
{
    (void)message;
    reply_metadata(call, ROW_NAME);
}

/* Sends the value for each message: it is there for the first one only. */
static void on_stream(struct km_server_call *call, kama_bytes message)
{
    (void)message;
    kama_status status = km_server_call_send(
        call, km_server_call_metadata(call, "authorization"), NULL);
    KM_ASSERT(status == KAMA_OK);
}

static void on_stream_end(struct km_server_call *call)
{
    km_server_call_finish(call, KAMA_OK, NULL);
}

static void on_address(struct km_server_call *call, kama_bytes message)
{
    (void)message;
    km_server_call_reply(
        call, kama_bytes_str(km_server_call_peer_address(call)), NULL);
}

/* Counts the calls of its connection. */
struct conn_state {
    uint64_t zero;
    uint64_t calls;
};

static void on_counted(struct km_server_call *call, kama_bytes message)
{
    (void)message;
    struct conn_state *conn_state = km_server_call_conn_state(call);
    KM_ASSERT(conn_state->zero == 0);
    uint8_t n = (uint8_t)++conn_state->calls;
    km_server_call_trust_peer(call);
    km_server_call_reply(call, kama_bytes_make(&n, 1), NULL);
}

static void on_conn_end(void *arg, void *state)
{
    struct world *world = arg;
    const struct conn_state *conn_state = state;
    km_mutex_lock(&world->lock);
    world->half_closed += (unsigned)conn_state->calls;
    km_mutex_unlock(&world->lock);
    world_count(world, &world->cancelled);
}

static const struct km_server_method methods[] = {
    {.path = "/t/Who", .kind = KM_RPC_UNARY, .on_message = on_who},
    {.path = "/t/Trace",
     .kind = KM_RPC_UNARY,
     .metadata = row_names,
     .on_message = on_trace},
    {.path = "/t/Stream",
     .kind = KM_RPC_BIDI_STREAM,
     .on_message = on_stream,
     .on_half_close = on_stream_end},
    {.path = "/t/Address", .kind = KM_RPC_UNARY, .on_message = on_address},
    {.path = "/t/Counted", .kind = KM_RPC_UNARY, .on_message = on_counted},
};

/* -- the rig ------------------------------------------------------------- */

struct rig {
    struct world world;
    struct wire_client client;
};

static void rig_init_with(struct rig *rig, uint64_t held_bytes_max)
{
    const struct world_options options = {
        .methods = methods,
        .method_count = sizeof methods / sizeof methods[0],
        .held_bytes_max = held_bytes_max,
        .conn_state_bytes = sizeof(struct conn_state),
        .on_conn_end = on_conn_end,
    };
    assert_int_equal(world_init(&rig->world, &options), KAMA_OK);
    wire_client_open(&rig->client, rig->world.address);
}

static void rig_init(struct rig *rig)
{
    rig_init_with(rig, 0);
}

static void rig_fini(struct rig *rig)
{
    wire_client_close(&rig->client);
    world_fini(&rig->world);
}

static struct seen *call_with(struct rig *rig, const char *path,
                              const char *name, const char *value)
{
    struct seen *seen = wire_begin(
        &rig->client,
        &(struct wire_request){.path = path, .name = name, .value = value});
    assert_int_equal(km_grpc_send(seen->stream, KM_LIT("x"), NULL), KAMA_OK);
    wire_end(seen);
    wire_wait(&rig->client, seen);
    return seen;
}

static char *text_of(size_t len)
{
    char *text = malloc(len + 1);
    memset(text, 'a', len);
    text[len] = '\0';
    return text;
}

/* -- metadata ------------------------------------------------------------ */

/* Every method can read "authorization", and it is empty without the header. */
static void test_authorization(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    struct seen *seen =
        call_with(&rig, "/t/Who", "authorization", "Bearer abc");
    assert_status(seen, KAMA_OK);
    assert_message(seen, KM_LIT("Bearer abc"));
    seen = call_with(&rig, "/t/Who", "authorization", "");
    assert_message(seen, KM_LIT(""));
    seen = call_with(&rig, "/t/Who", "x-authorizatio", "abc");
    assert_message(seen, KM_LIT(""));
    rig_fini(&rig);
}

/* Other names are kept for the methods whose rows name them, and for no other
 * one. */
static void test_names_of_the_row(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    assert_message(call_with(&rig, "/t/Trace", ROW_NAME, "00-1"),
                   KM_LIT("00-1"));
    assert_message(call_with(&rig, "/t/Trace", "tracestate", "00-1"),
                   KM_LIT(""));
    char *text = text_of(KM_RPC_METADATA_BYTES_MAX + 1);
    assert_status(call_with(&rig, "/t/Who", ROW_NAME, text), KAMA_OK);
    free(text);
    rig_fini(&rig);
}

/* The limit, and one byte past it. */
static void test_metadata_limit(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    char *text = text_of(KM_RPC_METADATA_BYTES_MAX);
    struct seen *seen = call_with(&rig, "/t/Who", "authorization", text);
    assert_status(seen, KAMA_OK);
    assert_message(seen, kama_bytes_str(text));
    free(text);
    text = text_of(KM_RPC_METADATA_BYTES_MAX + 1);
    seen = call_with(&rig, "/t/Who", "authorization", text);
    assert_status(seen, KAMA_ERR_TOO_LARGE);
    assert_true(wire_has(&seen->headers,
                         "grpc-message: authorization and the other metadata "
                         "that the method reads are larger than 4096 bytes"));
    free(text);
    rig_fini(&rig);
}

/* The last value of a name counts, and the others take no room. */
static void test_last_value_counts(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    char *text = text_of(2000);
    struct km_h2_field fields[] = {
        pair_field(":method", "POST"),
        pair_field(":scheme", "http"),
        pair_field(":path", "/t/Who"),
        pair_field(":authority", "here"),
        pair_field("content-type", "application/grpc"),
        pair_field("authorization", text),
        pair_field("authorization", text),
        pair_field("authorization", text),
        pair_field("authorization", "last"),
    };
    struct side *side = &rig.client.pair.client;
    struct seen *seen = &side->seen[side->opened++];
    struct km_h2_stream *stream;
    assert_int_equal(km_h2_request(side->h2, fields, 9, seen, &stream),
                     KAMA_OK);
    seen_init(side, seen, stream);
    assert_int_equal(km_grpc_send(stream, KM_LIT("x"), NULL), KAMA_OK);
    wire_end(seen);
    wire_wait(&rig.client, seen);
    assert_status(seen, KAMA_OK);
    assert_message(seen, KM_LIT("last"));
    free(text);
    rig_fini(&rig);
}

/* A stream has its metadata for the first message, and holds none after it. */
static void test_stream_forgets_metadata(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    struct seen *seen =
        wire_begin(&rig.client, &(struct wire_request){.path = "/t/Stream",
                                                       .name = "authorization",
                                                       .value = "secret"});
    wire_flush(&rig.client);
    world_wait_metric(&rig.world, KM_SERVER_M_HELD_BYTES, strlen("secret"));
    assert_int_equal(km_grpc_send(seen->stream, KM_LIT("a"), NULL), KAMA_OK);
    wire_wait_body(&rig.client, seen, KM_GRPC_PREFIX_BYTES + 6);
    world_wait_metric(&rig.world, KM_SERVER_M_HELD_BYTES, 0);
    assert_message(seen, KM_LIT("secret"));
    assert_int_equal(km_grpc_send(seen->stream, KM_LIT("b"), NULL), KAMA_OK);
    wire_end(seen);
    wire_wait(&rig.client, seen);
    assert_status(seen, KAMA_OK);
    assert_int_equal(seen->body.len, 2 * KM_GRPC_PREFIX_BYTES + 6);
    rig_fini(&rig);
}

/* Metadata counts as memory of requests: the loop refuses a call that brings
 * more than it may hold. */
static void test_metadata_counts_as_held(void **state)
{
    (void)state;
    struct rig rig;
    rig_init_with(&rig, 1000);
    char *text = text_of(1001);
    assert_status(call_with(&rig, "/t/Who", "authorization", text),
                  KAMA_ERR_OVERLOADED);
    assert_status(call_with(&rig, "/t/Who", "authorization", text + 1),
                  KAMA_OK);
    free(text);
    rig_fini(&rig);
}

/* -- the connection ------------------------------------------------------ */

static void test_peer_address(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    struct sockaddr_in own = {0};
    socklen_t len = sizeof own;
    assert_int_equal(getsockname(rig.client.fd, (struct sockaddr *)&own, &len),
                     0);
    char address[32];
    snprintf(address, sizeof address, "127.0.0.1:%u",
             (unsigned)ntohs(own.sin_port));
    assert_message(call_with(&rig, "/t/Address", NULL, NULL),
                   kama_bytes_str(address));
    rig_fini(&rig);
}

/* All calls of a connection have one state, other connections have their own,
 * and the server is told when a connection is gone. */
static void test_conn_state(void **state)
{
    (void)state;
    struct rig rig;
    struct wire_client other;
    rig_init(&rig);
    wire_client_open(&other, rig.world.address);
    assert_message(call_with(&rig, "/t/Counted", NULL, NULL), KM_LIT("\1"));
    assert_message(call_with(&rig, "/t/Counted", NULL, NULL), KM_LIT("\2"));
    assert_message(wire_call(&other, "/t/Counted", KM_LIT("x")), KM_LIT("\1"));
    assert_int_equal(world_read(&rig.world, &rig.world.cancelled), 0);
    wire_client_close(&other);
    world_wait(&rig.world, &rig.world.cancelled, 1);
    assert_int_equal(world_read(&rig.world, &rig.world.half_closed), 1);
    rig_fini(&rig);
    assert_int_equal(rig.world.cancelled, 2);
    assert_int_equal(rig.world.half_closed, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_authorization),
        cmocka_unit_test(test_names_of_the_row),
        cmocka_unit_test(test_metadata_limit),
        cmocka_unit_test(test_last_value_counts),
        cmocka_unit_test(test_stream_forgets_metadata),
        cmocka_unit_test(test_metadata_counts_as_held),
        cmocka_unit_test(test_peer_address),
        cmocka_unit_test(test_conn_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
