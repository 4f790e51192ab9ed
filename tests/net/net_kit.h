/* SPDX-License-Identifier: MIT */
/*
 * The parts that the tests of net share: a latch with a time limit, a way to
 * run code on a loop and wait for it, and a session that echoes.
 */
#pragma once

#include "base/assert.h"
#include "base/buf.h"
#include "base/container.h"
#include "base/session.h"
#include "base/sync.h"
#include "net/conn.h"
#include "net/loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define KIT_LIMIT_S 30

static inline km_ns kit_now(void)
{
    return km_clock_mono(km_clock_system());
}

/* -- a counter that can be waited for ------------------------------------ */

struct latch {
    struct km_mutex lock;
    struct km_cond cond;
    unsigned count;
};

static inline void latch_init(struct latch *latch)
{
    latch->count = 0;
    assert_true(km_mutex_init(&latch->lock, KM_RANK_WAITER));
    assert_true(km_cond_init(&latch->cond));
}

static inline void latch_fini(struct latch *latch)
{
    km_cond_fini(&latch->cond);
    km_mutex_fini(&latch->lock);
}

static inline void latch_hit(struct latch *latch)
{
    km_mutex_lock(&latch->lock);
    latch->count++;
    km_cond_broadcast(&latch->cond);
    km_mutex_unlock(&latch->lock);
}

static inline unsigned latch_count(struct latch *latch)
{
    km_mutex_lock(&latch->lock);
    unsigned count = latch->count;
    km_mutex_unlock(&latch->lock);
    return count;
}

/* Until it was hit n times in all; fails the test after KIT_LIMIT_S. */
static inline void latch_wait(struct latch *latch, unsigned n)
{
    km_ns until = kit_now() + KIT_LIMIT_S * KM_NS_PER_S;
    bool in_time = true;
    km_mutex_lock(&latch->lock);
    while (latch->count < n && in_time) {
        in_time = km_cond_wait_until(&latch->cond, &latch->lock, until);
    }
    unsigned count = latch->count;
    km_mutex_unlock(&latch->lock);
    assert_true(count >= n);
}

/* -- a loop --------------------------------------------------------------- */

struct visit {
    struct km_mail mail;
    void (*fn)(void *arg);
    void *arg;
    struct latch done;
};

static inline void visit_run(struct km_mail *mail)
{
    struct visit *visit = KM_CONTAINER_OF(mail, struct visit, mail);
    visit->fn(visit->arg);
    latch_hit(&visit->done);
}

/* Runs fn on the loop and waits until it has returned. */
static inline void on_loop(struct km_loop *loop, void (*fn)(void *), void *arg)
{
    struct visit visit = {.mail = {.run = visit_run}, .fn = fn, .arg = arg};
    latch_init(&visit.done);
    km_loop_post(loop, &visit.mail);
    latch_wait(&visit.done, 1);
    latch_fini(&visit.done);
}

static inline struct km_loop *loop_begin(const kama_allocator *mem)
{
    struct km_loop *loop = NULL;
    assert_int_equal(km_loop_new(mem, NULL, 0, &loop), KAMA_OK);
    assert_int_equal(km_loop_start(loop), KAMA_OK);
    return loop;
}

static inline void loop_end(struct km_loop *loop)
{
    km_loop_stop(loop);
    km_loop_join(loop);
    km_loop_free(loop);
}

/* -- a clock that can be put forward -------------------------------------- */

struct skip_clock {
    struct km_clock clock;
    _Atomic km_ns skipped;
};

static inline km_ns skip_clock_mono(void *arg)
{
    return kit_now() + atomic_load(&((struct skip_clock *)arg)->skipped);
}

static inline void skip_clock_init(struct skip_clock *skip)
{
    *skip = (struct skip_clock){
        .clock = {skip_clock_mono, skip_clock_mono, NULL, skip}};
}

struct skip_visit {
    struct km_loop *loop;
    struct km_timer timer;
    struct latch fired;
};

static inline void skip_fired(struct km_timer *timer)
{
    latch_hit(&KM_CONTAINER_OF(timer, struct skip_visit, timer)->fired);
}

static inline void skip_arm(void *arg)
{
    struct skip_visit *visit = arg;
    km_loop_timer_arm(visit->loop, &visit->timer, 1);
}

/* Puts the clock forward; every timer that is due then has fired when this
 * returns. */
static inline void skip_time(struct km_loop *loop, struct skip_clock *skip,
                             km_ns by)
{
    struct skip_visit visit = {.loop = loop, .timer = {.fire = skip_fired}};
    latch_init(&visit.fired);
    atomic_fetch_add(&skip->skipped, by);
    /* Twice: the first pass may have read the clock before. */
    on_loop(loop, skip_arm, &visit);
    latch_wait(&visit.fired, 1);
    on_loop(loop, skip_arm, &visit);
    latch_wait(&visit.fired, 2);
    latch_fini(&visit.fired);
}

/* -- sockets from outside, blocking --------------------------------------- */

/* A connected pair; [0] is non-blocking, for a loop. */
static inline void make_pair(int fds[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds),
                     0);
}

static inline int dial(const char *address)
{
    struct sockaddr_in addr = {.sin_family = AF_INET};
    addr.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    return fd;
}

/* Waits for events; fails the test after KIT_LIMIT_S. */
static inline void await(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    assert_int_equal(poll(&p, 1, KIT_LIMIT_S * 1000), 1);
}

static inline void write_all(int fd, const void *data, size_t len)
{
    while (len > 0) {
        await(fd, POLLOUT);
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        assert_true(n > 0 || errno == EAGAIN);
        if (n > 0) {
            data = (const char *)data + n;
            len -= (size_t)n;
        }
    }
}

/* Bytes read until the end, a reset (*ret_reset) or cap. */
static inline size_t read_until_end(int fd, void *buf, size_t cap,
                                    bool *ret_reset)
{
    size_t len = 0;
    *ret_reset = false;
    while (len < cap) {
        await(fd, POLLIN);
        ssize_t n = recv(fd, (char *)buf + len, cap - len, 0);
        if (n <= 0) {
            *ret_reset = n < 0;
            break;
        }
        len += (size_t)n;
    }
    return len;
}

/* -- a session that echoes ------------------------------------------------ */

/* Sends back the bytes that came, or the bytes that it was given. All members
 * are the loop's; the test reads them after the session was closed. */
struct echo {
    struct km_session session; /* first */
    struct km_conn_owner owner;
    struct km_conn *conn;
    struct km_buf out;
    struct km_buf taken; /* by the last take */
    size_t take_max;
    size_t out_max; /* wants no input above; 0: always */
    size_t fed_bytes;
    size_t fed_most; /* by one feed */
    unsigned feeds;
    unsigned takes;
    unsigned ticks;
    bool mute;  /* does not echo */
    bool ended; /* alive says no */
    bool saw_eof;
    bool end_on_eof;
    kama_status feed_status; /* the result of feed */
    const char *farewell;    /* said when it returns an error */
    kama_status take_status;
    kama_status tick_status;
    km_ns deadline;
    kama_status why;
    struct latch closed; /* the session */
    struct latch gone;   /* the connection */
    struct latch fed;    /* one hit per feed, and per eof */
};

static inline struct echo *echo_of(struct km_session *session)
{
    return (struct echo *)(void *)session;
}

static inline kama_status echo_feed(struct km_session *session,
                                    const uint8_t *data, size_t len, km_ns now)
{
    struct echo *echo = echo_of(session);
    assert_true(now > 0);
    echo->feeds++;
    echo->fed_bytes += len;
    echo->fed_most = len > echo->fed_most ? len : echo->fed_most;
    if (!echo->mute) {
        assert_int_equal(km_buf_append(&echo->out, data, len), KAMA_OK);
    }
    if (echo->farewell != NULL) {
        assert_int_equal(km_buf_append_str(&echo->out, echo->farewell),
                         KAMA_OK);
    }
    latch_hit(&echo->fed);
    return echo->feed_status;
}

static inline kama_status echo_take(struct km_session *session,
                                    kama_bytes *ret_bytes)
{
    struct echo *echo = echo_of(session);
    size_t n = echo->out.len < echo->take_max ? echo->out.len : echo->take_max;
    km_buf_reset(&echo->taken, SIZE_MAX);
    assert_int_equal(km_buf_append(&echo->taken, echo->out.data, n), KAMA_OK);
    km_buf_consume(&echo->out, n);
    echo->takes++;
    *ret_bytes = km_buf_bytes(&echo->taken);
    return echo->take_status;
}

static inline bool echo_alive(struct km_session *session)
{
    struct echo *echo = echo_of(session);
    return !echo->ended && !(echo->saw_eof && echo->end_on_eof);
}

static inline void echo_eof(struct km_session *session)
{
    echo_of(session)->saw_eof = true;
    latch_hit(&echo_of(session)->fed);
}

static inline km_ns echo_deadline(struct km_session *session)
{
    return echo_of(session)->deadline;
}

static inline kama_status echo_tick(struct km_session *session, km_ns now)
{
    struct echo *echo = echo_of(session);
    assert_true(now >= echo->deadline);
    echo->ticks++;
    echo->deadline = KM_NS_NEVER;
    return echo->tick_status;
}

static inline void echo_close(struct km_session *session)
{
    latch_hit(&echo_of(session)->closed);
}

static inline bool echo_wants_read(struct km_session *session)
{
    const struct echo *echo = echo_of(session);
    return echo->out_max == 0 || echo->out.len < echo->out_max;
}

static inline void echo_gone(struct km_conn_owner *owner, struct km_conn *conn,
                             kama_status why)
{
    struct echo *echo = KM_CONTAINER_OF(owner, struct echo, owner);
    assert_ptr_equal(echo->conn, conn);
    echo->conn = NULL;
    echo->why = why;
    latch_hit(&echo->gone);
}

static const struct km_session_ops echo_ops = {
    .name = "echo",
    .feed = echo_feed,
    .take = echo_take,
    .alive = echo_alive,
    .eof = echo_eof,
    .deadline = echo_deadline,
    .tick = echo_tick,
    .close = echo_close,
    .wants_read = echo_wants_read,
};

static inline void echo_init(struct echo *echo)
{
    *echo = (struct echo){.session = {&echo_ops},
                          .owner = {echo_gone},
                          .take_max = 64u << 10,
                          .end_on_eof = true,
                          .tick_status = KAMA_ERR_TIMEOUT,
                          .deadline = KM_NS_NEVER};
    km_buf_init(&echo->out, km_mem_default(), SIZE_MAX);
    km_buf_init(&echo->taken, km_mem_default(), SIZE_MAX);
    latch_init(&echo->closed);
    latch_init(&echo->gone);
    latch_init(&echo->fed);
}

static inline void echo_fini(struct echo *echo)
{
    km_buf_fini(&echo->out);
    km_buf_fini(&echo->taken);
    latch_fini(&echo->closed);
    latch_fini(&echo->gone);
    latch_fini(&echo->fed);
}
