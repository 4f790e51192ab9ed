/* SPDX-License-Identifier: MIT */
/* Elements stay encoded until they are carried out: each is decoded twice, for
 * the check and for the work, and in return a call needs no array of them. */
#include "services/many.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/limits.h"
#include "base/status.h"
#include "base/text.h"
#include "services/service.h"
#include "wire/msg/msg.h"

#include <stdio.h>

#define VARINT_BYTES_MAX 10

/* The parts in which the methods differ. */
struct many_ops {
    const char *items; /* the name of the elements, for error sentences */
    /* Whether the element is valid. On an error km_last_error says why. */
    kama_status (*check)(const kama_group *group, kama_bytes element);
    /* Carries out an element that has been checked, and returns the number that
     * answers it. */
    uint64_t (*carry_out)(kama_group *group, kama_bytes element);
    size_t answer_bytes_max; /* of one number as a varint */
};

/* The states are drawn in many.h. */
enum many_state { MANY_RUNNING, MANY_TURN_POSTED, MANY_WAITS_FOR_ROOM };

struct km_service_many {
    const struct many_ops *ops;
    struct km_server_call *call; /* held */
    struct km_service_env *env;
    kama_group *group;
    enum many_state state;
    struct km_pb_list list; /* elements that are left */
    uint32_t left;
    uint8_t *copy; /* the owned bytes of `list`; NULL: it is in the request */
    struct km_buf answers;
    struct km_mail turn; /* under way in MANY_TURN_POSTED */
};

/* -- the methods --------------------------------------------------------- */

/* Returns false if the element is no message of an entry. */
static bool read_entry(kama_bytes element, kama_set_item *ret_item)
{
    struct km_msg_mset_entry entry;
    if (km_pb_decode(&km_msg_mset_entry_pb, element, &entry) != KAMA_OK) {
        return false;
    }
    *ret_item = (kama_set_item){entry.key, entry.value, entry.ttl_ms};
    return true;
}

static kama_status check_entry(const kama_group *group, kama_bytes element)
{
    kama_set_item item;
    return read_entry(element, &item)
               ? km_group_check_item(group, &item)
               : km_fail(KAMA_ERR_MALFORMED,
                         "the bytes are not an encoded entry");
}

/* A valid entry can still fail, for lack of memory or because it is too large
 * for the group at this moment. The status answers the entry, and the others go
 * on. It is negative then, which as a varint takes the most bytes. */
static uint64_t set_entry(kama_group *group, kama_bytes element)
{
    kama_set_item item;
    kama_status st = KAMA_ERR_MALFORMED;
    if (read_entry(element, &item)) {
        kama_set_options options;
        kama_set_options_init(&options);
        options.ttl_ms = item.ttl_ms;
        st = kama_set(group, item.key, item.value, &options);
    }
    return (uint64_t)(int64_t)st;
}

static kama_status check_key(const kama_group *group, kama_bytes key)
{
    (void)group;
    return km_group_check_key(key);
}

/* KAMA_OK or KAMA_MISS, both of which take one byte: the key was checked. */
static uint64_t delete_key(kama_group *group, kama_bytes key)
{
    return (uint64_t)kama_del(group, key, NULL);
}

static uint64_t has_key(kama_group *group, kama_bytes key)
{
    return kama_exists(group, key, NULL) == KAMA_OK ? 1 : 0;
}

static const struct many_ops mset_ops = {"entries", check_entry, set_entry,
                                         VARINT_BYTES_MAX};
static const struct many_ops mdelete_ops = {"keys", check_key, delete_key, 1};
static const struct many_ops exists_ops = {"keys", check_key, has_key, 1};

/* -- the engine ---------------------------------------------------------- */

static void many_free(struct km_service_many *many)
{
    struct km_server_call *call = many->call;
    struct km_service_many_state *state = km_server_call_state(call);
    KM_ASSERT(many->state != MANY_TURN_POSTED && state->many == many);
    km_buf_fini(&many->answers);
    km_mem_free(many->env->mem, many->copy);
    km_mem_free(many->env->mem, many);
    state->many = NULL;
    km_server_call_release(call);
}

/* Replies and frees the call's state, or waits for on_writable. */
static void reply_if_room(struct km_service_many *many)
{
    struct km_buf reply;
    KM_ASSERT(many->left == 0);
    if (!km_server_call_writable(many->call)) {
        many->state = MANY_WAITS_FOR_ROOM;
        return;
    }
    km_buf_init(&reply, many->env->mem, SIZE_MAX);
    kama_status st = KAMA_OK;
    if (many->answers.len > 0) {
        st = km_pb_append_bytes(&reply, KM_MSG_NUMBERS,
                                km_buf_bytes(&many->answers));
    }
    km_service_reply_buf(many->call, &reply, st);
    many_free(many);
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

/* Carries out the elements of one turn; then the call replies, or the next turn
 * is posted. */
static void advance(struct km_service_many *many)
{
    kama_bytes element;
    for (unsigned i = 0; many->left > 0 && i < KM_MGET_KEYS_PER_TURN; i++) {
        bool more = km_pb_next(&many->list, &element);
        KM_ASSERT(more);
        many->left--;
        append_varint(&many->answers,
                      many->ops->carry_out(many->group, element));
    }
    if (many->left == 0) {
        reply_if_room(many);
        return;
    }
    many->state = MANY_TURN_POSTED;
    km_loop_post(km_server_call_loop(many->call), &many->turn);
}

static void on_turn(struct km_mail *mail)
{
    struct km_service_many *many =
        KM_CONTAINER_OF(mail, struct km_service_many, turn);
    KM_ASSERT(many->state == MANY_TURN_POSTED);
    many->state = MANY_RUNNING;
    if (km_server_call_ended(many->call)) {
        many_free(many);
        return;
    }
    advance(many);
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
    if (state->many != NULL && state->many->state != MANY_TURN_POSTED) {
        many_free(state->many);
    }
}

/* -- the start ----------------------------------------------------------- */

/* Returns true if all elements are valid. Otherwise the call is finished, with
 * a sentence that names the first element that is not. */
static bool check_all(struct km_server_call *call, const struct many_ops *ops,
                      const kama_group *group, struct km_pb_list list)
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
    if (many->left <= KM_MGET_KEYS_PER_TURN) {
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

/* Allocates all that the call will need. Returns NULL without memory; nothing
 * is left behind then. */
static struct km_service_many *many_new(struct km_server_call *call,
                                        const struct many_ops *ops,
                                        kama_group *group,
                                        struct km_pb_list list)
{
    struct km_service_env *env = km_service_env_of(call);
    struct km_service_many *many = km_mem_zalloc(env->mem, 1, sizeof *many);
    if (many == NULL) {
        return NULL;
    }
    many->ops = ops;
    many->call = call;
    many->env = env;
    many->group = group;
    many->list = list;
    many->left = list.count;
    many->turn.run = on_turn;
    km_buf_init(&many->answers, env->mem, SIZE_MAX);
    kama_status st = keep_list(many);
    if (st == KAMA_OK) {
        st = km_buf_reserve(&many->answers, list.count * ops->answer_bytes_max);
    }
    if (st != KAMA_OK) {
        km_buf_fini(&many->answers);
        km_mem_free(env->mem, many->copy);
        km_mem_free(env->mem, many);
        return NULL;
    }
    return many;
}

static void start(struct km_server_call *call, const struct many_ops *ops,
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
        start(call, &exists_ops, group, request.keys);
    }
}

void km_service_v2_mdelete(struct km_server_call *call, kama_bytes message)
{
    struct km_msg_mdelete_request request;
    kama_group *group = km_service_decode_for_group(
        call, &km_msg_mdelete_request_pb, message, &request);
    if (group != NULL && !km_service_refuse_ack(call, request.ack)) {
        start(call, &mdelete_ops, group, request.keys);
    }
}

void km_service_v2_mset(struct km_server_call *call, kama_bytes message)
{
    struct km_msg_mset_request request;
    kama_group *group = km_service_decode_for_group(
        call, &km_msg_mset_request_pb, message, &request);
    if (group != NULL && !km_service_refuse_ack(call, request.ack)) {
        start(call, &mset_ops, group, request.entries);
    }
}
