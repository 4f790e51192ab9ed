/* SPDX-License-Identifier: MIT */
/* Elements stay encoded until they are carried out: each is decoded twice, for
 * the check and for the work, and in return a call needs no array of them.
 *
 * The elements of a turn that other nodes carry out are answered on other
 * threads, which write the status of the element and count down. The thread that
 * answers the last one posts the mail. */
#include "services/many.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/limits.h"
#include "base/status.h"
#include "base/text.h"
#include "group/group.h"
#include "group/sync_apply.h"
#include "services/many_items.h"
#include "services/service.h"
#include "wire/msg/msg.h"

#include <stdio.h>

/* The states are drawn in many.h. */
enum many_state {
    MANY_RUNNING,
    MANY_WAITS_FOR_OWNERS,
    MANY_TURN_POSTED,
    MANY_WAITS_FOR_ROOM
};

struct km_service_many {
    const struct km_many_ops *ops;
    struct km_server_call *call; /* held */
    struct km_service_env *env;
    enum many_state state;
    struct km_pb_list list; /* elements that are left */
    uint32_t left;
    uint32_t next; /* the index of the first of them */
    uint8_t *copy; /* the owned bytes of `list`; NULL: it is in the request */
    int16_t *statuses;     /* of all elements */
    struct km_buf answers; /* has room for all of them */
    struct km_mail turn;   /* under way in MANY_TURN_POSTED, and comes in
                            * MANY_WAITS_FOR_OWNERS */
    struct km_many_turn orders;
    kama_ctx ctx;
    atomic_uint open; /* elements of the turn without an answer, and 1 for the
                       * loop while it starts them */
    struct km_unsynced
        *unsynced; /* by any element of the turns that are over */
    atomic_bool failed;
    char *text; /* of the element that failed first; owned; may be NULL */
    uint32_t turn_max;   /* elements of one turn */
    uint32_t slot_count; /* 1, or turn_max if other nodes may own keys */
    struct km_many_slot slots[];
};

/* -- the end ------------------------------------------------------------- */

static void many_free(struct km_service_many *many)
{
    struct km_server_call *call = many->call;
    const kama_allocator *mem = many->env->mem;
    struct km_service_many_state *state = km_server_call_state(call);
    KM_ASSERT(many->state == MANY_RUNNING ||
              many->state == MANY_WAITS_FOR_ROOM);
    KM_ASSERT(state->many == many);
    km_buf_fini(&many->answers);
    km_unsynced_unref(many->unsynced);
    km_mem_free(mem, many->statuses);
    km_mem_free(mem, many->copy);
    km_mem_free(mem, many->text);
    km_mem_free(mem, many);
    state->many = NULL;
    km_server_call_release(call);
}

/* many_new has reserved room for every number. */
static void append_varint(struct km_buf *buf, uint64_t number)
{
    while (number >= 0x80) {
        buf->data[buf->len++] = (uint8_t)(number | 0x80);
        number >>= 7;
    }
    buf->data[buf->len++] = (uint8_t)number;
    KM_ASSERT(buf->len <= buf->cap);
}

/* Writes the numbers behind room for the tag and the length of their field, these in front
 * of them, and the members that are late behind them. Returns the message, a view. Errors:
 * those of the first element that makes the call fail. */
static kama_status encode(struct km_service_many *many, kama_bytes *ret_message)
{
    struct km_buf *buf = &many->answers;
    uint64_t number;
    buf->len = KM_PB_PREFIX_BYTES_MAX;
    for (uint32_t i = 0; i < many->next; i++) {
        kama_status st =
            many->ops->number((kama_status)many->statuses[i], &number);
        if (st != KAMA_OK) {
            return st;
        }
        append_varint(buf, number);
    }
    size_t len = buf->len - KM_PB_PREFIX_BYTES_MAX;
    size_t prefix = km_pb_prefix_size(KM_MSG_NUMBERS, len);
    size_t start = KM_PB_PREFIX_BYTES_MAX - prefix;
    (void)km_pb_write_prefix(buf->data + start, KM_MSG_NUMBERS, len);
    (void)!km_service_append_unsynced(buf, KM_MSG_UNSYNCED, many->unsynced);
    *ret_message = kama_bytes_make(buf->data + start, buf->len - start);
    return KAMA_OK;
}

/* Replies and frees the call's state, or waits for on_writable. */
static void reply_if_room(struct km_service_many *many)
{
    kama_bytes message;
    KM_ASSERT(many->left == 0);
    if (!km_server_call_writable(many->call)) {
        many->state = MANY_WAITS_FOR_ROOM;
        return;
    }
    kama_status st = encode(many, &message);
    if (st == KAMA_OK) {
        km_service_reply_as(many->call, message,
                            many->unsynced != NULL ? KAMA_UNSYNCED : KAMA_OK);
    } else {
        km_server_call_finish(many->call, st, many->text);
    }
    many_free(many);
}

/* -- one element ----------------------------------------------------------- */

/* Returns whether no element of the turn is open any more. */
static bool close_some(struct km_service_many *many, uint32_t count)
{
    uint32_t before = atomic_fetch_sub(&many->open, count);
    KM_ASSERT(before >= count);
    return before == count;
}

/* The sentence of the first element that fails is kept. It is read when all
 * elements have been answered. */
static void put(struct km_service_many *many, uint32_t index,
                kama_status status, const char *sentence)
{
    KM_ASSERT((int16_t)status == (int)status);
    many->statuses[index] = (int16_t)status;
    if ((int)status < 0 && sentence[0] != '\0' &&
        !atomic_exchange(&many->failed, true)) {
        many->text = km_mem_strdup(many->env->mem, sentence);
    }
}

/* Any thread. As soon as the last element is closed, the loop may free
 * everything. */
static void on_done(struct km_many_slot *slot, kama_status status,
                    const char *sentence)
{
    struct km_service_many *many = slot->owner;
    struct km_service_env *env = many->env;
    put(many, slot->index, status, sentence);
    if (close_some(many, 1)) {
        km_loop_post(km_server_call_loop(many->call), &many->turn);
        km_service_env_unpark(env);
    }
}

/* -- the engine ------------------------------------------------------------ */

/* Starts the elements of one turn, and those that other nodes own together.
 * Returns whether all of them have their answers. */
static bool start_turn(struct km_service_many *many)
{
    uint32_t count = many->left < many->turn_max ? many->left : many->turn_max;
    uint32_t answered = 0;
    kama_bytes element;
    many->ctx.deadline_ms = km_server_call_deadline_ms(many->call);
    km_list_init(&many->orders.sends);
    atomic_store(&many->open, count + 1);
    for (uint32_t i = 0; i < count; i++) {
        struct km_many_slot *slot = &many->slots[many->slot_count > 1 ? i : 0];
        bool more = km_pb_next(&many->list, &element);
        KM_ASSERT(more);
        slot->index = many->next++;
        km_last_error_clear();
        kama_status st = many->ops->start(slot, &many->orders, element);
        if (st != KAMA_DEFERRED) {
            put(many, slot->index, st, (int)st < 0 ? km_last_error() : "");
            answered++;
        }
    }
    many->left -= count;
    km_mutate_send(many->orders.group, &many->orders.sends);
    return close_some(many, answered + 1);
}

/* Takes over what the elements of a turn have said, which are answered. */
static void collect(struct km_service_many *many)
{
    for (uint32_t i = 0; i < many->slot_count; i++) {
        struct km_many_slot *slot = &many->slots[i];
        if (slot->unsynced != NULL) {
            km_unsynced_add(many->env->mem, &many->unsynced, slot->unsynced);
            slot->unsynced = NULL;
        }
    }
}

/* Every element of the turn has its answer: the call replies, or the next turn is
 * posted. */
static void end_turn(struct km_service_many *many)
{
    if (many->left == 0) {
        reply_if_room(many);
        return;
    }
    many->state = MANY_TURN_POSTED;
    km_loop_post(km_server_call_loop(many->call), &many->turn);
}

/* Carries out the elements of one turn. */
static void advance(struct km_service_many *many)
{
    if (start_turn(many)) {
        collect(many);
        end_turn(many);
        return;
    }
    many->state = MANY_WAITS_FOR_OWNERS;
    km_service_env_park(many->env);
}

static void on_turn(struct km_mail *mail)
{
    struct km_service_many *many =
        KM_CONTAINER_OF(mail, struct km_service_many, turn);
    enum many_state state = many->state;
    KM_ASSERT(state == MANY_TURN_POSTED || state == MANY_WAITS_FOR_OWNERS);
    many->state = MANY_RUNNING;
    collect(many);
    if (km_server_call_ended(many->call)) {
        many_free(many);
    } else if (state == MANY_WAITS_FOR_OWNERS && many->left == 0) {
        reply_if_room(many);
    } else {
        advance(many);
    }
}

void km_service_many_writable(struct km_server_call *call)
{
    struct km_service_many_state *state = km_server_call_state(call);
    if (state->many != NULL && state->many->state == MANY_WAITS_FOR_ROOM) {
        reply_if_room(state->many);
    }
}

void km_service_many_cancelled(struct km_server_call *call, kama_status why)
{
    (void)why;
    struct km_service_many_state *state = km_server_call_state(call);
    if (state->many != NULL && state->many->state == MANY_WAITS_FOR_ROOM) {
        many_free(state->many);
    }
}

/* -- the start ----------------------------------------------------------- */

/* Returns true if all elements are valid. Otherwise the call is finished, with
 * a sentence that names the first element that is not. */
static bool check_all(struct km_server_call *call,
                      const struct km_many_ops *ops, const kama_group *group,
                      struct km_pb_list list)
{
    char text[KM_ERROR_BYTES_MAX];
    kama_bytes element;
    if (list.count > KM_MGET_KEYS_MAX) {
        (void)snprintf(
            text, sizeof text,
            "%s: %u are more than the limit of %d; use several calls",
            ops->items, list.count, KM_MGET_KEYS_MAX);
        km_server_call_finish(call, KAMA_ERR_TOO_LARGE, text);
        return false;
    }
    for (uint32_t i = 0; km_pb_next(&list, &element); i++) {
        kama_status st = ops->check(group, element);
        if (st != KAMA_OK) {
            (void)km_text_printf(text, sizeof text, "%s[%u]: %s", ops->items, i,
                                 km_last_error());
            km_server_call_finish(call, st, text);
            return false;
        }
    }
    return true;
}

/* Copies the elements that do not fit into the first turn: the request is gone
 * when the handler has returned. */
static kama_status keep_list(struct km_service_many *many)
{
    size_t len = (size_t)(many->list.end - many->list.at);
    if (many->left <= many->turn_max) {
        return KAMA_OK;
    }
    many->copy = km_mem_alloc(many->env->mem, len);
    if (many->copy == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    memcpy(many->copy, many->list.at, len);
    many->list.at = many->copy;
    many->list.end = many->copy + len;
    return KAMA_OK;
}

static void free_new(struct km_service_many *many)
{
    const kama_allocator *mem = many->env->mem;
    km_buf_fini(&many->answers);
    km_mem_free(mem, many->statuses);
    km_mem_free(mem, many->copy);
    km_mem_free(mem, many);
}

/* Allocates what the number of elements demands. */
static kama_status reserve(struct km_service_many *many)
{
    uint32_t count = many->left;
    for (uint32_t i = 0; i < many->slot_count; i++) {
        many->slots[i].owner = many;
        many->slots[i].done = on_done;
    }
    many->statuses = km_mem_alloc(many->env->mem,
                                  ((size_t)count + 1) * sizeof *many->statuses);
    if (many->statuses == NULL) {
        return KAMA_ERR_NO_MEMORY;
    }
    kama_status st =
        km_buf_reserve(&many->answers, KM_PB_PREFIX_BYTES_MAX +
                                           count * many->ops->number_bytes_max);
    return st == KAMA_OK ? keep_list(many) : st;
}

/* Allocates all that the call will need. Returns NULL without memory; nothing
 * is left behind then. */
static struct km_service_many *many_new(struct km_server_call *call,
                                        const struct km_many_ops *ops,
                                        kama_group *group,
                                        struct km_pb_list list)
{
    struct km_service_env *env = km_service_env_of(call);
    bool alone = !km_group_has_owners(group);
    uint32_t turn_max = alone || km_group_ack(group) != KM_SYNC_ACK_ASYNC
                            ? KM_MGET_KEYS_PER_TURN
                            : KM_MANY_PARALLEL;
    uint32_t slot_count = alone || list.count == 0 ? 1
                          : list.count < turn_max  ? list.count
                                                   : turn_max;
    struct km_service_many *many = km_mem_zalloc(
        env->mem, 1, sizeof *many + slot_count * sizeof many->slots[0]);
    if (many == NULL) {
        return NULL;
    }
    many->ops = ops;
    many->call = call;
    many->env = env;
    many->list = list;
    many->left = list.count;
    many->turn.run = on_turn;
    many->turn_max = turn_max;
    many->slot_count = slot_count;
    kama_ctx_init(&many->ctx);
    many->orders.group = group;
    many->orders.ctx = &many->ctx;
    km_buf_init(&many->answers, env->mem, SIZE_MAX);
    if (reserve(many) != KAMA_OK) {
        free_new(many);
        return NULL;
    }
    return many;
}

static void start(struct km_server_call *call, const struct km_many_ops *ops,
                  kama_group *group, struct km_pb_list list)
{
    if (!check_all(call, ops, group, list)) {
        return;
    }
    struct km_service_many *many = many_new(call, ops, group, list);
    if (many == NULL) {
        km_server_call_finish(call, KAMA_ERR_NO_MEMORY, NULL);
        return;
    }
    struct km_service_many_state *state = km_server_call_state(call);
    state->many = many;
    km_server_call_hold(call);
    advance(many);
}

void km_service_v2_exists(struct km_server_call *call, kama_bytes message)
{
    struct km_msg_exists_request request;
    kama_group *group = km_service_decode_for_group(
        call, &km_msg_exists_request_pb, message, &request);
    if (group != NULL) {
        start(call, &km_many_exists_ops, group, request.keys);
    }
}

void km_service_v2_mdelete(struct km_server_call *call, kama_bytes message)
{
    struct km_msg_mdelete_request request;
    kama_group *group = km_service_decode_for_group(
        call, &km_msg_mdelete_request_pb, message, &request);
    if (group != NULL && !km_service_refuse_ack(call, request.ack)) {
        start(call, &km_many_mdelete_ops, group, request.keys);
    }
}

void km_service_v2_mset(struct km_server_call *call, kama_bytes message)
{
    struct km_msg_mset_request request;
    kama_group *group = km_service_decode_for_group(
        call, &km_msg_mset_request_pb, message, &request);
    if (group != NULL && !km_service_refuse_ack(call, request.ack)) {
        start(call, &km_many_mset_ops, group, request.entries);
    }
}
