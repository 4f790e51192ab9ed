/* SPDX-License-Identifier: MIT */
/*
 * Asks a node for keys, with one request at a time on each connection, and prints
 * how many gets were answered and how long one took. bench/peer.py runs it beside
 * servers of both protocols: for their processor time it must cost little, and for
 * the times of the gets it must cost the same on both sides. Therefore it speaks
 * just enough HTTP/2 and HTTP/1.1 for answers that are known to be small.
 *
 *   get_client grpc|http PORT CONNECTIONS MILLISECONDS KEYS_FILE
 *
 * The keys stand in the file, one per line. The connections begin at different keys
 * if there are enough of them, so that no two ask for the same key at once. With 0
 * milliseconds each connection asks once: the line "connected" is printed when all
 * are, and they ask after a line of input. Output, times in microseconds: gets, median,
 * 10th and 90th percentile, greatest.
 */
#include "base/assert.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define KEYS_MAX 100000
#define CONNECTIONS_MAX 1024
#define TIMES_MAX 20000000u
#define KEY_BYTES_MAX 63
#define PATH "/kama.v1.KamaCacheService/Get"
#define GROUP "default"

struct client;

struct conn {
    struct client *client;
    int fd;
    uint32_t stream; /* of the request that is under way (HTTP/2) */
    size_t next_key;
    uint64_t begin;
    size_t len;       /* bytes in `in` */
    size_t body_left; /* bytes of a body that are not read yet (HTTP/1.1) */
    size_t value_bytes;
    uint8_t in[16384];
};

/* What was found in the bytes that have come. */
enum taken { TAKEN_NEEDS_MORE, TAKEN_ANSWER };

struct protocol {
    const char *name;
    /* Both write to `out` and return the number of bytes. */
    size_t (*greet)(uint8_t *out);
    size_t (*request)(struct conn *conn, const char *key, uint8_t *out);
    enum taken (*take)(struct conn *conn);
};

enum repeat { ASK_ONCE, ASK_AGAIN };

struct client {
    const struct protocol *protocol;
    enum repeat repeat;
    char (*keys)[KEY_BYTES_MAX + 1];
    size_t key_count;
    uint32_t *times; /* nanoseconds of each get */
    size_t time_count;
};

static void fail(const char *what)
{
    (void)fprintf(stderr, "get_client: %s\n", what);
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void send_all(struct conn *conn, const uint8_t *data, size_t len)
{
    if (len > 0 && send(conn->fd, data, len, MSG_NOSIGNAL) != (ssize_t)len) {
        fail("a request could not be sent");
    }
}

static void drop_input(struct conn *conn, size_t len)
{
    conn->len -= len;
    memmove(conn->in, conn->in + len, conn->len);
}

/* -- HTTP/2 ---------------------------------------------------------------- */

enum {
    FRAME_DATA,
    FRAME_HEADERS,
    FRAME_RST = 3,
    FRAME_SETTINGS,
    FRAME_PING = 6,
    FRAME_GOAWAY,
    FRAME_WINDOW_UPDATE
};
#define FRAME_BYTES 9
#define END_STREAM 1
#define ACK 1
#define END_HEADERS 4

static uint8_t *put_frame(uint8_t *at, size_t len, uint8_t type, uint8_t flags,
                          uint32_t stream)
{
    const uint8_t head[FRAME_BYTES] = {(uint8_t)(len >> 16),
                                       (uint8_t)(len >> 8),
                                       (uint8_t)len,
                                       type,
                                       flags,
                                       (uint8_t)(stream >> 24),
                                       (uint8_t)(stream >> 16),
                                       (uint8_t)(stream >> 8),
                                       (uint8_t)stream};
    memcpy(at, head, sizeof head);
    return at + sizeof head;
}

static uint8_t *put_text(uint8_t *at, const char *text)
{
    size_t len = strlen(text);
    KM_ASSERT(len < 127);
    *at++ = (uint8_t)len;
    memcpy(at, text, len);
    return at + len;
}

/* The answers of a run fit into the window that is opened here. */
static size_t grpc_greet(uint8_t *out)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    static const uint8_t window[4] = {0x7f, 0, 0, 0};
    uint8_t *at = out + sizeof preface - 1;
    memcpy(out, preface, sizeof preface - 1);
    at = put_frame(at, 0, FRAME_SETTINGS, 0, 0);
    at = put_frame(at, sizeof window, FRAME_WINDOW_UPDATE, 0, 0);
    memcpy(at, window, sizeof window);
    return (size_t)(at - out) + sizeof window;
}

/* The first request puts its fields into the table of HPACK, and the following ones
 * name them by their index. */
static uint8_t *put_headers(uint8_t *at, uint32_t stream)
{
    static const uint8_t again[] = {0x83, 0x86, 0xc1, 0xc0, 0xbf, 0xbe};
    if (stream > 1) {
        memcpy(at, again, sizeof again);
        return at + sizeof again;
    }
    *at++ = 0x83; /* :method POST */
    *at++ = 0x86; /* :scheme http */
    *at++ = 0x44;
    at = put_text(at, PATH);
    *at++ = 0x41; /* :authority */
    at = put_text(at, "localhost");
    *at++ = 0x5f; /* content-type */
    at = put_text(at, "application/grpc");
    *at++ = 0x40;
    at = put_text(at, "te");
    return put_text(at, "trailers");
}

static size_t grpc_request(struct conn *conn, const char *key, uint8_t *out)
{
    uint8_t headers[128];
    uint8_t body[160] = {0};
    conn->stream = conn->stream == 0 ? 1 : conn->stream + 2;
    size_t header_len = (size_t)(put_headers(headers, conn->stream) - headers);
    uint8_t *end = body + 5;
    *end++ = 1 << 3 | 2;
    end = put_text(end, GROUP);
    *end++ = 2 << 3 | 2;
    end = put_text(end, key);
    size_t len = (size_t)(end - body);
    body[4] = (uint8_t)(len - 5);
    uint8_t *at =
        put_frame(out, header_len, FRAME_HEADERS, END_HEADERS, conn->stream);
    memcpy(at, headers, header_len);
    at = put_frame(at + header_len, len, FRAME_DATA, END_STREAM, conn->stream);
    memcpy(at, body, len);
    return (size_t)(at - out) + len;
}

static enum taken take_frame(struct conn *conn, const uint8_t *frame,
                             size_t len)
{
    uint8_t answer[FRAME_BYTES + 8];
    uint8_t type = frame[3];
    uint8_t flags = frame[4];
    switch (type) {
    case FRAME_DATA:
        conn->value_bytes += len;
        break;
    case FRAME_RST:
    case FRAME_GOAWAY:
        fail("the server has ended a call or a connection");
        break;
    case FRAME_SETTINGS:
    case FRAME_PING:
        if ((flags & ACK) == 0) {
            size_t answer_len = type == FRAME_PING ? 8 : 0;
            memcpy(put_frame(answer, answer_len, type, ACK, 0),
                   frame + FRAME_BYTES, answer_len);
            send_all(conn, answer, FRAME_BYTES + answer_len);
        }
        return TAKEN_NEEDS_MORE;
    case FRAME_HEADERS:
        break;
    default:
        return TAKEN_NEEDS_MORE;
    }
    return (flags & END_STREAM) != 0 ? TAKEN_ANSWER : TAKEN_NEEDS_MORE;
}

static enum taken grpc_take(struct conn *conn)
{
    enum taken taken = TAKEN_NEEDS_MORE;
    size_t at = 0;
    while (taken == TAKEN_NEEDS_MORE && conn->len - at >= FRAME_BYTES) {
        const uint8_t *frame = conn->in + at;
        size_t len =
            (size_t)frame[0] << 16 | (size_t)frame[1] << 8 | (size_t)frame[2];
        if (len + FRAME_BYTES > conn->len - at) {
            break;
        }
        at += FRAME_BYTES + len;
        taken = take_frame(conn, frame, len);
    }
    drop_input(conn, at);
    return taken;
}

/* -- HTTP/1.1 -------------------------------------------------------------- */

static size_t http_greet(uint8_t *out)
{
    (void)out;
    return 0;
}

static size_t http_request(struct conn *conn, const char *key, uint8_t *out)
{
    (void)conn;
    return (size_t)sprintf(
        (char *)out, "GET /get/%s HTTP/1.1\r\nHost: localhost\r\n\r\n", key);
}

static enum taken http_take(struct conn *conn)
{
    conn->in[conn->len] = '\0';
    char *head = (char *)conn->in;
    char *end = strstr(head, "\r\n\r\n");
    char *length = strstr(head, "Content-Length: ");
    if (end == NULL) {
        return TAKEN_NEEDS_MORE;
    }
    if (strncmp(head, "HTTP/1.1 200", 12) != 0 || length == NULL) {
        fail("the answer is not 200 with a Content-Length");
    }
    size_t body = strtoul(length + 16, NULL, 10);
    size_t whole = (size_t)(end + 4 - head) + body;
    if (conn->len < whole) {
        return TAKEN_NEEDS_MORE;
    }
    conn->value_bytes = body;
    drop_input(conn, whole);
    return TAKEN_ANSWER;
}

/* -- connections ----------------------------------------------------------- */

static void ask(struct conn *conn)
{
    struct client *client = conn->client;
    uint8_t out[512];
    const char *key = client->keys[conn->next_key];
    conn->next_key = (conn->next_key + 1) % client->key_count;
    conn->value_bytes = 0;
    size_t len = client->protocol->request(conn, key, out);
    conn->begin = now_ns();
    send_all(conn, out, len);
}

static void open_conn(struct conn *conn, uint16_t port, int poll)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(port),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = conn}};
    uint8_t out[128];
    int on = 1;
    conn->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (conn->fd < 0 ||
        connect(conn->fd, (struct sockaddr *)&to, sizeof to) != 0 ||
        setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        epoll_ctl(poll, EPOLL_CTL_ADD, conn->fd, &event) != 0) {
        fail("the server could not be reached");
    }
    send_all(conn, out, conn->client->protocol->greet(out));
}

static void on_readable(struct conn *conn)
{
    struct client *client = conn->client;
    ssize_t got = recv(conn->fd, conn->in + conn->len,
                       sizeof conn->in - 1 - conn->len, 0);
    if (got <= 0) {
        fail("the server has closed a connection");
    }
    conn->len += (size_t)got;
    if (client->protocol->take(conn) == TAKEN_NEEDS_MORE) {
        return;
    }
    if (conn->value_bytes < 8) {
        fail("an answer had no value");
    }
    if (client->time_count < TIMES_MAX) {
        client->times[client->time_count++] =
            (uint32_t)(now_ns() - conn->begin);
    }
    if (client->repeat == ASK_AGAIN) {
        ask(conn);
    }
}

/* Whether the run goes on. */
static bool goes_on(const struct client *client, size_t count, uint64_t end)
{
    return client->repeat == ASK_AGAIN ? now_ns() < end
                                       : client->time_count < count;
}

/* Opens the connections, and asks on each of them. */
static void begin(struct conn *conns, size_t count, uint16_t port, int poll)
{
    for (size_t i = 0; i < count; i++) {
        open_conn(&conns[i], port, poll);
    }
    if (conns->client->repeat == ASK_ONCE) {
        (void)puts("connected");
        (void)fflush(stdout);
        (void)getchar();
    }
    for (size_t i = 0; i < count; i++) {
        ask(&conns[i]);
    }
}

static void run(struct conn *conns, size_t count, uint16_t port, uint64_t ms)
{
    struct epoll_event events[64];
    int poll = epoll_create1(0);
    begin(conns, count, port, poll);
    uint64_t end = now_ns() + ms * 1000000u;
    while (goes_on(conns->client, count, end)) {
        int n = epoll_wait(poll, events, 64, 10000);
        if (n == 0) {
            fail("nothing was answered for ten seconds");
        }
        for (int i = 0; i < n; i++) {
            on_readable(events[i].data.ptr);
        }
    }
}

/* -- the program ----------------------------------------------------------- */

static const struct protocol protocols[] = {
    {"grpc", grpc_greet, grpc_request, grpc_take},
    {"http", http_greet, http_request, http_take},
};

static void read_keys(struct client *client, const char *path)
{
    FILE *file = fopen(path, "r");
    client->keys = calloc(KEYS_MAX, sizeof *client->keys);
    if (file == NULL || client->keys == NULL) {
        fail("the file of keys could not be read");
    }
    while (client->key_count < KEYS_MAX &&
           fscanf(file, "%63s", client->keys[client->key_count]) == 1) {
        client->key_count++;
    }
    (void)fclose(file);
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void report(struct client *client)
{
    size_t n = client->time_count;
    if (n == 0) {
        fail("nothing was answered");
    }
    qsort(client->times, n, sizeof *client->times, compare);
    printf("%zu %.2f %.2f %.2f %.2f\n", n, client->times[n / 2] / 1000.0,
           client->times[n / 10] / 1000.0, client->times[n * 9 / 10] / 1000.0,
           client->times[n - 1] / 1000.0);
}

int main(int argc, char **argv)
{
    struct client client = {0};
    for (size_t i = 0; argc == 6 && i < 2; i++) {
        if (strcmp(argv[1], protocols[i].name) == 0) {
            client.protocol = &protocols[i];
        }
    }
    if (client.protocol == NULL) {
        fail("usage: get_client grpc|http PORT CONNECTIONS MILLISECONDS "
             "KEYS_FILE");
    }
    size_t count = strtoul(argv[3], NULL, 10);
    read_keys(&client, argv[5]);
    struct conn *conns = calloc(CONNECTIONS_MAX, sizeof *conns);
    client.times = calloc(TIMES_MAX, sizeof *client.times);
    if (conns == NULL || client.times == NULL || count == 0 ||
        count > CONNECTIONS_MAX || client.key_count == 0) {
        fail("there must be 1 to 1024 connections, and a key");
    }
    for (size_t i = 0; i < count; i++) {
        conns[i].client = &client;
        conns[i].next_key = i * client.key_count / count;
    }
    uint64_t ms = strtoul(argv[4], NULL, 10);
    client.repeat = ms == 0 ? ASK_ONCE : ASK_AGAIN;
    run(conns, count, (uint16_t)strtoul(argv[2], NULL, 10), ms);
    report(&client);
    return 0;
}
