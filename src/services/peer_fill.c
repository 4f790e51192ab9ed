/* SPDX-License-Identifier: MIT */
/*
 * Fill and FillMany: gets for another node. Both are one object that holds the
 * call, with a slot for each key that is under way:
 *
 *     free --next key--> running --mail--> ready --there is room--> sent, free
 *              |                             ^
 *              +-- a hit, an error, no owner +
 *
 * A pool thread writes the answer into the slot and posts its mail; everything
 * else happens on the loop of the call.
 */
#include "base/assert.h"
#include "base/container.h"
#include "base/limits.h"
#include "base/status.h"
#include "group/get_op.h"
#include "services/peer_work.h"

#include <stdio.h>
#include <string.h>

struct fills;

struct slot {
    struct km_get_op op;
    struct km_mail mail;
    struct km_list node; /* in free, running or ready */
    struct fills *fills;
    uint32_t index;
    enum km_msg_peer_outcome outcome;
    enum km_get_source source;
    kama_status status;
    kama_value *value; /* owned */
    char text[KM_ERROR_BYTES_MAX];
};

enum fills_kind { FILLS_ONE, FILLS_MANY };

struct fills {
    struct km_server_call *call; /* held */
    struct km_service_env *env;
    kama_group *group;
    enum fills_kind kind;
    enum km_peer_knowledge knowledge;
    char traceparent[KM_TRACEPARENT_BYTES]; /* "": none */
    uint8_t *copy;                          /* of the message; owned */
    struct km_pb_list keys; /* that have not begun; in the copy */
    uint32_t left;
    uint32_t next; /* index of the next key */
    struct km_list free;
    struct km_list running;
    struct km_list ready;
    size_t slot_count;
    struct slot slots[];
};

static void advance(struct fills *fills);

/* -- life ------------------------------------------------------------------ */

static bool is_idle(const struct fills *fills)
{
    return km_list_empty(&fills->running);
}

static void fills_free(struct fills *fills)
{
    struct km_server_call *call = fills->call;
    struct km_peer_method_state *state = km_server_call_state(call);
    KM_ASSERT(is_idle(fills));
    for (size_t i = 0; i < fills->slot_count; i++) {
        kama_value_unref(fills->slots[i].value);
    }
    state->base.work = NULL;
    km_mem_free(fills->env->mem, fills->copy);
    km_mem_free(fills->env->mem, fills);
    km_server_call_release(call);
}

/* Gets that can be left are; the mails of the others will come. */
static void cancel(struct km_server_call *call)
{
    struct km_peer_method_state *state = km_server_call_state(call);
    struct fills *fills = state->base.work;
    struct km_list *node;
    struct km_list *tmp;
    KM_LIST_FOREACH(node, tmp, &fills->running) {
        struct slot *slot = KM_CONTAINER_OF(node, struct slot, node);
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

static void fill_response(const struct slot *slot,
                          struct km_msg_peer_fill_response *ret)
{
    *ret = (struct km_msg_peer_fill_response){
        .outcome = (int32_t)slot->outcome,
        .status = slot->status,
        .message = kama_bytes_make(slot->text, strlen(slot->text)),
        .view_id = km_peer_view_id(slot->fills->call),
        .from_memory = slot->source == KM_GET_FROM_MEMORY};
    if (slot->value != NULL) {
        ret->ttl_ms = kama_value_ttl_ms(slot->value);
        ret->version = kama_value_version(slot->value);
    }
}

/* Writes the message without the bytes of the value, which follow it. */
static size_t write_head(const struct slot *slot,
                         uint8_t head[KM_ERROR_BYTES_MAX + HEAD_BYTES])
{
    struct km_msg_peer_fill_response r;
    uint8_t *at = head;
    size_t value_bytes =
        slot->value != NULL ? kama_value_bytes(slot->value).len : 0;
    fill_response(slot, &r);
    if (slot->fills->kind == FILLS_MANY) {
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
static kama_status send(struct slot *slot)
{
    struct fills *fills = slot->fills;
    uint8_t head[KM_ERROR_BYTES_MAX + HEAD_BYTES];
    size_t len = write_head(slot, head);
    kama_value *body = slot->value;
    slot->value = NULL;
    km_list_remove(&slot->node);
    km_list_push_back(&fills->free, &slot->node);
    kama_status st =
        km_server_call_send(fills->call, kama_bytes_make(head, len), body);
    kama_value_unref(body);
    return st;
}

static void make_ready(struct slot *slot)
{
    km_list_remove(&slot->node);
    km_list_push_back(&slot->fills->ready, &slot->node);
}

/* -- gets ------------------------------------------------------------------ */

static void on_mail(struct km_mail *mail)
{
    struct slot *slot = KM_CONTAINER_OF(mail, struct slot, mail);
    struct fills *fills = slot->fills;
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
    struct slot *slot = KM_CONTAINER_OF(op, struct slot, op);
    struct km_service_env *env = slot->fills->env;
    struct km_loop *loop = km_server_call_loop(slot->fills->call);
    slot->status = status;
    slot->value = value;
    slot->source = op->source;
    if (status < 0) {
        (void)snprintf(slot->text, sizeof slot->text, "%s", sentence);
    }
    slot->mail.run = on_mail;
    km_loop_post(loop, &slot->mail);
    km_service_env_unpark(env);
}

/* Begins the get of a key that this node owns. */
static void get(struct slot *slot, kama_bytes key)
{
    struct fills *fills = slot->fills;
    kama_ctx ctx;
    kama_ctx_init(&ctx);
    ctx.origin = KAMA_ORIGIN_PEER;
    ctx.deadline_ms = km_server_call_deadline_ms(fills->call);
    ctx.traceparent = fills->traceparent[0] != '\0' ? fills->traceparent : NULL;
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
    if (st < 0) {
        (void)snprintf(slot->text, sizeof slot->text, "%s", km_last_error());
    }
    make_ready(slot);
}

static void begin_key(struct fills *fills, kama_bytes key)
{
    struct km_list *node = km_list_pop_front(&fills->free);
    struct slot *slot = KM_CONTAINER_OF(node, struct slot, node);
    km_list_push_back(&fills->running, node);
    slot->index = fills->next++;
    slot->value = NULL;
    slot->status = KAMA_OK;
    slot->source = KM_GET_FROM_LOADER;
    slot->text[0] = '\0';
    slot->outcome = fills->knowledge == KM_PEER_VIEW_KNOWN
                        ? km_peer_place(fills->call, fills->group, key)
                        : KM_MSG_PEER_BEHIND;
    if (slot->outcome == KM_MSG_PEER_ANSWERED) {
        get(slot, key);
    } else {
        make_ready(slot);
    }
}

/* -- the call -------------------------------------------------------------- */

static kama_status send_ready(struct fills *fills)
{
    kama_status st = KAMA_OK;
    while (st == KAMA_OK && !km_list_empty(&fills->ready) &&
           km_server_call_writable(fills->call)) {
        st = send(
            KM_CONTAINER_OF(km_list_first(&fills->ready), struct slot, node));
    }
    return st;
}

static void finish(struct fills *fills, kama_status status)
{
    struct km_server_call *call = fills->call;
    km_server_call_finish(call, status, NULL);
    cancel(call);
}

/* Sends the answers that are ready, and begins as many keys as there is room
 * for. */
static void advance(struct fills *fills)
{
    kama_bytes key;
    for (;;) {
        kama_status st = send_ready(fills);
        if (st != KAMA_OK) {
            finish(fills, st);
            return;
        }
        if (fills->left == 0 || km_list_empty(&fills->free) ||
            !km_server_call_writable(fills->call) ||
            !km_pb_next(&fills->keys, &key)) {
            break;
        }
        fills->left--;
        begin_key(fills, key);
    }
    if (fills->left == 0 && is_idle(fills) && km_list_empty(&fills->ready)) {
        finish(fills, KAMA_OK);
    }
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

static struct fills *fills_new(struct km_server_call *call, kama_bytes message,
                               size_t slot_count)
{
    struct km_service_env *env = km_service_env_of(call);
    struct fills *fills = km_mem_zalloc(
        env->mem, 1, sizeof *fills + slot_count * sizeof fills->slots[0]);
    if (fills == NULL) {
        return NULL;
    }
    fills->copy = km_mem_alloc(env->mem, message.len + 1);
    if (fills->copy == NULL) {
        km_mem_free(env->mem, fills);
        return NULL;
    }
    memcpy(fills->copy, message.data, message.len);
    fills->call = call;
    fills->env = env;
    km_list_init(&fills->free);
    km_list_init(&fills->running);
    km_list_init(&fills->ready);
    fills->slot_count = slot_count;
    for (size_t i = 0; i < slot_count; i++) {
        fills->slots[i].fills = fills;
        km_list_push_back(&fills->free, &fills->slots[i].node);
    }
    return fills;
}

static void copy_traceparent(struct fills *fills, kama_bytes text)
{
    if (text.len > 0 && text.len < sizeof fills->traceparent &&
        memchr(text.data, '\0', text.len) == NULL) {
        memcpy(fills->traceparent, text.data, text.len);
    }
}

/* Both kinds have their keys in a list with the same number: that of Fill has
 * one. */
static void begin(struct km_server_call *call, kama_bytes message,
                  enum km_peer_knowledge knowledge, enum fills_kind kind)
{
    struct km_peer_method_state *state = km_server_call_state(call);
    struct km_msg_peer_fill_many_request request;
    kama_group *group = NULL;
    if (!km_service_decode(call, &km_msg_peer_fill_many_request_pb, message,
                           &request) ||
        (group = km_service_find_group(call, request.group)) == NULL) {
        return;
    }
    size_t count = request.keys.count;
    if (kind == FILLS_ONE && count != 1) {
        km_server_call_finish(call, KAMA_ERR_MALFORMED, "key: there is none");
        return;
    }
    struct fills *fills = fills_new(
        call, message,
        count < KM_SERVICE_FILLS_PARALLEL ? count : KM_SERVICE_FILLS_PARALLEL);
    if (fills == NULL) {
        km_server_call_finish(call, KAMA_ERR_NO_MEMORY, NULL);
        return;
    }
    kama_status st =
        km_pb_decode(&km_msg_peer_fill_many_request_pb,
                     kama_bytes_make(fills->copy, message.len), &request);
    KM_ASSERT(st == KAMA_OK);
    fills->group = group;
    fills->kind = kind;
    fills->knowledge = knowledge;
    fills->keys = request.keys;
    fills->left = request.keys.count;
    copy_traceparent(fills, request.traceparent);
    state->base.work = fills;
    state->cancel = cancel;
    state->writable = writable;
    km_server_call_hold(call);
    advance(fills);
}

static void begin_one(struct km_server_call *call, kama_bytes message,
                      enum km_peer_knowledge knowledge)
{
    begin(call, message, knowledge, FILLS_ONE);
}

static void begin_many(struct km_server_call *call, kama_bytes message,
                       enum km_peer_knowledge knowledge)
{
    begin(call, message, knowledge, FILLS_MANY);
}

void km_service_peer_fill(struct km_server_call *call, kama_bytes message)
{
    km_peer_method_start(call, message, begin_one);
}

void km_service_peer_fill_many(struct km_server_call *call, kama_bytes message)
{
    km_peer_method_start(call, message, begin_many);
}
