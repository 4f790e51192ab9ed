/* SPDX-License-Identifier: MIT */
/* Mutate: the mutations of another node, one after the other. One that has to
 * wait until this node is settled holds up those behind it, because they may be
 * of the same key. */
#include "base/assert.h"
#include "base/container.h"
#include "base/limits.h"
#include "base/status.h"
#include "group/condition.h"
#include "group/mutate_op.h"
#include "group/sync_apply.h"
#include "services/peer_work.h"

#include <stdio.h>
#include <string.h>

enum mutations_state {
    MUTATIONS_RUNNING, /* on the loop */
    MUTATIONS_WAITING  /* a mail will come */
};

struct mutations {
    struct km_mutate_op op;
    struct km_mail mail;
    struct km_server_call *call; /* held */
    struct km_service_env *env;
    kama_group *group;
    enum km_peer_knowledge knowledge;
    enum mutations_state state;
    uint8_t *copy;          /* of the message; owned */
    struct km_pb_list list; /* those that have not begun; in the copy */
    struct km_buf results;
    kama_status status; /* of the one that has waited */
    char text[KM_ERROR_BYTES_MAX];
};

static void advance(struct mutations *m);

static void mutations_free(struct mutations *m)
{
    struct km_server_call *call = m->call;
    struct km_peer_method_state *state = km_server_call_state(call);
    KM_ASSERT(m->state == MUTATIONS_RUNNING);
    state->base.work = NULL;
    km_buf_fini(&m->results);
    km_mem_free(m->env->mem, m->copy);
    km_mem_free(m->env->mem, m);
    km_server_call_release(call);
}

/* A mutation that has begun is carried out, whether its caller is there or
 * not; those behind it are not. */
static void cancel(struct km_server_call *call)
{
    struct km_peer_method_state *state = km_server_call_state(call);
    struct mutations *m = state->base.work;
    if (m->state == MUTATIONS_RUNNING) {
        mutations_free(m);
    }
}

/* -- results --------------------------------------------------------------- */

/* op: NULL for an answer that needed none. */
static kama_status append(struct mutations *m, enum km_msg_peer_outcome outcome,
                          const struct km_mutate_op *op, kama_status status,
                          const char *text)
{
    struct km_msg_peer_mutate_result result = {
        .outcome = (int32_t)outcome,
        .status = status,
        .message = kama_bytes_make(text, status < 0 ? strlen(text) : 0)};
    if (op != NULL) {
        result.etag_key = op->etag_key;
        result.clock = op->version.hlc;
        result.origin = op->version.origin;
    }
    return km_pb_append_element(&m->results, KM_MSG_PEER_ITEMS,
                                &km_msg_peer_mutate_result_pb, &result);
}

static kama_status append_answer(struct mutations *m, kama_status status,
                                 const char *text)
{
    return append(m, KM_MSG_PEER_ANSWERED, NULL, status, text);
}

static enum km_msg_peer_outcome outcome_of(const struct km_mutate_op *op)
{
    switch (op->outcome) {
    case KM_OWNER_NOT_OWNER:
        return KM_MSG_PEER_NOT_OWNER;
    case KM_OWNER_BEHIND:
        return KM_MSG_PEER_BEHIND;
    default:
        return KM_MSG_PEER_ANSWERED;
    }
}

/* Appends the answer of the op. */
static kama_status append_op(struct mutations *m, kama_status status,
                             const char *text)
{
    return append(m, outcome_of(&m->op), &m->op, status, text);
}

static void finish(struct mutations *m, kama_status status)
{
    struct km_server_call *call = m->call;
    struct km_msg_peer_items_response end = {.view_id = km_peer_view_id(call)};
    if (status == KAMA_OK) {
        status =
            km_pb_append(&m->results, &km_msg_peer_items_response_pb, &end);
    }
    km_service_reply_buf(call, &m->results, status);
    mutations_free(m);
}

/* -- one mutation ---------------------------------------------------------- */

static void on_mail(struct km_mail *mail)
{
    struct mutations *m = KM_CONTAINER_OF(mail, struct mutations, mail);
    KM_ASSERT(m->state == MUTATIONS_WAITING);
    m->state = MUTATIONS_RUNNING;
    if (km_server_call_ended(m->call)) {
        mutations_free(m);
        return;
    }
    if (append_op(m, m->status, m->text) != KAMA_OK) {
        finish(m, KAMA_ERR_NO_MEMORY);
        return;
    }
    advance(m);
}

/* Any thread. As soon as the mail is posted, the loop may free everything. */
static void on_done(struct km_mutate_op *op, kama_status status,
                    const char *sentence)
{
    struct mutations *m = KM_CONTAINER_OF(op, struct mutations, op);
    struct km_service_env *env = m->env;
    struct km_loop *loop = km_server_call_loop(m->call);
    m->status = status;
    (void)snprintf(m->text, sizeof m->text, "%s", status < 0 ? sentence : "");
    km_loop_post(loop, &m->mail);
    km_service_env_unpark(env);
}

/* SET_IF is a set for the group; only the wire tells the two apart. */
static enum km_mutation_kind kind_of(const struct km_msg_peer_mutation *message)
{
    return message->kind == KM_MSG_PEER_SET_IF
               ? KM_MUTATION_SET
               : (enum km_mutation_kind)message->kind;
}

static kama_status start(struct mutations *m,
                         const struct km_msg_peer_mutation *message,
                         const struct km_put_condition *condition)
{
    kama_ctx ctx;
    kama_ctx_init(&ctx);
    ctx.deadline_ms = km_server_call_deadline_ms(m->call);
    struct km_mutate_order order = {.kind = kind_of(message),
                                    .condition = *condition,
                                    .from = KM_MUTATE_FOR_PEER,
                                    .patience = KM_MUTATE_PARKS,
                                    .key = message->key,
                                    .value = message->value,
                                    .ttl_ms = message->ttl_ms,
                                    .ctx = &ctx};
    m->op =
        (struct km_mutate_op){.done = on_done, .outcome = KM_OWNER_ANSWERED};
    m->mail.run = on_mail;
    m->state = MUTATIONS_WAITING;
    km_last_error_clear();
    km_service_env_park(m->env);
    kama_status st = km_mutate_op_start(m->group, &m->op, &order);
    if (st != KAMA_DEFERRED) {
        km_service_env_unpark(m->env);
        m->state = MUTATIONS_RUNNING;
    }
    return st;
}

/* Returns false for bytes that this node cannot carry out: a condition that it does
 * not know must not be left out. */
static bool read_mutation(kama_bytes element,
                          struct km_msg_peer_mutation *ret_message,
                          struct km_put_condition *ret_condition)
{
    if (km_pb_decode(&km_msg_peer_mutation_pb, element, ret_message) !=
            KAMA_OK ||
        ret_message->kind < KM_MSG_PEER_SET ||
        ret_message->kind > KM_MSG_PEER_SET_IF) {
        return false;
    }
    bool must_have_one = ret_message->kind == KM_MSG_PEER_SET_IF;
    return must_have_one == (ret_message->condition != 0) &&
           km_condition_init((uint32_t)ret_message->condition,
                             ret_message->if_etag, ret_condition) == KAMA_OK;
}

/* Carries one out. Returns KAMA_DEFERRED if its answer will come with a mail,
 * or an error of the whole call. */
static kama_status carry_out(struct mutations *m, kama_bytes element)
{
    struct km_msg_peer_mutation message;
    struct km_put_condition condition;
    if (m->knowledge == KM_PEER_IS_BEHIND) {
        return append(m, KM_MSG_PEER_BEHIND, NULL, KAMA_OK, "");
    }
    if (!read_mutation(element, &message, &condition)) {
        return append_answer(
            m, KAMA_ERR_MALFORMED,
            "the bytes are not a mutation that this node knows");
    }
    kama_status st = start(m, &message, &condition);
    return st == KAMA_DEFERRED ? st : append_op(m, st, km_last_error());
}

static void advance(struct mutations *m)
{
    kama_bytes element;
    while (km_pb_next(&m->list, &element)) {
        kama_status st = carry_out(m, element);
        if (st == KAMA_DEFERRED) {
            return;
        }
        if (st != KAMA_OK) {
            finish(m, st);
            return;
        }
    }
    finish(m, KAMA_OK);
}

/* -- the call -------------------------------------------------------------- */

static struct mutations *mutations_new(struct km_server_call *call,
                                       kama_bytes message)
{
    struct km_service_env *env = km_service_env_of(call);
    struct mutations *m = km_mem_zalloc(env->mem, 1, sizeof *m);
    if (m == NULL) {
        return NULL;
    }
    m->copy = km_mem_alloc(env->mem, message.len + 1);
    if (m->copy == NULL) {
        km_mem_free(env->mem, m);
        return NULL;
    }
    memcpy(m->copy, message.data, message.len);
    m->call = call;
    m->env = env;
    km_buf_init(&m->results, env->mem, SIZE_MAX);
    return m;
}

static void begin(struct km_server_call *call, kama_bytes message,
                  enum km_peer_knowledge knowledge)
{
    struct km_peer_method_state *state = km_server_call_state(call);
    struct km_msg_peer_mutate_request request;
    kama_group *group = NULL;
    if (!km_service_decode(call, &km_msg_peer_mutate_request_pb, message,
                           &request) ||
        (group = km_service_find_group(call, request.group)) == NULL) {
        return;
    }
    if (!km_group_merge_clock(group, request.clock)) {
        km_server_call_finish(
            call, KAMA_ERR_NOT_MEMBER,
            "the clock of the sender is more than 60 s ahead");
        return;
    }
    struct mutations *m = mutations_new(call, message);
    if (m == NULL) {
        km_server_call_finish(call, KAMA_ERR_NO_MEMORY, NULL);
        return;
    }
    kama_status st =
        km_pb_decode(&km_msg_peer_mutate_request_pb,
                     kama_bytes_make(m->copy, message.len), &request);
    KM_ASSERT(st == KAMA_OK);
    m->group = group;
    m->knowledge = knowledge;
    m->list = request.mutations;
    state->base.work = m;
    state->cancel = cancel;
    km_server_call_hold(call);
    advance(m);
}

void km_service_peer_mutate(struct km_server_call *call, kama_bytes message)
{
    km_peer_method_start(call, message, begin);
}
