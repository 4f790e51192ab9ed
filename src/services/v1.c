/* SPDX-License-Identifier: MIT */
/* A value is sent as the item's own bytes, behind a head that is written here:
 * the tag and the length of the only field of a GetResponse. */
#include "services/v1.h"

#include "base/assert.h"
#include "base/status.h"
#include "services/get.h"
#include "services/one_key.h"
#include "services/service.h"
#include "wire/msg/msg.h"

/* An empty value is an empty message, because a field that is empty is left
 * out. */
static void reply_get(struct km_server_call *call,
                      const struct km_get_result *result)
{
    uint8_t head[KM_PB_PREFIX_BYTES_MAX];
    if (result->status != KAMA_OK) {
        km_server_call_finish(call, result->status, result->text);
        return;
    }
    size_t len = kama_value_bytes(result->value).len;
    uint8_t *end = km_pb_write_prefix(head, KM_MSG_V1_VALUE, len);
    KM_ASSERT(end <= head + sizeof head);
    km_server_call_reply(call, kama_bytes_make(head, (size_t)(end - head)),
                         len > 0 ? result->value : NULL);
}

void km_service_v1_get(struct km_server_call *call, kama_bytes message)
{
    struct km_msg_v1_request request;
    kama_group *group = km_service_decode_for_group(call, &km_msg_v1_request_pb,
                                                    message, &request);
    if (group != NULL) {
        km_service_get_start(call, group, request.key, 0, reply_get);
    }
}

/* Answers a change that was made, or says why it was not. */
static void reply_set(struct km_server_call *call, kama_status status,
                      const char *text)
{
    if ((int)status < 0) {
        km_server_call_finish(call, status, text);
        return;
    }
    km_server_call_reply(call, kama_bytes_make(NULL, 0), NULL);
}

void km_service_v1_set(struct km_server_call *call, kama_bytes message)
{
    struct km_msg_v1_request request;
    kama_group *group = km_service_decode_for_group(call, &km_msg_v1_request_pb,
                                                    message, &request);
    if (group != NULL) {
        struct km_mutate_order order = {.kind = KM_MUTATION_SET,
                                        .key = request.key,
                                        .value = request.value};
        km_service_mutate_start(call, group, &order, reply_set);
    }
}

/* KAMA_MISS is positive: there was nothing to delete. */
static void reply_delete(struct km_server_call *call, kama_status status,
                         const char *text)
{
    struct km_msg_v1_delete_response response = {.value = status != KAMA_MISS};
    if ((int)status < 0) {
        km_server_call_finish(call, status, text);
        return;
    }
    km_service_reply_message(call, &km_msg_v1_delete_response_pb, &response);
}

void km_service_v1_delete(struct km_server_call *call, kama_bytes message)
{
    struct km_msg_v1_request request;
    kama_group *group = km_service_decode_for_group(call, &km_msg_v1_request_pb,
                                                    message, &request);
    if (group != NULL) {
        struct km_mutate_order order = {.kind = KM_MUTATION_DELETE,
                                        .key = request.key};
        km_service_mutate_start(call, group, &order, reply_delete);
    }
}
