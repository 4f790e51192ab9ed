/* SPDX-License-Identifier: MIT */
/* Mutate: the mutations of another node, one after the other. One that has to
 * wait until this node is settled holds up those behind it, because they may be
 * of the same key. One that has acted, and waits for acknowledgements only, does not:
 * all that are under way end together, and are answered in their order. */
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

struct mutations;

/* One mutation that has begun, and its answer. */
struct slot {
    struct km_mutate_op op;
    struct mutations *m;
    enum km_msg_peer_outcome outcome;
    kama_status status;
    char *text;                   /* owned; NULL: none */
    struct km_unsynced *unsynced; /* a reference */
};

struct mutations {
    struct km_mail mail;
    struct km_server_call *call; /* held */
    struct km_service_env *env;
    kama_group *group;
    enum km_peer_knowledge knowledge;
    enum mutations_state state;
    uint8_t *copy;          /* of the message; owned */
    struct km_pb_list list; /* those that have not begun; in the copy */
    uint32_t left;          /* so many */
    struct km_buf results;
    atomic_uint
        open; /* slots without an answer, and 1 while the loop fills them */
    uint32_t begun; /* slots that are in use */
    uint32_t
        slot_count; /* 1, or more if the group waits for acknowledgements */
    struct slot slots[];
};

static void advance(struct mutations *m);

static void empty_slots(struct mutations *m)
{
    for (uint32_t i = 0; i < m->begun; i++) {
        km_mem_free(m->env->mem, m->slots[i].text);
        km_unsynced_unref(m->slots[i].unsynced);
    }
    m->begun = 0;
}

static void mutations_free(struct mutations *m)
{
    struct km_server_call *call = m->call;
    struct km_peer_method_state *state = km_server_call_state(call);
    KM_ASSERT(m->state == MUTATIONS_RUNNING);
    state->base.work = NULL;
    empty_slots(m);
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

/* A list for which there is no memory is left out, and the status says that there is
 * one. */
static kama_status append_listed(struct mutations *m,
                                 const struct km_msg_peer_mutate_result *result,
                                 const struct km_unsynced *list)
{
    struct km_buf buf;
    km_buf_init(&buf, m->env->mem, SIZE_MAX);
    kama_status st = km_pb_append(&buf, &km_msg_peer_mutate_result_pb, result);
    if (st == KAMA_OK) {
        st = km_service_append_unsynced(&buf, KM_MSG_PEER_UNSYNCED, list);
    }
    if (st == KAMA_OK) {
        st = km_pb_append_bytes(&m->results, KM_MSG_PEER_ITEMS,
                                km_buf_bytes(&buf));
    }
    km_buf_fini(&buf);
    return st;
}

static kama_status append(struct mutations *m, const struct slot *slot)
{
    const char *text = slot->text != NULL ? slot->text : "";
    struct km_msg_peer_mutate_result result = {
        .outcome = (int32_t)slot->outcome,
        .status = slot->status,
        .message = kama_bytes_str(text),
        .etag_key = slot->op.etag_key,
        .clock = slot->op.version.hlc,
        .origin = slot->op.version.origin};
    if (slot->unsynced != NULL &&
        append_listed(m, &result, slot->unsynced) == KAMA_OK) {
        return KAMA_OK;
    }
    return km_pb_append_element(&m->results, KM_MSG_PEER_ITEMS,
                                &km_msg_peer_mutate_result_pb, &result);
}

/* Appends the answers of all slots, in their order. */
static kama_status append_all(struct mutations *m)
{
    kama_status st = KAMA_OK;
    for (uint32_t i = 0; i < m->begun && st == KAMA_OK; i++) {
        st = append(m, &m->slots[i]);
    }
    empty_slots(m);
    return st;
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

/* Returns whether no slot is open any more. */
static bool close_one(struct mutations *m)
{
    return atomic_fetch_sub(&m->open, 1) == 1;
}

static void on_mail(struct km_mail *mail)
{
    struct mutations *m = KM_CONTAINER_OF(mail, struct mutations, mail);
    KM_ASSERT(m->state == MUTATIONS_WAITING);
    m->state = MUTATIONS_RUNNING;
    if (km_server_call_ended(m->call)) {
        mutations_free(m);
        return;
    }
    advance(m);
}

static void answer(struct slot *slot, enum km_msg_peer_outcome outcome,
                   kama_status status, const char *text)
{
    slot->outcome = outcome;
    slot->status = status;
    if ((int)status < 0 && text[0] != '\0') {
        slot->text = km_mem_strdup(slot->m->env->mem, text);
    }
}

/* Any thread. As soon as the mail is posted, the loop may free everything. */
static void on_done(struct km_mutate_op *op, kama_status status,
                    const char *sentence)
{
    struct slot *slot = KM_CONTAINER_OF(op, struct slot, op);
    struct mutations *m = slot->m;
    struct km_service_env *env = m->env;
    struct km_loop *loop = km_server_call_loop(m->call);
    answer(slot, outcome_of(op), status, sentence);
    slot->unsynced = km_unsynced_ref(op->unsynced);
    if (close_one(m)) {
        km_loop_post(loop, &m->mail);
        km_service_env_unpark(env);
    }
}

/* SET_IF is a set for the group; only the wire tells the two apart. */
static enum km_mutation_kind kind_of(const struct km_msg_peer_mutation *message)
{
    return message->kind == KM_MSG_PEER_SET_IF
               ? KM_MUTATION_SET
               : (enum km_mutation_kind)message->kind;
}

/* Begins a mutation. Returns whether the next one may begin as well. */
static bool start(struct slot *slot, const struct km_msg_peer_mutation *message,
                  const struct km_put_condition *condition)
{
    struct mutations *m = slot->m;
    kama_ctx ctx;
    bool has_acted = false;
    kama_ctx_init(&ctx);
    ctx.deadline_ms = km_server_call_deadline_ms(m->call);
    struct km_mutate_order order = {.kind = kind_of(message),
                                    .condition = *condition,
                                    .from = KM_MUTATE_FOR_PEER,
                                    .patience = KM_MUTATE_PARKS,
                                    .key = message->key,
                                    .value = message->value,
                                    .ttl_ms = message->ttl_ms,
                                    .ctx = &ctx,
                                    .ret_acted = &has_acted};
    slot->op =
        (struct km_mutate_op){.done = on_done, .outcome = KM_OWNER_ANSWERED};
    (void)atomic_fetch_add(&m->open, 1);
    km_last_error_clear();
    kama_status st = km_mutate_op_start(m->group, &slot->op, &order);
    if (st == KAMA_DEFERRED) {
        return has_acted;
    }
    answer(slot, outcome_of(&slot->op), st, (int)st < 0 ? km_last_error() : "");
    (void)close_one(m);
    return true;
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

/* Carries one out, or begins to. Returns whether the next one may begin. */
static bool carry_out(struct slot *slot, kama_bytes element)
{
    struct mutations *m = slot->m;
    struct km_msg_peer_mutation message;
    struct km_put_condition condition;
    if (m->knowledge == KM_PEER_IS_BEHIND) {
        answer(slot, KM_MSG_PEER_BEHIND, KAMA_OK, "");
        return true;
    }
    if (!read_mutation(element, &message, &condition)) {
        answer(slot, KM_MSG_PEER_ANSWERED, KAMA_ERR_MALFORMED,
               "the bytes are not a mutation that this node knows");
        return true;
    }
    return start(slot, &message, &condition);
}

/* Fills the slots, until one of them holds up the others. Returns whether all that have
 * begun are answered; else a mail will come. */
static bool fill_slots(struct mutations *m)
{
    kama_bytes element;
    bool more = true;
    atomic_store(&m->open, 1);
    m->state = MUTATIONS_WAITING;
    while (more && m->begun < m->slot_count && m->left > 0) {
        struct slot *slot = &m->slots[m->begun++];
        bool is_there = km_pb_next(&m->list, &element);
        KM_ASSERT(is_there);
        m->left--;
        memset(slot, 0, sizeof *slot);
        slot->m = m;
        more = carry_out(slot, element);
    }
    km_service_env_park(m->env);
    if (!close_one(m)) {
        return false;
    }
    km_service_env_unpark(m->env);
    m->state = MUTATIONS_RUNNING;
    return true;
}

static void advance(struct mutations *m)
{
    kama_status st;
    do {
        st = append_all(m);
    } while (st == KAMA_OK && m->left > 0 && fill_slots(m));
    if (m->state == MUTATIONS_RUNNING) {
        finish(m, st);
    }
}

/* -- the call -------------------------------------------------------------- */

static struct mutations *mutations_new(struct km_server_call *call,
                                       kama_bytes message, uint32_t slot_count)
{
    struct km_service_env *env = km_service_env_of(call);
    struct mutations *m =
        km_mem_zalloc(env->mem, 1, sizeof *m + slot_count * sizeof m->slots[0]);
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
    m->mail.run = on_mail;
    m->slot_count = slot_count;
    km_buf_init(&m->results, env->mem, SIZE_MAX);
    return m;
}

/* Returns how many mutations may be under way at the same time. */
static uint32_t slots_for(const kama_group *group, uint32_t count)
{
    uint32_t max =
        km_group_ack(group) != KM_SYNC_ACK_ASYNC ? KM_PEERS_BATCH_KEYS : 1;
    return count == 0 ? 1 : count < max ? count : max;
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
    struct mutations *m =
        mutations_new(call, message, slots_for(group, request.mutations.count));
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
    m->left = request.mutations.count;
    state->base.work = m;
    state->cancel = cancel;
    km_server_call_hold(call);
    advance(m);
}

void km_service_peer_mutate(struct km_server_call *call, kama_bytes message)
{
    km_peer_method_start(call, message, begin);
}
