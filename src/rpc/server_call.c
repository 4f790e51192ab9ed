/* SPDX-License-Identifier: MIT */
/*
 * The functions of a handler, and how its answer is put into HTTP/2.
 *
 * An answer with messages has headers, messages and trailers. An answer
 * without any has its status in the headers alone ("trailers only"), which
 * saves a frame.
 */
#include "rpc/server_call.h"

#include "base/assert.h"
#include "base/status.h"
#include "rpc/server_call_life.h"

static const struct km_h2_field ok_headers[] = {
    {{":status", 7}, {"200", 3}, KM_H2_FIELD_STATIC},
    {{"content-type", 12}, {"application/grpc", 16}, KM_H2_FIELD_STATIC},
};
#define OK_HEADERS (sizeof ok_headers / sizeof ok_headers[0])

static const struct km_h2_field ok_trailers[] = {
    {{"grpc-status", 11}, {"0", 1}, KM_H2_FIELD_STATIC},
};

static const struct km_h2_field accept_encoding = {
    {"grpc-accept-encoding", 20},
    {KM_GRPC_ENCODINGS, sizeof KM_GRPC_ENCODINGS - 1},
    KM_H2_FIELD_STATIC};

/* -- questions ----------------------------------------------------------- */

void *km_server_call_state(struct km_server_call *call)
{
    return (char *)call + KM_SERVER_CALL_STATE_OFFSET;
}

struct km_server_call *km_server_call_of_state(void *state)
{
    struct km_server_call *call =
        (struct km_server_call *)(void *)((char *)state -
                                          KM_SERVER_CALL_STATE_OFFSET);
    KM_ASSERT(call->magic == KM_SERVER_CALL_MAGIC);
    return call;
}

void *km_server_call_arg(struct km_server_call *call)
{
    return call->server_loop->server->options.arg;
}

struct km_loop *km_server_call_loop(struct km_server_call *call)
{
    return call->server_loop->loop;
}

const char *km_server_call_peer_address(const struct km_server_call *call)
{
    return call->conn != NULL ? km_conn_peer_address(call->conn->conn) : "";
}

void *km_server_call_conn_state(const struct km_server_call *call)
{
    if (call->conn == NULL ||
        call->server_loop->server->options.conn_state_bytes == 0) {
        return NULL;
    }
    return call->conn->state;
}

void km_server_call_trust_peer(struct km_server_call *call)
{
    if (call->conn != NULL && call->conn->h2 != NULL) {
        km_h2_trust_peer(call->conn->h2);
    }
}

int64_t km_server_call_deadline_ms(const struct km_server_call *call)
{
    if (call->deadline == KM_NS_NEVER) {
        return 0;
    }
    km_ns now = km_clock_mono(call->server_loop->server->options.clock);
    if (now >= call->deadline) {
        return 1;
    }
    return (int64_t)((call->deadline - now + KM_NS_PER_MS - 1) / KM_NS_PER_MS);
}

bool km_server_call_ended(const struct km_server_call *call)
{
    return call->state == KM_SERVER_CALL_ENDED;
}

bool km_server_call_writable(const struct km_server_call *call)
{
    return call->state != KM_SERVER_CALL_ENDED && km_h2_has_room(call->stream);
}

/* -- life ---------------------------------------------------------------- */

void km_server_call_hold(struct km_server_call *call)
{
    KM_ASSERT(call->magic == KM_SERVER_CALL_MAGIC && call->refs > 0);
    call->refs++;
}

void km_server_call_release(struct km_server_call *call)
{
    KM_ASSERT(call->magic == KM_SERVER_CALL_MAGIC && call->refs > 0);
    if (--call->refs == 0) {
        call->magic = 0;
        km_server_loop_put_call(call->server_loop, call);
    }
}

/* -- the answer ---------------------------------------------------------- */

/* Queues the headers of the response, before its first message. */
static kama_status begin_answer(struct km_server_call *call)
{
    KM_ASSERT(km_server_call_has_handler(call->state));
    if (call->state == KM_SERVER_CALL_ANSWERING) {
        return KAMA_OK;
    }
    kama_status status = km_h2_respond(call->stream, ok_headers, OK_HEADERS);
    if (status == KAMA_OK) {
        call->state = KM_SERVER_CALL_ANSWERING;
    }
    return status;
}

kama_status km_server_call_send(struct km_server_call *call, kama_bytes head,
                                kama_value *body)
{
    KM_ASSERT(call->magic == KM_SERVER_CALL_MAGIC);
    if (call->state == KM_SERVER_CALL_ENDED) {
        return KAMA_ERR_CLOSED;
    }
    kama_status status = begin_answer(call);
    if (status == KAMA_OK) {
        status = km_grpc_send(call->stream, head, body);
    }
    km_server_conn_wake(call->conn);
    return status;
}

/* No message was sent, so that the status and its text fit into the headers. A
 * client whose encoding is unsupported is told which ones are supported. */
static kama_status send_trailers_only(struct km_server_call *call,
                                      const struct km_grpc_trailers *trailers,
                                      kama_status status)
{
    struct km_h2_field fields[OK_HEADERS + 4];
    size_t n = OK_HEADERS;
    memcpy(fields, ok_headers, sizeof ok_headers);
    memcpy(fields + n, trailers->fields, trailers->count * sizeof fields[0]);
    n += trailers->count;
    if (status == KAMA_ERR_UNSUPPORTED) {
        fields[n++] = accept_encoding;
    }
    KM_ASSERT(n <= sizeof fields / sizeof fields[0]);
    return km_h2_respond_and_end(call->stream, fields, n);
}

static kama_status send_end(struct km_server_call *call,
                            enum km_server_call_state left, kama_status status,
                            const char *text)
{
    bool answering = left == KM_SERVER_CALL_ANSWERING;
    if (answering && status == KAMA_OK) {
        return km_h2_end(call->stream, ok_trailers, 1);
    }
    struct km_grpc_trailers trailers;
    km_grpc_trailers_init(&trailers, status, text);
    return answering ? km_h2_end(call->stream, trailers.fields, trailers.count)
                     : send_trailers_only(call, &trailers, status);
}

void km_server_call_finish(struct km_server_call *call, kama_status status,
                           const char *text)
{
    KM_ASSERT(call->magic == KM_SERVER_CALL_MAGIC);
    if (call->state == KM_SERVER_CALL_ENDED) {
        return;
    }
    struct km_server_conn *conn = call->conn;
    enum km_server_call_state left = km_server_call_end(call, status);
    if (send_end(call, left, status, text) != KAMA_OK) {
        km_h2_reset(call->stream, KM_H2_INTERNAL_ERROR);
    }
    km_server_conn_wake(conn);
}

void km_server_call_reply(struct km_server_call *call, kama_bytes head,
                          kama_value *body)
{
    kama_status status = km_server_call_send(call, head, body);
    km_server_call_finish(call, status, NULL);
}
