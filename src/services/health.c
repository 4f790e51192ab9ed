/* SPDX-License-Identifier: MIT */
/* There is one status for all names: the node serves all of its groups, or
 * none. Watches hear of a change by a mail (long_call.h). */
#include "services/health.h"

#include "base/assert.h"
#include "base/status.h"
#include "services/methods.h"
#include "services/service.h"
#include "wire/msg/msg.h"

#include <stdio.h>

/* Returns whether `service` is the part of the path between the two slashes. */
static bool is_service_of(const char *path, kama_bytes service)
{
    const char *begin = path + 1;
    const char *end = strchr(begin, '/');
    KM_ASSERT(path[0] == '/' && end != NULL);
    return km_bytes_eq(service, kama_bytes_make(begin, (size_t)(end - begin)));
}

/* Returns whether health is asked for a name that it answers for. */
static bool is_known(const struct km_service_env *env, kama_bytes service)
{
    if (service.len == 0 || km_bytes_eq(service, KAMA_STR(env->service))) {
        return true;
    }
    for (size_t i = 0; i < km_service_method_count; i++) {
        if (is_service_of(km_service_methods[i].path, service)) {
            return true;
        }
    }
    return false;
}

static int status_now(struct km_service_env *env)
{
    return km_service_env_is_serving(env) ? KM_MSG_HEALTH_SERVING
                                          : KM_MSG_HEALTH_NOT_SERVING;
}

static kama_bytes encode(int status, uint8_t out[static 16])
{
    struct km_msg_health_response response = {.status = status};
    uint8_t *end = km_pb_write(&km_msg_health_response_pb, &response, out);
    return kama_bytes_make(out, (size_t)(end - out));
}

/* KAMA_MISS is NOT_FOUND on the wire, as the protocol of health demands. */
static void fail_unknown(struct km_server_call *call, kama_bytes service)
{
    char shown[80];
    char text[160];
    km_bytes_quote(service, shown, sizeof shown);
    (void)snprintf(text, sizeof text, "there is no service \"%s\" on this node",
                   shown);
    km_server_call_finish(call, KAMA_MISS, text);
}

void km_service_health_check(struct km_server_call *call, kama_bytes message)
{
    struct km_service_env *env = km_service_env_of(call);
    struct km_msg_health_request request;
    if (!km_service_decode(call, &km_msg_health_request_pb, message,
                           &request)) {
        return;
    }
    if (!is_known(env, request.service)) {
        fail_unknown(call, request.service);
        return;
    }
    struct km_msg_health_response response = {.status = status_now(env)};
    km_service_reply_message(call, &km_msg_health_response_pb, &response);
}

/* -- Watch --------------------------------------------------------------- */

/* Sends the status unless it is the one that was sent last. Without room for it
 * now, on_writable sends the status of that later moment; a client that reads
 * slowly can miss a status that lasted for a short time only. */
static void send_change(struct km_server_call *call)
{
    struct km_service_watch *watch = km_server_call_state(call);
    struct km_service_env *env = watch->long_call.env;
    int status = watch->known ? status_now(env) : KM_MSG_HEALTH_SERVICE_UNKNOWN;
    uint8_t out[16];
    if (status == watch->sent || !km_server_call_writable(call)) {
        return;
    }
    kama_status st = km_server_call_send(call, encode(status, out), NULL);
    if (st != KAMA_OK) {
        km_long_call_finish(call, st, NULL);
        return;
    }
    watch->sent = status;
}

/* The phase of the node has changed, or the watch begins. */
static void on_change(struct km_server_call *call)
{
    struct km_service_watch *watch = km_server_call_state(call);
    struct km_service_env *env = watch->long_call.env;
    send_change(call);
    if (km_long_call_has_joined(&watch->long_call) &&
        km_service_env_is_closing(env)) {
        km_long_call_finish(call, KAMA_ERR_CLOSED, "the node shuts down");
    }
}

void km_service_watch_writable(struct km_server_call *call)
{
    struct km_service_watch *watch = km_server_call_state(call);
    if (km_long_call_has_joined(&watch->long_call)) {
        send_change(call);
    }
}

void km_service_health_watch(struct km_server_call *call, kama_bytes message)
{
    struct km_service_watch *watch = km_server_call_state(call);
    struct km_msg_health_request request;
    if (!km_service_decode(call, &km_msg_health_request_pb, message,
                           &request)) {
        return;
    }
    KM_ASSERT(watch->sent == 0);
    watch->known = is_known(km_service_env_of(call), request.service);
    km_long_call_join(call, on_change);
    on_change(call);
}
