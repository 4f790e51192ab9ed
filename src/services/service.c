/* SPDX-License-Identifier: MIT */
/* What the handlers of all services need. */
#include "services/service.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/status.h"

#include <stdio.h>

#define DEFAULT_GROUP "default"

void km_service_fail(struct km_server_call *call, kama_status status)
{
    const char *text = km_last_error();
    km_server_call_finish(call, status, text[0] != '\0' ? text : NULL);
}

void km_service_fail_malformed(struct km_server_call *call)
{
    km_server_call_finish(call, KAMA_ERR_MALFORMED, NULL);
}

/* Names of groups are UTF-8, so only a name that is not found can be none. */
static void fail_no_group(struct km_server_call *call, kama_bytes name)
{
    char shown[80];
    char text[128];
    km_bytes_quote(name, shown, sizeof shown);
    if (!km_bytes_is_utf8(name)) {
        (void)snprintf(text, sizeof text, "group: \"%s\" is not UTF-8", shown);
        km_server_call_finish(call, KAMA_ERR_INVALID, text);
        return;
    }
    (void)snprintf(text, sizeof text, "no group \"%s\"", shown);
    km_server_call_finish(call, KAMA_ERR_NO_GROUP, text);
}

kama_group *km_service_find_group(struct km_server_call *call, kama_bytes name)
{
    struct km_service_env *env = km_service_env_of(call);
    if (name.len == 0) {
        name = KM_LIT(DEFAULT_GROUP);
    }
    kama_group *group = km_registry_find(env->registry, name);
    if (group == NULL) {
        fail_no_group(call, name);
    }
    return group;
}

bool km_service_refuse_condition(struct km_server_call *call,
                                 bool has_condition)
{
    if (has_condition) {
        km_server_call_finish(call, KAMA_ERR_UNSUPPORTED,
                              "conditions are not in this version");
    }
    return has_condition;
}

bool km_service_refuse_ack(struct km_server_call *call, int32_t ack)
{
    bool refused = ack != KM_ACK_UNSPECIFIED && ack != KM_ACK_ASYNC;
    if (refused) {
        km_server_call_finish(call, KAMA_ERR_UNSUPPORTED,
                              "acknowledgements are not in this version");
    }
    return refused;
}

void km_service_reply_buf(struct km_server_call *call, struct km_buf *buf,
                          kama_status status)
{
    if (status == KAMA_OK) {
        km_server_call_reply(call, km_buf_bytes(buf), NULL);
    } else {
        km_server_call_finish(call, status, NULL);
    }
    km_buf_fini(buf);
}
