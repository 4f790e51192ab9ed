/* SPDX-License-Identifier: MIT */
/*
 * One connection: a descriptor, a session, and the bytes between them.
 *
 *     OPEN ----> FLUSHING ----> LINGERING ----> CLOSED ------> freed
 *       |            |                            ^  |            ^
 *       +------------+--------- broken -----------+  +--> FREEING +
 *
 *     OPEN       bytes that arrive are fed to the session at once; at the end
 *                of the turn the session is asked for output, until it has none
 *                or the socket is full
 *     FLUSHING   the connection ends: the output that the session still has is
 *                written, and input is read and dropped
 *     LINGERING  our half is shut, and the session is gone. A descriptor that
 *                is closed with unread bytes would make the kernel send a
 *                reset, which overtakes the last bytes written (a GOAWAY, an
 *                answer); so the rest of the input is read and dropped, for a
 *                while. It ends early when the other side has confirmed all
 *                bytes and then sent nothing: a client that is idle may not
 *                close its half for minutes
 *     CLOSED     the descriptor is closed, and libuv is about to say so
 *     FREEING    libuv has said so while on_turn was queued, which frees it
 *
 * A connection that breaks goes from any state to CLOSED.
 *
 * Sessions call km_conn_wake and km_conn_close from inside their own
 * functions. So the state advances only at the three places where libuv or the
 * loop call in: on_poll, on_timer and on_turn.
 */
#include "net/conn.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/limits.h"
#include "net/address.h"
#include "net/error.h"

#include <errno.h>
#include <unistd.h>
#include <uv.h>

#define CONN_MAGIC 0x636f6e6eu
#define FLUSH_MS 1000
#define LINGER_MS 1000
#define LINGER_QUIET_MS 200 /* after which nothing more is expected */
#define LINGER_BYTES_MAX (64u << 10)
#define WRITE_BYTES_PER_TURN (256u << 10)
#define LAST_READS_MAX 64 /* after a reset, of the read buffer's size */

enum conn_state { OPEN, FLUSHING, LINGERING, CLOSED, FREEING };

/* How much can still be written. */
enum conn_output {
    WRITABLE,
    SILENT, /* only the bytes taken before: the session's take has failed */
    BROKEN  /* nothing: the other side is gone */
};

struct km_conn {
    uint32_t magic;
    int fd;
    enum conn_state state;
    kama_status why;
    enum conn_output output;
    bool eof;   /* the other side has shut its half */
    int events; /* that poll watches */
    uint32_t lingered_bytes;
    struct km_loop *loop;
    struct km_session *session; /* NULL from lingering on */
    struct km_conn_owner *owner;
    kama_bytes unsent; /* the session's, of its last take */
    km_ns progress_at; /* of the write of unsent; lingering: of the input */
    km_ns give_up_at;  /* flushing, lingering */
    struct km_mail turn;
    struct km_timer timer;
    uv_poll_t poll;
    char peer[KM_ADDRESS_TEXT_BYTES];  /* "": not asked for yet */
    char local[KM_ADDRESS_TEXT_BYTES]; /* likewise */
};

_Static_assert(sizeof(struct km_conn) <= 512, "an idle connection is small");

static km_ns now_of(const struct km_conn *conn)
{
    return km_loop_now(conn->loop);
}

/* -- the end ------------------------------------------------------------- */

static void free_conn(struct km_conn *conn)
{
    struct km_loop *loop = conn->loop;
    conn->magic = 0;
    km_mem_free(km_loop_mem(loop), conn);
    km_loop_release(loop);
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct km_conn *conn = handle->data;
    conn->owner->on_closed(conn->owner, conn, conn->why);
    if (conn->turn.next != NULL) {
        conn->state = FREEING;
    } else {
        free_conn(conn);
    }
}

static void close_session(struct km_conn *conn)
{
    struct km_session *session = conn->session;
    conn->session = NULL;
    conn->unsent = kama_bytes_make(NULL, 0);
    if (session != NULL) {
        session->ops->close(session);
    }
}

static void finish(struct km_conn *conn)
{
    KM_ASSERT(conn->state < CLOSED);
    conn->state = CLOSED;
    km_loop_timer_disarm(conn->loop, &conn->timer);
    uv_close((uv_handle_t *)&conn->poll, on_poll_closed);
    close(conn->fd);
    close_session(conn);
}

/* Begins the end, or brings it nearer: only output counts from now on. */
static void begin_flush(struct km_conn *conn, kama_status why, int64_t grace_ms)
{
    km_ns give_up_at = km_ns_after_ms(now_of(conn), grace_ms);
    if (conn->state == OPEN) {
        conn->state = FLUSHING;
        conn->why = why;
        conn->give_up_at = give_up_at;
    } else if (give_up_at < conn->give_up_at) {
        conn->give_up_at = give_up_at;
    }
}

static void begin_linger(struct km_conn *conn)
{
    km_ns now = now_of(conn);
    if (conn->eof || conn->output == BROKEN || now >= conn->give_up_at ||
        shutdown(conn->fd, SHUT_WR) != 0) {
        finish(conn);
        return;
    }
    conn->state = LINGERING;
    conn->give_up_at = km_ns_after_ms(now, LINGER_MS);
    conn->progress_at = now;
    close_session(conn);
}

static km_ns quiet_at(const struct km_conn *conn)
{
    return km_ns_after_ms(conn->progress_at, LINGER_QUIET_MS);
}

/* Closes at once, because nothing that is written would arrive. */
static void break_off(struct km_conn *conn, kama_status why)
{
    if (conn->state == OPEN) {
        conn->why = why;
    }
    conn->output = BROKEN;
    finish(conn);
}

/* -- writing ------------------------------------------------------------- */

static bool take_output(struct km_conn *conn)
{
    if (conn->output == SILENT) {
        return false;
    }
    kama_bytes bytes = {NULL, 0};
    kama_status status = conn->session->ops->take(conn->session, &bytes);
    if (status != KAMA_OK) {
        if (conn->output == WRITABLE) {
            conn->output = SILENT;
        }
        begin_flush(conn, status, FLUSH_MS);
    }
    conn->unsent = bytes;
    conn->progress_at = now_of(conn);
    return bytes.len > 0;
}

/* Returns false if the socket takes no more, for now or for ever (BROKEN). */
static bool send_some(struct km_conn *conn, size_t *budget)
{
    ssize_t n =
        send(conn->fd, conn->unsent.data, conn->unsent.len, MSG_NOSIGNAL);
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            conn->output = BROKEN;
        }
        return false;
    }
    bool whole = (size_t)n == conn->unsent.len;
    conn->unsent = kama_bytes_make((const char *)conn->unsent.data + n,
                                   conn->unsent.len - (size_t)n);
    conn->progress_at = now_of(conn);
    *budget -= (size_t)n < *budget ? (size_t)n : *budget;
    return whole;
}

/* Writes until the session has no more, the socket is full, or this connection
 * has had its share of the turn. In the last case some bytes stay unsent, and
 * the socket is writable at once in the next turn. */
static void write_out(struct km_conn *conn)
{
    size_t budget = WRITE_BYTES_PER_TURN;
    for (;;) {
        if (conn->unsent.len == 0 && !take_output(conn)) {
            return;
        }
        if (budget == 0 || !send_some(conn, &budget)) {
            return;
        }
    }
}

/* -- reading ------------------------------------------------------------- */

static void drop_input(struct km_conn *conn, size_t n)
{
    if (conn->state == LINGERING) {
        conn->lingered_bytes += (uint32_t)n;
        conn->progress_at = now_of(conn);
    }
}

static void feed(struct km_conn *conn, const uint8_t *data, size_t n)
{
    struct km_session *session = conn->session;
    if (conn->state != OPEN) {
        drop_input(conn, n);
        return;
    }
    kama_status status = session->ops->feed(session, data, n, now_of(conn));
    if (status != KAMA_OK) {
        begin_flush(conn, status, FLUSH_MS);
    }
}

static void note_eof(struct km_conn *conn)
{
    conn->eof = true;
    if (conn->state == OPEN) {
        conn->session->ops->eof(conn->session);
    }
}

/* Returns false if nothing is left to read. */
static bool read_some(struct km_conn *conn)
{
    uint8_t *buf = km_loop_read_buffer(conn->loop);
    ssize_t n = recv(conn->fd, buf, KM_NET_READ_BYTES_PER_TURN, 0);
    if (n > 0) {
        feed(conn, buf, (size_t)n);
        return true;
    }
    if (n == 0) {
        note_eof(conn);
    } else if (errno != EAGAIN && errno != EINTR) {
        note_eof(conn);
        conn->output = BROKEN;
    }
    return false;
}

/* The other side has reset the connection, and libuv has stopped to watch it.
 * The bytes before the reset can still be read. */
static void read_last(struct km_conn *conn)
{
    conn->events = 0;
    for (int i = 0; i < LAST_READS_MAX && read_some(conn); i++) {
    }
    conn->output = BROKEN;
}

static bool wants_input(const struct km_conn *conn)
{
    if (conn->eof || conn->state != OPEN) {
        return !conn->eof;
    }
    const struct km_session_ops *ops = conn->session->ops;
    return ops->wants_read == NULL || ops->wants_read(conn->session);
}

/* -- waiting ------------------------------------------------------------ */

static void on_poll(uv_poll_t *poll, int error, int events);

/* Tells libuv which events to wait for, if they are not the same as before:
 * telling it costs a system call. */
static void watch(struct km_conn *conn)
{
    int events = wants_input(conn) ? UV_READABLE : 0;
    if (conn->unsent.len > 0) {
        events |= UV_WRITABLE;
    }
    if (events == conn->events) {
        return;
    }
    conn->events = events;
    int failed = events == 0 ? uv_poll_stop(&conn->poll)
                             : uv_poll_start(&conn->poll, events, on_poll);
    KM_ASSERT(!failed);
}

static km_ns stall_at(const struct km_conn *conn)
{
    return conn->unsent.len == 0
               ? KM_NS_NEVER
               : km_ns_after_ms(conn->progress_at, KM_NET_WRITE_STALL_MS);
}

static void set_timer(struct km_conn *conn)
{
    km_ns at = conn->give_up_at;
    if (conn->state == OPEN) {
        km_ns session_at = conn->session->ops->deadline(conn->session);
        at = stall_at(conn);
        at = session_at < at ? session_at : at;
    } else if (conn->state == LINGERING && quiet_at(conn) < at) {
        at = quiet_at(conn);
    }
    if (at == KM_NS_NEVER) {
        km_loop_timer_disarm(conn->loop, &conn->timer);
    } else {
        km_loop_timer_arm(conn->loop, &conn->timer, at);
    }
}

/* Runs after anything that has happened: goes on to the next state, or sets up
 * the events and the time that this one waits for. */
static void settle(struct km_conn *conn)
{
    if (conn->output == BROKEN) {
        break_off(conn, KAMA_ERR_DISCONNECTED);
        return;
    }
    if (conn->state == OPEN && !conn->session->ops->alive(conn->session)) {
        begin_flush(conn, KAMA_ERR_CLOSED, FLUSH_MS);
    }
    if (conn->state == FLUSHING &&
        (conn->unsent.len == 0 || now_of(conn) >= conn->give_up_at)) {
        begin_linger(conn);
    } else if (conn->state == LINGERING &&
               (conn->eof || conn->lingered_bytes > LINGER_BYTES_MAX)) {
        finish(conn);
    }
    if (conn->state < CLOSED) {
        watch(conn);
        set_timer(conn);
    }
}

/* -- where libuv and the loop call in ------------------------------------ */

static void on_turn(struct km_mail *mail)
{
    struct km_conn *conn = KM_CONTAINER_OF(mail, struct km_conn, turn);
    KM_ASSERT(conn->magic == CONN_MAGIC);
    if (conn->state == FREEING) {
        free_conn(conn);
        return;
    }
    if (conn->state == CLOSED) {
        return;
    }
    if (conn->session != NULL) {
        write_out(conn);
    }
    settle(conn);
}

static void on_poll(uv_poll_t *poll, int error, int events)
{
    struct km_conn *conn = poll->data;
    KM_ASSERT(conn->magic == CONN_MAGIC);
    if (error != 0) {
        read_last(conn);
    } else if ((events & UV_READABLE) != 0) {
        (void)read_some(conn);
    }
    km_conn_wake(conn);
}

static void on_timer(struct km_timer *timer)
{
    struct km_conn *conn = KM_CONTAINER_OF(timer, struct km_conn, timer);
    km_ns now = now_of(conn);
    if (conn->state == LINGERING && now < conn->give_up_at &&
        !km_address_is_confirmed(conn->fd)) {
        conn->progress_at = now;
        km_conn_wake(conn);
        return;
    }
    if (conn->state != OPEN) {
        finish(conn);
        return;
    }
    if (now >= stall_at(conn)) {
        break_off(conn, KAMA_ERR_TIMEOUT);
        return;
    }
    if (now >= conn->session->ops->deadline(conn->session)) {
        kama_status status = conn->session->ops->tick(conn->session, now);
        if (status == KAMA_ERR_DISCONNECTED) {
            break_off(conn, status);
            return;
        }
        if (status != KAMA_OK) {
            begin_flush(conn, status, FLUSH_MS);
        }
    }
    km_conn_wake(conn);
}

/* -- for the owner ------------------------------------------------------- */

kama_status km_conn_open(struct km_loop *loop, int fd,
                         struct km_session *session,
                         struct km_conn_owner *owner, struct km_conn **ret_conn)
{
    struct km_conn *conn = km_mem_zalloc(km_loop_mem(loop), 1, sizeof *conn);
    if (conn == NULL) {
        close(fd);
        return KAMA_ERR_NO_MEMORY;
    }
    int error = uv_poll_init(km_loop_uv(loop), &conn->poll, fd);
    if (error != 0) {
        close(fd);
        km_mem_free(km_loop_mem(loop), conn);
        return km_net_fail(KAMA_ERR_IO, "cannot watch the socket", -error);
    }
    conn->magic = CONN_MAGIC;
    conn->fd = fd;
    conn->why = KAMA_ERR_CLOSED;
    conn->loop = loop;
    conn->session = session;
    conn->owner = owner;
    conn->turn.run = on_turn;
    conn->timer.fire = on_timer;
    conn->poll.data = conn;
    km_loop_hold(loop);
    km_conn_wake(conn);
    *ret_conn = conn;
    return KAMA_OK;
}

void km_conn_wake(struct km_conn *conn)
{
    KM_ASSERT(conn->magic == CONN_MAGIC);
    if (conn->state < CLOSED) {
        km_loop_at_end_of_turn(conn->loop, &conn->turn);
    }
}

void km_conn_close(struct km_conn *conn, int64_t grace_ms)
{
    KM_ASSERT(conn->magic == CONN_MAGIC);
    if (conn->state < CLOSED) {
        begin_flush(conn, KAMA_ERR_CLOSED, grace_ms);
        km_conn_wake(conn);
    }
}

/* Whether the address has to be asked from the kernel, which is done once. */
static bool is_unknown(const struct km_conn *conn, const char *text)
{
    return text[0] == '\0' && conn->state < CLOSED;
}

const char *km_conn_peer_address(const struct km_conn *conn)
{
    if (is_unknown(conn, conn->peer)) {
        struct sockaddr_storage addr = {0};
        socklen_t len = sizeof addr;
        (void)getpeername(conn->fd, (struct sockaddr *)&addr, &len);
        (void)km_address_format(&addr, ((struct km_conn *)conn)->peer);
    }
    return conn->peer;
}

const char *km_conn_local_address(const struct km_conn *conn)
{
    if (is_unknown(conn, conn->local)) {
        struct sockaddr_storage addr = {0};
        socklen_t len = sizeof addr;
        (void)getsockname(conn->fd, (struct sockaddr *)&addr, &len);
        (void)km_address_format(&addr, ((struct km_conn *)conn)->local);
    }
    return conn->local;
}
