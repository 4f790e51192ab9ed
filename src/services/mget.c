/* SPDX-License-Identifier: MIT */
#include "services/mget.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/limits.h"
#include "base/status.h"
#include "group/twins.h"
#include "services/mget_answers.h"
#include "services/service.h"
#include "wire/msg/msg.h"

#include <stdio.h>

/* One parked get. */
struct slot {
    struct km_list node; /* in mget->running or mget->spare */
    struct km_get_op op;
    struct km_mail mail;
    struct km_service_mget *mget;
    uint32_t index;
    kama_status status;
    kama_value *value;
    char *text; /* owned */
};

struct km_service_mget {
    struct km_server_call *call; /* held */
    struct km_service_env *env;
    kama_group *group;
    kama_ctx ctx;
    struct km_pb_list keys; /* those not asked for yet */
    uint8_t *copy;          /* what keys lie in; NULL: still the request */
    struct km_twins twins;  /* keys that were parked; they lie in copy */
    struct km_list running;
    struct km_list spare;
    struct km_mail turn;
    bool turn_posted;
    uint32_t running_count;
    uint32_t next; /* index of the first of keys */
    struct km_mget_answers answers;
};

/* -- memory -------------------------------------------------------------- */

static void give_keys(struct km_service_env *env, uint32_t count)
{
    atomic_fetch_sub_explicit(&env->mget_keys, count, memory_order_relaxed);
}

/* Counts keys against what the node will have open; false: too many. */
static bool take_keys(struct km_service_env *env, uint32_t count)
{
    if (atomic_fetch_add_explicit(&env->mget_keys, count,
                                  memory_order_relaxed) +
            count <=
        KM_MGET_KEYS_NODE) {
        return true;
    }
    give_keys(env, count);
    return false;
}

static void free_slots(struct km_service_mget *mget, struct km_list *list)
{
    struct km_list *node;
    while ((node = km_list_pop_front(list)) != NULL) {
        km_mem_free(mget->env->mem, KM_CONTAINER_OF(node, struct slot, node));
    }
}

/* Gives back everything, and the call. */
static void mget_free(struct km_service_mget *mget)
{
    struct km_server_call *call = mget->call;
    const kama_allocator *mem = mget->env->mem;
    struct km_service_mget_state *state = km_server_call_state(call);
    KM_ASSERT(mget->running_count == 0 && !mget->turn_posted);
    free_slots(mget, &mget->spare);
    give_keys(mget->env, mget->answers.count);
    km_mget_answers_fini(&mget->answers);
    km_twins_fini(&mget->twins);
    km_mem_free(mem, mget->copy);
    km_mem_free(mem, mget);
    state->mget = NULL;
    km_server_call_release(call);
}

static void free_if_idle(struct km_service_mget *mget)
{
    if (mget->running_count == 0 && !mget->turn_posted) {
        mget_free(mget);
    }
}

static struct slot *take_slot(struct km_service_mget *mget)
{
    struct km_list *node = km_list_pop_front(&mget->spare);
    if (node != NULL) {
        return KM_CONTAINER_OF(node, struct slot, node);
    }
    struct slot *slot = km_mem_zalloc(mget->env->mem, 1, sizeof *slot);
    if (slot != NULL) {
        slot->mget = mget;
        km_list_init(&slot->node);
    }
    return slot;
}

/* The slot's get runs no more. */
static void put_slot(struct km_service_mget *mget, struct slot *slot)
{
    km_list_remove(&slot->node);
    km_list_push_back(&mget->spare, &slot->node);
    mget->running_count--;
}

/* Copies the keys from `from` on, which lies in the request; they outlive the
 * handler then. */
static bool keep_keys(struct km_service_mget *mget, const uint8_t *from)
{
    size_t len = (size_t)(mget->keys.end - from);
    KM_ASSERT(mget->copy == NULL && len > 0);
    mget->copy = km_mem_alloc(mget->env->mem, len);
    if (mget->copy == NULL) {
        return false;
    }
    memcpy(mget->copy, from, len);
    mget->keys.at = mget->copy + (mget->keys.at - from);
    mget->keys.end = mget->copy + len;
    return true;
}

/* -- the answer ---------------------------------------------------------- */

static void reply(struct km_service_mget *mget)
{
    struct km_buf buf;
    km_buf_init(&buf, mget->env->mem, SIZE_MAX);
    kama_status st = km_mget_answers_write(&mget->answers, &buf);
    km_service_reply_buf(mget->call, &buf, st);
}

/* The answer is made when there is room for it: until then, values are held
 * by reference. */
static void reply_if_room(struct km_service_mget *mget)
{
    if (km_server_call_writable(mget->call)) {
        reply(mget);
        mget_free(mget);
    }
}

static bool is_complete(const struct km_service_mget *mget)
{
    return mget->next == mget->answers.count && mget->running_count == 0 &&
           !mget->turn_posted;
}

void km_service_mget_writable(struct km_server_call *call)
{
    struct km_service_mget_state *state = km_server_call_state(call);
    if (state->mget != NULL && is_complete(state->mget)) {
        reply_if_room(state->mget);
    }
}

/* -- asking -------------------------------------------------------------- */

static void on_answer(struct km_mail *mail);

/* Pool thread. After the post the slot may be gone. */
static void on_done(struct km_get_op *op, kama_status status, kama_value *value,
                    const char *sentence)
{
    struct slot *slot = KM_CONTAINER_OF(op, struct slot, op);
    struct km_service_env *env = slot->mget->env;
    slot->status = status;
    slot->value = value;
    slot->text = (int)status < 0 && sentence[0] != '\0'
                     ? km_mem_strdup(env->mem, sentence)
                     : NULL;
    slot->mail.run = on_answer;
    km_loop_post(km_server_call_loop(slot->mget->call), &slot->mail);
    km_service_env_unpark(env);
}

/* The key of the slot waits for its load. Equal ones that come later are to
 * find it, if there can be any. */
static kama_status park(struct km_service_mget *mget, struct slot *slot,
                        kama_bytes key)
{
    km_list_push_back(&mget->running, &slot->node);
    mget->running_count++;
    km_service_env_park(mget->env);
    if (mget->next == mget->answers.count) {
        return KAMA_OK;
    }
    if (mget->copy == NULL) {
        if (!keep_keys(mget, key.data)) {
            return KAMA_ERR_NO_MEMORY;
        }
        key.data = mget->copy;
    }
    return km_twins_add(&mget->twins, km_group_hash(mget->group, key), key,
                        slot->index);
}

/* Asks for the next key, whose slot it takes. */
static kama_status ask(struct km_service_mget *mget, struct slot *slot,
                       kama_bytes key)
{
    kama_value *value = NULL;
    slot->op.done = on_done;
    slot->index = mget->next++;
    km_last_error_clear();
    kama_status st =
        km_get_op_start(mget->group, &slot->op, key, &mget->ctx, &value);
    if (st == KAMA_DEFERRED) {
        return park(mget, slot, key);
    }
    km_list_push_back(&mget->spare, &slot->node);
    char *text =
        (int)st < 0 ? km_mem_strdup(mget->env->mem, km_last_error()) : NULL;
    km_mget_answers_put(&mget->answers, slot->index, KM_SOURCE_LOCAL, st, value,
                        text);
    return KAMA_OK;
}

/* Does the next key get the answer of an equal one that was parked? */
static bool follows(struct km_service_mget *mget, kama_bytes key)
{
    if (mget->twins.count == 0) {
        return false;
    }
    uint32_t first =
        km_twins_find(&mget->twins, km_group_hash(mget->group, key), key);
    if (first == KM_TWINS_NONE) {
        return false;
    }
    km_group_count_twin(mget->group);
    km_mget_answers_follow(&mget->answers, first, mget->next++);
    return true;
}

static kama_status ask_next(struct km_service_mget *mget)
{
    kama_bytes key;
    struct slot *slot = take_slot(mget);
    if (slot == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    bool more = km_pb_next(&mget->keys, &key);
    KM_ASSERT(more);
    if (follows(mget, key)) {
        km_list_push_back(&mget->spare, &slot->node);
        return KAMA_OK;
    }
    return ask(mget, slot, key);
}

/* Asks for keys until none is left (KAMA_OK), too many wait (KAMA_DEFERRED) or
 * others should have a turn (KAMA_ERR_TRY_AGAIN). Each load has what is left of
 * the call's time. */
static kama_status ask_some(struct km_service_mget *mget)
{
    mget->ctx.deadline_ms = km_server_call_deadline_ms(mget->call);
    for (unsigned i = 0; mget->next < mget->answers.count; i++) {
        if (mget->running_count == KM_MGET_PARALLEL) {
            return KAMA_DEFERRED;
        }
        if (i == KM_MGET_KEYS_PER_TURN) {
            return KAMA_ERR_TRY_AGAIN;
        }
        kama_status st = ask_next(mget);
        if (st != KAMA_OK) {
            return st;
        }
    }
    return KAMA_OK;
}

/* Calls off what can be called off; the rest frees mget when it arrives. */
static void call_off(struct km_service_mget *mget)
{
    struct km_list *node;
    struct km_list *tmp;
    KM_LIST_FOREACH(node, tmp, &mget->running) {
        struct slot *slot = KM_CONTAINER_OF(node, struct slot, node);
        if (km_get_op_cancel(&slot->op)) {
            put_slot(mget, slot);
            km_service_env_unpark(mget->env);
        }
    }
    free_if_idle(mget);
}

static void finish(struct km_service_mget *mget, kama_status status)
{
    km_server_call_finish(mget->call, status, NULL);
    call_off(mget);
}

static void advance(struct km_service_mget *mget)
{
    if (mget->turn_posted) {
        return;
    }
    kama_status st = ask_some(mget);
    if (is_complete(mget)) {
        reply_if_room(mget);
        return;
    }
    bool waits = st == KAMA_DEFERRED || st == KAMA_ERR_TRY_AGAIN;
    if (waits && mget->copy == NULL && !keep_keys(mget, mget->keys.at)) {
        st = KAMA_ERR_NO_MEMORY;
    }
    if (st == KAMA_ERR_NO_MEMORY) {
        finish(mget, st);
    } else if (st == KAMA_ERR_TRY_AGAIN) {
        mget->turn_posted = true;
        km_loop_post(km_server_call_loop(mget->call), &mget->turn);
    }
}

static void on_turn(struct km_mail *mail)
{
    struct km_service_mget *mget =
        KM_CONTAINER_OF(mail, struct km_service_mget, turn);
    mget->turn_posted = false;
    if (km_server_call_ended(mget->call)) {
        free_if_idle(mget);
        return;
    }
    advance(mget);
}

static void on_answer(struct km_mail *mail)
{
    struct slot *slot = KM_CONTAINER_OF(mail, struct slot, mail);
    struct km_service_mget *mget = slot->mget;
    put_slot(mget, slot);
    if (km_server_call_ended(mget->call)) {
        kama_value_unref(slot->value);
        km_mem_free(mget->env->mem, slot->text);
        free_if_idle(mget);
        return;
    }
    km_mget_answers_put(&mget->answers, slot->index, KM_SOURCE_LOADER,
                        slot->status, slot->value, slot->text);
    advance(mget);
}

/* -- the call ------------------------------------------------------------ */

static struct km_service_mget *mget_new(struct km_server_call *call,
                                        kama_group *group,
                                        const struct km_msg_mget_request *r)
{
    struct km_service_env *env = km_service_env_of(call);
    uint64_t max = km_group_max_value_bytes(group) + KM_RPC_MESSAGE_SLACK_BYTES;
    struct km_service_mget *mget = km_mem_zalloc(env->mem, 1, sizeof *mget);
    if (mget == NULL) {
        return NULL;
    }
    if (max < KM_RPC_MESSAGE_BYTES_MIN) {
        max = KM_RPC_MESSAGE_BYTES_MIN;
    }
    if (km_mget_answers_init(&mget->answers, env->mem, r->keys.count, max) !=
        KAMA_OK) {
        km_mem_free(env->mem, mget);
        return NULL;
    }
    mget->call = call;
    mget->env = env;
    mget->group = group;
    mget->keys = r->keys;
    km_twins_init(&mget->twins, env->mem);
    mget->turn.run = on_turn;
    km_list_init(&mget->running);
    km_list_init(&mget->spare);
    kama_ctx_init(&mget->ctx);
    mget->ctx.flags =
        (r->no_load ? KAMA_NO_LOAD : 0) | (r->local_only ? KAMA_LOCAL_ONLY : 0);
    return mget;
}

static void fail_too_many(struct km_server_call *call, uint32_t count)
{
    char text[64];
    (void)snprintf(text, sizeof text, "keys: %u, at most %d", count,
                   KM_MGET_KEYS_MAX);
    km_server_call_finish(call, KAMA_ERR_TOO_LARGE, text);
}

void km_service_v2_mget(struct km_server_call *call, kama_bytes message)
{
    struct km_msg_mget_request request;
    kama_group *group = km_service_decode_for_group(
        call, &km_msg_mget_request_pb, message, &request);
    if (group == NULL) {
        return;
    }
    if (request.keys.count > KM_MGET_KEYS_MAX) {
        fail_too_many(call, request.keys.count);
        return;
    }
    if (!take_keys(km_service_env_of(call), request.keys.count)) {
        km_server_call_finish(call, KAMA_ERR_OVERLOADED,
                              "too many keys are being asked for");
        return;
    }
    struct km_service_mget *mget = mget_new(call, group, &request);
    if (mget == NULL) {
        give_keys(km_service_env_of(call), request.keys.count);
        km_server_call_finish(call, KAMA_ERR_NO_MEMORY, NULL);
        return;
    }
    struct km_service_mget_state *state = km_server_call_state(call);
    state->mget = mget;
    km_server_call_hold(call);
    advance(mget);
}

void km_service_mget_cancelled(struct km_server_call *call, kama_status why)
{
    (void)why;
    struct km_service_mget_state *state = km_server_call_state(call);
    if (state->mget != NULL) {
        call_off(state->mget);
    }
}
