/* SPDX-License-Identifier: MIT */
/* The slots and their states are drawn in peer_fill.h. */
#include "services/peer_fill.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/status.h"
#include "group/peek_op.h"
#include "group/sync_apply.h"
#include "services/traceparent.h"
#include "store/item.h"

#include <stdio.h>
#include <string.h>

static void advance(struct km_peer_fills *fills);

/* -- life ------------------------------------------------------------------ */

static bool is_idle(const struct km_peer_fills *fills)
{
    return km_list_empty(&fills->running);
}

static void fills_free(struct km_peer_fills *fills)
{
    struct km_server_call *call = fills->call;
    struct km_peer_method_state *state = km_server_call_state(call);
    const kama_allocator *mem = fills->env->mem;
    KM_ASSERT(is_idle(fills));
    for (size_t i = 0; i < fills->slot_count; i++) {
        kama_value_unref(fills->slots[i].value);
        km_mem_free(mem, fills->slots[i].text);
    }
    state->base.work = NULL;
    km_mem_free(mem, fills->copy);
    if (fills->kind == KM_PEER_FILLS_MANY) {
        km_mem_free(mem, fills);
    }
    km_server_call_release(call);
}

/* Gets that can be left are; the mails of the others will come. */
static void cancel(struct km_server_call *call)
{
    struct km_peer_method_state *state = km_server_call_state(call);
    struct km_peer_fills *fills = state->base.work;
    struct km_list *node;
    struct km_list *tmp;
    KM_LIST_FOREACH(node, tmp, &fills->running) {
        struct km_peer_slot *slot =
            KM_CONTAINER_OF(node, struct km_peer_slot, node);
        if (km_get_op_cancel(&slot->op)) {
            km_service_env_unpark(fills->env);
            km_list_remove(node);
            km_list_push_back(&fills->free, node);
        }
    }
    if (is_idle(fills)) {
        fills_free(fills);
    }
}

/* -- answers --------------------------------------------------------------- */

/* The most that a head has beside its sentence. */
#define HEAD_BYTES 128
#define NS_PER_US 1000u

static void fill_response(const struct km_peer_slot *slot,
                          struct km_msg_peer_fill_response *ret)
{
    *ret = (struct km_msg_peer_fill_response){
        .outcome = (int32_t)slot->outcome,
        .status = slot->status,
        .message = kama_bytes_str(slot->text != NULL ? slot->text : ""),
        .view_id = km_peer_view_id(slot->fills->call),
        .from_memory = slot->source == KM_GET_FROM_MEMORY,
        .current = slot->current,
        .current_us = slot->current_ns / NS_PER_US};
    if (slot->value != NULL) {
        struct km_version stamp = km_item_stamp(slot->value);
        ret->ttl_ms = kama_value_ttl_ms(slot->value);
        ret->version = kama_value_version(slot->value);
        ret->clock = stamp.hlc;
        ret->origin = stamp.origin;
        ret->etag_key = ret->version == 0 && !km_version_is_set(stamp)
                            ? km_item_etag_key(slot->value)
                            : 0;
    } else if (slot->status == KAMA_MISS) {
        ret->ttl_ms = slot->absent_ttl_ms;
    } else if (slot->outcome == KM_MSG_PEER_BEHIND) {
        ret->lacking = km_peer_lacking(slot->fills->call);
    }
}

/* Writes the message without the bytes of the value, which follow it. */
static size_t write_head(const struct km_peer_slot *slot,
                         uint8_t head[KM_ERROR_BYTES_MAX + HEAD_BYTES])
{
    struct km_msg_peer_fill_response r;
    uint8_t *at = head;
    size_t value_bytes =
        slot->value != NULL ? kama_value_bytes(slot->value).len : 0;
    fill_response(slot, &r);
    if (slot->fills->kind == KM_PEER_FILLS_MANY) {
        struct km_msg_peer_fill_many_response many = {.index = slot->index};
        size_t len = km_pb_size(&km_msg_peer_fill_response_pb, &r) +
                     km_pb_prefix_size(KM_MSG_PEER_VALUE, value_bytes) +
                     value_bytes;
        at = km_pb_write(&km_msg_peer_fill_many_response_pb, &many, at);
        at = km_pb_write_prefix(at, KM_MSG_PEER_ANSWER, len);
    }
    at = km_pb_write(&km_msg_peer_fill_response_pb, &r, at);
    at = km_pb_write_prefix(at, KM_MSG_PEER_VALUE, value_bytes);
    KM_ASSERT((size_t)(at - head) <= KM_ERROR_BYTES_MAX + HEAD_BYTES);
    return (size_t)(at - head);
}

/* Sends the answer of a slot, which is free then. */
static kama_status send(struct km_peer_slot *slot)
{
    struct km_peer_fills *fills = slot->fills;
    uint8_t head[KM_ERROR_BYTES_MAX + HEAD_BYTES];
    size_t len = write_head(slot, head);
    kama_value *body = slot->value;
    slot->value = NULL;
    km_mem_free(fills->env->mem, slot->text);
    slot->text = NULL;
    km_list_remove(&slot->node);
    km_list_push_back(&fills->free, &slot->node);
    kama_status st =
        km_server_call_send(fills->call, kama_bytes_make(head, len), body);
    kama_value_unref(body);
    return st;
}

static void make_ready(struct km_peer_slot *slot)
{
    km_list_remove(&slot->node);
    km_list_push_back(&slot->fills->ready, &slot->node);
}

/* -- gets ------------------------------------------------------------------ */

static void on_mail(struct km_mail *mail)
{
    struct km_peer_slot *slot =
        KM_CONTAINER_OF(mail, struct km_peer_slot, mail);
    struct km_peer_fills *fills = slot->fills;
    make_ready(slot);
    if (!km_server_call_ended(fills->call)) {
        advance(fills);
    } else if (is_idle(fills)) {
        fills_free(fills);
    }
}

/* Any thread. As soon as the mail is posted, the loop may free everything. */
static void on_done(struct km_get_op *op, kama_status status, kama_value *value,
                    const char *sentence)
{
    struct km_peer_slot *slot = KM_CONTAINER_OF(op, struct km_peer_slot, op);
    struct km_service_env *env = slot->fills->env;
    struct km_loop *loop = km_server_call_loop(slot->fills->call);
    slot->status = status;
    slot->value = value;
    slot->source = op->source;
    slot->current_ns = op->current_ns;
    slot->current = op->current;
    slot->absent_ttl_ms = op->absent_ttl_ms;
    if ((int)status < 0) {
        slot->text = km_mem_strdup(env->mem, sentence);
    }
    slot->mail.run = on_mail;
    km_loop_post(loop, &slot->mail);
    km_service_env_unpark(env);
}

/* Returns whether this node is one to answer for the key. */
static enum km_msg_peer_outcome place(const struct km_peer_fills *fills,
                                      kama_bytes key)
{
    if (fills->knowledge != KM_PEER_IS_LEVEL) {
        return KM_MSG_PEER_BEHIND;
    }
    if (fills->effort == KM_FILL_PEEKS) {
        atomic_store(&fills->env->peeked_at, km_clock_mono(fills->env->clock));
        return km_group_is_synced(fills->group) ? KM_MSG_PEER_ANSWERED
                                                : KM_MSG_PEER_NOT_OWNER;
    }
    return km_peer_place(fills->call, fills->group, key);
}

/* Begins the get of a key. */
static void get(struct km_peer_slot *slot, kama_bytes key)
{
    struct km_peer_fills *fills = slot->fills;
    kama_ctx ctx;
    kama_ctx_init(&ctx);
    ctx.origin = KAMA_ORIGIN_PEER;
    ctx.flags = fills->effort == KM_FILL_PEEKS ? KAMA_NO_LOAD : 0;
    ctx.deadline_ms = km_server_call_deadline_ms(fills->call);
    ctx.traceparent = km_service_traceparent(fills->traceparent);
    slot->op.done = on_done;
    km_last_error_clear();
    km_service_env_park(fills->env);
    kama_status st =
        km_get_op_start(fills->group, &slot->op, key, &ctx, &slot->value);
    if (st == KAMA_DEFERRED) {
        return;
    }
    km_service_env_unpark(fills->env);
    slot->status = st;
    slot->source = KM_GET_FROM_MEMORY;
    slot->current = true;
    slot->absent_ttl_ms =
        st == KAMA_MISS ? km_group_absent_ttl(fills->group, key) : 0;
    if ((int)st < 0) {
        slot->text = km_mem_strdup(fills->env->mem, km_last_error());
    }
    make_ready(slot);
}

static void begin_key(struct km_peer_fills *fills, kama_bytes key)
{
    struct km_list *node = km_list_pop_front(&fills->free);
    struct km_peer_slot *slot =
        KM_CONTAINER_OF(node, struct km_peer_slot, node);
    km_list_push_back(&fills->running, node);
    slot->index = fills->next++;
    slot->status = KAMA_OK;
    slot->source = KM_GET_FROM_LOADER;
    slot->current_ns = 0;
    slot->current = false;
    slot->absent_ttl_ms = 0;
    slot->outcome = place(fills, key);
    if (slot->outcome == KM_MSG_PEER_ANSWERED) {
        get(slot, key);
    } else {
        make_ready(slot);
    }
}

/* -- the call -------------------------------------------------------------- */

static kama_status send_ready(struct km_peer_fills *fills)
{
    kama_status st = KAMA_OK;
    while (st == KAMA_OK && !km_list_empty(&fills->ready) &&
           km_server_call_writable(fills->call)) {
        st = send(KM_CONTAINER_OF(km_list_first(&fills->ready),
                                  struct km_peer_slot, node));
    }
    return st;
}

static void finish(struct km_peer_fills *fills, kama_status status)
{
    struct km_server_call *call = fills->call;
    km_server_call_finish(call, status, NULL);
    cancel(call);
}

/* Sends the answers that are ready, and begins as many keys as there is room
 * for. */
static kama_status step(struct km_peer_fills *fills)
{
    kama_bytes key;
    for (;;) {
        kama_status st = send_ready(fills);
        if (st != KAMA_OK || fills->left == 0 || km_list_empty(&fills->free) ||
            !km_server_call_writable(fills->call) ||
            !km_pb_next(&fills->keys, &key)) {
            return st;
        }
        fills->left--;
        begin_key(fills, key);
    }
}

/* Ends the call after an error, or when every key was answered. */
static void end_if_over(struct km_peer_fills *fills, kama_status status)
{
    if (status != KAMA_OK ||
        (fills->left == 0 && is_idle(fills) && km_list_empty(&fills->ready))) {
        finish(fills, status);
    }
}

static void advance(struct km_peer_fills *fills)
{
    end_if_over(fills, step(fills));
}

void km_service_peer_writable(struct km_server_call *call)
{
    struct km_peer_method_state *state = km_server_call_state(call);
    if (state->base.work != NULL && state->writable != NULL) {
        state->writable(call);
    }
}

static void writable(struct km_server_call *call)
{
    struct km_peer_method_state *state = km_server_call_state(call);
    advance(state->base.work);
}

/* -- the start ------------------------------------------------------------- */

/* Copies the keys that have not begun: the message is gone when the handler has
 * returned. */
static kama_status keep(struct km_peer_fills *fills)
{
    size_t len = (size_t)(fills->keys.end - fills->keys.at);
    if (fills->left == 0) {
        return KAMA_OK;
    }
    fills->copy = km_mem_alloc(fills->env->mem, len);
    if (fills->copy == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    memcpy(fills->copy, fills->keys.at, len);
    fills->keys.at = fills->copy;
    fills->keys.end = fills->copy + len;
    return KAMA_OK;
}

/* Both kinds have their keys in a list with the same number: that of Fill has
 * one. */
static void start(struct km_peer_fills *fills, struct km_server_call *call,
                  kama_group *group,
                  const struct km_msg_peer_fill_many_request *request)
{
    struct km_peer_method_state *state = km_server_call_state(call);
    fills->call = call;
    fills->env = km_service_env_of(call);
    fills->group = group;
    fills->keys = request->keys;
    fills->left = request->keys.count;
    fills->effort = request->peek ? KM_FILL_PEEKS : KM_FILL_LOADS;
    km_service_traceparent_copy(request->traceparent, fills->traceparent);
    km_list_init(&fills->free);
    km_list_init(&fills->running);
    km_list_init(&fills->ready);
    for (size_t i = 0; i < fills->slot_count; i++) {
        fills->slots[i].fills = fills;
        km_list_push_back(&fills->free, &fills->slots[i].node);
    }
    state->base.work = fills;
    state->cancel = cancel;
    state->writable = writable;
    km_server_call_hold(call);
    kama_status st = step(fills);
    end_if_over(fills, st == KAMA_OK ? keep(fills) : st);
}

/* Decodes the request. Returns the group, or NULL when the call is finished. */
static kama_group *read_request(struct km_server_call *call, kama_bytes message,
                                struct km_msg_peer_fill_many_request *ret)
{
    return km_service_decode(call, &km_msg_peer_fill_many_request_pb, message,
                             ret)
               ? km_service_find_group(call, ret->group)
               : NULL;
}

static void begin_one(struct km_server_call *call, kama_bytes message,
                      enum km_peer_knowledge knowledge)
{
    struct km_peer_fill_state *state = km_server_call_state(call);
    struct km_msg_peer_fill_many_request request;
    kama_group *group = read_request(call, message, &request);
    if (group == NULL) {
        return;
    }
    if (request.keys.count != 1) {
        km_server_call_finish(call, KAMA_ERR_MALFORMED, "key: there is none");
        return;
    }
    state->fills.kind = KM_PEER_FILLS_ONE;
    state->fills.knowledge = knowledge;
    state->fills.slots = &state->slot;
    state->fills.slot_count = 1;
    start(&state->fills, call, group, &request);
}

/* A FillMany and its slots. */
struct many {
    struct km_peer_fills fills;
    struct km_peer_slot slots[];
};

static void begin_many(struct km_server_call *call, kama_bytes message,
                       enum km_peer_knowledge knowledge)
{
    struct km_msg_peer_fill_many_request request;
    kama_group *group = read_request(call, message, &request);
    if (group == NULL) {
        return;
    }
    size_t count = request.keys.count < KM_SERVICE_FILLS_PARALLEL
                       ? request.keys.count
                       : KM_SERVICE_FILLS_PARALLEL;
    struct many *many =
        km_mem_zalloc(km_service_env_of(call)->mem, 1,
                      sizeof *many + count * sizeof many->slots[0]);
    if (many == NULL) {
        km_server_call_finish(call, KAMA_ERR_NO_MEMORY, NULL);
        return;
    }
    many->fills.kind = KM_PEER_FILLS_MANY;
    many->fills.knowledge = knowledge;
    many->fills.slots = many->slots;
    many->fills.slot_count = count;
    start(&many->fills, call, group, &request);
}

void km_service_peer_fill(struct km_server_call *call, kama_bytes message)
{
    km_peer_method_start(call, message, begin_one);
}

void km_service_peer_fill_many(struct km_server_call *call, kama_bytes message)
{
    km_peer_method_start(call, message, begin_many);
}
