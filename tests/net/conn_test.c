/* SPDX-License-Identifier: MIT */
/*
 * Connections: a loop with an echo on one end of a pair, the test on the
 * other.
 */
#include "net/conn.h"

#include "base/limits.h"
#include "net/net_kit.h"

struct rig {
    struct skip_clock skip;
    struct km_loop *loop;
    struct echo echo;
    int fd;       /* the test's end */
    int their_fd; /* the loop's, until it is opened */
    int64_t grace_ms;
};

static void open_rig(void *arg)
{
    struct rig *rig = arg;
    kama_status status =
        km_conn_open(rig->loop, rig->their_fd, &rig->echo.session,
                     &rig->echo.owner, &rig->echo.conn);
    KM_ASSERT(status == KAMA_OK);
}

/* Both ends, nothing opened yet: the echo can still be given orders. */
static void rig_init(struct rig *rig)
{
    int fds[2];
    make_pair(fds);
    skip_clock_init(&rig->skip);
    echo_init(&rig->echo);
    rig->their_fd = fds[0];
    rig->fd = fds[1];
    rig->loop = NULL;
    assert_int_equal(km_loop_new(NULL, &rig->skip.clock, 0, &rig->loop),
                     KAMA_OK);
    assert_int_equal(km_loop_start(rig->loop), KAMA_OK);
}

static void rig_open(struct rig *rig)
{
    on_loop(rig->loop, open_rig, rig);
}

/* Waits until the connection is gone; its session was closed first. */
static void rig_gone(struct rig *rig, kama_status why)
{
    latch_wait(&rig->echo.gone, 1);
    assert_int_equal(latch_count(&rig->echo.closed), 1);
    assert_int_equal(rig->echo.why, why);
}

static void rig_fini(struct rig *rig)
{
    loop_end(rig->loop);
    assert_int_equal(latch_count(&rig->echo.gone), 1);
    if (rig->fd >= 0) {
        close(rig->fd);
    }
    echo_fini(&rig->echo);
}

/* -- bytes ---------------------------------------------------------------- */

static uint8_t pattern(size_t at)
{
    return (uint8_t)(at * 31 + (at >> 8) * 7 + (at >> 16));
}

/* Writes len bytes of the pattern and reads them back, whatever blocks. */
static void pump(int fd, size_t len, size_t write_max)
{
    static uint8_t buf[64u << 10];
    size_t sent = 0;
    size_t got = 0;
    while (got < len) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        p.events = (short)(sent < len ? POLLIN | POLLOUT : POLLIN);
        assert_int_equal(poll(&p, 1, KIT_LIMIT_S * 1000), 1);
        if ((p.revents & POLLOUT) != 0) {
            size_t n = len - sent < write_max ? len - sent : write_max;
            for (size_t i = 0; i < n; i++) {
                buf[i] = pattern(sent + i);
            }
            ssize_t done = send(fd, buf, n, MSG_NOSIGNAL | MSG_DONTWAIT);
            sent += done > 0 ? (size_t)done : 0;
        }
        ssize_t n = recv(fd, buf, sizeof buf, MSG_DONTWAIT);
        for (ssize_t i = 0; i < n; i++) {
            assert_int_equal(buf[i], pattern(got++));
        }
    }
}

/* Megabytes go through unharmed, in feeds of at most the bound per turn. */
static void test_echo(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    rig.echo.out_max = 256u << 10;
    rig_open(&rig);
    pump(rig.fd, 1, 1);
    pump(rig.fd, 5000, 7);
    pump(rig.fd, 8u << 20, 64u << 10);
    assert_int_equal(shutdown(rig.fd, SHUT_WR), 0);
    rig_gone(&rig, KAMA_ERR_CLOSED);
    assert_true(rig.echo.saw_eof);
    assert_true(rig.echo.fed_most <= KM_NET_READ_BYTES_PER_TURN);
    assert_int_equal(rig.echo.fed_bytes, 1 + 5000 + (8u << 20));
    rig_fini(&rig);
}

/* Output in small pieces arrives whole and in order. */
static void test_small_takes(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    rig.echo.take_max = 100;
    rig_open(&rig);
    pump(rig.fd, 300000, 9000);
    shutdown(rig.fd, SHUT_WR);
    rig_gone(&rig, KAMA_ERR_CLOSED);
    rig_fini(&rig);
}

/* The other side does not read: the session is asked for no more than was
 * written, and reads no more than it said; then everything still comes. */
static void test_back_pressure(void **state)
{
    (void)state;
    struct rig rig;
    static uint8_t buf[64u << 10];
    size_t sent = 0;
    rig_init(&rig);
    rig.echo.out_max = 300000;
    rig_open(&rig);
    for (;;) {
        struct pollfd p = {.fd = rig.fd, .events = POLLOUT};
        if (poll(&p, 1, 300) == 0) {
            break; /* the pair is full, nothing moves any more */
        }
        ssize_t n = send(rig.fd, buf, sizeof buf, MSG_DONTWAIT | MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        assert_true(sent < 8u << 20);
    }
    shutdown(rig.fd, SHUT_WR);
    size_t got = 0;
    ssize_t n;
    do {
        await(rig.fd, POLLIN);
        n = recv(rig.fd, buf, sizeof buf, 0);
        got += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    assert_int_equal(n, 0);
    rig_gone(&rig, KAMA_ERR_CLOSED);
    assert_int_equal(got, sent);
    rig_fini(&rig);
}

/* -- ends ------------------------------------------------------------------ */

/* The other side reads nothing for the time of a stall: the connection ends. */
static void test_stall(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    assert_int_equal(km_buf_reserve(&rig.echo.out, 8u << 20), KAMA_OK);
    memset(rig.echo.out.data, 1, 8u << 20);
    rig.echo.out.len = 8u << 20;
    rig_open(&rig);
    await(rig.fd, POLLIN);
    skip_time(rig.loop, &rig.skip, KM_NS_PER_S);
    assert_int_equal(latch_count(&rig.echo.gone), 0);
    skip_time(rig.loop, &rig.skip, KM_NET_WRITE_STALL_MS * KM_NS_PER_MS);
    rig_gone(&rig, KAMA_ERR_TIMEOUT);
    rig_fini(&rig);
}

/* An error of feed: the output that is ready is written, then the connection
 * ends with the error. */
static void test_feed_error(void **state)
{
    (void)state;
    struct rig rig;
    char buf[16];
    bool reset;
    rig_init(&rig);
    rig.echo.feed_status = KAMA_ERR_PROTOCOL;
    rig_open(&rig);
    write_all(rig.fd, "last", 4);
    assert_int_equal(read_until_end(rig.fd, buf, sizeof buf, &reset), 4);
    assert_false(reset);
    assert_memory_equal(buf, "last", 4);
    latch_wait(&rig.echo.closed, 1); /* while the connection lingers */
    assert_int_equal(latch_count(&rig.echo.gone), 0);
    close(rig.fd);
    rig.fd = -1;
    rig_gone(&rig, KAMA_ERR_PROTOCOL);
    assert_int_equal(rig.echo.feeds, 1);
    rig_fini(&rig);
}

/* An error of take: the bytes that came with it are written. */
static void test_take_error(void **state)
{
    (void)state;
    struct rig rig;
    char buf[16];
    bool reset;
    rig_init(&rig);
    rig.echo.take_status = KAMA_ERR_NO_MEMORY;
    assert_int_equal(km_buf_append(&rig.echo.out, "end", 3), KAMA_OK);
    rig_open(&rig);
    assert_int_equal(read_until_end(rig.fd, buf, sizeof buf, &reset), 3);
    close(rig.fd);
    rig.fd = -1;
    rig_gone(&rig, KAMA_ERR_NO_MEMORY);
    assert_int_equal(rig.echo.takes, 1);
    rig_fini(&rig);
}

/* The session has had enough, without an error. */
static void test_not_alive(void **state)
{
    (void)state;
    struct rig rig;
    char buf[16];
    bool reset;
    rig_init(&rig);
    rig.echo.ended = true;
    assert_int_equal(km_buf_append(&rig.echo.out, "end", 3), KAMA_OK);
    rig_open(&rig);
    assert_int_equal(read_until_end(rig.fd, buf, sizeof buf, &reset), 3);
    assert_false(reset);
    close(rig.fd);
    rig.fd = -1;
    rig_gone(&rig, KAMA_ERR_CLOSED);
    rig_fini(&rig);
}

/* A session's deadline: tick, and its error is the end. */
static void test_session_deadline(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    rig.echo.deadline = kit_now() + 20 * KM_NS_PER_MS;
    rig_open(&rig);
    latch_wait(&rig.echo.closed, 1);
    assert_int_equal(rig.echo.ticks, 1);
    close(rig.fd);
    rig.fd = -1;
    rig_gone(&rig, KAMA_ERR_TIMEOUT);
    rig_fini(&rig);
}

/* A tick that finds the other side gone ends the connection at once, although
 * output waits that the other side does not read. */
static void test_a_tick_that_finds_nobody_ends_at_once(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    assert_int_equal(km_buf_reserve(&rig.echo.out, 8u << 20), KAMA_OK);
    memset(rig.echo.out.data, 1, 8u << 20);
    rig.echo.out.len = 8u << 20;
    rig.echo.deadline = kit_now() + 20 * KM_NS_PER_MS;
    rig.echo.tick_status = KAMA_ERR_DISCONNECTED;
    rig_open(&rig);
    rig_gone(&rig, KAMA_ERR_DISCONNECTED);
    assert_int_equal(rig.echo.ticks, 1);
    rig_fini(&rig);
}

static void close_rig(void *arg)
{
    struct rig *rig = arg;
    km_conn_close(rig->echo.conn, rig->grace_ms);
    km_conn_close(rig->echo.conn, rig->grace_ms);
    km_conn_wake(rig->echo.conn);
}

/* Closing without grace ends at once, also with output that cannot go. */
static void test_close_now(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    assert_int_equal(km_buf_reserve(&rig.echo.out, 8u << 20), KAMA_OK);
    memset(rig.echo.out.data, 1, 8u << 20);
    rig.echo.out.len = 8u << 20;
    rig_open(&rig);
    rig.grace_ms = 0;
    on_loop(rig.loop, close_rig, &rig);
    rig_gone(&rig, KAMA_ERR_CLOSED);
    rig_fini(&rig);
}

/* Closing with grace: all of the output goes, however slowly it is read. */
static void test_close_flushes(void **state)
{
    (void)state;
    struct rig rig;
    size_t len = 4u << 20;
    uint8_t *buf = malloc(len + 1);
    bool reset;
    rig_init(&rig);
    assert_int_equal(km_buf_reserve(&rig.echo.out, len), KAMA_OK);
    memset(rig.echo.out.data, 1, len);
    rig.echo.out.len = len;
    rig_open(&rig);
    rig.grace_ms = KIT_LIMIT_S * 1000;
    on_loop(rig.loop, close_rig, &rig);
    write_all(rig.fd, "not fed", 7);
    assert_int_equal(read_until_end(rig.fd, buf, len + 1, &reset), len);
    assert_false(reset);
    assert_int_equal(rig.echo.feeds, 0);
    close(rig.fd);
    rig.fd = -1;
    rig_gone(&rig, KAMA_ERR_CLOSED);
    free(buf);
    rig_fini(&rig);
}

/* Grace ends when time is up. */
static void test_grace_ends(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    assert_int_equal(km_buf_reserve(&rig.echo.out, 8u << 20), KAMA_OK);
    memset(rig.echo.out.data, 1, 8u << 20);
    rig.echo.out.len = 8u << 20;
    rig_open(&rig);
    rig.grace_ms = 5000;
    on_loop(rig.loop, close_rig, &rig);
    skip_time(rig.loop, &rig.skip, KM_NS_PER_S);
    assert_int_equal(latch_count(&rig.echo.gone), 0);
    skip_time(rig.loop, &rig.skip, 5 * KM_NS_PER_S);
    rig_gone(&rig, KAMA_ERR_CLOSED);
    rig_fini(&rig);
}

/* A peer that goes on sending and never closes is waited for, not for long:
 * neither many bytes nor much time. */
static void test_linger_is_bounded(void **state)
{
    (void)state;
    struct rig rig;
    static char junk[256u << 10];
    rig_init(&rig);
    rig.echo.ended = true;
    rig_open(&rig);
    latch_wait(&rig.echo.closed, 1);
    size_t sent = 0;
    ssize_t n = 0;
    while (n >= 0 || errno == EAGAIN) {
        await(rig.fd, POLLOUT);
        n = send(rig.fd, junk, sizeof junk, MSG_NOSIGNAL | MSG_DONTWAIT);
        sent += n > 0 ? (size_t)n : 0;
        assert_true(sent < 8u << 20);
    }
    rig_gone(&rig, KAMA_ERR_CLOSED);
    rig_fini(&rig);

    rig_init(&rig);
    rig.echo.ended = true;
    rig_open(&rig);
    latch_wait(&rig.echo.closed, 1);
    skip_time(rig.loop, &rig.skip, 2 * KM_NS_PER_S);
    rig_gone(&rig, KAMA_ERR_CLOSED);
    rig_fini(&rig);
}

/* A peer that has read everything, then sends nothing and does not close its half
 * either, is not waited for long. One that has not read everything is. */
static void test_linger_ends_when_the_peer_is_quiet(void **state)
{
    (void)state;
    struct rig rig;
    char buf[16];
    bool reset;
    rig_init(&rig);
    rig.echo.feed_status = KAMA_ERR_PROTOCOL;
    rig_open(&rig);
    write_all(rig.fd, "last", 4);
    latch_wait(&rig.echo.closed, 1);
    skip_time(rig.loop, &rig.skip, 300 * KM_NS_PER_MS);
    assert_int_equal(latch_count(&rig.echo.gone), 0);
    assert_int_equal(read_until_end(rig.fd, buf, sizeof buf, &reset), 4);
    assert_false(reset);
    skip_time(rig.loop, &rig.skip, 300 * KM_NS_PER_MS);
    assert_int_equal(latch_count(&rig.echo.gone), 1);
    rig_gone(&rig, KAMA_ERR_PROTOCOL);
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo),
        cmocka_unit_test(test_small_takes),
        cmocka_unit_test(test_back_pressure),
        cmocka_unit_test(test_stall),
        cmocka_unit_test(test_feed_error),
        cmocka_unit_test(test_take_error),
        cmocka_unit_test(test_not_alive),
        cmocka_unit_test(test_session_deadline),
        cmocka_unit_test(test_a_tick_that_finds_nobody_ends_at_once),
        cmocka_unit_test(test_close_now),
        cmocka_unit_test(test_close_flushes),
        cmocka_unit_test(test_grace_ends),
        cmocka_unit_test(test_linger_is_bounded),
        cmocka_unit_test(test_linger_ends_when_the_peer_is_quiet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
