/* SPDX-License-Identifier: MIT */
/*
 * One call, from its headers to its end.
 *
 * A call that cannot be given to a handler is refused, but only once its body
 * is in, because some clients do not expect an answer while they still send. A
 * body that is large (KM_RPC_REFUSED_BYTES_MAX) or that does not end soon
 * (KM_RPC_REFUSED_WAIT_MS) is answered before its end; then the stream lingers
 * (wire/h2/linger.c).
 *
 * A message that lies whole in one chunk is given to the handler where it
 * lies. One in pieces is collected (server_held.c).
 */
#include "rpc/server_internal.h"

#include "base/container.h"
#include "base/status.h"

/* -- memory -------------------------------------------------------------- */

static struct km_server_call *alloc_call(struct km_server_loop *server_loop)
{
    struct km_server_call *call = server_loop->spare_calls;
    if (call != NULL) {
        server_loop->spare_calls = call->next_spare;
        server_loop->spare_call_count--;
        return call;
    }
    return km_mem_alloc(server_loop->server->mem,
                        server_loop->server->call_bytes);
}

static void free_call(struct km_server_call *call)
{
    struct km_server_loop *server_loop = call->server_loop;
    call->magic = 0;
    if (server_loop->spare_call_count < KM_RPC_CALLS_SPARE_MAX) {
        call->next_spare = server_loop->spare_calls;
        server_loop->spare_calls = call;
        server_loop->spare_call_count++;
        return;
    }
    km_mem_free(server_loop->server->mem, call);
}

struct km_server_call *km_server_call_new(struct km_server_conn *conn,
                                          struct km_h2_stream *stream)
{
    struct km_server_loop *server_loop = conn->server_loop;
    struct km_server *server = server_loop->server;
    struct km_server_call *call = alloc_call(server_loop);
    if (call == NULL) {
        return NULL;
    }
    memset(call, 0, server->call_bytes);
    call->magic = KM_SERVER_CALL_MAGIC;
    call->refs = 1;
    call->server_loop = server_loop;
    call->conn = conn;
    call->stream = stream;
    call->deadline = KM_NS_NEVER;
    call->reset_fair_at = KM_NS_NEVER;
    km_list_push_back(&conn->calls, &call->node);
    km_list_init(&call->unarmed);
    km_list_init(&call->stalled);
    km_grpc_reader_init(
        &call->reader, server->mem,
        atomic_load_explicit(&server->max_message_bytes, memory_order_relaxed));
    km_server_count(server, KM_SERVER_M_CALLS);
    km_server_count(server, KM_SERVER_M_CALLS_RUNNING);
    return call;
}

void km_server_call_hold(struct km_server_call *call)
{
    KM_ASSERT(call->magic == KM_SERVER_CALL_MAGIC);
    call->refs++;
}

void km_server_call_release(struct km_server_call *call)
{
    KM_ASSERT(call->magic == KM_SERVER_CALL_MAGIC && call->refs > 0);
    if (--call->refs == 0) {
        free_call(call);
    }
}

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

bool km_server_call_reset_is_fair(const struct km_server_call *call)
{
    return km_clock_mono(call->server_loop->server->options.clock) >=
           call->reset_fair_at;
}

void km_server_call_header(struct km_server_call *call, kama_bytes name,
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

/* The time of the call is over, or a refused one has waited long enough for
 * the rest of its request. */
static void on_deadline(struct km_timer *timer)
{
    struct km_server_call *call =
        KM_CONTAINER_OF(timer, struct km_server_call, timer);
    km_server_refuse(call, KAMA_ERR_TIMEOUT, NULL);
    km_server_refusal_answer(call, call->refusal_status);
}

/* Calls that were answered within the turn need no timer; the others do. */
static void on_turn_end(struct km_mail *mail)
{
    struct km_server_loop *server_loop =
        KM_CONTAINER_OF(mail, struct km_server_loop, turn);
    server_loop->turn_asked = false;
    struct km_list *node;
    while ((node = km_list_pop_front(&server_loop->unarmed)) != NULL) {
        struct km_server_call *call =
            KM_CONTAINER_OF(node, struct km_server_call, unarmed);
        call->timer.fire = on_deadline;
        km_loop_timer_arm(server_loop->loop, &call->timer, call->deadline);
    }
}

void km_server_call_arm(struct km_server_call *call)
{
    struct km_server_loop *server_loop = call->server_loop;
    km_list_remove(&call->unarmed);
    km_list_push_back(&server_loop->unarmed, &call->unarmed);
    if (!server_loop->turn_asked) {
        server_loop->turn_asked = true;
        server_loop->turn.run = on_turn_end;
        km_loop_at_end_of_turn(server_loop->loop, &server_loop->turn);
    }
}

static bool is_overdue(const struct km_server_call *call)
{
    return call->deadline <= km_loop_now(call->server_loop->loop);
}

void km_server_call_begin(struct km_server_call *call, bool too_large)
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
        km_server_call_arm(call);
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
        km_server_call_drop_request(call);
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
    struct km_server_call *call = km_server_call_largest_holder(newest);
    km_server_refuse(call, KAMA_ERR_OVERLOADED, "too much is being received");
    km_server_call_drop_request(call);
    km_server_conn_wake(call->conn);
}

void km_server_call_data(struct km_server_call *call, kama_bytes chunk,
                         bool last)
{
    if (call->ended || call->refusal != KM_SERVER_ACCEPTED) {
        km_server_refusal_data(call, chunk.len);
        return;
    }
    read_messages(call, chunk, last);
    if (call->ended || call->refusal != KM_SERVER_ACCEPTED) {
        km_server_call_drop_request(call);
        km_server_refusal_data(call, chunk.len);
        return;
    }
    km_server_call_count_held(call);
    if (call->server_loop->held_bytes >
        call->server_loop->server->options.held_bytes_max) {
        make_room(call);
    }
    km_server_call_consume(call, chunk.len);
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
    km_server_refusal_answer(call, call->refusal_status);
}

static void serve_half_close(struct km_server_call *call)
{
    if (km_grpc_reader_partial(&call->reader)) {
        km_server_refuse(call, KAMA_ERR_PROTOCOL, "the message is cut off");
        km_server_refusal_answer(call, call->refusal_status);
    } else if (call->method->on_half_close != NULL) {
        call->seen_by_handler = true;
        call->method->on_half_close(call);
    }
}

void km_server_call_half_closed(struct km_server_call *call)
{
    if (call->ended) {
        return;
    }
    if (call->refusal != KM_SERVER_ACCEPTED) {
        km_server_refusal_answer(call, call->refusal_status);
    } else if (call->method->kind == KM_RPC_BIDI_STREAM) {
        serve_half_close(call);
    } else {
        serve_unary(call);
    }
}

/* -- the end ------------------------------------------------------------- */

void km_server_call_end(struct km_server_call *call, kama_status status)
{
    struct km_server *server = call->server_loop->server;
    KM_ASSERT(!call->ended && call->conn != NULL);
    call->ended = true;
    km_list_remove(&call->node);
    km_list_remove(&call->unarmed);
    if (call->timer.at != 0) {
        km_loop_timer_disarm(call->server_loop->loop, &call->timer);
    }
    if (!call->in_message) {
        km_server_call_drop_request(call);
    }
    km_metric_sub(server->metrics, KM_SERVER_M_CALLS_RUNNING, 1);
    if (status != KAMA_OK) {
        km_server_count(server, KM_SERVER_M_CALLS_FAILED);
    }
}

void km_server_call_cancel(struct km_server_call *call, kama_status why)
{
    km_server_refuse(call, why, NULL);
    km_server_refusal_answer(call, why);
}

void km_server_call_closed(struct km_server_call *call, uint32_t error_code)
{
    bool cancelled = !call->ended;
    kama_status why =
        error_code == KM_H2_LOST ? KAMA_ERR_DISCONNECTED : KAMA_ERR_CANCELLED;
    if (cancelled) {
        km_server_count(call->server_loop->server, KM_SERVER_M_CANCELLED);
        km_server_call_end(call, why);
    }
    call->conn = NULL;
    call->stream = NULL;
    if (cancelled) {
        km_server_call_tell_cancelled(call, why);
    }
    km_server_call_release(call);
}
