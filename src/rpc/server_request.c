/* SPDX-License-Identifier: MIT */
/*
 * From headers and DATA to a handler's message. Each step may refuse the call,
 * and a handler may end it, so every loop here asks again whether the call
 * still runs.
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

/* How much earlier than our deadline the client's own may pass. Its clock for
 * the same timeout started when it made the request, ours starts when the
 * request is read; between them the request was on its way and waited to be
 * read. */
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
        call->properties |= KM_SERVER_REQUEST_BAD_TIMEOUT;
        return;
    }
    call->deadline = km_loop_now(call->server_loop->loop) + timeout;
    call->reset_fair_at = call->deadline - early_reset(timeout);
}

/* The last of several headers of one name counts. */
static void keep_content_type(struct km_server_call *call, kama_bytes value)
{
    call->properties &= ~KM_SERVER_REQUEST_GRPC;
    if (km_grpc_content_type_ok(value)) {
        call->properties |= KM_SERVER_REQUEST_GRPC;
    }
}

/* Finds the row of the path. Of the state, which has room for that of any method,
 * only the part that this one uses is zeroed. */
static void find_method(struct km_server_call *call, kama_bytes path)
{
    call->method =
        km_server_methods_find(&call->server_loop->server->methods, path);
    if (call->method != NULL) {
        const struct km_server_method *m = call->method;
        memset(km_server_call_state(call), 0,
               m->zeroed_bytes != 0 ? m->zeroed_bytes : m->state_bytes);
    }
}

/* The length of a name decides nearly alone which header it is, so that most
 * headers, which are none of ours, are passed over without a comparison. */
void km_server_request_header(struct km_server_call *call, kama_bytes name,
                              kama_bytes value)
{
    switch (name.len) {
    case 5:
        if (IS(name, ":path")) {
            find_method(call, value);
        }
        break;
    case 7:
        if (IS(name, ":method") && IS(value, "POST")) {
            call->properties |= KM_SERVER_REQUEST_POST;
        }
        break;
    case 12:
        if (IS(name, "content-type")) {
            keep_content_type(call, value);
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
    uint64_t lengths = call->server_loop->server->methods.metadata_lengths;
    if (name.len == 13 || (name.len < 64 && (lengths >> name.len & 1) != 0)) {
        km_server_metadata_header(call, name, value);
    }
}

static bool is_overdue(const struct km_server_call *call)
{
    return call->deadline <= km_loop_now(call->server_loop->loop);
}

/* A connection that cuts off its calls also drops its input, so that no call
 * can have ended before its headers were complete, except with its stream. */
static void leave_headers(struct km_server_call *call)
{
    KM_ASSERT(call->state == KM_SERVER_CALL_HEADERS);
    call->state = KM_SERVER_CALL_RECEIVING;
}

/* A loop holds too much. The connection that holds most pays for it, or else a
 * client with requests that it never ends would keep out all the others. */
static void make_room(struct km_server_call *newest)
{
    struct km_server_call *call = km_server_held_largest(newest);
    km_server_refuse(call, KAMA_ERR_OVERLOADED, "too much is being received");
    km_server_held_drop(call);
    km_server_conn_wake(call->conn);
}

/* Counts the memory of the request, of which there may be too much now. */
static void count_held(struct km_server_call *call)
{
    const struct km_server_loop *server_loop = call->server_loop;
    km_server_held_count(call);
    if (server_loop->held_bytes > server_loop->server->options.held_bytes_max) {
        make_room(call);
    }
}

void km_server_request_begin_cut(struct km_server_call *call)
{
    leave_headers(call);
    km_server_metadata_drop(call);
    km_server_refuse(call, KAMA_ERR_TOO_LARGE,
                     "the metadata is larger than " KM_TEXT_OF(
                         KM_H2_HEADER_LIST_BYTES_MAX) " bytes");
}

/* Refuses a request whose headers are not those of a call that is served. */
static void judge_headers(struct km_server_call *call)
{
    if (!(call->properties & KM_SERVER_REQUEST_GRPC)) {
        km_server_refuse_foreign(call, KM_SERVER_REFUSED_TYPE);
    } else if (!(call->properties & KM_SERVER_REQUEST_POST)) {
        km_server_refuse_foreign(call, KM_SERVER_REFUSED_METHOD);
    } else if (call->method == NULL) {
        km_server_refuse(call, KAMA_ERR_UNSUPPORTED, "no such method");
    } else if (call->method->on_message == NULL) {
        km_server_refuse(call, KAMA_ERR_UNSUPPORTED, NULL);
    } else if (call->properties & KM_SERVER_REQUEST_BAD_TIMEOUT) {
        km_server_refuse(call, KAMA_ERR_INVALID, "grpc-timeout is malformed");
    } else if (is_overdue(call)) {
        km_server_refuse(call, KAMA_ERR_TIMEOUT, NULL);
    } else {
        km_server_metadata_refuse(call);
        km_server_admit(call);
    }
}

void km_server_request_begin(struct km_server_call *call)
{
    leave_headers(call);
    judge_headers(call);
    if (call->metadata != NULL) {
        count_held(call);
    }
    if (call->refusal == KM_SERVER_ACCEPTED && call->deadline != KM_NS_NEVER) {
        km_server_loop_arm_later(call->server_loop, call);
    }
}

/* -- body ---------------------------------------------------------------- */

/* Returns whether the handler may be given more of the request. */
static bool is_open(const struct km_server_call *call)
{
    return call->state != KM_SERVER_CALL_ENDED &&
           call->refusal == KM_SERVER_ACCEPTED;
}

/* From now on the handler hears of the call's end. */
static void show_handler(struct km_server_call *call)
{
    KM_ASSERT(call->state != KM_SERVER_CALL_ENDED);
    if (call->state == KM_SERVER_CALL_RECEIVING) {
        call->state = KM_SERVER_CALL_SERVING;
    }
}

/* The handler's first callback is over. */
static void drop_metadata(struct km_server_call *call)
{
    if (call->metadata != NULL) {
        km_server_metadata_drop(call);
        km_server_held_count(call);
    }
}

/* The handler may end the call and still read the message, so that its bytes
 * stay until it returns. */
static void give_message(struct km_server_call *call, kama_bytes message)
{
    show_handler(call);
    call->message_state = KM_SERVER_MESSAGE_LENT;
    call->method->on_message(call, message);
    call->message_state = KM_SERVER_MESSAGE_NONE;
    if (call->state == KM_SERVER_CALL_ENDED ||
        call->method->kind != KM_RPC_BIDI_STREAM) {
        km_server_held_drop(call);
    } else {
        drop_metadata(call);
    }
}

/* A unary call's message waits until the client has ended its request. If more
 * bytes may follow, it is copied out of the chunk, which is gone by then. */
static void keep_message(struct km_server_call *call, kama_bytes message,
                         enum km_h2_chunk place)
{
    KM_ASSERT(call->message_state == KM_SERVER_MESSAGE_NONE);
    if (place == KM_H2_CHUNK_MORE &&
        km_grpc_reader_keep(&call->reader, &message) != KAMA_OK) {
        km_server_refuse(call, KAMA_ERR_NO_MEMORY, NULL);
        return;
    }
    call->message = message;
    call->message_state = KM_SERVER_MESSAGE_WHOLE;
}

static void refuse_message(struct km_server_call *call, kama_status status)
{
    if (status == KAMA_ERR_TOO_LARGE) {
        call->refusal_limit = call->reader.message_bytes_max;
    }
    km_server_refuse(call, status, km_grpc_reader_error(&call->reader, status));
}

/* Lets the reader free the message that it returned last. */
static void free_message(struct km_server_call *call)
{
    kama_bytes none = kama_bytes_make(NULL, 0);
    kama_bytes message;
    kama_status status = km_grpc_reader_next(&call->reader, &none, &message);
    KM_ASSERT(status == KAMA_MISS);
}

/* Takes the messages off the front of *chunk, until the handler pauses. Asks the
 * reader once more behind the last message, so that it frees a message that was
 * delivered. */
static void read_messages(struct km_server_call *call, kama_bytes *chunk,
                          enum km_h2_chunk place)
{
    bool unary = call->method->kind != KM_RPC_BIDI_STREAM;
    if (call->reader.encoding != KM_GRPC_IDENTITY) {
        km_server_loop_fill_budget(call->server_loop);
    }
    while (is_open(call) && call->reading == KM_SERVER_READING) {
        if (call->message_state == KM_SERVER_MESSAGE_WHOLE) {
            if (chunk->len > 0) {
                km_server_refuse(call, KAMA_ERR_UNSUPPORTED,
                                 "more than one message");
            }
            return;
        }
        kama_bytes message;
        kama_status status =
            km_grpc_reader_next(&call->reader, chunk, &message);
        if (status == KAMA_MISS) {
            return;
        }
        if (status != KAMA_OK) {
            refuse_message(call, status);
        } else if (unary) {
            keep_message(call, message, place);
        } else {
            give_message(call, message);
        }
    }
    if (is_open(call) && call->reading != KM_SERVER_READING) {
        free_message(call);
    }
}

void km_server_request_data(struct km_server_call *call, kama_bytes chunk,
                            enum km_h2_chunk place)
{
    KM_ASSERT(call->state != KM_SERVER_CALL_HEADERS);
    if (!is_open(call)) {
        km_server_refuse_data(call, chunk.len);
        return;
    }
    size_t n = chunk.len;
    if (call->reading == KM_SERVER_READING) {
        read_messages(call, &chunk, place);
    }
    if (is_open(call) && call->reading != KM_SERVER_READING) {
        km_server_pause_keep(call, chunk);
    }
    if (!is_open(call)) {
        km_server_held_drop(call);
        km_server_refuse_data(call, n);
        return;
    }
    count_held(call);
    km_server_held_consume(call, n);
}

/* The request is in: it has its one message, or it never will have. */
static void serve_unary(struct km_server_call *call)
{
    if (is_overdue(call)) {
        km_server_refuse(call, KAMA_ERR_TIMEOUT, NULL);
    } else if (call->message_state == KM_SERVER_MESSAGE_WHOLE) {
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
        show_handler(call);
        call->method->on_half_close(call);
        drop_metadata(call);
    }
}

/* Gives the window back, and the end of the request to the handler: all that was
 * kept has been delivered. */
static void go_on(struct km_server_call *call)
{
    km_buf_reset(&call->waiting, 0);
    call->waiting_read = 0;
    count_held(call);
    if (!is_open(call)) {
        return;
    }
    km_server_held_resume(call);
    if (call->properties & KM_SERVER_REQUEST_END_WAITS) {
        call->properties &= ~KM_SERVER_REQUEST_END_WAITS;
        serve_half_close(call);
    }
}

/* A refused call is answered at its end, which may have come already. */
static void end_refused(struct km_server_call *call)
{
    km_server_held_drop(call);
    if (call->properties & KM_SERVER_REQUEST_END_WAITS) {
        km_server_refuse_answer(call, call->refusal_status);
    }
}

void km_server_request_resume(struct km_server_call *call, kama_bytes kept)
{
    struct km_server_conn *conn = call->conn;
    size_t n = kept.len;
    KM_ASSERT(call->reading == KM_SERVER_READING);
    read_messages(call, &kept, KM_H2_CHUNK_MORE);
    if (call->state != KM_SERVER_CALL_ENDED &&
        call->refusal != KM_SERVER_ACCEPTED) {
        end_refused(call);
    } else if (is_open(call) && call->reading != KM_SERVER_READING) {
        call->waiting_read += n - kept.len;
    } else if (is_open(call)) {
        go_on(call);
    }
    km_server_conn_wake(conn);
}

void km_server_request_end(struct km_server_call *call)
{
    KM_ASSERT(call->state != KM_SERVER_CALL_HEADERS);
    if (call->state == KM_SERVER_CALL_ENDED) {
        return;
    }
    if (call->refusal != KM_SERVER_ACCEPTED) {
        km_server_refuse_answer(call, call->refusal_status);
    } else if (call->reading != KM_SERVER_READING) {
        call->properties |= KM_SERVER_REQUEST_END_WAITS;
    } else if (call->method->kind == KM_RPC_BIDI_STREAM) {
        serve_half_close(call);
    } else {
        serve_unary(call);
    }
}
