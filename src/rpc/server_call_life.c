/* SPDX-License-Identifier: MIT */
/*
 * A call begins with its stream, and it may end before the stream does (it was
 * answered) or with it (the client reset it, or the connection was lost). Its
 * memory stays until the stream and every hold of the handler have let go of
 * it.
 */
#include "rpc/server_call_life.h"

#include "base/assert.h"
#include "base/container.h"
#include "rpc/server_held.h"

/* The time of the call is over, or a refused call has waited long enough for
 * the rest of its request. */
static void on_deadline(struct km_timer *timer)
{
    struct km_server_call *call =
        KM_CONTAINER_OF(timer, struct km_server_call, timer);
    km_server_refuse(call, KAMA_ERR_TIMEOUT, NULL);
    km_server_refuse_answer(call, call->refusal_status);
}

struct km_server_call *km_server_call_new(struct km_server_conn *conn,
                                          struct km_h2_stream *stream)
{
    struct km_server_loop *server_loop = conn->server_loop;
    struct km_server *server = server_loop->server;
    struct km_server_call *call = km_server_loop_take_call(server_loop);
    if (call == NULL) {
        return NULL;
    }
    memset(call, 0, KM_SERVER_CALL_STATE_OFFSET);
    call->magic = KM_SERVER_CALL_MAGIC;
    call->refs = 1;
    call->server_loop = server_loop;
    call->conn = conn;
    call->stream = stream;
    call->timer.fire = on_deadline;
    call->deadline = KM_NS_NEVER;
    call->reset_fair_at = KM_NS_NEVER;
    km_list_push_back(&conn->calls, &call->node);
    call->begun_at = km_loop_now(server_loop->loop);
    conn->called_at = call->begun_at;
    km_list_init(&call->unarmed);
    km_list_init(&call->stalled);
    km_list_init(&call->resumed);
    km_grpc_reader_init(
        &call->reader, server->mem,
        atomic_load_explicit(&server->max_message_bytes, memory_order_relaxed));
    call->reader.budget = &server_loop->decode_budget;
    km_server_loop_count(server_loop, KM_SERVER_M_CALLS);
    km_server_loop_count(server_loop, KM_SERVER_M_CALLS_RUNNING);
    return call;
}

bool km_server_call_reset_is_fair(const struct km_server_call *call)
{
    return km_clock_mono(call->server_loop->server->options.clock) >=
           call->reset_fair_at;
}

/* -- the end ------------------------------------------------------------- */

enum km_server_call_state km_server_call_end(struct km_server_call *call,
                                             kama_status status)
{
    enum km_server_call_state left = call->state;
    KM_ASSERT(left != KM_SERVER_CALL_ENDED && call->conn != NULL);
    call->state = KM_SERVER_CALL_ENDED;
    km_list_remove(&call->node);
    km_list_remove(&call->unarmed);
    km_list_remove(&call->resumed);
    if (call->timer.at != 0) {
        km_loop_timer_disarm(call->server_loop->loop, &call->timer);
    }
    if (call->message_state != KM_SERVER_MESSAGE_LENT) {
        km_server_held_drop(call);
    }
    km_metric_sub(call->server_loop->server->metrics, KM_SERVER_M_CALLS_RUNNING,
                  1);
    if (status != KAMA_OK) {
        km_server_loop_count(call->server_loop, KM_SERVER_M_CALLS_FAILED);
    }
    km_server_figures_count(call, status);
    return left;
}

void km_server_call_cancel(struct km_server_call *call, kama_status why)
{
    km_server_refuse(call, why, NULL);
    km_server_refuse_answer(call, why);
}

void km_server_call_tell_cancelled(struct km_server_call *call,
                                   enum km_server_call_state left,
                                   kama_status why)
{
    KM_ASSERT(call->state == KM_SERVER_CALL_ENDED);
    if (km_server_call_has_handler(left) && call->method->on_cancel != NULL) {
        call->method->on_cancel(call, why);
    }
}

/* The handler is told last, when the call refers to no stream any more, so that
 * nothing that it does with the call can reach the stream. */
void km_server_call_closed(struct km_server_call *call, uint32_t error_code)
{
    enum km_server_call_state left = call->state;
    kama_status why =
        error_code == KM_H2_LOST ? KAMA_ERR_DISCONNECTED : KAMA_ERR_CANCELLED;
    if (left != KM_SERVER_CALL_ENDED) {
        km_server_loop_count(call->server_loop, KM_SERVER_M_CANCELLED);
        (void)km_server_call_end(call, why);
    }
    KM_ASSERT(call->held_bytes == 0 && call->window_bytes == 0);
    call->conn = NULL;
    call->stream = NULL;
    km_server_call_tell_cancelled(call, left, why);
    km_server_call_release(call);
}
