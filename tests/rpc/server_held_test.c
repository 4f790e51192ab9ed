/* SPDX-License-Identifier: MIT */
/* Requests that come in pieces: how much of them a server holds. */
#include "rpc/rpc_world.h"

#include "base/container.h"
#include "base/limits.h"
#include "rpc/server_held.h"
#include "rpc/server_loop.h"

#define REQUESTS 40
#define REQUEST_BYTES (1u << 20)

struct pieces {
    struct world world;
    struct wire_client client;
    struct seen *seen[REQUESTS];
    uint8_t *data;
};

/* Stalled requests are not let go within a test that takes this. */
#define STALL_MS (2 * WIRE_PATIENCE_MS)

/* Opens calls of a method with requests of 1 MiB, and sends all but the last
 * byte of each, as far as the windows permit. */
static void pieces_open(struct pieces *p, const char *path,
                        const struct world_options *options)
{
    assert_int_equal(world_init(&p->world, options), KAMA_OK);
    wire_client_open(&p->client, p->world.address);
    p->data = malloc(REQUEST_BYTES);
    for (size_t i = 0; i < REQUEST_BYTES; i++) {
        p->data[i] = (uint8_t)(i * 31 + i / 251);
    }
    uint8_t prefix[KM_GRPC_PREFIX_BYTES];
    km_grpc_prefix_write(prefix, REQUEST_BYTES);
    for (int i = 0; i < REQUESTS; i++) {
        p->seen[i] =
            wire_begin(&p->client, &(struct wire_request){.path = path});
        wire_body(p->seen[i], kama_bytes_make(prefix, sizeof prefix));
        wire_body(p->seen[i], kama_bytes_make(p->data, REQUEST_BYTES - 1));
    }
}

static void pieces_init(struct pieces *p, const struct world_options *options)
{
    pieces_open(p, "/t/Echo", options);
}

static void pieces_complete(struct pieces *p, int i)
{
    wire_body(p->seen[i], kama_bytes_make(p->data + REQUEST_BYTES - 1, 1));
}

static void pieces_finish(struct pieces *p, int i)
{
    pieces_complete(p, i);
    wire_end(p->seen[i]);
}

static void pieces_fini(struct pieces *p)
{
    free(p->data);
    wire_client_close(&p->client);
    world_fini(&p->world);
}

/* Runs the check of the server's sums on its loop, and waits for it. */
struct check {
    struct km_mail mail;
    struct world *world;
    unsigned done;
};

static void on_check(struct km_mail *mail)
{
    struct check *check = KM_CONTAINER_OF(mail, struct check, mail);
    km_server_held_check(&check->world->server->server_loops[0]);
    world_count(check->world, &check->done);
}

static void check_held(struct pieces *p)
{
    struct check check = {.mail = {.run = on_check}, .world = &p->world};
    km_loop_post(p->world.loops[0], &check.mail);
    world_wait(&p->world, &check.done, 1);
}

/* The client's streams that still wait for a window. */
static unsigned waiting(const struct pieces *p)
{
    unsigned n = 0;
    for (int i = 0; i < REQUESTS; i++) {
        n += p->seen[i]->stream != NULL && km_h2_queued(p->seen[i]->stream) > 0;
    }
    return n;
}

static size_t queued(const struct pieces *p)
{
    size_t n = 0;
    for (int i = 0; i < REQUESTS; i++) {
        if (p->seen[i]->stream != NULL) {
            n += km_h2_queued(p->seen[i]->stream);
        }
    }
    return n;
}

/* Sends all that the windows permit: until a call there and back, with which
 * every stream takes turns, finds nothing more to send. */
static void settle(struct pieces *p)
{
    size_t before;
    do {
        before = queued(p);
        for (int i = 0; i < 2; i++) {
            struct seen *seen = wire_call(&p->client, "/t/Echo", KM_LIT("now"));
            assert_status(seen, KAMA_OK);
            p->client.pair.client.opened--;
        }
        check_held(p);
    } while (queued(p) != before);
}

/* More than a connection may hold: windows keep most of it with the client,
 * memory stays bounded, and yet every request comes through. */
static void test_windows_hold_back(void **state)
{
    (void)state;
    struct pieces p;
    pieces_init(&p, &(struct world_options){.stall_ms = STALL_MS});
    settle(&p);
    assert_true(waiting(&p) > REQUESTS / 2);
    const uint64_t held = world_metric(&p.world, KM_SERVER_M_HELD_BYTES);
    assert_true(held > KM_RPC_HELD_BYTES_CONN);
    /* Buffers grow by doubling: twice a window each, at most. */
    assert_true(held < KM_RPC_HELD_BYTES_CONN + 2 * REQUEST_BYTES +
                           REQUESTS * 2 * KM_H2_STREAM_WINDOW_BYTES);
    for (int i = 0; i < REQUESTS; i++) {
        pieces_finish(&p, i);
    }
    for (int i = 0; i < REQUESTS; i++) {
        wire_wait(&p.client, p.seen[i]);
        check_held(&p);
        assert_status(p.seen[i], KAMA_OK);
        assert_message(p.seen[i], kama_bytes_make(p.data, REQUEST_BYTES));
    }
    pieces_fini(&p);
}

/* The one request that may go on does not, as behind a proxy whose own window
 * is full of the others: after a while they are let go. */
static void test_favoured_request_does_not_move(void **state)
{
    (void)state;
    struct pieces p;
    pieces_init(&p, &(struct world_options){.stall_ms = 20});
    const km_ns until = world_patience();
    while (queued(&p) > 0) {
        assert_true(km_clock_mono(km_clock_system()) < until);
        settle(&p);
    }
    for (int i = 0; i < REQUESTS; i++) {
        pieces_finish(&p, i);
    }
    for (int i = 0; i < REQUESTS; i++) {
        wire_wait(&p.client, p.seen[i]);
        assert_status(p.seen[i], KAMA_OK);
    }
    pieces_fini(&p);
}

/* Streams of messages give the memory of a message back with its delivery, so
 * that each of them gets its turn although none of them ends. */
static void test_streams_go_on(void **state)
{
    (void)state;
    struct pieces p;
    pieces_open(&p, "/t/Chat", &(struct world_options){.stall_ms = STALL_MS});
    settle(&p);
    assert_true(waiting(&p) > REQUESTS / 2);
    for (int i = 0; i < REQUESTS; i++) {
        pieces_complete(&p, i);
    }
    for (int i = 0; i < REQUESTS; i++) {
        wire_wait_body(&p.client, p.seen[i],
                       KM_GRPC_PREFIX_BYTES + REQUEST_BYTES);
        check_held(&p);
        assert_message(p.seen[i], kama_bytes_make(p.data, REQUEST_BYTES));
    }
    world_wait_metric(&p.world, KM_SERVER_M_HELD_BYTES, 0);
    for (int i = 0; i < REQUESTS; i++) {
        wire_end(p.seen[i]);
        wire_wait(&p.client, p.seen[i]);
        check_held(&p);
        assert_status(p.seen[i], KAMA_OK);
    }
    pieces_fini(&p);
}

/* A client that goes away in the middle gives all of it back. */
static void test_given_up(void **state)
{
    (void)state;
    struct pieces p;
    pieces_init(&p, &(struct world_options){.stall_ms = STALL_MS});
    settle(&p);
    for (int i = 0; i < REQUESTS; i++) {
        km_h2_reset(p.seen[i]->stream, KM_H2_CANCEL);
    }
    settle(&p);
    world_wait_metric(&p.world, KM_SERVER_M_HELD_BYTES, 0);
    pieces_fini(&p);
}

/* More than a loop may hold: requests past it are refused, those before it
 * come through. */
static void test_loop_is_full(void **state)
{
    (void)state;
    struct pieces p;
    pieces_init(&p,
                &(struct world_options){.held_bytes_max = 4 * REQUEST_BYTES});
    unsigned refused = 0;
    for (int i = 0; i < REQUESTS; i++) {
        pieces_finish(&p, i);
    }
    for (int i = 0; i < REQUESTS; i++) {
        wire_wait(&p.client, p.seen[i]);
        check_held(&p);
        if (wire_has(&p.seen[i]->headers, "kama-status: KAMA_ERR_OVERLOADED")) {
            assert_status(p.seen[i], KAMA_ERR_OVERLOADED);
            refused++;
        } else {
            assert_status(p.seen[i], KAMA_OK);
        }
    }
    assert_in_range(refused, 1, REQUESTS - 1);
    pieces_fini(&p);
}

/* A request whose window was withheld before it was refused gets that window
 * back, so that its client can end it. */
static void test_refused_behind_a_closed_window(void **state)
{
    (void)state;
    struct pieces p;
    pieces_init(
        &p, &(struct world_options){.held_bytes_max = KM_RPC_HELD_BYTES_CONN +
                                                      2 * REQUEST_BYTES,
                                    .stall_ms = STALL_MS});
    unsigned refused = 0;
    for (int i = 0; i < REQUESTS; i++) {
        pieces_finish(&p, i);
    }
    for (int i = 0; i < REQUESTS; i++) {
        wire_wait(&p.client, p.seen[i]);
        check_held(&p);
        assert_int_equal(p.seen[i]->unsent_bytes, 0);
        refused +=
            wire_has(&p.seen[i]->headers, "kama-status: KAMA_ERR_OVERLOADED");
    }
    assert_in_range(refused, 1, REQUESTS - 1);
    pieces_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows_hold_back),
        cmocka_unit_test(test_favoured_request_does_not_move),
        cmocka_unit_test(test_streams_go_on),
        cmocka_unit_test(test_given_up),
        cmocka_unit_test(test_loop_is_full),
        cmocka_unit_test(test_refused_behind_a_closed_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
