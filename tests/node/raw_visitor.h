/* SPDX-License-Identifier: MIT */
/* Clients on plain sockets, each on a thread of its own: they send a part of
 * many Gets, read a little or nothing, and close the connection. */
#pragma once

#include "wire/h2_raw.h"

#include "wire/grpc/grpc.h"
#include "wire/msg/pb_encode.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define RAW_ADDRESS_BYTES 64
#define KEYS 512

static inline unsigned dice(unsigned *seed, unsigned sides)
{
    return (unsigned)rand_r(seed) % sides;
}

static inline void append_key(struct km_buf *out, uint32_t number,
                              unsigned *seed)
{
    char key[16];
    (void)snprintf(key, sizeof key, "key%u", dice(seed, KEYS));
    (void)!km_pb_append_bytes(out, number, KAMA_STR(key));
}

struct raw {
    pthread_t thread;
    struct km_buf bytes; /* of a connection with many Gets */
    unsigned seed;
    void (*get_address)(char address[RAW_ADDRESS_BYTES]);
    bool (*is_quitting)(void);
};

static inline void raw_get(struct km_buf *out, uint32_t stream, unsigned *seed)
{
    struct km_buf block;
    struct km_buf body;
    km_buf_init(&block, NULL, SIZE_MAX);
    km_buf_init(&body, NULL, SIZE_MAX);
    raw_request_fields(&block, "/kama.v2.Cache/Get");
    raw_frame(out, RAW_HEADERS, RAW_END_HEADERS, stream, km_buf_bytes(&block));
    uint8_t prefix[KM_GRPC_PREFIX_BYTES] = {0};
    raw_bytes(&body, prefix, sizeof prefix);
    raw_bytes(&body, "\x0a\x01g", 3);
    append_key(&body, 2, seed);
    km_grpc_prefix_write(body.data, (uint32_t)(body.len - sizeof prefix));
    raw_frame(out, RAW_DATA, RAW_END_STREAM, stream, km_buf_bytes(&body));
    km_buf_fini(&block);
    km_buf_fini(&body);
}

static inline void raw_init(
    struct raw *raw, unsigned seed,
    void (*get_address)(char address[RAW_ADDRESS_BYTES]),
    bool (*is_quitting)(void))
{
    raw->seed = seed;
    raw->get_address = get_address;
    raw->is_quitting = is_quitting;
    km_buf_init(&raw->bytes, NULL, SIZE_MAX);
    raw_start(&raw->bytes);
    for (uint32_t i = 0; i < 40; i++) {
        raw_get(&raw->bytes, 2 * i + 1, &raw->seed);
    }
}

static inline int raw_connect(const struct raw *raw)
{
    char address[RAW_ADDRESS_BYTES];
    raw->get_address(address);
    const char *colon = strrchr(address, ':');
    if (colon == NULL) {
        return -1;
    }
    const struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)atoi(colon + 1)),
        .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (const struct sockaddr *)&to, sizeof to) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Sends a part of the Gets, reads a little or nothing, and closes the
 * connection, at times with a reset. */
static inline void raw_visit(struct raw *raw, int fd)
{
    char buf[512];
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    size_t n = dice(&raw->seed, (unsigned)raw->bytes.len);
    (void)!send(fd, raw->bytes.data, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (poll(&wait, 1, (int)dice(&raw->seed, 20)) == 1) {
        (void)!recv(fd, buf, sizeof buf, MSG_DONTWAIT);
    }
    if (dice(&raw->seed, 2) == 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    }
    close(fd);
}

static inline void *visit_often(void *arg)
{
    struct raw *raw = arg;
    while (!raw->is_quitting()) {
        int fd = raw_connect(raw);
        if (fd >= 0) {
            raw_visit(raw, fd);
        }
        (void)poll(NULL, 0, 5);
    }
    return NULL;
}
