/* SPDX-License-Identifier: MIT */
/*
 * The course of one MGet: its slots, its turns, and the end of a call whose loads
 * still run.
 *
 * Mails that can be under way to a call are the answers of its slots and its
 * next turn. The call is held until none of them is (free_if_idle).
 */
#include "services/mget.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/limits.h"
#include "base/status.h"
#include "group/get_count.h"
#include "group/load/at_peer.h"
#include "services/mget_answers.h"
#include "services/mget_keys.h"
#include "services/service.h"
#include "services/traceparent.h"
#include "wire/msg/msg.h"

/* The states are drawn in mget.h. */
enum mget_state {
    MGET_ASKING,
    MGET_TURN_POSTED,
    MGET_WAITS_FOR_LOADS,
    MGET_WAITS_FOR_ROOM
};

/* One parked get, or a spare place for one. A spare slot is kept for the next
 * key instead of being freed. */
struct slot {
    struct km_list node; /* in mget->running or mget->spare */
    struct km_get_op op;
    struct km_mail mail;
    struct km_service_mget *mget;
    uint32_t index; /* of its key among all keys of the call */

    /* Written by the pool thread that ends the get, before its mail. */
    kama_status status;
    kama_value *value; /* owned */
    char *text;        /* owned; may be NULL */
};

/* The two methods. */
enum mget_kind { MGET_UNARY, MGET_STREAM };

struct km_service_mget {
    struct km_server_call *call; /* held */
    enum mget_kind kind;
    struct km_service_env *env;
    kama_group *group;
    kama_ctx ctx;
    enum mget_state state;
    uint32_t parallel;                      /* how many keys may be parked */
    char traceparent[KM_TRACEPARENT_BYTES]; /* of the client; "": none */
    struct km_mget_keys keys;
    struct km_list fills;   /* requests to owners, while keys are asked for */
    struct km_list running; /* slots of parked keys */
    uint32_t running_count;
    struct km_list spare; /* slots without a key */
    struct km_mail turn;  /* under way in MGET_TURN_POSTED */
    struct km_mget_answers answers;
};

/* -- memory -------------------------------------------------------------- */

static void free_slots(struct km_service_mget *mget, struct km_list *list)
{
    struct km_list *node;
    while ((node = km_list_pop_front(list)) != NULL) {
        km_mem_free(mget->env->mem, KM_CONTAINER_OF(node, struct slot, node));
    }
}

/* Frees everything and gives back the hold on the call. */
static void mget_free(struct km_service_mget *mget)
{
    struct km_server_call *call = mget->call;
    const kama_allocator *mem = mget->env->mem;
    struct km_service_mget_state *state = km_server_call_state(call);
    KM_ASSERT(mget->running_count == 0 && mget->state != MGET_TURN_POSTED);
    KM_ASSERT(state->mget == mget);
    free_slots(mget, &mget->spare);
    km_mget_keys_give(mget->env, mget->answers.count);
    km_mget_answers_fini(&mget->answers);
    km_mget_keys_fini(&mget->keys);
    km_mem_free(mem, mget);
    state->mget = NULL;
    km_server_call_release(call);
}

/* Of a call that has ended: a mail that is still under way frees it later. */
static void free_if_idle(struct km_service_mget *mget)
{
    if (mget->running_count == 0 && mget->state != MGET_TURN_POSTED) {
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

/* The get of the slot has ended or was called off. */
static void put_slot(struct km_service_mget *mget, struct slot *slot)
{
    km_list_remove(&slot->node);
    km_list_push_back(&mget->spare, &slot->node);
    KM_ASSERT(mget->running_count > 0);
    mget->running_count--;
}

/* -- the answer ---------------------------------------------------------- */

static void reply(struct km_service_mget *mget)
{
    struct km_buf buf;
    km_buf_init(&buf, mget->env->mem, SIZE_MAX);
    kama_status st = km_mget_answers_write(&mget->answers, &buf);
    km_service_reply_buf(mget->call, &buf, st);
}

/* The message is made when there is room for it. Until then the values are held
 * by reference, and there is no second copy of them. */
static void reply_if_room(struct km_service_mget *mget)
{
    if (km_server_call_writable(mget->call)) {
        reply(mget);
        mget_free(mget);
    } else {
        mget->state = MGET_WAITS_FOR_ROOM;
    }
}

/* Every key of a stream was answered: the call ends when all of them were
 * sent. */
static void end_stream_if_sent(struct km_service_mget *mget)
{
    if (mget->answers.sent == mget->answers.count) {
        km_server_call_finish(mget->call, KAMA_OK, NULL);
        mget_free(mget);
    } else {
        mget->state = MGET_WAITS_FOR_ROOM;
    }
}

static void end_if_room(struct km_service_mget *mget)
{
    if (mget->kind == MGET_STREAM) {
        end_stream_if_sent(mget);
    } else {
        reply_if_room(mget);
    }
}

static bool is_complete(const struct km_service_mget *mget)
{
    return !km_mget_keys_left(&mget->keys) && mget->running_count == 0;
}

/* -- asking -------------------------------------------------------------- */

static void on_answer(struct km_mail *mail);

/* Runs on a pool thread. As soon as the mail is posted, the loop may run it and
 * free the slot, so nothing of it is used after that. */
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

/* The key of the slot waits for its load. */
static kama_status park(struct km_service_mget *mget, struct slot *slot,
                        kama_bytes key)
{
    km_list_push_back(&mget->running, &slot->node);
    mget->running_count++;
    km_service_env_park(mget->env);
    return km_mget_keys_park(&mget->keys, mget->group, key, slot->index);
}

/* Asks for a key. slot: taken; it becomes spare again when the key is answered at
 * once. */
static kama_status ask(struct km_service_mget *mget, struct slot *slot,
                       kama_bytes key)
{
    kama_value *value = NULL;
    slot->op.done = on_done;
    km_last_error_clear();
    kama_status st = km_get_op_start_of_many(mget->group, &slot->op, key,
                                             &mget->ctx, &mget->fills, &value);
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

/* Returns whether the key gets the answer of an equal key that was parked before;
 * if so, it follows that key from now on. */
static bool follows(struct km_service_mget *mget, kama_bytes key,
                    uint32_t index)
{
    uint32_t first = km_mget_keys_find(&mget->keys, mget->group, key);
    if (first == KM_TWINS_NONE ||
        (mget->kind == MGET_STREAM &&
         km_mget_answers_has(&mget->answers, first))) {
        return false;
    }
    km_get_count_twin(mget->group, km_group_hash(mget->group, key));
    if (km_mget_answers_has(&mget->answers, first)) {
        km_get_count_twin_answered(
            mget->group, km_mget_answers_source(&mget->answers, first));
    }
    km_mget_answers_follow(&mget->answers, first, index);
    return true;
}

static kama_status ask_next(struct km_service_mget *mget)
{
    kama_bytes key;
    struct slot *slot = take_slot(mget);
    if (slot == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    slot->index = km_mget_keys_next(&mget->keys, &key);
    if (follows(mget, key, slot->index)) {
        km_list_push_back(&mget->spare, &slot->node);
        return KAMA_OK;
    }
    return ask(mget, slot, key);
}

/* Sends what a stream has answered. Returns KAMA_WOULD_LOAD if it must not ask
 * for more keys, because there is no room. */
static kama_status send_some(struct km_service_mget *mget)
{
    if (mget->kind == MGET_UNARY) {
        return KAMA_OK;
    }
    kama_status st = km_mget_answers_send(&mget->answers, mget->call);
    return st == KAMA_OK && !km_server_call_writable(mget->call)
               ? KAMA_WOULD_LOAD
               : st;
}

/* Asks for keys until none is left (KAMA_OK), until as many of them
 * are parked as may be (KAMA_DEFERRED), until a stream has no room (KAMA_WOULD_LOAD), or
 * until other calls of the loop must have their turn (KAMA_ERR_TRY_AGAIN). */
static kama_status ask_each(struct km_service_mget *mget)
{
    kama_status st = send_some(mget);
    for (unsigned i = 0; st == KAMA_OK && km_mget_keys_left(&mget->keys); i++) {
        if (mget->running_count == mget->parallel) {
            return KAMA_DEFERRED;
        }
        if (i == KM_MGET_KEYS_PER_TURN) {
            return KAMA_ERR_TRY_AGAIN;
        }
        st = ask_next(mget);
        if (st == KAMA_OK) {
            st = send_some(mget);
        }
    }
    return st;
}

/* Does so, and sends the requests for keys of other nodes together, also after an
 * error: their gets are parked. A load may take the time that is left for the
 * call. */
static kama_status ask_some(struct km_service_mget *mget)
{
    KM_ASSERT(mget->running_count <= mget->parallel);
    mget->ctx.deadline_ms = km_server_call_deadline_ms(mget->call);
    km_list_init(&mget->fills);
    kama_status st = ask_each(mget);
    km_load_send_fills(mget->group, &mget->fills);
    return st;
}

/* Counts the ends of the keys that follow the one of a slot. */
static void end_twins(struct km_service_mget *mget, struct slot *slot)
{
    uint32_t n = km_mget_answers_followers(&mget->answers, slot->index);
    while (n-- > 0) {
        km_get_count_twin_end(&slot->op);
    }
}

/* Calls off the gets that are parked. A get whose load is ending at this moment
 * cannot be called off: its mail comes, and the last such mail frees mget. */
static void call_off(struct km_service_mget *mget)
{
    struct km_list *node;
    struct km_list *tmp;
    KM_LIST_FOREACH(node, tmp, &mget->running) {
        struct slot *slot = KM_CONTAINER_OF(node, struct slot, node);
        if (km_get_op_cancel(&slot->op)) {
            end_twins(mget, slot);
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

static void post_turn(struct km_service_mget *mget)
{
    mget->state = MGET_TURN_POSTED;
    km_loop_post(km_server_call_loop(mget->call), &mget->turn);
}

/* Asks for as many keys as it may, and decides what happens next. */
static void advance(struct km_service_mget *mget)
{
    kama_status st = ask_some(mget);
    if ((int)st < 0 && st != KAMA_ERR_TRY_AGAIN) {
        finish(mget, st);
    } else if (is_complete(mget)) {
        end_if_room(mget);
    } else if (km_mget_keys_keep(&mget->keys) != KAMA_OK) {
        finish(mget, KAMA_ERR_NO_MEMORY);
    } else if (st == KAMA_ERR_TRY_AGAIN) {
        post_turn(mget);
    } else {
        mget->state =
            st == KAMA_WOULD_LOAD ? MGET_WAITS_FOR_ROOM : MGET_WAITS_FOR_LOADS;
    }
}

/* A stream that waits for loads may have answers to send as well. */
void km_service_mget_writable(struct km_server_call *call)
{
    struct km_service_mget_state *state = km_server_call_state(call);
    struct km_service_mget *mget = state->mget;
    if (mget != NULL && !km_server_call_ended(call) &&
        (mget->state == MGET_WAITS_FOR_ROOM ||
         (mget->kind == MGET_STREAM && mget->state == MGET_WAITS_FOR_LOADS))) {
        advance(mget);
    }
}

static void on_turn(struct km_mail *mail)
{
    struct km_service_mget *mget =
        KM_CONTAINER_OF(mail, struct km_service_mget, turn);
    KM_ASSERT(mget->state == MGET_TURN_POSTED);
    mget->state = MGET_ASKING;
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
    end_twins(mget, slot);
    if (km_server_call_ended(mget->call)) {
        kama_value_unref(slot->value);
        km_mem_free(mget->env->mem, slot->text);
        free_if_idle(mget);
        return;
    }
    km_mget_answers_put(&mget->answers, slot->index, km_source_of(&slot->op),
                        slot->status, slot->value, slot->text);
    if (mget->state != MGET_TURN_POSTED) {
        advance(mget);
    }
}

/* -- the call ------------------------------------------------------------ */

/* The answer of a unary call is one message, which must hold all values. */
static kama_status init_answers(struct km_service_mget *mget, uint32_t count)
{
    const kama_allocator *mem = mget->env->mem;
    if (mget->kind == MGET_STREAM) {
        return km_mget_answers_init_stream(&mget->answers, mem, count);
    }
    uint64_t max =
        km_group_max_value_bytes(mget->group) + KM_RPC_MESSAGE_SLACK_BYTES;
    if (max < KM_RPC_MESSAGE_BYTES_MIN) {
        max = KM_RPC_MESSAGE_BYTES_MIN;
    }
    return km_mget_answers_init(&mget->answers, mem, count, max);
}

static struct km_service_mget *mget_new(struct km_server_call *call,
                                        enum mget_kind kind, kama_group *group,
                                        const struct km_msg_mget_request *r)
{
    struct km_service_env *env = km_service_env_of(call);
    struct km_service_mget *mget = km_mem_zalloc(env->mem, 1, sizeof *mget);
    if (mget == NULL) {
        return NULL;
    }
    mget->kind = kind;
    mget->env = env;
    mget->group = group;
    mget->parallel =
        km_group_has_owners(group) ? KM_MGET_PARALLEL_OWNERS : KM_MGET_PARALLEL;
    if (init_answers(mget, r->keys.count) != KAMA_OK) {
        km_mem_free(env->mem, mget);
        return NULL;
    }
    mget->call = call;
    mget->answers.want_etags = r->want_etag;
    km_mget_keys_init(&mget->keys, env->mem, r->keys);
    mget->turn.run = on_turn;
    km_list_init(&mget->running);
    km_list_init(&mget->spare);
    kama_ctx_init(&mget->ctx);
    mget->ctx.flags =
        (r->no_load ? KAMA_NO_LOAD : 0) | (r->local_only ? KAMA_LOCAL_ONLY : 0);
    km_service_traceparent_read(call, mget->traceparent);
    mget->ctx.traceparent = km_service_traceparent(mget->traceparent);
    return mget;
}

static void start(struct km_server_call *call, enum mget_kind kind,
                  kama_bytes message)
{
    struct km_msg_mget_request request;
    kama_group *group = km_service_decode_for_group(
        call, &km_msg_mget_request_pb, message, &request);
    if (group == NULL) {
        return;
    }
    km_last_error_clear();
    kama_status st =
        km_mget_keys_take(km_service_env_of(call), request.keys.count);
    if (st != KAMA_OK) {
        km_service_fail(call, st);
        return;
    }
    struct km_service_mget *mget = mget_new(call, kind, group, &request);
    if (mget == NULL) {
        km_mget_keys_give(km_service_env_of(call), request.keys.count);
        km_server_call_finish(call, KAMA_ERR_NO_MEMORY, NULL);
        return;
    }
    struct km_service_mget_state *state = km_server_call_state(call);
    state->mget = mget;
    km_server_call_hold(call);
    advance(mget);
}

void km_service_v2_mget(struct km_server_call *call, kama_bytes message)
{
    start(call, MGET_UNARY, message);
}

void km_service_v2_mget_stream(struct km_server_call *call, kama_bytes message)
{
    start(call, MGET_STREAM, message);
}

void km_service_mget_cancelled(struct km_server_call *call, kama_status why)
{
    (void)why;
    struct km_service_mget_state *state = km_server_call_state(call);
    if (state->mget != NULL) {
        call_off(state->mget);
    }
}
