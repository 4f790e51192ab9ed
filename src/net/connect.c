/* SPDX-License-Identifier: MIT */
/*
 * Connecting: resolve, then try the addresses one after the other.
 *
 *     TRYING ----> CONNECTED ----> TOLD ----> freed
 *        |                          ^
 *        +--------- failed ---------+
 *
 *     TRYING     the name is being resolved, or an address is being tried
 *     CONNECTED  the descriptor is connected, and the connection is opened next
 *     TOLD       cb has run
 *
 * Each step is taken at the end of a turn (on_step), so that nothing calls
 * back from inside. cb is told of a failure or a cancellation soon, but the
 * object itself stays until libuv has let go of its two parts, the request to
 * the resolver and the handle that watches the descriptor.
 */
#include "net/connect.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/status.h"
#include "base/text.h"
#include "net/address.h"
#include "net/error.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <unistd.h>
#include <uv.h>

#define CONNECT_MAGIC 0x636e6374u
#define ADDRESSES_MAX 8
#define LONE_TRY_MS 10000 /* of one address among several, without deadline */

enum connect_state { TRYING, CONNECTED, TOLD };

struct km_connect {
    uint32_t magic;
    enum connect_state state;
    int fd;             /* -1: none */
    bool resolving;     /* libuv has the resolver */
    bool polling;       /* libuv has poll, which is open or closing */
    kama_status status; /* of the last failure, with its sentence */
    struct km_loop *loop;
    struct km_connect_options options; /* the address is in `address` */
    struct km_mail step;
    struct km_timer timer;
    uv_poll_t poll;
    uv_getaddrinfo_t resolver;
    unsigned tried; /* of addrs */
    unsigned count; /* of addrs; 0: not resolved yet */
    struct sockaddr_storage addrs[ADDRESSES_MAX];
    struct km_address address;
    char sentence[256];
};

static void go_on(struct km_connect *connect)
{
    km_loop_at_end_of_turn(connect->loop, &connect->step);
}

/* -- the end ------------------------------------------------------------- */

static void free_when_alone(struct km_connect *connect)
{
    struct km_loop *loop = connect->loop;
    if (connect->state != TOLD || connect->resolving || connect->polling) {
        return;
    }
    if (connect->step.next != NULL) {
        return; /* on_step comes here again */
    }
    connect->magic = 0;
    km_mem_free(km_loop_mem(loop), connect);
    km_loop_release(loop);
}

static void tell(struct km_connect *connect, struct km_conn *conn)
{
    KM_ASSERT(connect->state != TOLD);
    connect->state = TOLD;
    km_loop_timer_disarm(connect->loop, &connect->timer);
    if (conn == NULL) {
        struct km_session *session = connect->options.session;
        session->ops->close(session);
    }
    connect->options.cb(connect->options.arg, connect->status, conn,
                        connect->sentence);
}

static void fail(struct km_connect *connect, kama_status status,
                 const char *reason)
{
    const char *host = connect->address.host;
    bool is_v6 = strchr(host, ':') != NULL;
    connect->status = status;
    (void)km_text_printf(connect->sentence, sizeof connect->sentence,
                         "cannot connect to %s%.*s%s:%s: %s", is_v6 ? "[" : "",
                         KM_TEXT_UP_TO(128, host), is_v6 ? "]" : "",
                         connect->address.port, reason);
}

static void fail_errno(struct km_connect *connect, int error)
{
    char reason[KM_NET_REASON_BYTES];
    fail(connect, KAMA_ERR_UNREACHABLE, km_net_reason(error, reason));
}

static void open_conn(struct km_connect *connect)
{
    struct km_conn *conn = NULL;
    int fd = connect->fd;
    connect->fd = -1;
    connect->status = km_conn_open(connect->loop, fd, connect->options.session,
                                   connect->options.owner, &conn);
    if (connect->status != KAMA_OK) {
        fail(connect, connect->status, kama_strerror(connect->status));
    } else {
        connect->sentence[0] = '\0';
    }
    tell(connect, conn);
}

static void drop_fd(struct km_connect *connect)
{
    if (connect->fd >= 0) {
        close(connect->fd);
        connect->fd = -1;
    }
}

/* -- one address --------------------------------------------------------- */

static void on_poll_closed(uv_handle_t *handle)
{
    struct km_connect *connect = handle->data;
    connect->polling = false;
    go_on(connect);
}

/* The next step is taken when libuv has let go of the descriptor. */
static void stop_polling(struct km_connect *connect)
{
    if (connect->polling && !uv_is_closing((uv_handle_t *)&connect->poll)) {
        uv_close((uv_handle_t *)&connect->poll, on_poll_closed);
    }
}

/* A port of the range for clients may be given to the very socket that
 * connects to it: it then talks to itself. */
static bool is_self_connected(int fd)
{
    struct sockaddr_storage here = {0};
    struct sockaddr_storage there = {0};
    socklen_t here_len = sizeof here;
    socklen_t there_len = sizeof there;
    return getsockname(fd, (struct sockaddr *)&here, &here_len) == 0 &&
           getpeername(fd, (struct sockaddr *)&there, &there_len) == 0 &&
           here_len == there_len && memcmp(&here, &there, here_len) == 0;
}

static int socket_error(int fd)
{
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) {
        return errno;
    }
    return error == 0 && is_self_connected(fd) ? ECONNREFUSED : error;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct km_connect *connect = poll->data;
    (void)status;
    (void)events;
    KM_ASSERT(connect->magic == CONNECT_MAGIC);
    int error = socket_error(connect->fd);
    stop_polling(connect);
    if (error == 0) {
        connect->state = CONNECTED;
    } else {
        fail_errno(connect, error);
        drop_fd(connect);
    }
}

/* Returns 0 or an errno. */
static int begin_handshake(int fd, const struct sockaddr_storage *addr)
{
    const struct sockaddr *name = (const struct sockaddr *)addr;
    km_address_tune(fd);
    if (connect(fd, name, km_address_len(addr)) == 0 || errno == EINPROGRESS) {
        return 0;
    }
    return errno;
}

/* Returns 0 or an errno. */
static int begin_connect(struct km_connect *connect,
                         const struct sockaddr_storage *addr)
{
    connect->fd =
        socket(addr->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (connect->fd < 0) {
        return errno;
    }
    int error = begin_handshake(connect->fd, addr);
    if (error != 0) {
        return error;
    }
    error =
        uv_poll_init(km_loop_uv(connect->loop), &connect->poll, connect->fd);
    if (error != 0) {
        return -error;
    }
    connect->poll.data = connect;
    connect->polling = true;
    return -uv_poll_start(&connect->poll, UV_WRITABLE, on_poll);
}

/* Returns the time at which the next address is tried, so that one that
 * swallows packets does not use up the time of the others. */
static km_ns try_until(const struct km_connect *connect)
{
    km_ns now = km_loop_now(connect->loop);
    unsigned left = connect->count - connect->tried + 1;
    if (connect->options.deadline == KM_NS_NEVER) {
        return left > 1 ? km_ns_after_ms(now, LONE_TRY_MS) : KM_NS_NEVER;
    }
    return connect->options.deadline > now
               ? now + (connect->options.deadline - now) / left
               : now;
}

static void try_next(struct km_connect *connect)
{
    const struct sockaddr_storage *addr = &connect->addrs[connect->tried++];
    km_ns until = try_until(connect);
    int error = begin_connect(connect, addr);
    if (error != 0) {
        fail_errno(connect, error);
        stop_polling(connect);
        drop_fd(connect);
        go_on(connect);
        return;
    }
    if (until == KM_NS_NEVER) {
        km_loop_timer_disarm(connect->loop, &connect->timer);
    } else {
        km_loop_timer_arm(connect->loop, &connect->timer, until);
    }
}

/* -- resolving ----------------------------------------------------------- */

static void keep_addresses(struct km_connect *connect,
                           const struct addrinfo *list)
{
    for (const struct addrinfo *i = list;
         i != NULL && connect->count < ADDRESSES_MAX; i = i->ai_next) {
        if (i->ai_family == AF_INET || i->ai_family == AF_INET6) {
            memcpy(&connect->addrs[connect->count++], i->ai_addr,
                   i->ai_addrlen);
        }
    }
}

static void on_resolved(uv_getaddrinfo_t *request, int status,
                        struct addrinfo *list)
{
    struct km_connect *connect = request->data;
    connect->resolving = false;
    if (status == 0) {
        keep_addresses(connect, list);
        uv_freeaddrinfo(list);
    }
    if (status == 0 && connect->count == 0) {
        status = UV_EAI_NODATA;
    }
    if (status != 0 && connect->status == KAMA_OK) {
        char reason[100];
        uv_strerror_r(status, reason, sizeof reason);
        fail(connect, KAMA_ERR_UNREACHABLE, reason);
    }
    go_on(connect);
}

static void resolve(struct km_connect *connect)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV};
    int error = uv_getaddrinfo(km_loop_uv(connect->loop), &connect->resolver,
                               on_resolved, connect->address.host,
                               connect->address.port, &hints);
    if (error != 0) {
        fail_errno(connect, -error);
        go_on(connect);
        return;
    }
    connect->resolving = true;
    if (connect->options.deadline != KM_NS_NEVER) {
        km_loop_timer_arm(connect->loop, &connect->timer,
                          connect->options.deadline);
    }
}

/* -- steps --------------------------------------------------------------- */

static void on_step(struct km_mail *mail)
{
    struct km_connect *connect = KM_CONTAINER_OF(mail, struct km_connect, step);
    KM_ASSERT(connect->magic == CONNECT_MAGIC);
    if (connect->state == TOLD || connect->polling) {
        /* While polling: on_poll_closed asks for another step. */
    } else if (connect->status == KAMA_ERR_CANCELLED) {
        drop_fd(connect);
        tell(connect, NULL);
    } else if (connect->state == CONNECTED) {
        open_conn(connect);
    } else if (connect->tried < connect->count) {
        try_next(connect);
    } else if (connect->status != KAMA_OK) {
        tell(connect, NULL);
    } else if (!connect->resolving) {
        resolve(connect);
    }
    free_when_alone(connect);
}

static void on_timer(struct km_timer *timer)
{
    struct km_connect *connect =
        KM_CONTAINER_OF(timer, struct km_connect, timer);
    if (connect->state == CONNECTED) {
        return;
    }
    fail(connect, KAMA_ERR_UNREACHABLE, "timed out");
    stop_polling(connect);
    drop_fd(connect);
    if (connect->resolving) {
        (void)uv_cancel((uv_req_t *)&connect->resolver);
        go_on(connect);
    }
}

kama_status km_connect_start(struct km_loop *loop,
                             const struct km_connect_options *options,
                             struct km_connect **ret_connect)
{
    struct km_address split;
    kama_status status = km_address_split(options->address, &split);
    if (status != KAMA_OK) {
        return status;
    }
    struct km_connect *connect =
        km_mem_zalloc(km_loop_mem(loop), 1, sizeof *connect);
    if (connect == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    connect->magic = CONNECT_MAGIC;
    connect->fd = -1;
    connect->loop = loop;
    connect->options = *options;
    connect->address = split;
    if (split.host[0] == '\0') {
        (void)strcpy(connect->address.host, "localhost");
    }
    connect->count = (unsigned)km_address_numeric(
        &connect->address, connect->addrs, ADDRESSES_MAX);
    connect->step.run = on_step;
    connect->timer.fire = on_timer;
    connect->resolver.data = connect;
    km_loop_hold(loop);
    go_on(connect);
    *ret_connect = connect;
    return KAMA_OK;
}

void km_connect_cancel(struct km_connect *connect)
{
    KM_ASSERT(connect->magic == CONNECT_MAGIC && connect->state != TOLD);
    fail(connect, KAMA_ERR_CANCELLED, "cancelled");
    km_loop_timer_disarm(connect->loop, &connect->timer);
    stop_polling(connect);
    if (connect->resolving) {
        (void)uv_cancel((uv_req_t *)&connect->resolver);
    }
    go_on(connect);
}
