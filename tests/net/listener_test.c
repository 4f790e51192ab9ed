/* SPDX-License-Identifier: MIT */
/* Listeners: addresses, ports in use, running out of descriptors. */
#include "net/listener.h"

#include "base/status.h"
#include "net/net_kit.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define CLIENTS 100

struct rig {
    struct km_loop *loop;
    struct km_listener *listener;
    struct latch accepted;
    int fds[CLIENTS];
    unsigned count;
};

static void on_accept(void *arg, int fd)
{
    struct rig *rig = arg;
    KM_ASSERT(km_loop_is_inside(rig->loop) && rig->count < CLIENTS);
    rig->fds[rig->count++] = fd;
    latch_hit(&rig->accepted);
}

static void close_listener(void *arg)
{
    km_listener_close(arg);
}

static void rig_begin(struct rig *rig)
{
    *rig = (struct rig){0};
    latch_init(&rig->accepted);
    assert_int_equal(km_loop_new(NULL, NULL, 0, &rig->loop), KAMA_OK);
    assert_int_equal(km_listener_open(rig->loop, "127.0.0.1:0", on_accept, rig,
                                      &rig->listener),
                     KAMA_OK);
    assert_int_equal(km_loop_start(rig->loop), KAMA_OK);
}

static void rig_end(struct rig *rig)
{
    on_loop(rig->loop, close_listener, rig->listener);
    loop_end(rig->loop);
    for (unsigned i = 0; i < rig->count; i++) {
        close(rig->fds[i]);
    }
    latch_fini(&rig->accepted);
}

/* More clients than one turn accepts are all accepted. */
static void test_many(void **state)
{
    (void)state;
    struct rig rig;
    int clients[CLIENTS];
    rig_begin(&rig);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = dial(km_listener_address(rig.listener));
    }
    latch_wait(&rig.accepted, CLIENTS);
    for (int i = 0; i < CLIENTS; i++) {
        close(clients[i]);
    }
    rig_end(&rig);
}

/* A second listener on the port is refused, with a sentence that names it. */
static void test_in_use(void **state)
{
    (void)state;
    struct rig rig;
    struct km_listener *second = NULL;
    rig_begin(&rig);
    const char *address = km_listener_address(rig.listener);
    km_last_error_clear();
    assert_int_equal(
        km_listener_open(rig.loop, address, on_accept, &rig, &second),
        KAMA_ERR_ADDR_IN_USE);
    assert_null(second);
    assert_non_null(strstr(km_last_error(), address));
    assert_int_equal(
        km_listener_open(rig.loop, "nonsense", on_accept, &rig, &second),
        KAMA_ERR_INVALID);
    assert_int_equal(
        km_listener_open(rig.loop, "192.0.2.1:1", on_accept, &rig, &second),
        KAMA_ERR_IO);
    rig_end(&rig);
}

/* A port is free again as soon as its listener was closed, though a
 * connection of it lives on. */
static void test_reopen(void **state)
{
    (void)state;
    struct rig rig;
    char address[64];
    rig_begin(&rig);
    (void)snprintf(address, sizeof address, "%s",
                   km_listener_address(rig.listener));
    int client = dial(address);
    latch_wait(&rig.accepted, 1);
    on_loop(rig.loop, close_listener, rig.listener);
    loop_end(rig.loop);

    assert_int_equal(km_loop_new(NULL, NULL, 0, &rig.loop), KAMA_OK);
    assert_int_equal(
        km_listener_open(rig.loop, address, on_accept, &rig, &rig.listener),
        KAMA_OK);
    assert_int_equal(km_loop_start(rig.loop), KAMA_OK);
    close(client);
    rig_end(&rig);
}

/* -- descriptors run out -------------------------------------------------- */

static int wait_for_end(int fd)
{
    char c;
    await(fd, POLLIN);
    return (int)recv(fd, &c, 1, 0);
}

/* The listener may still be busy refusing those before. */
static void dial_until_accepted(struct rig *rig, const char *address)
{
    bool refused = true;
    while (refused) {
        int fd = dial(address);
        struct pollfd p = {.fd = fd, .events = POLLIN};
        refused = poll(&p, 1, 500) == 1;
        close(fd);
    }
    latch_wait(&rig->accepted, 2);
}

/* No descriptor is left: a client that connects is refused and does not hang;
 * when there are some again, clients are accepted. */
static void test_no_descriptors(void **state)
{
    (void)state;
    struct rig rig;
    struct rlimit before;
    rig_begin(&rig);
    const char *address = km_listener_address(rig.listener);
    int first = dial(address);
    latch_wait(&rig.accepted, 1);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int highest = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(client >= 0 && highest >= 0);
    close(highest);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit tight = {.rlim_cur = (rlim_t)highest,
                           .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);

    struct sockaddr_in addr = {.sin_family = AF_INET};
    addr.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(client, (struct sockaddr *)&addr, sizeof addr), 0);
    int end = wait_for_end(client);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_true(end <= 0);
    assert_int_equal(latch_count(&rig.accepted), 1);

    dial_until_accepted(&rig, address);
    close(client);
    close(first);
    rig_end(&rig);
}

/* A user who may not have the port: the sentence names the right. In a process
 * of its own, because it gives up the rights of root. */
static int listen_without_rights(void)
{
    struct km_loop *loop = NULL;
    struct km_listener *listener = NULL;
    if (setuid(65534) != 0 || km_loop_new(NULL, NULL, 0, &loop) != KAMA_OK) {
        return 1;
    }
    kama_status status =
        km_listener_open(loop, "127.0.0.1:1", on_accept, NULL, &listener);
    if (status == KAMA_OK) {
        return 77; /* the kernel gives these ports to everyone here */
    }
    return status == KAMA_ERR_IO &&
                   strcmp(km_last_error(),
                          "cannot listen on 127.0.0.1:1: permission denied; "
                          "ports below 1024 need CAP_NET_BIND_SERVICE") == 0
               ? 0
               : 2;
}

static void test_privileged_port(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        skip();
    }
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        _exit(listen_without_rights());
    }
    int outcome = 0;
    assert_int_equal(waitpid(pid, &outcome, 0), pid);
    assert_true(WIFEXITED(outcome));
    if (WEXITSTATUS(outcome) == 77) {
        skip();
    }
    assert_int_equal(WEXITSTATUS(outcome), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_in_use),
        cmocka_unit_test(test_privileged_port),
        cmocka_unit_test(test_reopen),
        cmocka_unit_test(test_no_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
