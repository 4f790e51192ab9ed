/* SPDX-License-Identifier: MIT */
/* Each handler is: decode and find the group, refuse the wishes of a later
 * version, call the function of the public API, reply. */
#include "services/v2.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/status.h"
#include "services/condition.h"
#include "services/get.h"
#include "services/one_key.h"
#include "services/service.h"
#include "wire/msg/msg.h"

#include <stdio.h>

/* The longest head of a GetResponse: found, ttl_ms, version, source, etag, and the
 * tag and length of the value, whose bytes are sent from the item. */
#define GET_HEAD_BYTES_MAX                                                     \
    (2 + 11 + 11 + 2 + 2 + KM_SERVICE_ETAG_BYTES + KM_PB_PREFIX_BYTES_MAX)

static const kama_bytes nothing = {NULL, 0};

/* -- Get ----------------------------------------------------------------- */

/* A miss is no error here: the message of a miss is empty, because `found` is
 * false. */
static void reply_get(struct km_server_call *call,
                      const struct km_get_result *result)
{
    uint8_t head[GET_HEAD_BYTES_MAX];
    uint8_t etag[KM_SERVICE_ETAG_BYTES];
    const struct km_service_get *get = km_server_call_state(call);
    if (result->status == KAMA_MISS) {
        km_server_call_reply(call, nothing, NULL);
        return;
    }
    if (result->status != KAMA_OK) {
        km_server_call_finish(call, result->status, result->text);
        return;
    }
    struct km_msg_get_response response = {
        .found = true,
        .ttl_ms = kama_value_ttl_ms(result->value),
        .version = kama_value_version(result->value),
        .source = result->source,
        .etag = km_service_etag_of(result->value, get->wants_etag, etag),
    };
    size_t len = kama_value_bytes(result->value).len;
    uint8_t *end = km_pb_write(&km_msg_get_response_pb, &response, head);
    end = km_pb_write_prefix(end, KM_MSG_VALUE, len);
    KM_ASSERT(end <= head + sizeof head);
    km_server_call_reply(call, kama_bytes_make(head, (size_t)(end - head)),
                         len > 0 ? result->value : NULL);
}

void km_service_v2_get(struct km_server_call *call, kama_bytes message)
{
    struct km_msg_get_request request;
    kama_group *group = km_service_decode_for_group(
        call, &km_msg_get_request_pb, message, &request);
    if (group == NULL) {
        return;
    }
    uint32_t flags = (request.no_load ? KAMA_NO_LOAD : 0) |
                     (request.local_only ? KAMA_LOCAL_ONLY : 0);
    struct km_service_get *get = km_server_call_state(call);
    get->wants_etag = request.want_etag;
    km_service_get_start(call, group, request.key, flags, reply_get);
}

/* -- Set, Delete --------------------------------------------------------- */

/* A key that is not there, but had to be, is the status of the call. */
static void reply_set(struct km_server_call *call, kama_status status,
                      const char *text)
{
    const struct km_service_mutate *mutate = km_server_call_state(call);
    uint8_t etag[KM_SERVICE_ETAG_BYTES];
    if (status != KAMA_OK && status != KAMA_UNSYNCED) {
        km_server_call_finish(call, status, text);
        return;
    }
    struct km_msg_set_response response = {
        .etag = km_service_etag_write(mutate->etag, etag)};
    km_service_mutate_reply(call, &km_msg_set_response_pb, &response);
}

void km_service_v2_set(struct km_server_call *call, kama_bytes message)
{
    struct km_msg_set_request request;
    kama_group *group = km_service_decode_for_group(
        call, &km_msg_set_request_pb, message, &request);
    struct km_service_mutate *mutate = km_server_call_state(call);
    struct km_mutate_order order = {.kind = KM_MUTATION_SET};
    if (group == NULL || km_service_refuse_ack(call, request.ack) ||
        !km_service_condition_read(call, request.condition, request.if_match,
                                   &order.condition)) {
        return;
    }
    mutate->etag = 0;
    if (km_service_etag_is_sent(request.want_etag, request.value.len, 0)) {
        order.ret_etag = &mutate->etag;
    }
    order.key = request.key;
    order.value = request.value;
    order.ttl_ms = request.ttl_ms;
    km_service_mutate_start(call, group, &order, reply_set);
}

/* Deleting a key that is not there succeeds, and `removed` is false. */
static void reply_delete(struct km_server_call *call, kama_status status,
                         const char *text)
{
    struct km_msg_delete_response response = {.removed = status != KAMA_MISS};
    if ((int)status < 0) {
        km_server_call_finish(call, status, text);
        return;
    }
    km_service_mutate_reply(call, &km_msg_delete_response_pb, &response);
}

void km_service_v2_delete(struct km_server_call *call, kama_bytes message)
{
    struct km_msg_delete_request request;
    kama_group *group = km_service_decode_for_group(
        call, &km_msg_delete_request_pb, message, &request);
    if (group == NULL || km_service_refuse_if_match(call, request.if_match) ||
        km_service_refuse_ack(call, request.ack)) {
        return;
    }
    struct km_mutate_order order = {.kind = KM_MUTATION_DELETE,
                                    .key = request.key};
    km_service_mutate_start(call, group, &order, reply_delete);
}

/* -- Ttl, Touch ---------------------------------------------------------- */

static void reply_ttl(struct km_server_call *call, kama_status status,
                      const char *text)
{
    const struct km_service_peek *peek = km_server_call_state(call);
    struct km_msg_ttl_response response = {.found = status != KAMA_MISS};
    if ((int)status < 0) {
        km_server_call_finish(call, status, text);
        return;
    }
    if (response.found) {
        response.ttl_ms = peek->ttl_ms;
    }
    km_service_reply_message(call, &km_msg_ttl_response_pb, &response);
}

void km_service_v2_ttl(struct km_server_call *call, kama_bytes message)
{
    struct km_msg_ttl_request request;
    kama_group *group = km_service_decode_for_group(
        call, &km_msg_ttl_request_pb, message, &request);
    if (group != NULL) {
        km_service_peek_start(call, group, request.key, reply_ttl);
    }
}

static void reply_touch(struct km_server_call *call, kama_status status,
                        const char *text)
{
    struct km_msg_touch_response response = {.found = status != KAMA_MISS};
    if ((int)status < 0) {
        km_server_call_finish(call, status, text);
        return;
    }
    km_service_mutate_reply(call, &km_msg_touch_response_pb, &response);
}

void km_service_v2_touch(struct km_server_call *call, kama_bytes message)
{
    struct km_msg_touch_request request;
    kama_group *group = km_service_decode_for_group(
        call, &km_msg_touch_request_pb, message, &request);
    if (group == NULL || km_service_refuse_ack(call, request.ack)) {
        return;
    }
    struct km_mutate_order order = {.kind = KM_MUTATION_EXPIRE,
                                    .key = request.key,
                                    .ttl_ms = request.ttl_ms};
    km_service_mutate_start(call, group, &order, reply_touch);
}

/* -- Ping ---------------------------------------------------------------- */

/* An answer of Ping, which is written while the facts of the node are there. */
struct ping {
    struct km_msg_ping_response *response;
    struct km_buf *buf;
    kama_status status;
};

static void append_ping(void *arg, const struct km_cluster_node *node)
{
    struct ping *ping = arg;
    ping->response->member_id = kama_bytes_make(node->id, sizeof node->id);
    ping->response->address = KAMA_STR(node->advertise);
    ping->status =
        km_pb_append(ping->buf, &km_msg_ping_response_pb, ping->response);
}

/* The payload comes back as it was sent, so that a client can measure the time
 * of a message of that size. */
void km_service_v2_ping(struct km_server_call *call, kama_bytes message)
{
    struct km_service_env *env = km_service_env_of(call);
    struct km_msg_ping_request request;
    if (!km_service_decode(call, &km_msg_ping_request_pb, message, &request)) {
        return;
    }
    if (request.payload.len > KM_PING_PAYLOAD_BYTES_MAX) {
        char text[96];
        (void)snprintf(text, sizeof text,
                       "payload: %zu bytes are more than the limit of %d",
                       request.payload.len, KM_PING_PAYLOAD_BYTES_MAX);
        km_server_call_finish(call, KAMA_ERR_TOO_LARGE, text);
        return;
    }
    struct km_msg_ping_response response = {
        .payload = request.payload,
        .service = KAMA_STR(env->service),
        .version = KAMA_STR(kama_version()),
        .uptime_ms = km_service_env_uptime_ms(env),
    };
    struct km_buf buf;
    km_buf_init(&buf, env->mem, SIZE_MAX);
    struct ping ping = {.response = &response, .buf = &buf};
    km_cluster_node(env, append_ping, &ping);
    km_service_reply_buf(call, &buf, ping.status);
}
