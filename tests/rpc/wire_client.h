/* SPDX-License-Identifier: MIT */
/*
 * A blocking HTTP/2 client on a real socket for tests of servers: the client
 * side of wire/h2_pair.h whose bytes go through TCP, and raw bytes that no real
 * client sends. A step that takes longer than ten seconds fails the test.
 */
#pragma once

#include "wire/h2_raw.h"

#include "base/clock.h"
#include "base/status.h"
#include "wire/grpc/grpc.h"
#include "wire/h2_pair.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define WIRE_PATIENCE_MS 10000

/* A connected socket to "127.0.0.1:port". */
static inline int wire_connect(const char *address)
{
    const char *colon = strrchr(address, ':');
    assert_non_null(colon);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)atoi(colon + 1)),
                             .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static inline void wire_write(int fd, const void *data, size_t len)
{
    const char *p = data;
    while (len > 0) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET)) {
            return; /* the server has had enough, as it may */
        }
        assert_true(n > 0);
        p += n;
        len -= (size_t)n;
    }
}

/* Waits for bytes; how many, 0 at the end of the stream. */
static inline size_t wire_read(int fd, void *buf, size_t cap)
{
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    if (poll(&waiting, 1, WIRE_PATIENCE_MS) != 1) {
        fail_msg("nothing came for %d ms", WIRE_PATIENCE_MS);
    }
    ssize_t n = recv(fd, buf, cap, 0);
    return n > 0 ? (size_t)n : 0;
}

/* Everything until the other side closes, appended to out. */
static inline void wire_read_all(int fd, struct km_buf *out)
{
    char buf[4096];
    size_t n;
    while ((n = wire_read(fd, buf, sizeof buf)) > 0) {
        raw_bytes(out, buf, n);
    }
}

struct wire_client {
    struct pair pair; /* of which only the client is used */
    int fd;
    bool eof;
};

static inline void wire_client_open(struct wire_client *client,
                                    const char *address)
{
    *client = (struct wire_client){.fd = wire_connect(address)};
    client->pair.now = KM_NS_PER_S;
    assert_int_equal(
        side_init(&client->pair, &client->pair.client, KM_H2_CLIENT, 0),
        KAMA_OK);
}

static inline void wire_client_close(struct wire_client *client)
{
    side_fini(&client->pair.client);
    close(client->fd);
}

/* Sends the bytes that are ready. */
static inline void wire_flush(struct wire_client *client)
{
    struct km_session *session = km_h2_session(client->pair.client.h2);
    kama_bytes bytes;
    while (session->ops->take(session, &bytes) == KAMA_OK && bytes.len > 0) {
        wire_write(client->fd, bytes.data, bytes.len);
    }
}

/* One read, fed; false at the end of the stream. */
static inline bool wire_step(struct wire_client *client)
{
    struct km_session *session = km_h2_session(client->pair.client.h2);
    uint8_t buf[16384];
    size_t n = wire_read(client->fd, buf, sizeof buf);
    if (n == 0) {
        client->eof = true;
        return false;
    }
    (void)!session->ops->feed(session, buf, n, client->pair.now);
    wire_flush(client);
    return true;
}

struct wire_request {
    const char *path;
    const char *method;       /* NULL: POST */
    const char *content_type; /* NULL: application/grpc */
    const char *name;         /* one more field, NULL: none */
    const char *value;
};

static inline struct seen *wire_begin(struct wire_client *client,
                                      const struct wire_request *request)
{
    const struct km_h2_field fields[] = {
        pair_field(":method",
                   request->method != NULL ? request->method : "POST"),
        pair_field(":scheme", "http"),
        pair_field(":path", request->path),
        pair_field(":authority", "here"),
        pair_field("content-type", request->content_type != NULL
                                       ? request->content_type
                                       : "application/grpc"),
        pair_field("te", "trailers"),
        pair_field(request->name != NULL ? request->name : "",
                   request->value != NULL ? request->value : ""),
    };
    struct side *side = &client->pair.client;
    assert_true(side->opened < PAIR_CALLS_MAX);
    struct seen *seen = &side->seen[side->opened++];
    struct km_h2_stream *stream;
    size_t count = request->name != NULL ? 7 : 6;
    assert_int_equal(km_h2_request(side->h2, fields, count, seen, &stream),
                     KAMA_OK);
    seen_init(side, seen, stream);
    return seen;
}

/* Sends bytes as DATA as they are. */
static inline void wire_body(struct seen *seen, kama_bytes bytes)
{
    if (seen->stream != NULL) {
        assert_int_equal(km_h2_send(seen->stream, bytes, NULL), KAMA_OK);
    }
}

static inline void wire_end(struct seen *seen)
{
    if (seen->stream != NULL) {
        assert_int_equal(km_h2_end(seen->stream, NULL, 0), KAMA_OK);
    }
}

/* Until the stream is over, or the connection. Sending may end it already. */
static inline void wire_wait(struct wire_client *client, struct seen *seen)
{
    wire_flush(client);
    while (!seen->closed && wire_step(client)) {
    }
}

/* Until n bytes of its body have come. */
static inline void wire_wait_body(struct wire_client *client, struct seen *seen,
                                  size_t n)
{
    wire_flush(client);
    while (seen->body.len < n && !seen->closed && wire_step(client)) {
    }
    assert_true(seen->body.len >= n);
}

static inline struct seen *wire_call(struct wire_client *client,
                                     const char *path, kama_bytes message)
{
    struct seen *seen =
        wire_begin(client, &(struct wire_request){.path = path});
    assert_int_equal(km_grpc_send(seen->stream, message, NULL), KAMA_OK);
    wire_end(seen);
    wire_wait(client, seen);
    return seen;
}

/* Is "name: value" among the fields? */
static inline bool wire_has(const struct km_buf *fields, const char *line)
{
    size_t len = strlen(line);
    for (size_t i = 0; i + len < fields->len; i++) {
        if ((i == 0 || fields->data[i - 1] == '\n') &&
            memcmp(fields->data + i, line, len) == 0 &&
            fields->data[i + len] == '\n') {
            return true;
        }
    }
    return false;
}

/* The call ended in order with this status, in trailers or headers alone. */
static inline void assert_status(const struct seen *seen, kama_status status)
{
    char line[96];
    assert_true(seen->closed && seen->ended);
    assert_true(wire_has(&seen->headers, ":status: 200"));
    const struct km_buf *fields =
        seen->trailers_done ? &seen->trailers : &seen->headers;
    snprintf(line, sizeof line, "grpc-status: %d", km_status_grpc(status));
    if (!wire_has(fields, line)) {
        fail_msg("want %s, got %.*s", line, (int)fields->len,
                 (const char *)fields->data);
    }
    snprintf(line, sizeof line, "kama-status: %s", kama_status_name(status));
    assert_int_equal(wire_has(fields, line), status != KAMA_OK);
}

/* The body is one message with these bytes. */
static inline void assert_message(const struct seen *seen, kama_bytes message)
{
    assert_int_equal(seen->body.len, message.len + KM_GRPC_PREFIX_BYTES);
    uint8_t prefix[KM_GRPC_PREFIX_BYTES];
    km_grpc_prefix_write(prefix, (uint32_t)message.len);
    assert_memory_equal(seen->body.data, prefix, sizeof prefix);
    if (message.len > 0) {
        assert_memory_equal(seen->body.data + sizeof prefix, message.data,
                            message.len);
    }
}
