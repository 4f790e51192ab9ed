/* SPDX-License-Identifier: MIT */
#include "services/one_key.h"

#include "base/container.h"
#include "base/status.h"
#include "services/service.h"
#include "wire/msg/msg.h"

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
    order->answers = KM_MUTATE_ANSWERS_CLIENT;
    order->ctx = &ctx;
    km_service_parked_init(call, reply_mutate);
    mutate->parked.status = KAMA_OK;
    mutate->reply = reply;
    mutate->unsynced = NULL;
    mutate->op.done = on_mutated;
    km_last_error_clear();
    km_service_parked_go_on(call,
                            km_mutate_op_start(group, &mutate->op, order));
}

/* A list for which there is no memory is left out as a whole. */
static kama_status encode(struct km_buf *buf, const struct km_pb_message *table,
                          const void *message, const struct km_unsynced *list)
{
    kama_status st = km_pb_append(buf, table, message);
    if (st == KAMA_OK) {
        (void)!km_service_append_unsynced(buf, KM_MSG_UNSYNCED, list);
    }
    return st;
}

void km_service_mutate_reply(struct km_server_call *call,
                             const struct km_pb_message *table,
                             const void *message)
{
    const struct km_service_mutate *mutate = km_server_call_state(call);
    struct km_buf buf;
    if (mutate->unsynced == NULL && mutate->parked.status != KAMA_UNSYNCED) {
        km_service_reply_message(call, table, message);
        return;
    }
    km_buf_init(&buf, mutate->parked.env->mem, SIZE_MAX);
    kama_status st = encode(&buf, table, message, mutate->unsynced);
    if (st == KAMA_OK) {
        km_service_reply_as(call, km_buf_bytes(&buf), KAMA_UNSYNCED);
    } else {
        km_server_call_finish(call, st, NULL);
    }
    km_buf_fini(&buf);
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
