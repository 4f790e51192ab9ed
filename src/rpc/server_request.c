/* SPDX-License-Identifier: MIT */
/*
 * From headers and DATA to a handler's message. Each step may refuse the call,
 * and a handler may end it, so every loop here asks again whether the call still
 * runs.
 */
#include "rpc/server_request.h"

#include "base/assert.h"
#include "base/limits.h"
#include "rpc/server_call_life.h"
#include "rpc/server_held.h"

/* -- headers ------------------------------------------------------------- */

static bool is(kama_bytes bytes, const char *text, size_t len)
{
    return bytes.len == len && memcmp(bytes.data, text, len) == 0;
}
#define IS(bytes, text) is(bytes, text, sizeof(text) - 1)

/* The client's clock for the same timeout started earlier, when it made the
 * request, so that its reset arrives before our deadline: by the time that the
 * request was on its way and waited to be read. */
static km_ns early_reset(km_ns timeout)
{
    const km_ns least = KM_RPC_RESET_EARLY_MS * KM_NS_PER_MS;
    km_ns early = timeout / 4 > least ? timeout / 4 : least;
    return early < timeout ? early : timeout;
}

static void keep_timeout(struct km_server_call *call, kama_bytes value)
{
    km_ns timeout;
    if (km_grpc_timeout_parse(value, &timeout) != KAMA_OK) {
        call->bad_timeout = true;
        return;
    }
    call->deadline = km_loop_now(call->server_loop->loop) + timeout;
    call->reset_fair_at = call->deadline - early_reset(timeout);
}

void km_server_request_header(struct km_server_call *call, kama_bytes name,
                              kama_bytes value)
{
    switch (name.len) {
    case 5:
        if (IS(name, ":path")) {
            call->method = km_server_methods_find(
                &call->server_loop->server->methods, value);
        }
        break;
    case 7:
        if (IS(name, ":method")) {
            call->is_post = IS(value, "POST");
        }
        break;
    case 12:
        if (IS(name, "content-type")) {
            call->is_grpc = km_grpc_content_type_ok(value);
        } else if (IS(name, "grpc-timeout")) {
            keep_timeout(call, value);
        }
        break;
    case 13:
        if (IS(name, "grpc-encoding")) {
            call->reader.encoding = km_grpc_encoding_parse(value);
        }
        break;
    default:
        break;
    }
}

static bool is_overdue(const struct km_server_call *call)
{
    return call->deadline <= km_loop_now(call->server_loop->loop);
}

void km_server_request_begin(struct km_server_call *call, bool too_large)
{
    if (too_large) {
        km_server_refuse(call, KAMA_ERR_TOO_LARGE,
                         "the metadata is larger than " KM_TEXT_OF(
                             KM_H2_HEADER_LIST_BYTES_MAX) " bytes");
    } else if (!call->is_grpc) {
        km_server_refuse_foreign(call, KM_SERVER_REFUSED_TYPE);
    } else if (!call->is_post) {
        km_server_refuse_foreign(call, KM_SERVER_REFUSED_METHOD);
    } else if (call->method == NULL) {
        km_server_refuse(call, KAMA_ERR_UNSUPPORTED, "no such method");
    } else if (call->method->on_message == NULL) {
        km_server_refuse(call, KAMA_ERR_UNSUPPORTED, NULL);
    } else if (call->bad_timeout) {
        km_server_refuse(call, KAMA_ERR_INVALID, "grpc-timeout is malformed");
    } else if (is_overdue(call)) {
        km_server_refuse(call, KAMA_ERR_TIMEOUT, NULL);
    } else if (call->deadline != KM_NS_NEVER) {
        km_server_loop_arm_later(call->server_loop, call);
    }
}

/* -- body ---------------------------------------------------------------- */

static void give_message(struct km_server_call *call, kama_bytes message)
{
    call->seen_by_handler = true;
    call->in_message = true;
    call->method->on_message(call, message);
    call->in_message = false;
    if (call->ended || call->method->kind != KM_RPC_BIDI_STREAM) {
        km_server_held_drop(call);
    }
}

/* A unary message waits until END_STREAM says that it is the only one. */
static void keep_message(struct km_server_call *call, kama_bytes message,
                         bool last)
{
    if (call->has_message) {
        km_server_refuse(call, KAMA_ERR_UNSUPPORTED, "more than one message");
        return;
    }
    if (!last && km_grpc_reader_keep(&call->reader, &message) != KAMA_OK) {
        km_server_refuse(call, KAMA_ERR_NO_MEMORY, NULL);
        return;
    }
    call->message = message;
    call->has_message = true;
}

static void refuse_message(struct km_server_call *call, kama_status status)
{
    if (status == KAMA_ERR_TOO_LARGE) {
        call->refusal_limit = call->reader.message_bytes_max;
    }
    km_server_refuse(call, status, km_grpc_reader_error(&call->reader, status));
}

static void read_messages(struct km_server_call *call, kama_bytes chunk,
                          bool last)
{
    bool unary = call->method->kind != KM_RPC_BIDI_STREAM;
    while (chunk.len > 0 && !call->ended &&
           call->refusal == KM_SERVER_ACCEPTED) {
        if (unary && call->has_message) {
            km_server_refuse(call, KAMA_ERR_UNSUPPORTED,
                             "more than one message");
            return;
        }
        kama_bytes message;
        kama_status status =
            km_grpc_reader_next(&call->reader, &chunk, &message);
        if (status == KAMA_MISS) {
            return;
        }
        if (status != KAMA_OK) {
            refuse_message(call, status);
        } else if (unary) {
            keep_message(call, message, last);
        } else {
            give_message(call, message);
        }
    }
}

/* A loop is full. Whoever fills it pays, or else a client with requests that
 * it never ends would keep out all others. */
static void make_room(struct km_server_call *newest)
{
    struct km_server_call *call = km_server_held_largest(newest);
    km_server_refuse(call, KAMA_ERR_OVERLOADED, "too much is being received");
    km_server_held_drop(call);
    km_server_conn_wake(call->conn);
}

void km_server_request_data(struct km_server_call *call, kama_bytes chunk,
                            bool last)
{
    if (call->ended || call->refusal != KM_SERVER_ACCEPTED) {
        km_server_refuse_data(call, chunk.len);
        return;
    }
    read_messages(call, chunk, last);
    if (call->ended || call->refusal != KM_SERVER_ACCEPTED) {
        km_server_held_drop(call);
        km_server_refuse_data(call, chunk.len);
        return;
    }
    km_server_held_count(call);
    if (call->server_loop->held_bytes >
        call->server_loop->server->options.held_bytes_max) {
        make_room(call);
    }
    km_server_held_consume(call, chunk.len);
}

/* Everything that a unary call needs is there, or it never will be. */
static void serve_unary(struct km_server_call *call)
{
    if (is_overdue(call)) {
        km_server_refuse(call, KAMA_ERR_TIMEOUT, NULL);
    } else if (call->has_message) {
        give_message(call, call->message);
        return;
    } else if (km_grpc_reader_partial(&call->reader)) {
        km_server_refuse(call, KAMA_ERR_PROTOCOL, "the message is cut off");
    } else {
        km_server_refuse(call, KAMA_ERR_UNSUPPORTED, "there is no message");
    }
    km_server_refuse_answer(call, call->refusal_status);
}

static void serve_half_close(struct km_server_call *call)
{
    if (km_grpc_reader_partial(&call->reader)) {
        km_server_refuse(call, KAMA_ERR_PROTOCOL, "the message is cut off");
        km_server_refuse_answer(call, call->refusal_status);
    } else if (call->method->on_half_close != NULL) {
        call->seen_by_handler = true;
        call->method->on_half_close(call);
    }
}

void km_server_request_end(struct km_server_call *call)
{
    if (call->ended) {
        return;
    }
    if (call->refusal != KM_SERVER_ACCEPTED) {
        km_server_refuse_answer(call, call->refusal_status);
    } else if (call->method->kind == KM_RPC_BIDI_STREAM) {
        serve_half_close(call);
    } else {
        serve_unary(call);
    }
}
