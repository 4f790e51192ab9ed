/* SPDX-License-Identifier: MIT */
/* The sentence of a scan that has failed is that of the thread's last error, which
 * is sent in the same turn, or is lost if there is no room for an answer. */
#include "services/hot_keys.h"

#include "base/container.h"
#include "base/limits.h"
#include "base/status.h"
#include "group/hot_keys.h"
#include "services/service.h"
#include "wire/msg/msg.h"

/* -- answers ----------------------------------------------------------------- */

/* Appends a key, unless the answer is full. */
static kama_status append(struct km_buf *buf, const struct km_msg_hot_key *key)
{
    if (buf->len + key->key.len > KM_HOT_KEYS_MESSAGE_BYTES) {
        return KAMA_OK;
    }
    return km_pb_append_element(buf, KM_MSG_HOT_KEYS_KEYS, &km_msg_hot_key_pb,
                                key);
}

static kama_status append_hot(struct km_buf *buf, kama_group *group, size_t n)
{
    struct km_hot_keys_list list;
    kama_status st = km_group_hot_keys(group, n, &list);
    if (st != KAMA_OK) {
        return st;
    }
    for (size_t i = 0; i < list.count && st == KAMA_OK; i++) {
        const struct km_msg_hot_key key = {
            .key = list.keys[i].key,
            .gets_per_s = km_msg_double_bits(list.keys[i].gets_per_s),
            .error_per_s = km_msg_double_bits(list.keys[i].error_per_s)};
        st = append(buf, &key);
    }
    km_hot_keys_list_free(&list);
    return st;
}

static kama_status append_largest(struct km_buf *buf,
                                  const struct km_largest *largest)
{
    kama_status st = KAMA_OK;
    for (size_t i = 0; i < largest->count && st == KAMA_OK; i++) {
        const struct km_msg_hot_key key = {
            .key = largest->entries[i]->key,
            .value_bytes = largest->entries[i]->value_bytes};
        st = append(buf, &key);
    }
    return st;
}

/* Frees what a scan has found. The step is NEW again, in which nothing is done any
 * more. */
static void end(struct km_service_hot_keys *state)
{
    if (state->largest.limit > 0) {
        km_largest_fini(&state->largest);
    }
    state->step = KM_HOT_KEYS_NEW;
}

void km_service_hot_keys_writable(struct km_server_call *call)
{
    struct km_service_hot_keys *state = km_server_call_state(call);
    struct km_buf buf;
    if (state->step != KM_HOT_KEYS_READY || !km_server_call_writable(call)) {
        return;
    }
    km_buf_init(&buf, km_service_env_of(call)->mem, SIZE_MAX);
    kama_status st = state->status;
    if (st == KAMA_OK) {
        st = state->largest.limit > 0
                 ? append_largest(&buf, &state->largest)
                 : append_hot(&buf, state->group, state->limit);
    }
    end(state);
    km_service_reply_buf(call, &buf, st);
}

void km_service_hot_keys_cancelled(struct km_server_call *call, kama_status why)
{
    (void)why;
    struct km_service_hot_keys *state = km_server_call_state(call);
    if (state->step == KM_HOT_KEYS_READY) {
        end(state);
    }
}

/* -- the scan ---------------------------------------------------------------- */

static void on_turn(struct km_mail *mail)
{
    struct km_service_hot_keys *state =
        KM_CONTAINER_OF(mail, struct km_service_hot_keys, turn);
    struct km_server_call *call = km_server_call_of_state(state);
    KM_ASSERT(state->step == KM_HOT_KEYS_SCANNING);
    if (km_server_call_ended(call)) {
        end(state);
    } else if (km_largest_step(&state->largest, state->group, &state->status)) {
        km_loop_post(km_server_call_loop(call), &state->turn);
        return;
    } else {
        state->step = KM_HOT_KEYS_READY;
        km_service_hot_keys_writable(call);
    }
    km_server_call_release(call);
}

static void scan(struct km_server_call *call, struct km_service_hot_keys *state)
{
    const kama_allocator *mem = km_service_env_of(call)->mem;
    kama_status st = km_largest_init(&state->largest, mem, state->limit);
    if (st != KAMA_OK) {
        state->largest.limit = 0;
        km_service_fail(call, st);
        return;
    }
    state->step = KM_HOT_KEYS_SCANNING;
    state->turn.run = on_turn;
    km_server_call_hold(call);
    km_loop_post(km_server_call_loop(call), &state->turn);
}

/* -- the method -------------------------------------------------------------- */

static kama_status check(const struct km_msg_hot_keys_request *request)
{
    if (request->limit > KM_HOT_KEYS_SHOWN_MAX) {
        return km_fail(KAMA_ERR_INVALID, "limit: %u is more than %d",
                       request->limit, KM_HOT_KEYS_SHOWN_MAX);
    }
    if (request->order < KM_MSG_HOT_KEYS_UNSPECIFIED ||
        request->order > KM_MSG_HOT_KEYS_VALUE_BYTES) {
        return km_fail(KAMA_ERR_INVALID,
                       "order: %d is no order of this version", request->order);
    }
    return KAMA_OK;
}

void km_service_v2_hot_keys(struct km_server_call *call, kama_bytes message)
{
    struct km_service_hot_keys *state = km_server_call_state(call);
    struct km_msg_hot_keys_request request;
    kama_group *group = km_service_decode_for_group(
        call, &km_msg_hot_keys_request_pb, message, &request);
    if (group == NULL) {
        return;
    }
    km_last_error_clear();
    kama_status st = check(&request);
    if (st != KAMA_OK) {
        km_service_fail(call, st);
        return;
    }
    state->group = group;
    state->limit =
        request.limit > 0 ? request.limit : KM_HOT_KEYS_SHOWN_DEFAULT;
    if (request.order == KM_MSG_HOT_KEYS_VALUE_BYTES) {
        scan(call, state);
        return;
    }
    state->step = KM_HOT_KEYS_READY;
    km_service_hot_keys_writable(call);
}
