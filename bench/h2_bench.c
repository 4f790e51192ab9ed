/* SPDX-License-Identifier: MIT */
/*
 * The cost of a unary call in HTTP/2 and gRPC alone, without sockets and
 * loops. A client connection and a server connection run in one thread with a
 * number of calls at a time. A request has 27 bytes and a response 103. The
 * bytes per call are those on the wire in both directions.
 */
#include "base/bytes.h"
#include "wire/grpc/grpc.h"

#include <stdio.h>
#include <stdlib.h>

#define CALLS 200000
#define CALLS_AT_A_TIME_MAX 128

struct side {
    struct km_h2_loop_cache *cache;
    struct km_h2 *h2;
    unsigned running; /* of the client */
};

static const struct km_h2_field request_fields[] = {
    {{":method", 7}, {"POST", 4}, KM_H2_FIELD_STATIC},
    {{":scheme", 7}, {"http", 4}, KM_H2_FIELD_STATIC},
    {{":path", 5}, {"/kama.v1.KamaCacheService/Get", 29}, KM_H2_FIELD_STATIC},
    {{":authority", 10}, {"127.0.0.1:8001", 14}, KM_H2_FIELD_STATIC},
    {{"content-type", 12}, {"application/grpc", 16}, KM_H2_FIELD_STATIC},
    {{"te", 2}, {"trailers", 8}, KM_H2_FIELD_STATIC},
};

static void need(kama_status status)
{
    if (status != KAMA_OK) {
        fprintf(stderr, "h2_bench: %s\n", kama_strerror(status));
        exit(1);
    }
}

static kama_status on_open(void *arg, struct km_h2_stream *stream)
{
    (void)arg;
    (void)stream;
    return KAMA_OK;
}

static void on_header(void *arg, struct km_h2_stream *stream, kama_bytes name,
                      kama_bytes value)
{
    (void)arg;
    (void)stream;
    (void)name;
    (void)value;
}

static void on_headers(void *arg, struct km_h2_stream *stream,
                       enum km_h2_headers kind, enum km_h2_list list)
{
    (void)arg;
    (void)stream;
    (void)kind;
    (void)list;
}

static void on_data(void *arg, struct km_h2_stream *stream, kama_bytes chunk,
                    enum km_h2_chunk place)
{
    (void)arg;
    (void)place;
    km_h2_consume(stream, chunk.len);
}

static void on_request(void *arg, struct km_h2_stream *stream)
{
    (void)arg;
    static const char reply[98];
    struct km_grpc_trailers trailers;
    need(km_h2_respond(stream,
                       (const struct km_h2_field[]){
                           {{":status", 7}, {"200", 3}, KM_H2_FIELD_STATIC},
                           {{"content-type", 12},
                            {"application/grpc", 16},
                            KM_H2_FIELD_STATIC}},
                       2));
    need(km_grpc_send(stream, kama_bytes_make(reply, sizeof reply), NULL));
    km_grpc_trailers_init(&trailers, KAMA_OK, NULL);
    need(km_h2_end(stream, trailers.fields, trailers.count));
}

static void on_reply(void *arg, struct km_h2_stream *stream)
{
    (void)arg;
    (void)stream;
}

static void on_close(void *arg, struct km_h2_stream *stream,
                     uint32_t error_code)
{
    struct side *side = arg;
    (void)stream;
    need(error_code == KM_H2_NO_ERROR ? KAMA_OK : KAMA_ERR_PROTOCOL);
    side->running--;
}

static void on_gone(void *arg, enum km_h2_why why)
{
    (void)arg;
    (void)why;
}

static const struct km_h2_ops server_ops = {.on_open = on_open,
                                            .on_header = on_header,
                                            .on_headers = on_headers,
                                            .on_data = on_data,
                                            .on_end = on_request,
                                            .on_close = on_close,
                                            .on_gone = on_gone};
static const struct km_h2_ops client_ops = {.on_header = on_header,
                                            .on_headers = on_headers,
                                            .on_data = on_data,
                                            .on_end = on_reply,
                                            .on_close = on_close,
                                            .on_gone = on_gone};

static void open_side(struct side *side, enum km_h2_role role)
{
    *side = (struct side){0};
    need(km_h2_loop_cache_new(NULL, 1 << 20, &side->cache));
    struct km_h2_options options = {.cache = side->cache,
                                    .role = role,
                                    .ops = role == KM_H2_SERVER ? &server_ops
                                                                : &client_ops,
                                    .arg = side};
    need(km_h2_new(&options, 1, &side->h2));
}

static void close_side(struct side *side)
{
    struct km_session *session = km_h2_session(side->h2);
    session->ops->close(session);
    km_h2_loop_cache_free(side->cache);
}

static size_t move(struct side *from, struct side *to)
{
    struct km_session *session = km_h2_session(from->h2);
    struct km_session *other = km_h2_session(to->h2);
    size_t moved = 0;
    kama_bytes bytes;
    for (;;) {
        need(session->ops->take(session, &bytes));
        if (bytes.len == 0) {
            return moved;
        }
        need(other->ops->feed(other, bytes.data, bytes.len, 1));
        moved += bytes.len;
    }
}

static void send_request(struct side *client)
{
    static const char request[22];
    struct km_h2_stream *stream;
    need(km_h2_request(client->h2, request_fields, 6, NULL, &stream));
    need(km_grpc_send(stream, kama_bytes_make(request, sizeof request), NULL));
    need(km_h2_end(stream, NULL, 0));
    client->running++;
}

static void run(unsigned at_a_time)
{
    struct side client;
    struct side server;
    open_side(&client, KM_H2_CLIENT);
    open_side(&server, KM_H2_SERVER);
    size_t bytes = 0;
    km_ns start = km_clock_mono(km_clock_system());
    for (unsigned i = 0; i < CALLS / at_a_time; i++) {
        for (unsigned k = 0; k < at_a_time; k++) {
            send_request(&client);
        }
        server.running = at_a_time;
        while (client.running > 0) {
            bytes += move(&client, &server) + move(&server, &client);
        }
    }
    km_ns took = km_clock_mono(km_clock_system()) - start;
    unsigned calls = CALLS / at_a_time * at_a_time;
    printf("unary call in memory, %3u at a time, both sides  %5.0f ns, "
           "%zu bytes\n",
           at_a_time, (double)took / calls, bytes / calls);
    close_side(&client);
    close_side(&server);
}

int main(void)
{
    run(1);
    run(32);
    run(CALLS_AT_A_TIME_MAX);
    return 0;
}
