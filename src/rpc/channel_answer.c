/* SPDX-License-Identifier: MIT */
/*
 * Judging an answer. Each function may end the call; those that go on after
 * that ask for its state first.
 */
#include "rpc/channel_answer.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/status.h"
#include "rpc/channel_call_life.h"

#include <stdio.h>

#define CODE_UNKNOWN 2
#define CODE_INTERNAL 13

static bool is(kama_bytes name, const char *text)
{
    return km_bytes_eq(name, kama_bytes_str(text));
}

/* The server broke the protocol. */
static void fail(struct km_channel_call *call, int code, const char *text)
{
    km_channel_call_end(call, KAMA_ERR_PROTOCOL, code, text);
}

/* -- headers and trailers ------------------------------------------------ */

/* Returns 0, which is no status, for text that is not a number. */
static int parse_http_status(kama_bytes value)
{
    int status = 0;
    for (size_t i = 0; i < value.len && i < 3; i++) {
        char c = ((const char *)value.data)[i];
        status = c >= '0' && c <= '9' ? status * 10 + (c - '0') : 0;
    }
    return status;
}

static void note_code(struct km_channel_call *call, kama_bytes value)
{
    if (km_grpc_code_parse(value, &call->code) != KAMA_OK) {
        call->code = CODE_UNKNOWN;
    }
}

void km_channel_answer_header(struct km_channel_call *call, kama_bytes name,
                              kama_bytes value)
{
    if (is(name, ":status")) {
        call->http_status = parse_http_status(value);
    } else if (is(name, "content-type")) {
        call->grpc_content = km_grpc_content_type_ok(value);
    } else if (is(name, "grpc-status")) {
        note_code(call, value);
    } else if (is(name, "grpc-message")) {
        (void)km_grpc_message_decode(value, call->text, sizeof call->text);
    } else if (is(name, "kama-status")) {
        (void)km_status_from_name(value, &call->kama);
    }
}

/* A proxy or a web server has answered, not a server of gRPC. */
static void end_http(struct km_channel_call *call)
{
    char text[64];
    int code = km_grpc_code_from_http(call->http_status);
    (void)snprintf(text, sizeof text, "the server answered HTTP status %d",
                   call->http_status);
    km_channel_call_end(call, km_status_from_grpc(code), code, text);
}

/* The status is the one that kama-status names, because several of our statuses
 * share a gRPC code. It cannot make an error of a success, nor a success of an
 * error. */
static kama_status status_of(const struct km_channel_call *call)
{
    bool agrees = km_status_is_success(call->kama) == (call->code == 0);
    return agrees ? call->kama : km_status_from_grpc(call->code);
}

static void end_with_code(struct km_channel_call *call)
{
    km_channel_call_end(call, status_of(call), call->code,
                        call->text[0] != '\0' ? call->text : NULL);
}

/* A proxy may answer with an error of HTTP in the place of the server. */
void km_channel_answer_begin(struct km_channel_call *call)
{
    KM_ASSERT(call->state == KM_CHANNEL_CALL_RUNNING);
    km_channel_call_forget_request(call);
    if (call->http_status != 200) {
        if (call->code > 0) {
            end_with_code(call);
        } else {
            end_http(call);
        }
    } else if (!call->grpc_content && call->code == KM_CHANNEL_NO_CODE) {
        fail(call, CODE_UNKNOWN, "the answer's content-type is not gRPC's");
    }
}

void km_channel_answer_cut(struct km_channel_call *call)
{
    char text[64];
    (void)snprintf(text, sizeof text, "headers over %d bytes",
                   KM_H2_HEADER_LIST_BYTES_MAX);
    km_channel_call_end(call, KAMA_ERR_TOO_LARGE, KM_CHANNEL_NO_CODE, text);
}

/* -- messages ------------------------------------------------------------ */

/* The text names the limit or the fault, for the log of the caller. */
static void end_bad_message(struct km_channel_call *call, kama_status status)
{
    char text[96];
    switch (status) {
    case KAMA_ERR_TOO_LARGE:
        (void)snprintf(text, sizeof text, "a message over %llu bytes",
                       (unsigned long long)call->channel->max_message_bytes);
        km_channel_call_end(call, status, KM_CHANNEL_NO_CODE, text);
        return;
    case KAMA_ERR_UNSUPPORTED:
        fail(call, CODE_INTERNAL, "a compressed message");
        return;
    case KAMA_ERR_PROTOCOL:
        fail(call, CODE_INTERNAL, "not a gRPC message");
        return;
    default:
        km_channel_call_end(call, status, KM_CHANNEL_NO_CODE, NULL);
        return;
    }
}

void km_channel_answer_data(struct km_channel_call *call, kama_bytes chunk)
{
    while (call->state == KM_CHANNEL_CALL_RUNNING) {
        kama_bytes message;
        kama_status status =
            km_grpc_reader_next(&call->reader, &chunk, &message);
        if (status == KAMA_MISS) {
            return;
        }
        if (status != KAMA_OK) {
            end_bad_message(call, status);
            return;
        }
        call->messages++;
        if (call->unary && call->messages > 1) {
            fail(call, CODE_INTERNAL, "more than one message");
            return;
        }
        call->ops->on_message(call->arg, message);
    }
}

/* -- ends ---------------------------------------------------------------- */

void km_channel_answer_end(struct km_channel_call *call)
{
    if (call->code == KM_CHANNEL_NO_CODE) {
        fail(call, CODE_UNKNOWN, "the answer has no grpc-status");
    } else if (call->code != 0) {
        end_with_code(call);
    } else if (km_grpc_reader_partial(&call->reader)) {
        fail(call, CODE_INTERNAL, "the last message is cut off");
    } else if (call->unary && call->messages != 1) {
        fail(call, CODE_INTERNAL, "no message");
    } else {
        km_channel_call_end(call, status_of(call), 0, "");
    }
}

/* The connection is gone, and took the stream with it. */
static void end_lost(struct km_channel_call *call)
{
    char text[KM_CHANNEL_TEXT_BYTES];
    kama_status status =
        km_channel_link_loss(call->link, km_h2_why(call->link->h2), text);
    km_channel_call_end(call, status, KM_CHANNEL_NO_CODE, text);
}

/* A server that gives up at the deadline resets the stream with CANCEL, and
 * that may arrive before our own timer has fired. The caller is told of a
 * timeout in both cases. */
static bool is_late(const struct km_channel_call *call)
{
    return km_clock_mono(call->channel->clock) >= call->deadline;
}

void km_channel_answer_lost(struct km_channel_call *call, uint32_t error_code)
{
    char text[80];
    if (error_code == KM_H2_LOST) {
        end_lost(call);
        return;
    }
    if (call->fate != KM_CHANNEL_FATE_MAYBE && km_channel_call_requeue(call)) {
        return;
    }
    if (call->fate == KM_CHANNEL_FATE_NOT_SENT) {
        km_channel_call_end(call, KAMA_ERR_UNREACHABLE, KM_CHANNEL_NO_CODE,
                            "the connection took no more requests");
        return;
    }
    if (error_code == KM_H2_CANCEL && is_late(call)) {
        km_channel_call_end(call, KAMA_ERR_TIMEOUT, KM_CHANNEL_NO_CODE, NULL);
        return;
    }
    int code = km_grpc_code_from_h2(error_code);
    if (error_code == KM_H2_REFUSED_STREAM) {
        (void)snprintf(text, sizeof text,
                       "the server has refused the call; it is stopping, or "
                       "has too many calls");
    } else {
        (void)snprintf(text, sizeof text,
                       "the stream was reset with HTTP/2 error %u",
                       (unsigned)error_code);
    }
    km_channel_call_end(call, km_status_from_grpc(code), code, text);
}
