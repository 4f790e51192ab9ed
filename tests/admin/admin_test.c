/* SPDX-License-Identifier: MIT */
/* The port itself: it opens, answers over a socket, and closes whatever its clients
 * do at that moment. */
#include "admin/admin.h"

#include "admin/admin_kit.h"
#include "base/limits.h"
#include "helpers/failmalloc.h"
#include "net/address.h"

#include <sys/socket.h>
#include <unistd.h>

static kama_status open_at(struct kit *kit, const kama_allocator *mem,
                           const char *address, struct km_admin **ret_admin)
{
    const struct km_admin_options options = {
        .mem = mem, .address = address, .source = kit->source};
    return km_admin_open(&options, ret_admin);
}

static int connect_to(const struct km_admin *admin)
{
    struct sockaddr_storage addr;
    assert_int_equal(km_address_parse(km_admin_listens_at(admin), &addr),
                     KAMA_OK);
    int fd = socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(
        connect(fd, (const struct sockaddr *)&addr, km_address_len(&addr)), 0);
    return fd;
}

static void send_text(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* Reads to the end of the connection. */
static const char *read_all(int fd)
{
    static char text[4096];
    size_t len = 0;
    ssize_t n;
    while ((n = read(fd, text + len, sizeof text - 1 - len)) > 0) {
        len += (size_t)n;
    }
    text[len] = '\0';
    return text;
}

static void test_an_answer(void **state)
{
    struct kit kit;
    struct km_admin *admin;
    (void)state;
    kit_begin(&kit);
    assert_int_equal(open_at(&kit, NULL, "127.0.0.1:0", &admin), KAMA_OK);
    int fd = connect_to(admin);
    send_text(fd, "GET /readyz HTTP/1.0\r\n\r\n");
    const char *text = read_all(fd);
    assert_non_null(strstr(text, "HTTP/1.1 200 OK\r\n"));
    assert_non_null(strstr(text, "\r\n\r\nready\n"));
    close(fd);
    km_admin_close(admin);
    kit_end(&kit);
}

/* The header Host is judged before the path. */
static void test_a_host(void **state)
{
    struct kit kit;
    struct km_admin *admin;
    (void)state;
    kit_begin(&kit);
    assert_int_equal(open_at(&kit, NULL, "127.0.0.1:0", &admin), KAMA_OK);
    int fd = connect_to(admin);
    send_text(fd, "GET /x HTTP/1.1\r\nHost: evil.example\r\n"
                  "Connection: close\r\n\r\n");
    assert_non_null(strstr(read_all(fd), "HTTP/1.1 403 Forbidden\r\n"));
    close(fd);
    km_admin_close(admin);
    kit_end(&kit);
}

/* Idle clients, half a request, and an answer that was not read. */
static void test_closing(void **state)
{
    static const char *const said[] = {
        "", "GET /hea", "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"};
    struct kit kit;
    struct km_admin *admin;
    int fds[3];
    (void)state;
    kit_begin(&kit);
    assert_int_equal(open_at(&kit, NULL, "127.0.0.1:0", &admin), KAMA_OK);
    for (size_t i = 0; i < 3; i++) {
        fds[i] = connect_to(admin);
        send_text(fds[i], said[i]);
    }
    km_admin_close(admin);
    km_admin_close(NULL);
    for (size_t i = 0; i < 3; i++) {
        (void)read_all(fds[i]);
        close(fds[i]);
    }
    kit_end(&kit);
}

static void test_a_taken_address(void **state)
{
    struct kit kit;
    struct km_admin *admin;
    struct km_admin *second = NULL;
    (void)state;
    kit_begin(&kit);
    assert_int_equal(open_at(&kit, NULL, "127.0.0.1:0", &admin), KAMA_OK);
    const char *address = km_admin_listens_at(admin);
    assert_int_equal(open_at(&kit, NULL, address, &second),
                     KAMA_ERR_ADDR_IN_USE);
    assert_non_null(strstr(km_last_error(), address));
    assert_null(second);
    km_admin_close(admin);
    kit_end(&kit);
}

static void test_a_bad_name(void **state)
{
    static const char *const hosts[] = {"good.example", "bad name"};
    struct kit kit;
    struct km_admin *admin;
    (void)state;
    kit_begin(&kit);
    const struct km_admin_options options = {.address = "127.0.0.1:0",
                                             .hosts = hosts,
                                             .host_count = 2,
                                             .source = kit.source};
    assert_int_equal(km_admin_open(&options, &admin), KAMA_ERR_INVALID);
    assert_non_null(strstr(km_last_error(), "bad name"));
    kit_end(&kit);
}

static kama_status open_and_close(const kama_allocator *mem, void *arg)
{
    struct km_admin *admin;
    kama_status status = open_at(arg, mem, "127.0.0.1:0", &admin);
    if (status == KAMA_OK) {
        km_admin_close(admin);
    }
    return status;
}

static void test_no_memory(void **state)
{
    struct kit kit;
    (void)state;
    kit_begin(&kit);
    assert_true(km_test_fail_each(open_and_close, &kit) >= 3);
    kit_end(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_answer),
        cmocka_unit_test(test_a_host),
        cmocka_unit_test(test_closing),
        cmocka_unit_test(test_a_taken_address),
        cmocka_unit_test(test_a_bad_name),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
