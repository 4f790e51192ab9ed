/* SPDX-License-Identifier: MIT */
/* Connecting: by number and by name, refused, too late, cancelled. */
#include "helpers/failmalloc.h"
#include "net/connect.h"
#include "net/listener.h"
#include "net/net_kit.h"

struct rig {
    struct km_loop *loop;
    struct echo echo;
    struct km_connect *connect;
    const char *address;
    km_ns deadline;
    bool cancel;
    kama_status started;
    struct latch done;
    kama_status status;
    char sentence[256];
};

static void on_connected(void *arg, kama_status status, struct km_conn *conn,
                         const char *sentence)
{
    struct rig *rig = arg;
    KM_ASSERT((status == KAMA_OK) == (conn != NULL));
    KM_ASSERT(conn != NULL || latch_count(&rig->echo.closed) == 1);
    rig->status = status;
    rig->echo.conn = conn;
    (void)snprintf(rig->sentence, sizeof rig->sentence, "%s", sentence);
    latch_hit(&rig->done);
}

static void start(void *arg)
{
    struct rig *rig = arg;
    const struct km_connect_options options = {
        .address = rig->address,
        .deadline = rig->deadline,
        .session = &rig->echo.session,
        .owner = &rig->echo.owner,
        .cb = on_connected,
        .arg = rig,
    };
    rig->started = km_connect_start(rig->loop, &options, &rig->connect);
    KM_ASSERT(latch_count(&rig->done) == 0);
    if (rig->started == KAMA_OK && rig->cancel) {
        km_connect_cancel(rig->connect);
        KM_ASSERT(latch_count(&rig->done) == 0);
    }
}

static void close_now(void *arg)
{
    struct rig *rig = arg;
    km_conn_close(rig->echo.conn, 0);
}

static void rig_init(struct rig *rig, const char *address)
{
    *rig = (struct rig){.address = address, .deadline = KM_NS_NEVER};
    echo_init(&rig->echo);
    latch_init(&rig->done);
}

/* Until the callback; whatever came of it is gone afterwards. */
static void rig_run(struct rig *rig)
{
    rig->loop = loop_begin(NULL);
    on_loop(rig->loop, start, rig);
    if (rig->started == KAMA_OK) {
        latch_wait(&rig->done, 1);
    }
    if (latch_count(&rig->done) == 1 && rig->status == KAMA_OK) {
        on_loop(rig->loop, close_now, rig);
        latch_wait(&rig->echo.gone, 1);
    }
    loop_end(rig->loop);
    assert_int_equal(latch_count(&rig->done), rig->started == KAMA_OK);
    assert_int_equal(latch_count(&rig->echo.closed), rig->started == KAMA_OK);
}

static void rig_fini(struct rig *rig)
{
    echo_fini(&rig->echo);
    latch_fini(&rig->done);
}

/* Returns the descriptor of a listening socket that is never accepted from. */
static int listen_v4(char *address, size_t cap, const char *host)
{
    struct sockaddr_in addr = {.sin_family = AF_INET};
    socklen_t len = sizeof addr;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
    (void)snprintf(address, cap, "%s:%u", host, ntohs(addr.sin_port));
    return fd;
}

/* By number, as localhost, without a host, and by a name for the resolver. */
static void test_connects(void **state)
{
    (void)state;
    static const char *const hosts[] = {"127.0.0.1", "localhost", "",
                                        "LocalHost"};
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        char address[64];
        struct rig rig;
        int fd = listen_v4(address, sizeof address, hosts[i]);
        rig_init(&rig, address);
        rig_run(&rig);
        assert_int_equal(rig.status, KAMA_OK);
        assert_string_equal(rig.sentence, "");
        rig_fini(&rig);
        close(fd);
    }
}

/* An address without a listener, and a name without an address: an error that
 * says which and why. */
static void test_unreachable(void **state)
{
    (void)state;
    char address[64];
    struct rig rig;
    close(listen_v4(address, sizeof address, "127.0.0.1"));
    rig_init(&rig, address);
    rig_run(&rig);
    assert_int_equal(rig.status, KAMA_ERR_UNREACHABLE);
    assert_non_null(strstr(rig.sentence, address));
    assert_non_null(strstr(rig.sentence, "connection refused"));
    rig_fini(&rig);

    rig_init(&rig, "[::1]:1");
    rig_run(&rig);
    assert_int_equal(rig.status, KAMA_ERR_UNREACHABLE);
    assert_non_null(strstr(rig.sentence, "[::1]:1: "));
    rig_fini(&rig);

    rig_init(&rig, "no such host.:1");
    rig_run(&rig);
    assert_int_equal(rig.status, KAMA_ERR_UNREACHABLE);
    assert_non_null(strstr(rig.sentence, "no such host.:1"));
    rig_fini(&rig);

    rig_init(&rig, "nonsense");
    rig_run(&rig);
    assert_int_equal(rig.started, KAMA_ERR_INVALID);
    rig_fini(&rig);
}

/* A full backlog answers nothing: the deadline ends it. */
static void test_deadline(void **state)
{
    (void)state;
    char address[64];
    struct rig rig;
    int fd = listen_v4(address, sizeof address, "127.0.0.1");
    assert_int_equal(listen(fd, 0), 0);
    int filler = dial(address);
    rig_init(&rig, address);
    rig.deadline = kit_now() + 100 * KM_NS_PER_MS;
    rig_run(&rig);
    assert_int_equal(rig.status, KAMA_ERR_UNREACHABLE);
    assert_non_null(strstr(rig.sentence, "timed out"));
    assert_true(kit_now() >= rig.deadline);
    rig_fini(&rig);
    close(filler);
    close(fd);
}

/* Cancelled, in each phase that can be told apart from outside. */
static void test_cancel(void **state)
{
    (void)state;
    static const char *const hosts[] = {"127.0.0.1", "LocalHost"};
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        char address[64];
        struct rig rig;
        int fd = listen_v4(address, sizeof address, hosts[i]);
        rig_init(&rig, address);
        rig.cancel = true;
        rig_run(&rig);
        assert_int_equal(rig.status, KAMA_ERR_CANCELLED);
        rig_fini(&rig);
        close(fd);
    }
}

static void cancel_now(void *arg)
{
    struct rig *rig = arg;
    km_connect_cancel(rig->connect);
}

/* Cancelled while the handshake hangs. */
static void test_cancel_handshake(void **state)
{
    (void)state;
    char address[64];
    struct rig rig;
    int fd = listen_v4(address, sizeof address, "127.0.0.1");
    assert_int_equal(listen(fd, 0), 0);
    int filler = dial(address);
    rig_init(&rig, address);
    rig.loop = loop_begin(NULL);
    on_loop(rig.loop, start, &rig);
    on_loop(rig.loop, cancel_now, &rig);
    latch_wait(&rig.done, 1);
    assert_int_equal(rig.status, KAMA_ERR_CANCELLED);
    loop_end(rig.loop);
    rig_fini(&rig);
    close(filler);
    close(fd);
}

/* -- memory ---------------------------------------------------------------- */

static kama_status connect_once(const kama_allocator *mem, void *arg)
{
    struct rig rig;
    rig_init(&rig, arg);
    kama_status status = km_loop_new(mem, NULL, 0, &rig.loop);
    if (status == KAMA_OK) {
        assert_int_equal(km_loop_start(rig.loop), KAMA_OK);
        on_loop(rig.loop, start, &rig);
        status = rig.started;
        if (status == KAMA_OK) {
            latch_wait(&rig.done, 1);
            status = rig.status;
        }
        if (rig.echo.conn != NULL) {
            on_loop(rig.loop, close_now, &rig);
        }
        loop_end(rig.loop);
    }
    rig_fini(&rig);
    return status;
}

/* Each allocation fails: an error, and nothing is left. */
static void test_no_memory(void **state)
{
    (void)state;
    char address[64];
    int fd = listen_v4(address, sizeof address, "127.0.0.1");
    assert_int_equal(km_test_fail_each(connect_once, address), 4);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connects),
        cmocka_unit_test(test_unreachable),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_cancel_handshake),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
