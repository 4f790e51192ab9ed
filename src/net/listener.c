/* SPDX-License-Identifier: MIT */
/*
 * A listening socket. It keeps one descriptor in reserve: when there is no
 * other left, the reserve is closed, a waiting connection is accepted in its
 * place and closed at once, and the reserve is opened again.
 */
#include "net/listener.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/limits.h"
#include "base/status.h"
#include "base/text.h"
#include "net/address.h"
#include "net/error.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <unistd.h>
#include <uv.h>

#define LISTENER_MAGIC 0x6c69734eu
#define BACKLOG 4096 /* the kernel cuts it to net.core.somaxconn */
#define PAUSE_MS 100

struct km_listener {
    uint32_t magic;
    int fd;
    int reserve_fd; /* -1: it could not be opened again yet */
    bool closed;
    struct km_loop *loop;
    km_accept_fn on_accept;
    void *arg;
    struct km_timer pause;
    uv_poll_t poll;
    char address[KM_ADDRESS_TEXT_BYTES];
};

/* -- accepting ----------------------------------------------------------- */

static void take_reserve(struct km_listener *listener)
{
    if (listener->reserve_fd < 0) {
        listener->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
}

/* Accepts one connection and closes it, with the descriptor in reserve. Returns
 * false if not even that was possible. */
static bool refuse_one(struct km_listener *listener)
{
    if (listener->reserve_fd < 0) {
        return false;
    }
    close(listener->reserve_fd);
    listener->reserve_fd = -1;
    int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
        close(fd);
    }
    take_reserve(listener);
    return fd >= 0;
}

/* Refuses the connections that wait now, and looks again after a while. */
static void pause_accepting(struct km_listener *listener)
{
    for (int i = 0; i < KM_NET_ACCEPTS_PER_TURN && refuse_one(listener); i++) {
    }
    (void)uv_poll_stop(&listener->poll);
    km_loop_timer_arm(listener->loop, &listener->pause,
                      km_ns_after_ms(km_loop_now(listener->loop), PAUSE_MS));
}

/* Returns false if no more can be accepted now. An error of the connection
 * that was to be accepted does not concern the next one. */
static bool accept_one(struct km_listener *listener)
{
    int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
        listener->on_accept(listener->arg, fd);
        return true;
    }
    switch (errno) {
    case EAGAIN:
        return false;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        pause_accepting(listener);
        return false;
    default:
        return true;
    }
}

static void on_poll(uv_poll_t *poll, int error, int events)
{
    struct km_listener *listener = poll->data;
    (void)error;
    (void)events;
    KM_ASSERT(listener->magic == LISTENER_MAGIC);
    for (int i = 0; i < KM_NET_ACCEPTS_PER_TURN; i++) {
        if (listener->closed || !accept_one(listener)) {
            return;
        }
    }
}

static void on_pause_end(struct km_timer *timer)
{
    struct km_listener *listener =
        KM_CONTAINER_OF(timer, struct km_listener, pause);
    take_reserve(listener);
    (void)uv_poll_start(&listener->poll, UV_READABLE, on_poll);
}

/* -- opening ------------------------------------------------------------- */

/* Returns -1 with errno if the address cannot be listened on. An address that
 * was used a moment ago can be (SO_REUSEADDR), one that is in use cannot. */
static int open_socket(const struct sockaddr_storage *addr)
{
    int fd =
        socket(addr->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -1;
    }
    int on = 1;
    int off = 0;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (addr->ss_family == AF_INET6) {
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    }
    km_address_tune(fd);
    if (bind(fd, (const struct sockaddr *)addr, km_address_len(addr)) == 0 &&
        listen(fd, BACKLOG) == 0) {
        return fd;
    }
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* "All addresses" is an IPv6 address that takes IPv4 too. On a machine without
 * IPv6 it becomes the one of IPv4. Returns whether it did. */
static bool fall_back_to_v4(struct sockaddr_storage *addr)
{
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)addr;
    if ((errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL) ||
        addr->ss_family != AF_INET6 ||
        !IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr)) {
        return false;
    }
    in_port_t port = in6->sin6_port;
    struct sockaddr_in *in = (struct sockaddr_in *)addr;
    *addr = (struct sockaddr_storage){.ss_family = AF_INET};
    in->sin_port = port;
    return true;
}

/* The operator reads this, and most often the port is taken or privileged. */
static kama_status fail_to_listen(const char *address, int error)
{
    char reason[KM_NET_REASON_BYTES];
    return km_fail(
        error == EADDRINUSE ? KAMA_ERR_ADDR_IN_USE : KAMA_ERR_IO,
        "cannot listen on %.*s: %s%s", KM_TEXT_UP_TO(100, address),
        km_net_reason(error, reason),
        error == EACCES ? "; ports below 1024 need CAP_NET_BIND_SERVICE" : "");
}

static kama_status open_fd(const char *address, int *ret_fd)
{
    struct sockaddr_storage addr;
    kama_status status = km_address_parse(address, &addr);
    if (status != KAMA_OK) {
        return status;
    }
    int fd = open_socket(&addr);
    if (fd < 0 && fall_back_to_v4(&addr)) {
        fd = open_socket(&addr);
    }
    if (fd < 0) {
        return fail_to_listen(address, errno);
    }
    *ret_fd = fd;
    return KAMA_OK;
}

/* Asks the kernel for the port, which it chose if the text said 0. */
static void name_address(struct km_listener *listener)
{
    struct sockaddr_storage addr = {0};
    socklen_t len = sizeof addr;
    (void)getsockname(listener->fd, (struct sockaddr *)&addr, &len);
    (void)km_address_format(&addr, listener->address);
}

/* -- life ---------------------------------------------------------------- */

static kama_status start(struct km_listener *listener)
{
    int error =
        uv_poll_init(km_loop_uv(listener->loop), &listener->poll, listener->fd);
    if (error != 0) {
        return km_net_fail(KAMA_ERR_IO, "cannot watch the socket", -error);
    }
    listener->magic = LISTENER_MAGIC;
    listener->poll.data = listener;
    listener->pause.fire = on_pause_end;
    listener->reserve_fd = -1;
    take_reserve(listener);
    name_address(listener);
    (void)uv_poll_start(&listener->poll, UV_READABLE, on_poll);
    km_loop_hold(listener->loop);
    return KAMA_OK;
}

kama_status km_listener_open(struct km_loop *loop, const char *address,
                             km_accept_fn on_accept, void *arg,
                             struct km_listener **ret_listener)
{
    const kama_allocator *mem = km_loop_mem(loop);
    struct km_listener *listener = km_mem_zalloc(mem, 1, sizeof *listener);
    if (listener == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    listener->loop = loop;
    listener->on_accept = on_accept;
    listener->arg = arg;
    kama_status status = open_fd(address, &listener->fd);
    if (status != KAMA_OK) {
        goto fail_fd;
    }
    status = start(listener);
    if (status != KAMA_OK) {
        goto fail_start;
    }
    *ret_listener = listener;
    return KAMA_OK;

fail_start:
    close(listener->fd);
fail_fd:
    km_mem_free(mem, listener);
    return status;
}

const char *km_listener_address(const struct km_listener *listener)
{
    return listener->address;
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct km_listener *listener = handle->data;
    struct km_loop *loop = listener->loop;
    listener->magic = 0;
    km_mem_free(km_loop_mem(loop), listener);
    km_loop_release(loop);
}

void km_listener_close(struct km_listener *listener)
{
    if (listener == NULL) {
        return;
    }
    KM_ASSERT(listener->magic == LISTENER_MAGIC && !listener->closed);
    listener->closed = true;
    km_loop_timer_disarm(listener->loop, &listener->pause);
    uv_close((uv_handle_t *)&listener->poll, on_poll_closed);
    close(listener->fd);
    if (listener->reserve_fd >= 0) {
        close(listener->reserve_fd);
    }
}
