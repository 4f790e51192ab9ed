/* SPDX-License-Identifier: MIT */
/*
 * The mark of a refusal and its answer. A refused call keeps its place in the
 * lists of its connection until it is answered, and its deadline is moved to
 * the time at which the server stops to wait for the rest of the request.
 */
#include "rpc/server_refuse.h"

#include "base/assert.h"
#include "base/limits.h"
#include "rpc/server_call_life.h"

#include <stdio.h>

/* -- the mark ------------------------------------------------------------ */

/* The answer waits for the end of the request, but not longer than this. */
static void mark(struct km_server_call *call, enum km_server_refusal refusal)
{
    KM_ASSERT(call->state != KM_SERVER_CALL_ENDED && call->conn != NULL);
    km_ns until = km_ns_after_ms(km_loop_now(call->server_loop->loop),
                                 KM_RPC_REFUSED_WAIT_MS);
    call->refusal = refusal;
    call->deadline = until < call->deadline ? until : call->deadline;
    km_server_loop_arm_later(call->server_loop, call);
}

void km_server_refuse(struct km_server_call *call, kama_status status,
                      const char *text)
{
    if (call->refusal == KM_SERVER_ACCEPTED) {
        call->refusal_status = status;
        call->refusal_text = text;
        mark(call, KM_SERVER_REFUSED);
    }
}

void km_server_refuse_foreign(struct km_server_call *call,
                              enum km_server_refusal refusal)
{
    KM_ASSERT(call->state < KM_SERVER_CALL_SERVING);
    call->refusal_status = KAMA_ERR_UNSUPPORTED;
    mark(call, refusal);
}

void km_server_refuse_stream(struct km_server_call *call)
{
    if (call->refusal == KM_SERVER_ACCEPTED) {
        call->refusal_status = KAMA_ERR_CLOSED;
        mark(call, KM_SERVER_REFUSED_STREAM);
    }
}

void km_server_refuse_data(struct km_server_call *call, size_t n)
{
    km_h2_consume(call->stream, n);
    if (call->state == KM_SERVER_CALL_ENDED) {
        return;
    }
    call->refused_bytes += n;
    if (call->refused_bytes > KM_RPC_REFUSED_BYTES_MAX) {
        km_server_refuse_answer(call, call->refusal_status);
    }
}

/* -- the answer ---------------------------------------------------------- */

/* An answer for people, in HTTP's own terms. */
static kama_status send_page(struct km_server_call *call, const char *code,
                             const char *text)
{
    const struct km_h2_field fields[] = {
        {{":status", 7}, {code, 3}, KM_H2_FIELD_STATIC},
        {{"content-type", 12},
         KM_LIT("text/plain; charset=utf-8"),
         KM_H2_FIELD_STATIC},
        {KM_LIT("allow"), KM_LIT("POST"), KM_H2_FIELD_STATIC},
    };
    kama_status status = km_h2_respond(call->stream, fields, 3);
    if (status == KAMA_OK) {
        status = km_h2_send(call->stream, kama_bytes_str(text), NULL);
    }
    return status == KAMA_OK ? km_h2_end(call->stream, NULL, 0) : status;
}

static void send_foreign(struct km_server_call *call)
{
    struct km_server_conn *conn = call->conn;
    enum km_server_refusal refusal = call->refusal;
    km_server_loop_count(call->server_loop, KM_SERVER_M_FOREIGN);
    (void)km_server_call_end(call, KAMA_ERR_UNSUPPORTED);
    kama_status status =
        refusal == KM_SERVER_REFUSED_TYPE
            ? send_page(call, "415",
                        "this port speaks gRPC: the content-type must be "
                        "application/grpc\n")
            : send_page(call, "405",
                        "this port speaks gRPC: the method must be POST\n");
    if (status != KAMA_OK) {
        km_h2_reset(call->stream, KM_H2_INTERNAL_ERROR);
    }
    km_server_conn_wake(conn);
}

static void send_reset(struct km_server_call *call)
{
    struct km_server_conn *conn = call->conn;
    (void)km_server_call_end(call, call->refusal_status);
    km_h2_reset(call->stream, KM_H2_REFUSED_STREAM);
    km_server_conn_wake(conn);
}

static void send_refusal(struct km_server_call *call)
{
    char text[96];
    if (call->refusal == KM_SERVER_REFUSED_STREAM) {
        send_reset(call);
    } else if (call->refusal != KM_SERVER_REFUSED) {
        send_foreign(call);
    } else if (call->refusal_limit != 0) {
        (void)snprintf(
            text, sizeof text, "the message is larger than %llu bytes%s",
            (unsigned long long)call->refusal_limit, call->refusal_text);
        km_server_call_finish(call, call->refusal_status, text);
    } else {
        km_server_call_finish(call, call->refusal_status, call->refusal_text);
    }
}

void km_server_refuse_answer(struct km_server_call *call, kama_status why)
{
    enum km_server_call_state left = call->state;
    KM_ASSERT(call->refusal != KM_SERVER_ACCEPTED);
    KM_ASSERT(left != KM_SERVER_CALL_ENDED);
    km_server_call_hold(call);
    send_refusal(call);
    km_server_call_tell_cancelled(call, left, why);
    km_server_call_release(call);
}
