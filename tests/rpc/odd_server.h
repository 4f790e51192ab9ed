/* SPDX-License-Identifier: MIT */
/*
 * A server that breaks the protocol as a test asks it to: a thread that
 * accepts, reads requests and answers with bytes prepared by the test; and the
 * pieces that answers are made of.
 */
#pragma once

#include "rpc/channel_kit.h"
#include "wire/h2_raw.h"

#include <pthread.h>

#define ANSWERS_MAX 4

/* The end, after the last answer. */
enum after { KEEP, SHUT, RESET };

struct odd {
    int listen_fd;
    char address[64];
    pthread_t thread;
    struct km_buf greeting;             /* as soon as a client connects */
    struct km_buf answers[ANSWERS_MAX]; /* the n-th to the n-th request */
    unsigned answer_count;
    enum after after;
    atomic_uint connections;
    atomic_uint requests;
};

/* -- the server ------------------------------------------------------------ */

static inline void say(int fd, const struct km_buf *bytes)
{
    size_t at = 0;
    while (at < bytes->len) {
        ssize_t n = send(fd, bytes->data + at, bytes->len - at, MSG_NOSIGNAL);
        if (n <= 0) {
            return;
        }
        at += (size_t)n;
    }
}

static inline bool hear(int fd, uint8_t *buf, size_t len)
{
    return recv(fd, buf, len, MSG_WAITALL) == (ssize_t)len;
}

/* The next HEADERS of the client; false at the end. */
static inline bool hear_request(int fd)
{
    uint8_t head[9];
    static uint8_t payload[1u << 16];
    while (hear(fd, head, sizeof head)) {
        size_t len = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
        if (len > sizeof payload || (len > 0 && !hear(fd, payload, len))) {
            return false;
        }
        if (head[3] == RAW_HEADERS) {
            return true;
        }
    }
    return false;
}

static inline void close_as_told(int fd, enum after after)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};
    uint8_t byte;
    if (after == RESET) {
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        close(fd);
        return;
    }
    if (after == SHUT) {
        (void)shutdown(fd, SHUT_WR);
    }
    while (recv(fd, &byte, 1, 0) > 0) {
    }
    close(fd);
}

static inline void serve(struct odd *odd, int fd)
{
    uint8_t preface[24];
    say(fd, &odd->greeting);
    bool more = hear(fd, preface, sizeof preface);
    while (more && atomic_load(&odd->requests) < odd->answer_count) {
        more = hear_request(fd);
        if (more) {
            unsigned n = atomic_fetch_add(&odd->requests, 1);
            say(fd, &odd->answers[n]);
            if (odd->answers[n].len == 0) {
                break; /* no answer: on to the end */
            }
        }
    }
    close_as_told(fd, odd->after);
}

static inline void *run_odd(void *arg)
{
    struct odd *odd = arg;
    int fd;
    while ((fd = accept(odd->listen_fd, NULL, NULL)) >= 0) {
        atomic_fetch_add(&odd->connections, 1);
        serve(odd, fd);
    }
    return NULL;
}

static inline void odd_init(struct odd *odd)
{
    struct sockaddr_in addr = {.sin_family = AF_INET};
    socklen_t len = sizeof addr;
    *odd = (struct odd){.after = KEEP};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    odd->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(
        bind(odd->listen_fd, (struct sockaddr *)&addr, sizeof addr), 0);
    assert_int_equal(listen(odd->listen_fd, 64), 0);
    assert_int_equal(
        getsockname(odd->listen_fd, (struct sockaddr *)&addr, &len), 0);
    (void)snprintf(odd->address, sizeof odd->address, "127.0.0.1:%u",
                   ntohs(addr.sin_port));
    km_buf_init(&odd->greeting, km_mem_default(), SIZE_MAX);
    raw_frame(&odd->greeting, RAW_SETTINGS, 0, 0, kama_bytes_make(NULL, 0));
    for (int i = 0; i < ANSWERS_MAX; i++) {
        km_buf_init(&odd->answers[i], km_mem_default(), SIZE_MAX);
    }
}

static inline void odd_start(struct odd *odd)
{
    assert_true(km_thread_start(&odd->thread, "odd", run_odd, odd));
}

static inline void odd_fini(struct odd *odd)
{
    (void)shutdown(odd->listen_fd, SHUT_RDWR);
    pthread_join(odd->thread, NULL);
    close(odd->listen_fd);
    km_buf_fini(&odd->greeting);
    for (int i = 0; i < ANSWERS_MAX; i++) {
        km_buf_fini(&odd->answers[i]);
    }
}

/* -- pieces of answers ----------------------------------------------------- */

/* HEADERS; fields: name, value, ..., NULL. */
static inline void headers(struct km_buf *out, uint32_t stream, uint8_t flags,
                           const char *const *fields)
{
    struct km_buf block;
    km_buf_init(&block, km_mem_default(), SIZE_MAX);
    for (size_t i = 0; fields[i] != NULL; i += 2) {
        raw_field(&block, fields[i], fields[i + 1]);
    }
    raw_frame(out, RAW_HEADERS, RAW_END_HEADERS | flags, stream,
              km_buf_bytes(&block));
    km_buf_fini(&block);
}

#define FIELDS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define GRPC ":status", "200", "content-type", "application/grpc"

static inline void good_headers(struct km_buf *out, uint32_t stream)
{
    headers(out, stream, 0, FIELDS(GRPC));
}

static inline void data(struct km_buf *out, uint32_t stream, uint8_t flags,
                        const char *bytes, size_t len)
{
    raw_frame(out, RAW_DATA, flags, stream, kama_bytes_make(bytes, len));
}

/* The message "hi". */
static inline void good_data(struct km_buf *out, uint32_t stream)
{
    data(out, stream, 0, "\0\0\0\0\2hi", 7);
}

static inline void good_trailers(struct km_buf *out, uint32_t stream)
{
    headers(out, stream, RAW_END_STREAM, FIELDS("grpc-status", "0"));
}

static inline void good_answer(struct km_buf *out, uint32_t stream)
{
    good_headers(out, stream);
    good_data(out, stream);
    good_trailers(out, stream);
}
