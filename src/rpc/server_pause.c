/* SPDX-License-Identifier: MIT */
/*
 * A call that is resumed waits in a list of its loop for the end of the turn, so
 * that its handler is never called from inside of km_server_call_resume_reading.
 */
#include "rpc/server_pause.h"

#include "base/assert.h"
#include "base/container.h"
#include "rpc/server_call_life.h"
#include "rpc/server_held.h"
#include "rpc/server_request.h"

void km_server_call_pause_reading(struct km_server_call *call)
{
    KM_ASSERT(call->magic == KM_SERVER_CALL_MAGIC);
    if (call->state == KM_SERVER_CALL_ENDED ||
        call->refusal != KM_SERVER_ACCEPTED ||
        call->method->kind != KM_RPC_BIDI_STREAM) {
        return;
    }
    if (call->waiting.mem == NULL) {
        km_buf_init(&call->waiting, call->server_loop->server->mem, SIZE_MAX);
    }
    km_list_remove(&call->resumed);
    call->reading = KM_SERVER_PAUSED;
    km_server_held_pause(call);
}

void km_server_call_resume_reading(struct km_server_call *call)
{
    KM_ASSERT(call->magic == KM_SERVER_CALL_MAGIC);
    if (call->reading != KM_SERVER_PAUSED ||
        call->state == KM_SERVER_CALL_ENDED) {
        return;
    }
    struct km_server_loop *server_loop = call->server_loop;
    call->reading = KM_SERVER_RESUMING;
    km_list_push_back(&server_loop->resumed, &call->resumed);
    km_loop_at_end_of_turn(server_loop->loop, &server_loop->turn);
}

void km_server_pause_keep(struct km_server_call *call, kama_bytes bytes)
{
    KM_ASSERT(call->reading != KM_SERVER_READING);
    if (km_buf_append(&call->waiting, bytes.data, bytes.len) != KAMA_OK) {
        km_server_refuse(call, KAMA_ERR_NO_MEMORY, NULL);
    }
}

/* The handler may pause the call again, or end it, with each message. */
static void deliver(struct km_server_call *call)
{
    KM_ASSERT(call->reading == KM_SERVER_RESUMING);
    call->reading = KM_SERVER_READING;
    kama_bytes rest = km_buf_bytes(&call->waiting);
    if (call->waiting_read > 0) {
        rest = km_bytes_skip(rest, call->waiting_read);
    }
    km_server_request_resume(call, rest);
}

void km_server_pause_end_turn(struct km_server_loop *server_loop)
{
    struct km_list resumed;
    struct km_list *node;
    km_list_init(&resumed);
    km_list_splice(&resumed, &server_loop->resumed);
    while ((node = km_list_pop_front(&resumed)) != NULL) {
        deliver(KM_CONTAINER_OF(node, struct km_server_call, resumed));
    }
}

void km_server_pause_drop(struct km_server_call *call)
{
    km_list_remove(&call->resumed);
    call->reading = KM_SERVER_READING;
    call->waiting_read = 0;
    km_buf_fini(&call->waiting);
}
