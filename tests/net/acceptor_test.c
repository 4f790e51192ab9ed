/* SPDX-License-Identifier: MIT */
/* Acceptors: every loop gets its share, and there is a maximum. */
#include "net/acceptor.h"

#include "base/mem.h"
#include "net/net_kit.h"

#define LOOPS 3
#define CLIENTS 9

struct rig {
    struct km_loop *loops[LOOPS];
    struct km_acceptor *acceptor;
    struct latch connected;
    atomic_uint of_loop[LOOPS];
    atomic_uint accepted;
    atomic_uint reserved;
    struct latch refused;
    atomic_int fds[CLIENTS];
    atomic_uint fd_count;
};

static void on_connection(void *arg, unsigned loop_index, int fd,
                          enum km_acceptor_place place)
{
    struct rig *rig = arg;
    atomic_fetch_add(&rig->reserved, place == KM_ACCEPTOR_RESERVED);
    KM_ASSERT(km_loop_is_inside(rig->loops[loop_index]));
    atomic_fetch_add(&rig->of_loop[loop_index], 1);
    atomic_store(&rig->fds[atomic_fetch_add(&rig->fd_count, 1)], fd);
    latch_hit(&rig->connected);
}

static void on_accepted(void *arg)
{
    struct rig *rig = arg;
    atomic_fetch_add(&rig->accepted, 1);
}

static void on_refused(void *arg)
{
    struct rig *rig = arg;
    latch_hit(&rig->refused);
}

static void close_acceptor(void *arg)
{
    struct rig *rig = arg;
    km_acceptor_close(rig->acceptor);
}

static void rig_begin_reserving(struct rig *rig, unsigned max_connections,
                                unsigned reserved_connections)
{
    *rig = (struct rig){0};
    latch_init(&rig->connected);
    latch_init(&rig->refused);
    for (int i = 0; i < LOOPS; i++) {
        rig->loops[i] = loop_begin(NULL);
    }
    const struct km_acceptor_options options = {
        .mem = km_mem_or_default(NULL),
        .loops = rig->loops,
        .loop_count = LOOPS,
        .max_connections = max_connections,
        .reserved_connections = reserved_connections,
        .on_connection = on_connection,
        .on_accepted = on_accepted,
        .on_refused = on_refused,
        .arg = rig,
    };
    assert_int_equal(km_acceptor_new(&options, &rig->acceptor), KAMA_OK);
    assert_null(km_acceptor_address(rig->acceptor));
    assert_int_equal(km_acceptor_listen(rig->acceptor, "127.0.0.1:0"), KAMA_OK);
}

static void rig_begin(struct rig *rig, unsigned max_connections)
{
    rig_begin_reserving(rig, max_connections, 0);
}

static void rig_end(struct rig *rig)
{
    on_loop(rig->loops[0], close_acceptor, rig);
    for (int i = 0; i < LOOPS; i++) {
        for (unsigned n = atomic_load(&rig->of_loop[i]); n > 0; n--) {
            km_acceptor_count_closed(rig->acceptor, (unsigned)i);
        }
    }
    for (int i = 0; i < LOOPS; i++) {
        loop_end(rig->loops[i]);
    }
    for (unsigned i = 0; i < atomic_load(&rig->fd_count); i++) {
        close(atomic_load(&rig->fds[i]));
    }
    km_acceptor_free(rig->acceptor);
    latch_fini(&rig->refused);
    latch_fini(&rig->connected);
}

/* Connections go to the loop that has the fewest. */
static void test_even_shares(void **state)
{
    (void)state;
    struct rig rig;
    int clients[CLIENTS];
    rig_begin(&rig, 0);
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i] = dial(km_acceptor_address(rig.acceptor));
        latch_wait(&rig.connected, i + 1);
    }
    for (int i = 0; i < LOOPS; i++) {
        assert_int_equal(atomic_load(&rig.of_loop[i]), CLIENTS / LOOPS);
    }
    assert_int_equal(atomic_load(&rig.accepted), CLIENTS);
    for (int i = 0; i < CLIENTS; i++) {
        close(clients[i]);
    }
    rig_end(&rig);
}

/* At the maximum a connection is closed at once; one that is gone makes room. */
static void test_maximum(void **state)
{
    (void)state;
    struct rig rig;
    int clients[4];
    char byte;
    rig_begin(&rig, 2);
    for (unsigned i = 0; i < 2; i++) {
        clients[i] = dial(km_acceptor_address(rig.acceptor));
        latch_wait(&rig.connected, i + 1);
    }
    clients[2] = dial(km_acceptor_address(rig.acceptor));
    latch_wait(&rig.refused, 1);
    await(clients[2], POLLIN);
    assert_true(recv(clients[2], &byte, 1, 0) <= 0);
    atomic_fetch_sub(&rig.of_loop[0], 1);
    km_acceptor_count_closed(rig.acceptor, 0);
    clients[3] = dial(km_acceptor_address(rig.acceptor));
    latch_wait(&rig.connected, 3);
    assert_int_equal(atomic_load(&rig.of_loop[0]), 1);
    for (int i = 0; i < 4; i++) {
        close(clients[i]);
    }
    rig_end(&rig);
}

/* Beyond the maximum, connections in reserve are accepted and marked. */
static void test_reserve(void **state)
{
    (void)state;
    struct rig rig;
    int clients[5];
    char byte;
    rig_begin_reserving(&rig, 2, 2);
    for (unsigned i = 0; i < 4; i++) {
        clients[i] = dial(km_acceptor_address(rig.acceptor));
        latch_wait(&rig.connected, i + 1);
        assert_int_equal(atomic_load(&rig.reserved), i < 2 ? 0 : i - 1);
    }
    clients[4] = dial(km_acceptor_address(rig.acceptor));
    latch_wait(&rig.refused, 1);
    await(clients[4], POLLIN);
    assert_true(recv(clients[4], &byte, 1, 0) <= 0);
    for (int i = 0; i < 5; i++) {
        close(clients[i]);
    }
    rig_end(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_even_shares),
        cmocka_unit_test(test_maximum),
        cmocka_unit_test(test_reserve),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
