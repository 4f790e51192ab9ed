/* SPDX-License-Identifier: MIT */
/* Sentences of errors quote names of the client, which may be any bytes, in the
 * escaped form of km_bytes_quote. */
#include "services/service.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/status.h"
#include "wire/msg/msg.h"

#include <stdio.h>

#define DEFAULT_GROUP "default"

/* -- the request --------------------------------------------------------- */

bool km_service_decode(struct km_server_call *call,
                       const struct km_pb_message *table, kama_bytes message,
                       void *request)
{
    if (km_pb_decode(table, message, request) != KAMA_OK) {
        km_server_call_finish(call, KAMA_ERR_MALFORMED, NULL);
        return false;
    }
    return true;
}

/* Groups have names in UTF-8, so a name that is not UTF-8 has not been found.
 * The client then learns what is wrong with it. */
static void fail_no_group(struct km_server_call *call, kama_bytes name)
{
    char shown[80];
    char text[160];
    km_bytes_quote(name, shown, sizeof shown);
    if (!km_bytes_is_utf8(name)) {
        (void)snprintf(text, sizeof text, "group: the name \"%s\" is not UTF-8",
                       shown);
        km_server_call_finish(call, KAMA_ERR_INVALID, text);
        return;
    }
    (void)snprintf(text, sizeof text, "there is no group \"%s\" on this node",
                   shown);
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

/* The group's name is the first field of every request that has one, so that
 * one function serves all of them. */
static kama_bytes group_name(const struct km_pb_message *table,
                             const void *request)
{
    kama_bytes name;
    const struct km_pb_field *first = &table->fields[0];
    KM_ASSERT(first->number == 1 && first->kind == KM_PB_BYTES);
    memcpy(&name, (const uint8_t *)request + first->offset, sizeof name);
    return name;
}

kama_group *km_service_decode_for_group(struct km_server_call *call,
                                        const struct km_pb_message *table,
                                        kama_bytes message, void *request)
{
    return km_service_decode(call, table, message, request)
               ? km_service_find_group(call, group_name(table, request))
               : NULL;
}

bool km_service_refuse_if_match(struct km_server_call *call,
                                kama_bytes if_match)
{
    bool refused = if_match.len > 0;
    if (refused) {
        km_server_call_finish(call, KAMA_ERR_UNSUPPORTED,
                              "if_match of a Delete: not in this version");
    }
    return refused;
}

/* ASYNC is what a group does unless it has the option sync_ack. */
bool km_service_refuse_ack(struct km_server_call *call, int32_t ack)
{
    bool refused = ack != KM_ACK_UNSPECIFIED && ack != KM_ACK_ASYNC;
    if (refused) {
        km_server_call_finish(call, KAMA_ERR_UNSUPPORTED,
                              "ack: leave it out; in this version only the "
                              "option sync_ack of the group decides");
    }
    return refused;
}

/* -- the answer ---------------------------------------------------------- */

void km_service_fail(struct km_server_call *call, kama_status status)
{
    const char *text = km_last_error();
    KM_ASSERT((int)status < 0);
    km_server_call_finish(call, status, text[0] != '\0' ? text : NULL);
}

void km_service_reply_status(struct km_server_call *call, kama_status status)
{
    if (status == KAMA_OK) {
        km_server_call_reply(call, kama_bytes_make(NULL, 0), NULL);
    } else {
        km_service_fail(call, status);
    }
}

/* The size is asserted and not checked, because it depends on the table alone:
 * no field of a small message is a text. */
void km_service_reply_message(struct km_server_call *call,
                              const struct km_pb_message *table,
                              const void *message)
{
    uint8_t bytes[KM_SERVICE_SMALL_BYTES];
    KM_ASSERT(km_pb_size(table, message) <= sizeof bytes);
    uint8_t *end = km_pb_write(table, message, bytes);
    km_server_call_reply(call, kama_bytes_make(bytes, (size_t)(end - bytes)),
                         NULL);
}

kama_status km_service_append_unsynced(struct km_buf *buf, uint32_t number,
                                       const struct km_unsynced *list)
{
    size_t before = buf->len;
    kama_status st = KAMA_OK;
    for (size_t i = 0; i < km_unsynced_count(list) && st == KAMA_OK; i++) {
        st = km_pb_append_bytes(buf, number, KAMA_STR(km_unsynced_at(list, i)));
    }
    if (st != KAMA_OK) {
        buf->len = before;
    }
    return st;
}

void km_service_reply_as(struct km_server_call *call, kama_bytes message,
                         kama_status status)
{
    if (status == KAMA_OK) {
        km_server_call_reply(call, message, NULL);
        return;
    }
    KM_ASSERT(status == KAMA_UNSYNCED);
    kama_status st = km_server_call_send(call, message, NULL);
    km_server_call_finish(call, st == KAMA_OK ? status : st, NULL);
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
