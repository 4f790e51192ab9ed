/* SPDX-License-Identifier: MIT */
#include "services/clear.h"

#include "base/container.h"
#include "base/status.h"
#include "services/service.h"
#include "wire/msg/msg.h"

static void reply(struct km_server_call *call, kama_status status,
                  const char *text)
{
    struct km_service_clear *clear = km_server_call_state(call);
    if ((int)status >= 0) {
        kama_status st =
            km_server_call_send(call, km_buf_bytes(&clear->answer), NULL);
        status = st == KAMA_OK ? status : st;
    }
    km_server_call_finish(call, status, text);
    km_buf_fini(&clear->answer);
}

/* Encodes the addresses while they are there. Any thread. */
static void on_cleared(struct km_clear_op *op, kama_status status,
                       const char *sentence, const char *const *unreached,
                       size_t count)
{
    struct km_service_clear *clear =
        KM_CONTAINER_OF(op, struct km_service_clear, op);
    kama_status st = KAMA_OK;
    for (size_t i = 0; i < count && st == KAMA_OK; i++) {
        st = km_pb_append_bytes(&clear->answer, KM_MSG_CLEAR_UNSYNCED,
                                KAMA_STR(unreached[i]));
    }
    if (st != KAMA_OK) {
        status = st;
        sentence = "the group is cleared, but there is no memory for the list "
                   "of the members that were not reached";
    }
    km_service_parked_end(&clear->parked, status, sentence);
}

void km_service_v2_clear(struct km_server_call *call, kama_bytes message)
{
    struct km_service_clear *clear = km_server_call_state(call);
    struct km_msg_clear_request request;
    kama_ctx ctx;
    kama_group *group = km_service_decode_for_group(
        call, &km_msg_clear_request_pb, message, &request);
    if (group == NULL || km_service_refuse_ack(call, request.ack)) {
        return;
    }
    km_service_parked_init(call, reply);
    km_buf_init(&clear->answer, clear->parked.env->mem, SIZE_MAX);
    kama_ctx_init(&ctx);
    ctx.deadline_ms = km_server_call_deadline_ms(call);
    clear->op.done = on_cleared;
    km_last_error_clear();
    km_service_parked_go_on(
        call, km_clear_op_start(group, &clear->op, KM_MUTATE_PARKS, &ctx));
}
