/* SPDX-License-Identifier: MIT */
#include "services/one_key.h"

#include "base/container.h"
#include "base/status.h"

/* The time that the client gave to the call bounds every wait. */
static void init_ctx(struct km_server_call *call, kama_ctx *ret_ctx)
{
    kama_ctx_init(ret_ctx);
    ret_ctx->deadline_ms = km_server_call_deadline_ms(call);
}

static void on_mutated(struct km_mutate_op *op, kama_status status,
                       const char *sentence)
{
    struct km_service_mutate *mutate =
        KM_CONTAINER_OF(op, struct km_service_mutate, op);
    mutate->unsynced = km_unsynced_ref(op->unsynced);
    km_service_parked_end(&mutate->parked, status, sentence);
}

static void reply_mutate(struct km_server_call *call, kama_status status,
                         const char *text)
{
    struct km_service_mutate *mutate = km_server_call_state(call);
    struct km_unsynced *unsynced = mutate->unsynced;
    mutate->reply(call, status, text);
    km_unsynced_unref(unsynced);
}

void km_service_mutate_start(struct km_server_call *call, kama_group *group,
                             struct km_mutate_order *order,
                             km_service_answer_fn reply)
{
    struct km_service_mutate *mutate = km_server_call_state(call);
    kama_ctx ctx;
    init_ctx(call, &ctx);
    order->from = KM_MUTATE_FOR_CALLER;
    order->patience = KM_MUTATE_PARKS;
    order->ctx = &ctx;
    km_service_parked_init(call, reply_mutate);
    mutate->reply = reply;
    mutate->unsynced = NULL;
    mutate->op.done = on_mutated;
    km_last_error_clear();
    km_service_parked_go_on(call,
                            km_mutate_op_start(group, &mutate->op, order));
}

static void on_peeked(struct km_peek_op *op, kama_status status, int64_t ttl_ms,
                      const char *sentence)
{
    struct km_service_peek *peek =
        KM_CONTAINER_OF(op, struct km_service_peek, op);
    peek->ttl_ms = ttl_ms;
    km_service_parked_end(&peek->parked, status, sentence);
}

void km_service_peek_start(struct km_server_call *call, kama_group *group,
                           kama_bytes key, km_service_answer_fn reply)
{
    struct km_service_peek *peek = km_server_call_state(call);
    kama_ctx ctx;
    init_ctx(call, &ctx);
    km_service_parked_init(call, reply);
    peek->op.done = on_peeked;
    km_last_error_clear();
    km_service_parked_go_on(call,
                            km_peek_op_start(group, &peek->op, KM_MUTATE_PARKS,
                                             key, &ctx, &peek->ttl_ms));
}
