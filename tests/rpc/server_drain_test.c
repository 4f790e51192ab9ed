/* SPDX-License-Identifier: MIT */
/* A stop in two steps: clients first, peers later; and the places that are kept
 * for peers. */
#include "rpc/rpc_world.h"

#include "base/limits.h"

static const struct km_server_method methods[] = {
    {.path = "/t/Echo", .kind = KM_RPC_UNARY, .on_message = on_echo},
    {.path = "/t/Park",
     .kind = KM_RPC_UNARY,
     .state_bytes = sizeof(struct parked),
     .on_message = on_park,
     .on_cancel = on_any_cancel},
    {.path = "/t/Peer",
     .kind = KM_RPC_UNARY,
     .audience = KM_SERVER_FOR_PEERS,
     .on_message = on_echo},
    {.path = "/t/Probe",
     .kind = KM_RPC_UNARY,
     .audience = KM_SERVER_FOR_PROBES,
     .on_message = on_echo},
};

/* -- the rig ------------------------------------------------------------- */

struct rig {
    struct world world;
    bool clients_gone; /* under world.lock, as clients_cut */
    unsigned clients_cut;
    struct wire_client client;
    struct wire_client peer;
};

static void rig_init(struct rig *rig, unsigned loops, unsigned max_connections,
                     enum km_server_company company)
{
    const struct world_options options = {
        .loops = loops,
        .max_connections = max_connections,
        .methods = methods,
        .method_count = sizeof methods / sizeof methods[0],
        .company = company,
    };
    rig->clients_gone = false;
    rig->clients_cut = 0;
    assert_int_equal(world_init(&rig->world, &options), KAMA_OK);
}

static struct seen *call(struct wire_client *client, const char *path)
{
    return wire_call(client, path, KM_LIT("x"));
}

/* A client's and a peer's connection. */
static void rig_connect(struct rig *rig)
{
    wire_client_open(&rig->client, rig->world.address);
    wire_client_open(&rig->peer, rig->world.address);
    assert_status(call(&rig->client, "/t/Echo"), KAMA_OK);
    assert_status(call(&rig->peer, "/t/Peer"), KAMA_OK);
}

static void on_clients_gone(void *arg, unsigned cut)
{
    struct rig *rig = arg;
    km_mutex_lock(&rig->world.lock);
    rig->clients_gone = true;
    rig->clients_cut = cut;
    km_cond_broadcast(&rig->world.cond);
    km_mutex_unlock(&rig->world.lock);
}

static void drain_clients(struct rig *rig, int64_t timeout_ms)
{
    km_server_drain_clients(rig->world.server, timeout_ms, on_clients_gone,
                            rig);
}

static bool are_clients_gone(struct rig *rig)
{
    km_mutex_lock(&rig->world.lock);
    bool gone = rig->clients_gone;
    km_mutex_unlock(&rig->world.lock);
    return gone;
}

static void wait_clients_gone(struct rig *rig)
{
    km_ns until = world_patience();
    km_mutex_lock(&rig->world.lock);
    while (!rig->clients_gone) {
        if (!km_cond_wait_until(&rig->world.cond, &rig->world.lock, until)) {
            fail_msg("%s", "the clients' drain did not end");
        }
    }
    km_mutex_unlock(&rig->world.lock);
}

static void until_eof(struct wire_client *client)
{
    while (wire_step(client)) {
    }
}

/* Reads until the server has said its last GOAWAY: no stream above the last one
 * that it served. */
static void until_goaway(struct wire_client *client)
{
    while (!client->pair.client.goaway ||
           client->pair.client.goaway_last == INT32_MAX) {
        assert_true(wire_step(client));
    }
}

/* -- two steps ----------------------------------------------------------- */

/* The first step ends the clients' connections, and peers are served on old and
 * on new connections until the second one. */
static void test_peers_outlive_clients(void **state)
{
    (void)state;
    struct rig rig;
    struct wire_client late;
    rig_init(&rig, 2, 0, KM_SERVER_AMONG_PEERS);
    rig_connect(&rig);
    drain_clients(&rig, 60000);
    until_eof(&rig.client);
    wait_clients_gone(&rig);
    assert_int_equal(rig.clients_cut, 0);
    assert_status(call(&rig.peer, "/t/Peer"), KAMA_OK);
    assert_status(call(&rig.peer, "/t/Probe"), KAMA_OK);
    wire_client_open(&late, rig.world.address);
    assert_status(call(&late, "/t/Peer"), KAMA_OK);
    assert_false(late.pair.client.goaway);
    km_server_drain(rig.world.server, 60000, on_world_drained, &rig.world);
    until_eof(&rig.peer);
    until_eof(&late);
    world_wait_drained(&rig.world);
    wire_client_close(&late);
    wire_client_close(&rig.peer);
    wire_client_close(&rig.client);
    world_fini(&rig.world);
}

static void check_refused(const struct seen *seen)
{
    assert_status(seen, KAMA_ERR_CLOSED);
    assert_true(wire_has(&seen->headers, "grpc-message: the node is stopping"));
}

/* A client that connects when the clients' drain takes no more connections is
 * refused by REFUSED_STREAM and a GOAWAY: it knows that nothing was done, and a
 * client or proxy that has another node goes there. On a peer's connection a
 * client's call is refused with a sentence, and the connection stays. */
static void test_late_client_is_refused(void **state)
{
    (void)state;
    struct rig rig;
    struct wire_client late;
    rig_init(&rig, 1, 0, KM_SERVER_AMONG_PEERS);
    rig_connect(&rig);
    drain_clients(&rig, 60000);
    wait_clients_gone(&rig);
    wire_client_open(&late, rig.world.address);
    assert_status(call(&late, "/t/Probe"), KAMA_OK);
    struct seen *seen = call(&late, "/t/Echo");
    assert_true(seen->closed && !seen->headers_done);
    assert_int_equal(seen->error_code, KM_H2_REFUSED_STREAM);
    until_eof(&late);
    assert_true(late.pair.client.goaway);
    check_refused(call(&rig.peer, "/t/Echo"));
    assert_status(call(&rig.peer, "/t/Peer"), KAMA_OK);
    wire_client_close(&late);
    wire_client_close(&rig.peer);
    wire_client_close(&rig.client);
    world_fini(&rig.world);
}

/* Connects and calls when the first GOAWAY has come. Returns whether that was in
 * time, before the second one. */
static bool try_in_the_gap(void)
{
    struct rig rig;
    struct wire_client late;
    rig_init(&rig, 1, 0, KM_SERVER_AMONG_PEERS);
    rig_connect(&rig);
    drain_clients(&rig, 60000);
    while (!rig.client.pair.client.goaway) {
        assert_true(wire_step(&rig.client));
    }
    wire_client_open(&late, rig.world.address);
    struct seen *seen = call(&late, "/t/Echo");
    bool in_time = seen->error_code != KM_H2_REFUSED_STREAM;
    if (in_time) {
        assert_status(seen, KAMA_OK);
    }
    until_eof(&late);
    assert_true(late.pair.client.goaway);
    wait_clients_gone(&rig);
    wire_client_close(&late);
    wire_client_close(&rig.peer);
    wire_client_close(&rig.client);
    world_fini(&rig.world);
    return in_time;
}

/* A client that connects between the two GOAWAYs is served, and ends with the
 * others: nobody who finds the listener open is sent away in that time. A busy
 * machine may be too late, and tries again. */
static void test_client_in_the_gap_is_served(void **state)
{
    (void)state;
    int tries = 1;
    while (!try_in_the_gap()) {
        assert_true(tries++ < 20);
    }
}

/* A server alone does not accept any more when the gap is over; one among peers
 * does. */
static void test_who_accepts_after_the_gap(void **state)
{
    (void)state;
    for (int company = KM_SERVER_ALONE; company <= KM_SERVER_AMONG_PEERS;
         company++) {
        struct rig rig;
        rig_init(&rig, 1, 0, (enum km_server_company)company);
        rig_connect(&rig);
        drain_clients(&rig, 60000);
        wait_clients_gone(&rig);
        struct sockaddr_in to = {
            .sin_family = AF_INET,
            .sin_port =
                htons((uint16_t)atoi(strrchr(rig.world.address, ':') + 1)),
            .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int refused = connect(fd, (struct sockaddr *)&to, sizeof to);
        assert_int_equal(refused == 0, company == KM_SERVER_AMONG_PEERS);
        close(fd);
        wire_client_close(&rig.peer);
        wire_client_close(&rig.client);
        world_fini(&rig.world);
    }
}

/* A client's call that does not end is cut off; peers do not notice. */
static void test_clients_are_cut(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 1, 0, KM_SERVER_AMONG_PEERS);
    rig_connect(&rig);
    struct seen *seen =
        wire_begin(&rig.client, &(struct wire_request){.path = "/t/Park"});
    assert_int_equal(km_grpc_send(seen->stream, KM_LIT("x"), NULL), KAMA_OK);
    wire_end(seen);
    wire_flush(&rig.client);
    world_wait(&rig.world, &rig.world.parked_count, 1);
    drain_clients(&rig, 100);
    wire_wait(&rig.client, seen);
    assert_status(seen, KAMA_ERR_CLOSED);
    wait_clients_gone(&rig);
    assert_int_equal(rig.clients_cut, 1);
    world_release(&rig.world);
    assert_status(call(&rig.peer, "/t/Peer"), KAMA_OK);
    wire_client_close(&rig.peer);
    wire_client_close(&rig.client);
    world_fini(&rig.world);
}

/* A call that runs is waited for, and so is nothing that peers do. */
static void test_clients_are_waited_for(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 1, 0, KM_SERVER_AMONG_PEERS);
    rig_connect(&rig);
    struct seen *seen =
        wire_begin(&rig.client, &(struct wire_request){.path = "/t/Park"});
    assert_int_equal(km_grpc_send(seen->stream, KM_LIT("x"), NULL), KAMA_OK);
    wire_end(seen);
    wire_flush(&rig.client);
    world_wait(&rig.world, &rig.world.parked_count, 1);
    drain_clients(&rig, 60000);
    until_goaway(&rig.client);
    assert_false(are_clients_gone(&rig));
    assert_status(call(&rig.peer, "/t/Peer"), KAMA_OK);
    world_release(&rig.world);
    wire_wait(&rig.client, seen);
    assert_status(seen, KAMA_OK);
    wait_clients_gone(&rig);
    wire_client_close(&rig.peer);
    wire_client_close(&rig.client);
    world_fini(&rig.world);
}

/* Without connections there is nobody to wait for. */
static void test_nobody_is_there(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 2, 0, KM_SERVER_ALONE);
    drain_clients(&rig, 3600000);
    wait_clients_gone(&rig);
    world_fini(&rig.world);
}

/* -- places for peers ---------------------------------------------------- */

/* A client cannot stay in a place that is kept for peers; a peer can, and keeps
 * it. */
static void test_reserved_places(void **state)
{
    (void)state;
    struct rig rig;
    struct wire_client late;
    rig_init(&rig, 1, 1, KM_SERVER_AMONG_PEERS);
    wire_client_open(&rig.client, rig.world.address);
    assert_status(call(&rig.client, "/t/Echo"), KAMA_OK);
    wire_client_open(&late, rig.world.address);
    struct seen *seen = call(&late, "/t/Echo");
    assert_status(seen, KAMA_ERR_OVERLOADED);
    assert_true(wire_has(&seen->headers,
                         "grpc-message: the node has max_connections "
                         "connections already"));
    until_eof(&late);
    world_wait_metric(&rig.world, KM_SERVER_M_REFUSED_CONNECTIONS, 1);
    wire_client_open(&rig.peer, rig.world.address);
    assert_status(call(&rig.peer, "/t/Peer"), KAMA_OK);
    assert_status(call(&rig.peer, "/t/Echo"), KAMA_OK);
    assert_status(call(&rig.client, "/t/Echo"), KAMA_OK);
    wire_client_close(&rig.peer);
    wire_client_close(&late);
    wire_client_close(&rig.client);
    world_fini(&rig.world);
}

/* A connection that says nothing does not keep a place that is reserved. */
static void test_silent_connection_in_reserve(void **state)
{
    (void)state;
    struct rig rig;
    struct wire_client silent;
    rig_init(&rig, 1, 1, KM_SERVER_AMONG_PEERS);
    wire_client_open(&rig.client, rig.world.address);
    assert_status(call(&rig.client, "/t/Echo"), KAMA_OK);
    wire_client_open(&silent, rig.world.address);
    until_eof(&silent);
    world_wait_metric(&rig.world, KM_SERVER_M_REFUSED_CONNECTIONS, 1);
    world_wait_metric(&rig.world, KM_SERVER_M_CONNECTIONS, 1);
    wire_client_close(&silent);
    wire_client_close(&rig.client);
    world_fini(&rig.world);
}

/* A server alone keeps no places, and closes at once what is too much. */
static void test_no_reserve_when_alone(void **state)
{
    (void)state;
    struct rig rig;
    struct wire_client late;
    rig_init(&rig, 1, 1, KM_SERVER_ALONE);
    wire_client_open(&rig.client, rig.world.address);
    assert_status(call(&rig.client, "/t/Echo"), KAMA_OK);
    wire_client_open(&late, rig.world.address);
    until_eof(&late);
    assert_false(late.pair.client.goaway);
    wire_client_close(&late);
    wire_client_close(&rig.client);
    world_fini(&rig.world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peers_outlive_clients),
        cmocka_unit_test(test_late_client_is_refused),
        cmocka_unit_test(test_client_in_the_gap_is_served),
        cmocka_unit_test(test_who_accepts_after_the_gap),
        cmocka_unit_test(test_clients_are_cut),
        cmocka_unit_test(test_clients_are_waited_for),
        cmocka_unit_test(test_nobody_is_there),
        cmocka_unit_test(test_reserved_places),
        cmocka_unit_test(test_silent_connection_in_reserve),
        cmocka_unit_test(test_no_reserve_when_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
