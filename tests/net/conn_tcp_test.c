/* SPDX-License-Identifier: MIT */
/* Connections over TCP: last words, resets, addresses, memory. */
#include "net/conn.h"

#include "helpers/failmalloc.h"
#include "net/listener.h"
#include "net/net_kit.h"

#include <fcntl.h>

struct server {
    struct km_loop *loop;
    struct km_listener *listener;
    struct echo echo;
    char peer[64];
    char local[64];
};

static void on_accept(void *arg, int fd)
{
    struct server *server = arg;
    int flags = fcntl(fd, F_GETFL);
    KM_ASSERT((flags & O_NONBLOCK) != 0);
    KM_ASSERT((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    kama_status status = km_conn_open(server->loop, fd, &server->echo.session,
                                      &server->echo.owner, &server->echo.conn);
    KM_ASSERT(status == KAMA_OK);
    (void)snprintf(server->peer, sizeof server->peer, "%s",
                   km_conn_peer_address(server->echo.conn));
    (void)snprintf(server->local, sizeof server->local, "%s",
                   km_conn_local_address(server->echo.conn));
}

static void server_begin(struct server *server)
{
    echo_init(&server->echo);
    assert_int_equal(km_loop_new(NULL, NULL, 0, &server->loop), KAMA_OK);
    assert_int_equal(km_listener_open(server->loop, "127.0.0.1:0", on_accept,
                                      server, &server->listener),
                     KAMA_OK);
    assert_int_equal(km_loop_start(server->loop), KAMA_OK);
}

static void close_listener(void *arg)
{
    km_listener_close(arg);
}

static void server_end(struct server *server)
{
    on_loop(server->loop, close_listener, server->listener);
    loop_end(server->loop);
    echo_fini(&server->echo);
}

/* The last words reach a client that is still sending: no reset overtakes
 * them. */
static void test_last_words(void **state)
{
    (void)state;
    struct server server;
    static char junk[512u << 10];
    char buf[64];
    bool reset;
    server_begin(&server);
    server.echo.mute = true;
    server.echo.feed_status = KAMA_ERR_CLOSED;
    server.echo.farewell = "goodbye";
    int fd = dial(km_listener_address(server.listener));
    write_all(fd, junk, 40000);
    assert_int_equal(read_until_end(fd, buf, sizeof buf, &reset), 7);
    assert_false(reset);
    assert_memory_equal(buf, "goodbye", 7);
    close(fd);
    latch_wait(&server.echo.gone, 1);
    assert_int_equal(server.echo.why, KAMA_ERR_CLOSED);
    server_end(&server);
}

/* A reset: the bytes before it are fed, and the end is a lost connection. */
static void test_reset(void **state)
{
    (void)state;
    struct server server;
    const struct linger now = {.l_onoff = 1, .l_linger = 0};
    server_begin(&server);
    server.echo.mute = true;
    int fd = dial(km_listener_address(server.listener));
    write_all(fd, "hello", 5);
    latch_wait(&server.echo.fed, 1);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
    latch_wait(&server.echo.gone, 1);
    assert_int_equal(server.echo.why, KAMA_ERR_DISCONNECTED);
    assert_int_equal(server.echo.fed_bytes, 5);
    server_end(&server);
}

/* The peer's address is its own socket's, and ours is the one it dialled. */
static void test_addresses(void **state)
{
    (void)state;
    struct server server;
    char here[64];
    server_begin(&server);
    int fd = dial(km_listener_address(server.listener));
    struct sockaddr_in addr;
    socklen_t len = sizeof addr;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
    (void)snprintf(here, sizeof here, "127.0.0.1:%u", ntohs(addr.sin_port));
    write_all(fd, "x", 1);
    latch_wait(&server.echo.fed, 1);
    close(fd);
    latch_wait(&server.echo.gone, 1);
    assert_string_equal(server.peer, here);
    assert_string_equal(server.local, km_listener_address(server.listener));
    server_end(&server);
}

/* -- memory ---------------------------------------------------------------- */

struct opening {
    struct km_loop *loop;
    int fd;
    struct echo *echo;
    kama_status status;
};

static void try_open(void *arg)
{
    struct opening *o = arg;
    o->status = km_conn_open(o->loop, o->fd, &o->echo->session, &o->echo->owner,
                             &o->echo->conn);
}

static kama_status open_and_close(const kama_allocator *mem, void *arg)
{
    (void)arg;
    struct km_loop *loop = NULL;
    kama_status status = km_loop_new(mem, NULL, 0, &loop);
    if (status != KAMA_OK) {
        return status;
    }
    assert_int_equal(km_loop_start(loop), KAMA_OK);
    int fds[2];
    struct echo echo;
    make_pair(fds);
    echo_init(&echo);
    struct opening opening = {.loop = loop, .fd = fds[0], .echo = &echo};
    on_loop(loop, try_open, &opening);
    if (opening.status == KAMA_OK) {
        shutdown(fds[1], SHUT_WR);
        latch_wait(&echo.gone, 1);
    }
    char c;
    assert_int_equal(recv(fds[1], &c, 1, 0), 0); /* closed either way */
    close(fds[1]);
    loop_end(loop);
    echo_fini(&echo);
    return opening.status;
}

/* Without memory the descriptor is closed and the session is not touched. */
static void test_no_memory(void **state)
{
    (void)state;
    assert_int_equal(km_test_fail_each(open_and_close, NULL), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_last_words),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
